//! Events of a run while it is in progress.

use crate::call::Phase;
use crate::net::{DurationQuantiles, HealthSnapshot};
use crate::record::{CallRecord, TurnRecord};
use std::time::{Duration, Instant};

/// An event to show. The set is closed: a display handles every variant.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// Something went wrong that does not end the run.
    Notice(String),
    /// The preflight calls start: they check whether each server and an agent can be reached.
    PreflightStarted,
    /// The preflight calls reached an agent.
    PreflightPassed,
    /// The plan starts; the instants in the records are relative to its start.
    Started {
        /// The instant that all instants in the records are relative to.
        at: Instant,
        /// The same instant on the wall clock.
        zero_at: jiff::Timestamp,
    },
    /// A planned call started.
    CallStarted {
        /// Index in the plan.
        call: usize,
        /// Index of its variant in the scenario.
        variant: usize,
        /// It is a warm-up call.
        warmup: bool,
    },
    /// A call entered another phase.
    Phase {
        /// Index in the plan.
        call: usize,
        /// The new phase.
        phase: Phase,
    },
    /// A turn ended, or was cut off or left out by the end of the run.
    TurnEnded(Box<TurnRecord>),
    /// A turn that was already reported has changed; this record replaces the earlier one.
    TurnAmended(Box<TurnRecord>),
    /// A started call ended.
    CallEnded(Box<CallRecord>),
    /// A planned call could not start.
    CallDropped(Box<CallRecord>),
    /// The run was stopped before this call started.
    CallNotRun(Box<CallRecord>),
    /// Health of the generator: once a second, and at the end.
    Vitals(Box<Vitals>),
    /// The run was stopped: no more calls start, and those in progress hang up.
    Stopping,
}

/// Health of the generator at one instant; `health` counts since the media engine started.
#[derive(Debug, Clone, PartialEq)]
pub struct Vitals {
    /// Health of its media threads.
    pub(crate) health: HealthSnapshot,
    /// How late the timers fired on the runtime that carries signalling.
    pub(crate) signalling_lateness: DurationQuantiles,
    /// Processor time of the process since it started.
    pub(crate) cpu: Duration,
    /// Resident memory of the process.
    pub(crate) resident_bytes: u64,
}
