//! What a run tells while it goes on.

use crate::call::Phase;
use crate::net::HealthSnapshot;
use crate::record::{CallRecord, TurnRecord};
use std::time::{Duration, Instant};

/// Something to show. The set is closed: a display handles every one of them.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// Something went wrong that does not end the run.
    Notice(String),
    /// One call shows whether the server and an agent are there at all.
    CanaryStarted,
    /// The preflight calls reached an agent.
    CanaryPassed,
    /// The plan begins; records count from here.
    Started {
        /// The zero of every instant in the records.
        at: Instant,
        /// The same moment by the wall clock.
        zero_at: jiff::Timestamp,
    },
    /// A call of the plan began.
    CallStarted {
        /// Index in the plan.
        call: usize,
        /// Index of its variant in the scenario.
        variant: usize,
        /// It only warms the agent up.
        warmup: bool,
    },
    /// A call came into another phase.
    Phase {
        /// Index in the plan.
        call: usize,
        /// Which.
        phase: Phase,
    },
    /// A turn ended, or was cut off or left out by the end of the run.
    TurnEnded(Box<TurnRecord>),
    /// More became known of a turn that was told of before: this replaces it.
    TurnAmended(Box<TurnRecord>),
    /// A call that began is over.
    CallEnded(Box<CallRecord>),
    /// A call was to begin and could not.
    CallDropped(Box<CallRecord>),
    /// The run was stopped before this call began.
    CallNotRun(Box<CallRecord>),
    /// How the generator is; once a second, and at the end.
    Vitals(Box<Vitals>),
    /// No more calls will start; those under way finish.
    Stopping,
}

/// What the generator is like at one moment; everything since the plan began.
#[derive(Debug, Clone, PartialEq)]
pub struct Vitals {
    /// Its media threads.
    pub health: HealthSnapshot,
    /// Processor time of the process, since it began.
    pub cpu: Duration,
    /// Its resident memory.
    pub resident_bytes: u64,
}
