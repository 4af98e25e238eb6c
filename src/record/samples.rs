//! The samples behind every metric: which turns and calls enter it, said once.
//!
//! In: records. Out: a [`Distribution`] for each latency, counts of outcomes. Holds: warm-up calls and
//! sentinels enter nothing; where the awaited thing never happened, the gating samples have +∞.

use super::{CallRecord, Ms, TurnCounts, TurnExpect, TurnOutcome, TurnRecord};
use crate::call::Failure;
use crate::stats::{Distribution, Sample};

/// The samples of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// `ttfa` of the turns that were replied to.
    pub ttfa: Distribution,
    /// `ttfa` of all turns that asked for a reply: missed and failed ones as +∞, early replies
    /// not at all (they have no latency), nor turns cut off by the user's stop.
    pub all_turns: Distribution,
    /// `ttfa_wire` of the turns that were replied to.
    pub ttfa_wire: Distribution,
    /// As `all_turns`, on the wire.
    pub all_turns_wire: Distribution,
    /// `join` of the calls that joined.
    pub join: Distribution,
    /// As `join`, with +∞ for calls that failed before.
    pub all_join: Distribution,
    /// `agent_join` of the calls that met an agent.
    pub agent_join: Distribution,
    /// As `agent_join`, with +∞ for calls that failed before.
    pub all_agent_join: Distribution,
    /// Greetings that were expected and heard.
    pub greeting: Distribution,
    /// All measured turns by outcome.
    pub outcomes: TurnCounts,
}

impl Samples {
    /// Collects them. `planned_turns`: turns of the plan, warm-up calls left out.
    pub fn of(planned_turns: usize, calls: &[CallRecord], turns: &[TurnRecord]) -> Self {
        let calls = || calls.iter().filter(|c| !c.warmup && c.started_ms.is_some());
        let turns = || turns.iter().filter(|t| t.is_measured());
        let asked = || turns().filter(|t| t.expect == TurnExpect::Respond);
        let replied = || asked().filter(|t| t.outcome == TurnOutcome::Replied);
        Self {
            ttfa: by_call(replied(), |t| finite(t.ttfa_ms)),
            all_turns: by_call(asked(), |t| of_turn(t, t.ttfa_ms)),
            ttfa_wire: by_call(replied(), |t| finite(t.ttfa_wire_ms)),
            all_turns_wire: by_call(asked(), |t| of_turn(t, t.ttfa_wire_ms)),
            join: calls().filter_map(|c| finite(c.join_ms)).collect(),
            all_join: calls().filter_map(|c| of_call(c, c.join_ms)).collect(),
            agent_join: calls().filter_map(|c| finite(c.agent_join_ms)).collect(),
            all_agent_join: calls()
                .filter_map(|c| of_call(c, c.agent_join_ms))
                .collect(),
            greeting: calls().filter_map(|c| finite(c.greeting_ms)).collect(),
            outcomes: TurnCounts::of(planned_turns, turns().map(|t| t.outcome)),
        }
    }
}

/// What `latency` gives of `turns`, grouped by call.
fn by_call<'a>(
    turns: impl Iterator<Item = &'a TurnRecord>,
    latency: impl Fn(&TurnRecord) -> Option<Sample>,
) -> Distribution {
    Distribution::in_groups(turns.filter_map(|t| Some((t.call, latency(t)?))))
}

fn finite(ms: Option<Ms>) -> Option<Sample> {
    ms.and_then(Ms::duration).map(Sample::Finite)
}

pub(super) fn of_turn(turn: &TurnRecord, latency: Option<Ms>) -> Option<Sample> {
    match turn.outcome {
        TurnOutcome::Replied => finite(latency),
        TurnOutcome::Missed => Some(Sample::Infinite),
        // The agent was given no time to answer; nothing can be said of its latency.
        TurnOutcome::Failed if turn.failure.as_deref() == Some(stopped()) => None,
        TurnOutcome::Failed => Some(Sample::Infinite),
        TurnOutcome::Early => None,
    }
}

pub(super) fn of_call(call: &CallRecord, latency: Option<Ms>) -> Option<Sample> {
    finite(latency).or_else(|| {
        let failure = call.failure.as_ref()?;
        // It did join, or no turn of it could have ended: a defect took the figure with it.
        let TurnCounts {
            replied,
            missed,
            early,
            ..
        } = call.turns;
        let joined = replied + missed + early > 0;
        (failure.cause != stopped() && !joined).then_some(Sample::Infinite)
    })
}

fn stopped() -> &'static str {
    Failure::Stopped.cause()
}
