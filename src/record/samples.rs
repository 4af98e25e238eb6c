//! The samples behind every metric: which turns and calls enter it, said once.
//!
//! In: records. Out: a [`Distribution`] for each latency, counts of outcomes. Invariants: warm-up
//! calls and sentinels enter nothing, turns that the end of the run cut off only the counts; where the awaited thing never happened, the gating samples have +∞.

use super::calls::STOPPED;
use super::{CallRecord, Ms, Outcome, TurnCounts, TurnRecord};
use crate::stats::{Distribution, Sample};

/// The samples of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// `ttfa` of the turns that were replied to.
    pub ttfa: Distribution,
    /// `ttfa` of all turns that asked for a reply: missed and failed ones as +∞, early replies
    /// not at all (they have no latency), nor turns that the end of the run cut off.
    pub all_turns: Distribution,
    /// `ttfa_wire` of the turns that were replied to.
    pub ttfa_wire: Distribution,
    /// As `all_turns`, on the wire.
    pub all_turns_wire: Distribution,
    /// `join` of the calls that joined.
    pub join: Distribution,
    /// As `join`, with +∞ for calls that failed before.
    pub all_join: Distribution,
    /// `agent_present` of the calls that an agent joined.
    pub agent_present: Distribution,
    /// `agent_audible` of the calls that heard an agent's track.
    pub agent_audible: Distribution,
    /// As `agent_audible`, with +∞ for calls that failed before.
    pub all_agent_audible: Distribution,
    /// Greetings that were expected and heard.
    pub greeting: Distribution,
    /// All measured turns by outcome.
    pub outcomes: TurnCounts,
}

impl Samples {
    /// Collects them. `planned_turns`: turns of the plan, warm-up calls left out.
    pub fn of(planned_turns: usize, all: &[CallRecord], turns: &[TurnRecord]) -> Self {
        let calls = || all.iter().filter(|c| !c.warmup && c.started_ms.is_some());
        let turns = || turns.iter().filter(|t| t.is_measured());
        let asked = || turns().filter(|t| t.counts() && t.expect.asks_for_reply());
        let outcomes = TurnCounts::of(planned_turns, turns().map(|t| t.outcome));
        Self {
            ttfa: by_call(asked(), |t| finite(t.ttfa_ms)),
            all_turns: by_call(asked(), |t| of_turn(t, t.ttfa_ms)),
            ttfa_wire: by_call(asked(), |t| finite(t.ttfa_wire_ms)),
            all_turns_wire: by_call(asked(), |t| of_turn(t, t.ttfa_wire_ms)),
            join: calls().filter_map(|c| finite(c.join_ms)).collect(),
            all_join: calls().filter_map(|c| of_call(c, c.join_ms)).collect(),
            agent_present: calls().filter_map(|c| finite(c.agent_present_ms)).collect(),
            agent_audible: calls().filter_map(|c| finite(c.agent_audible_ms)).collect(),
            all_agent_audible: calls()
                .filter_map(|c| of_call(c, c.agent_audible_ms))
                .collect(),
            greeting: calls().filter_map(|c| finite(c.greeting_ms)).collect(),
            outcomes: of_calls_too(outcomes, all.iter().filter(|c| !c.warmup)),
        }
    }
}

/// The counts, with turns that have no record of their own: those of calls that were never begun,
/// and after a kill those that had not ended.
fn of_calls_too<'a>(
    counts: TurnCounts,
    calls: impl Iterator<Item = &'a CallRecord> + Clone,
) -> TurnCounts {
    let sum = |of: fn(&TurnCounts) -> usize| calls.clone().map(|c| of(&c.turns)).sum::<usize>();
    TurnCounts {
        cut_off: counts.cut_off.max(sum(|t| t.cut_off)),
        not_run: counts.not_run.max(sum(|t| t.not_run)),
        ..counts
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

/// A latency of a turn that counts. A turn with two results can be missed by one and have the
/// other.
pub(super) fn of_turn(turn: &TurnRecord, latency: Option<Ms>) -> Option<Sample> {
    match turn.outcome {
        Outcome::Replied | Outcome::Early => finite(latency),
        Outcome::Missed | Outcome::Failed => finite(latency).or(Some(Sample::Infinite)),
        Outcome::CutOff | Outcome::NotRun => None,
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
        (failure.cause != STOPPED && !joined).then_some(Sample::Infinite)
    })
}
