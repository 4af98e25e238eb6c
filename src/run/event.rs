//! Events of a run while it is in progress.

use crate::call::Phase;
use crate::net::{DurationQuantiles, HealthSnapshot};
use crate::record::{CallRecord, TurnRecord};
use std::time::{Duration, Instant};

/// An event to display. The set is closed: a display handles every variant.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// Something went wrong that does not end the run.
    Notice(String),
    /// The preflight calls start. They check whether each server is reachable and an agent joins.
    PreflightStarted,
    /// The preflight calls reached an agent.
    PreflightPassed,
    /// The plan starts; instants in the records are relative to its start.
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
        /// True for a warm-up call.
        warmup: bool,
    },
    /// A call entered another phase.
    Phase {
        /// Index in the plan.
        call: usize,
        /// The new phase.
        phase: Phase,
    },
    /// A turn ended, or the end of the run cut it off or kept it from starting.
    TurnEnded(Box<TurnRecord>),
    /// A turn that was already reported has changed; this record replaces the earlier one.
    TurnAmended(Box<TurnRecord>),
    /// A started call ended.
    CallEnded(Box<CallRecord>),
    /// A planned call could not start.
    CallDropped(Box<CallRecord>),
    /// The run was stopped before this call started.
    CallNotRun(Box<CallRecord>),
    /// Health of the generator; emitted once a second and at the end of the run.
    Vitals(Box<Vitals>),
    /// The run was stopped: no more calls start, and the calls in progress hang up.
    Stopping,
}

/// Health of the generator at one instant. `health` counts from the start of the media engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Vitals {
    /// Health of the media threads.
    pub(crate) health: HealthSnapshot,
    /// How late the timers fired on the runtime that carries signalling.
    pub(crate) signalling_lateness: DurationQuantiles,
    /// Processor time of the process since it started.
    pub(crate) cpu: Duration,
    /// Resident memory of the process.
    pub(crate) resident_bytes: u64,
}
