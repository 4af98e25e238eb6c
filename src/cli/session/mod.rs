//! A session of calls: from a request to a finished run with its reports.
//!
//! In: a request. Out: a run folder, an exit code; or, for commands that make several runs, the
//! finished run. Invariant: nothing here depends on which command made the request.
//!
//! Each layer has its own verb: a command is executed, a session conducted (checks, run
//! folder, reports), a plan driven (runtime, signals); `crate::run` runs the calls.

mod after_run;
pub(super) mod agent_flags;
mod conditions;
pub(super) mod conduct;
pub(super) mod drive;
mod gates;
mod key_hosts;
pub(crate) mod request;
mod sentinels;
mod start;
pub(super) mod targets;
pub(super) mod truth;
pub(super) mod watchdog;
