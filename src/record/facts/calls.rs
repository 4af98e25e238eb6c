//! The record of one call, and counts of calls by outcome.
//!
//! In: a [`CallResult`] and its context, or a planned call that never started. Out: a
//! [`CallRecord`]; [`CallCounts`] of several. Invariants: `lateness_ms` counts from the planned
//! start, never from when the dispatcher woke up; a call cut off by the end of the run is not a
//! failure; planned calls = started + dropped + not run, started = completed + failed + cut off.

use super::connection::ConnectionRecord;
use super::conversation::FloorRecord;
use super::ms::Ms;
use super::turns::{STOPPED, TurnCounts};
use crate::account::ModelUsage;
use crate::call::{CallResult, Failure};
use crate::record::CALL_VERSION;
use crate::vocab::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Failure cause, in files of version 1, of calls that were cut off because loadgen was killed.
const KILLED: &str = "cut_off";

/// The context of a call, which is not part of its [`CallResult`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallContext<'a> {
    /// Index in the plan.
    pub call: usize,
    pub room: &'a str,
    /// Name of the agent's configuration.
    pub variant: &'a str,
    /// Block of the plan, if calls are distributed over several variants.
    pub block: Option<u64>,
    /// Whether the call is a warm-up call.
    pub warmup: bool,
    /// When the plan starts the call.
    pub planned_start: Instant,
    /// Actual start; `None` if the call never started.
    pub started: Option<Instant>,
    /// End of the call; `None` if it has not ended or never started.
    pub ended: Option<Instant>,
}

/// How a planned call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The call ended without a failure.
    Completed,
    /// The call failed.
    Failed,
    /// The call was in progress when the run was stopped.
    CutOff,
    /// The call could not start.
    Dropped,
    /// The run was stopped before the call started.
    NotRun,
}

impl CallOutcome {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::CutOff,
        Self::Dropped,
        Self::NotRun,
    ];

    /// The name used in files.
    pub(crate) fn name(self) -> &'static str {
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
    /// Version of the format; [`CALL_VERSION`] in new records.
    pub(crate) version: u32,
    /// Index in the plan.
    pub call: usize,
    /// Name of the call's room.
    pub room: String,
    /// Name of the agent's configuration.
    pub variant: String,
    /// Number of the block that the call belongs to, from 0, if measured calls are distributed over
    /// several variants, which are compared within a block.
    #[serde(default)]
    pub(crate) block: Option<u64>,
    /// Whether the call was a warm-up call.
    pub(crate) warmup: bool,
    /// Planned start, from the start of the run.
    pub planned_start_ms: Ms,
    /// Actual start; absent for a call that never started.
    pub started_ms: Option<Ms>,
    /// Actual start minus planned start.
    pub(crate) lateness_ms: Option<Ms>,
    /// Start → signalling joined and media flowing.
    pub(crate) join_ms: Option<Ms>,
    /// Start → an agent participant is in the room.
    #[serde(default)]
    pub agent_present_ms: Option<Ms>,
    /// Start → the agent's audio track subscribed; `agent_join_ms` in files of version 1.
    #[serde(alias = "agent_join_ms")]
    pub agent_audible_ms: Option<Ms>,
    /// The agent's track subscribed → onset of its first words.
    pub(crate) greeting_ms: Option<Ms>,
    /// End of the call.
    pub ended_ms: Option<Ms>,
    /// How the call ended; absent while it is in progress, and in files of version 1.
    #[serde(default)]
    pub outcome: Option<CallOutcome>,
    /// Why the call failed, if it did.
    pub failure: Option<CallFailure>,
    /// How often the caller's own echo came back on the agent's track and was recognised as echo.
    #[serde(default)]
    pub(crate) echoes: usize,
    /// Usage of the call's agents, by model, as the agents report it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) usage: Vec<ModelUsage>,
    /// Who spoke for how long in the call; absent for a call that never started, and in files of
    /// earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<FloorRecord>,
    /// From the last speech in the call to its end, if the agent owed the reply to the last turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_air_ms: Option<Ms>,
    /// What the network did to the call; absent if its audio did not go over RTP, and in files of
    /// earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<Box<ConnectionRecord>>,
    /// The call's turns by outcome.
    pub turns: TurnCounts,
}

impl CallRecord {
    /// The record of `result`; instants become relative to `run_start`.
    pub(crate) fn new(context: &CallContext<'_>, result: &CallResult, run_start: Instant) -> Self {
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
            floor: Some((&result.floor).into()),
            dead_air_ms: result.dead_air.map(Ms::from),
            turns: TurnCounts::of(result.turns.len(), outcomes),
            ..Self::begun(context, result.turns.len(), run_start)
        }
    }

    /// The record of a planned call of `turns` turns that could not start.
    pub(crate) fn dropped(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
        Self {
            outcome: Some(CallOutcome::Dropped),
            ..Self::begun(context, turns, run_start)
        }
    }

    /// The record of a planned call of `turns` turns that had not started when the run ended.
    pub(crate) fn not_run(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
        let outcomes = std::iter::repeat_n(Outcome::NotRun, turns);
        Self {
            outcome: Some(CallOutcome::NotRun),
            turns: TurnCounts::of(turns, outcomes),
            ..Self::begun(context, turns, run_start)
        }
    }

    /// The record of a call of `turns` turns that has started; nothing else is known about it yet.
    pub(crate) fn begun(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
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
            usage: Vec::new(),
            floor: None,
            dead_air_ms: None,
            connection: None,
            turns: TurnCounts::of(turns, []),
        }
    }

    /// How the call ended; `None` while it is in progress. Files of version 1 have no outcome: in
    /// them, calls that were cut off when the run was stopped were recorded as failed, and all
    /// calls that did not start as dropped.
    pub(crate) fn ended_as(&self) -> Option<CallOutcome> {
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

/// The calls of a run, without warm-up calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CallCounts {
    /// Calls in the plan.
    pub planned: usize,
    /// Calls that started.
    pub started: usize,
    /// Of these, calls that ended without a failure.
    pub completed: usize,
    /// Of these, calls that failed.
    pub failed: usize,
    /// Of these, calls that were in progress when the run was stopped.
    #[serde(default)]
    pub cut_off: usize,
    /// Planned calls that could not start.
    pub dropped: usize,
    /// Planned calls that never started because the run was stopped.
    #[serde(default)]
    pub not_run: usize,
}

impl CallCounts {
    /// Counts `calls` out of `planned`. If `left_out`, planned calls without a record did not run
    /// because the run ended first; otherwise they were dropped.
    pub(in crate::record) fn of(planned: usize, calls: &[CallRecord], left_out: bool) -> Self {
        let measured = || calls.iter().filter(|c| !c.warmup);
        let ended_as = |outcome| {
            let ended = measured().filter(|c| c.ended_as() == Some(outcome));
            ended.count()
        };
        let started = measured().filter(|c| c.started_ms.is_some()).count();
        let (dropped, not_run) = (
            ended_as(CallOutcome::Dropped),
            ended_as(CallOutcome::NotRun),
        );
        let without_record = planned.saturating_sub(started + dropped + not_run);
        Self {
            planned,
            started,
            completed: ended_as(CallOutcome::Completed),
            failed: ended_as(CallOutcome::Failed),
            cut_off: ended_as(CallOutcome::CutOff),
            dropped: dropped + if left_out { 0 } else { without_record },
            not_run: not_run + if left_out { without_record } else { 0 },
        }
    }
}
