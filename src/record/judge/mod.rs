//! The results of a run: samples, figures, gates, variants, the verdict.
//!
//! In: the records of calls and turns, thresholds. Out: the summary and its parts.
//! Invariant: the same records always give the same judgement.

pub(super) mod broken;
pub(super) mod build;
pub(super) mod calibration;
pub(super) mod connection;
pub(super) mod conversation;
pub(super) mod figures;
pub(super) mod gate;
pub(super) mod latencies;
pub(super) mod metrics;
pub(super) mod observed;
pub(super) mod path;
pub(super) mod reasons;
pub(super) mod said;
pub(super) mod samples;
pub(super) mod sentinels;
pub(super) mod series;
pub(super) mod steady;
pub(super) mod summary;
pub(super) mod threshold;
pub(super) mod usage;
pub(super) mod variants;
pub(super) mod verdict;
pub(super) mod words;
