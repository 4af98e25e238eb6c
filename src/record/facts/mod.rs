//! What happened in a run: its calls and turns, the journal, the folder, what was kept.
//!
//! In: the results of calls and turns, and their context. Out: records and their files.
//! Invariant: nothing here weighs, counts or judges; the files of `judge` are unknown here.

pub(super) mod calls;
pub(super) mod conditions;
pub(super) mod error;
pub(super) mod evidence;
pub(super) mod folder;
pub(super) mod generator;
pub(super) mod journal;
pub(super) mod lines;
pub(super) mod measurement;
pub(super) mod ms;
pub(super) mod storage;
pub(super) mod turns;
pub(super) mod wave;
