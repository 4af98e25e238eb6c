//! A session of calls: from a request to a finished run with its reports.
//!
//! In: a request. Out: a run folder, an exit code; or, for commands that make several runs, the
//! finished run. Invariant: nothing here knows which command asked.

mod after_run;
pub(super) mod agent_flags;
pub mod carry_out;
mod conditions;
pub(super) mod doors;
pub(super) mod drive;
mod gates;
mod sentinels;
mod start;
pub(super) mod truth;
