//! The record of one call.
//!
//! In: a [`CallResult`] and where it belongs, or a planned call that never started. Out: a
//! [`CallRecord`]. Holds: `lateness_ms` counts from the plan, never from when somebody woke up.

use super::{CALL_VERSION, Ms, TurnCounts, TurnOutcome};
use crate::call::{CallResult, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

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
    /// Start → the agent's audio track subscribed.
    pub agent_join_ms: Option<Ms>,
    /// The agent's track subscribed → onset of its first words.
    pub greeting_ms: Option<Ms>,
    /// When it was over.
    pub ended_ms: Option<Ms>,
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
        let outcomes = result.turns.iter().map(|t| TurnOutcome::from(&t.outcome));
        Self {
            join_ms: result.join.map(Ms::from),
            agent_join_ms: result.agent_audible.map(Ms::from),
            greeting_ms: result.greeting.map(Ms::from),
            failure: result.failure.as_ref().map(CallFailure::from),
            echoes: result.echoes,
            turns: TurnCounts::of(result.turns.len(), outcomes),
            ..Self::dropped(context, result.turns.len(), run_start)
        }
    }

    /// The record of a call of `turns` turns that could not start. It counts as dropped when
    /// `context.started` is `None`.
    pub fn dropped(context: &CallContext<'_>, turns: usize, run_start: Instant) -> Self {
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
            agent_join_ms: None,
            greeting_ms: None,
            ended_ms: context.ended.map(|i| Ms::between(run_start, i)),
            failure: None,
            echoes: 0,
            turns: TurnCounts::of(turns, []),
        }
    }
}
