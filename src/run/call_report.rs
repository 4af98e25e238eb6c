//! Reports from the calls of a run.
//!
//! In: events of calls and observers, and calls that the dispatcher does not start. Out: reports
//! for the collector. Invariant: a call that has started reports its end exactly once.

use crate::account::{AgentClocks, ModelUsage, TurnAccount};
use crate::call::{CallResult, Failure, Phase, TurnResult};
use crate::plan::PlannedCall;
use crate::record::Reading;
use crate::vocab::ConnectionMeasured;
use std::collections::HashMap;
use std::time::Instant;

/// A report to the collector.
#[derive(Debug)]
pub(super) enum CallReport {
    Started(Box<Begun>),
    Phase(usize, Phase),
    Turn(Box<TurnDone>),
    /// A turn that was already reported has changed.
    Amended(Box<TurnDone>),
    Ended(Box<CallDone>),
    /// A message for the user, shown once.
    Notice(String),
    /// A planned call that does not start.
    LeftOut(Box<LeftOut>),
    /// A turn of a sentinel call: the room and the result.
    Sentinel(Box<(String, TurnResult)>),
    /// A sentinel call has ended: its failure, or `None` if it succeeded.
    SentinelEnded(Option<Failure>),
    /// A reading of an observed endpoint or process.
    Observed(Box<Reading>),
}

/// A call that has started.
#[derive(Debug)]
pub(super) struct Begun {
    pub room: String,
    pub planned_start: Instant,
    pub started: Instant,
    pub plan: PlannedCall,
}

/// A turn that has ended.
#[derive(Debug)]
pub(super) struct TurnDone {
    pub call: usize,
    pub room: String,
    pub turn: TurnResult,
    /// The agent's account of the turn; `None` until it is complete.
    pub account: Option<TurnAccount>,
    pub plan: PlannedCall,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct CallDone {
    pub index: usize,
    pub room: String,
    pub planned_start: Instant,
    pub started: Instant,
    pub ended: Instant,
    pub result: CallResult,
    pub plan: PlannedCall,
    pub told: CallTold,
    /// What was measured of its connection, if its audio went over RTP.
    pub connection: Option<ConnectionMeasured>,
}

/// What the agents of a call report about it.
#[derive(Debug, Default)]
pub(super) struct CallTold {
    /// The usage of each model.
    pub usage: Vec<ModelUsage>,
    /// The accounts of turns, by their index.
    pub accounts: HashMap<usize, TurnAccount>,
    /// Their clocks; `None` if the call never reported its end.
    pub clocks: Option<AgentClocks>,
}

/// A planned call that does not start.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub room: String,
    pub planned_start: Instant,
    pub plan: PlannedCall,
    /// True if the run was stopped first, false if the call could not start.
    pub stopped: bool,
}
