//! The record of one call.
//!
//! In: a [`CallResult`] and where it belongs, or a planned call that never started. Out: a
//! [`CallRecord`]. Invariants: `lateness_ms` counts from the plan, never from when somebody woke
//! up; a call that the end of the run cut off has not failed.

use super::{CALL_VERSION, Ms, Outcome, TurnCounts};
use crate::call::{CallResult, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Cause of the failure of calls and turns that a stop cut off, in files of version 1.
pub(super) const STOPPED: &str = "stopped";
/// Cause of the failure of calls that a kill of loadgen cut off, in files of version 1.
const KILLED: &str = "cut_off";

/// Where a call belongs; what [`CallResult`] does not know.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// Index in the plan.
    pub call: usize,
    /// Its room.
    pub room: &'a str,
    /// Name of the agent's configuration.
    pub variant: &'a str,
    /// Block of the plan, where calls are dealt to several variants.
    pub block: Option<u64>,
    /// It only warms the agent up.
    pub warmup: bool,
    /// When it was to start.
    pub planned_start: Instant,
    /// When it did; `None` for a call that never started.
    pub started: Option<Instant>,
    /// When it was over.
    pub ended: Option<Instant>,
}

/// How a planned call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It ended as it should.
    Completed,
    /// It failed.
    Failed,
    /// It was under way when the run was stopped.
    CutOff,
    /// It was to begin and could not.
    Dropped,
    /// The run was stopped before it began.
    NotRun,
}

impl CallOutcome {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::CutOff,
        Self::Dropped,
        Self::NotRun,
    ];

    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::CutOff => "cut_off",
            Self::Dropped => "dropped",
            Self::NotRun => "not_run",
        }
    }
}

/// Why a call failed, for people and for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallFailure {
    /// Stable machine name.
    pub cause: String,
    /// What happened.
    pub message: String,
    /// What to try next.
    pub hint: String,
}

impl From<&Failure> for CallFailure {
    fn from(failure: &Failure) -> Self {
        Self {
            cause: failure.cause().to_owned(),
            message: failure.to_string(),
            hint: failure.hint().to_owned(),
        }
    }
}

/// One planned call. Times in ms, to the microsecond; instants relative to the run's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// [`CALL_VERSION`].
    pub version: u32,
    /// Index in the plan.
    pub call: usize,
    /// Its room.
    pub room: String,
    /// Name of the agent's configuration.
    pub variant: String,
    /// Number of the block that the call belongs to, from 0, where measured calls are dealt to
    /// several variants: within a block they are compared.
    #[serde(default)]
    pub block: Option<u64>,
    /// It only warmed the agent up.
    pub warmup: bool,
    /// When it was to start.
    pub planned_start_ms: Ms,
    /// When it did; absent for a dropped call.
    pub started_ms: Option<Ms>,
    /// How much later than planned.
    pub lateness_ms: Option<Ms>,
    /// Start → signalling joined and media flowing.
    pub join_ms: Option<Ms>,
    /// Start → an agent participant is in the room.
    #[serde(default)]
    pub agent_present_ms: Option<Ms>,
    /// Start → the agent's audio track subscribed; `agent_join_ms` in files of version 1.
    #[serde(alias = "agent_join_ms")]
    pub agent_audible_ms: Option<Ms>,
    /// The agent's track subscribed → onset of its first words.
    pub greeting_ms: Option<Ms>,
    /// When it was over.
    pub ended_ms: Option<Ms>,
    /// How it ended; absent while it is under way, and in files of version 1.
    #[serde(default)]
    pub outcome: Option<CallOutcome>,
    /// Why it failed, if it did.
    pub failure: Option<CallFailure>,
    /// Times the caller's own voice came back on the agent's track, and was not taken for it.
    #[serde(default)]
    pub echoes: usize,
    /// Its turns by outcome.
    pub turns: TurnCounts,
}

impl CallRecord {
    /// The record of `result`; instants become relative to `run_start`.
    pub fn new(context: &CallContext<'_>, result: &CallResult, run_start: Instant) -> Self {
        let outcomes = result.turns.iter().map(|t| t.outcome);
        let outcome = match result.failure {
            None => CallOutcome::Completed,
            Some(Failure::Stopped) => CallOutcome::CutOff,
            Some(_) => CallOutcome::Failed,
        };
        let failure = result.failure.as_ref();
        Self {
            join_ms: result.join.map(Ms::from),
            agent_present_ms: result.agent_present.map(Ms::from),
            agent_audible_ms: result.agent_audible.map(Ms::from),
            greeting_ms: result.greeting.map(Ms::from),
            outcome: Some(outcome),
            failure: failure
                .filter(|_| outcome == CallOutcome::Failed)
                .map(CallFailure::from),
            echoes: result.echoes,
            turns: TurnCounts::of(result.turns.len(), outcomes),
            ..Self::begun(context, result.turns.len(), run_start)
        }
    }

    /// The record of a planned call of `turns` turns that was to begin and could not.
    pub fn dropped(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
        Self {
            outcome: Some(CallOutcome::Dropped),
            ..Self::begun(context, turns, run_start)
        }
    }

    /// The record of a planned call of `turns` turns that the end of the run left out.
    pub fn not_run(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
        let outcomes = std::iter::repeat_n(Outcome::NotRun, turns);
        Self {
            outcome: Some(CallOutcome::NotRun),
            turns: TurnCounts::of(turns, outcomes),
            ..Self::begun(context, turns, run_start)
        }
    }

    /// The record of a call of `turns` turns that has begun, and of which nothing else is known.
    pub fn begun(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
        Self {
            version: CALL_VERSION,
            call: context.call,
            room: context.room.to_owned(),
            variant: context.variant.to_owned(),
            block: context.block,
            warmup: context.warmup,
            planned_start_ms: Ms::between(run_start, context.planned_start),
            started_ms: context.started.map(|i| Ms::between(run_start, i)),
            lateness_ms: context
                .started
                .map(|i| Ms::between(context.planned_start, i)),
            join_ms: None,
            agent_present_ms: None,
            agent_audible_ms: None,
            greeting_ms: None,
            ended_ms: context.ended.map(|i| Ms::between(run_start, i)),
            outcome: None,
            failure: None,
            echoes: 0,
            turns: TurnCounts::of(turns, []),
        }
    }

    /// How the call ended; `None` while it is under way. Files of version 1 do not say: there a
    /// stop of the run was a failure, and whatever did not start was dropped.
    pub fn ended_as(&self) -> Option<CallOutcome> {
        let of_version_1 = || match (&self.failure, self.started_ms, self.ended_ms) {
            (Some(failure), ..) if failure.cause == STOPPED || failure.cause == KILLED => {
                Some(CallOutcome::CutOff)
            }
            (Some(_), ..) => Some(CallOutcome::Failed),
            (None, None, _) => Some(CallOutcome::Dropped),
            (None, Some(_), Some(_)) => Some(CallOutcome::Completed),
            (None, Some(_), None) => None,
        };
        self.outcome.or_else(of_version_1)
    }
}
