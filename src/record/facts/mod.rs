//! What happened in a run: its calls and turns, the journal, the folder, the kept audio.
//!
//! In: the results of calls and turns, and their context. Out: records and their files.
//! Invariant: nothing here computes statistics or a verdict; nothing here uses `judge`.

pub(super) mod account;
pub(super) mod calls;
pub(super) mod conditions;
pub(super) mod connection;
pub(super) mod conversation;
pub(super) mod error;
pub(super) mod evidence;
pub(super) mod folder;
pub(super) mod generator;
pub(super) mod journal;
pub(super) mod level;
pub(super) mod lines;
pub(super) mod measurement;
pub(super) mod ms;
pub(super) mod observed;
pub(super) mod reply_audio;
pub(super) mod spans;
pub(super) mod storage;
pub(super) mod telemetry;
pub(super) mod thinned;
pub(super) mod turns;
pub(super) mod wave;
