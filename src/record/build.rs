//! From records to the summary.
//!
//! In: call and turn records, thresholds, facts of the run. Out: a [`Summary`]. Pure. Holds:
//! every figure comes from the records as they are on disk, so that a report made again later
//! says the same.

use super::steady::SteadyRecords;
use super::summary::{
    AllTurns, CallCounts, FailureGroup, Intervals, Latency, Metrics, Quantiles, RunFacts, RunInfo,
    SecondOpinions, Span, Summary,
};
use super::variants;
use super::verdict::{Doubts, Evidence};
use super::{
    CallRecord, Ending, Ms, SUMMARY_VERSION, Samples, Threshold, TurnFlag, TurnOutcome, TurnRecord,
    Verdict,
};
use crate::call::Failure;
use crate::stats::{Distribution, Sample};
use std::collections::BTreeMap;

/// Said of the calls that the end of the run cut off, where a gate ended it and not the user.
const ENDED_BY_A_GATE: &str = "a gate ended the run before the call did";
const LOOK_AT_THE_GATE: &str = "look at the gate; without `abort_on_fail` the run goes on";

/// Level of every interval in a summary.
const LEVEL: f64 = 0.95;

impl Summary {
    /// Builds the summary of a run. `calls` and `turns` may come in any order and include
    /// warm-up calls.
    pub fn build(
        facts: &RunFacts<'_>,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        thresholds: &[Threshold],
    ) -> Self {
        let samples = Samples::of(facts.planned_turns, calls, turns);
        let counts = CallCounts::of(facts.planned_calls, calls);
        let ending = match &facts.ending {
            Ending::Finished | Ending::Aborted(_) if met_no_agent(calls, turns) => {
                Ending::Error("no call reached an agent".to_owned())
            }
            ending => ending.clone(),
        };
        let doubts = Doubts {
            invalid: facts.invalid.clone(),
            missing: match ending {
                Ending::Finished => missing_load(&counts, &samples),
                _ => Vec::new(),
            },
        };
        let steady = SteadyRecords::of(&facts.steady, calls, turns);
        let evidence = Evidence {
            calls,
            turns,
            steady: (!facts.steady.is_empty()).then_some(&steady),
        };
        Self {
            version: SUMMARY_VERSION,
            verdict: Verdict::of(&ending, doubts, thresholds, &evidence),
            run: RunInfo::of(facts),
            network: facts.network,
            metrics: Metrics::of(&samples),
            steady: steady.figures(&facts.steady),
            intervals: Intervals::of(&samples),
            variants: variants::ranked(facts.seed, calls, turns),
            outcomes: samples.outcomes,
            calls: counts,
            second_opinion: SecondOpinions::of(turns),
            echoes: calls.iter().filter(|c| !c.warmup).map(|c| c.echoes).sum(),
            flags: count_flags(turns),
            failures: group_failures(calls, &ending),
            generator: facts.generator.clone(),
            sentinels: facts.sentinels,
            conditions: None,
        }
    }
}

/// Calls began, and not one of them met an agent.
fn met_no_agent(calls: &[CallRecord], turns: &[TurnRecord]) -> bool {
    calls.iter().any(|c| c.started_ms.is_some())
        && calls.iter().all(|c| c.agent_join_ms.is_none())
        && turns
            .iter()
            .all(|t| t.sentinel || t.outcome == TurnOutcome::Failed)
}

/// A run that did not make the load it offered, or heard nothing, cannot be judged.
fn missing_load(counts: &CallCounts, samples: &Samples) -> Vec<String> {
    let mut reasons = Vec::new();
    if counts.dropped > 0 {
        let CallCounts {
            dropped, planned, ..
        } = counts;
        reasons.push(format!(
            "{dropped} of {planned} planned calls never started"
        ));
    }
    if samples.outcomes.ended() == 0 {
        reasons.push("no turn was measured".to_owned());
    }
    reasons
}

impl RunInfo {
    fn of(facts: &RunFacts<'_>) -> Self {
        Self {
            name: facts.name.to_owned(),
            seed: facts.seed,
            target: facts.target.to_owned(),
            started_at: facts.started_at.to_owned(),
            duration_ms: facts.duration.into(),
            loadgen_version: facts.loadgen_version.to_owned(),
            complete: facts.ending != Ending::Cut,
        }
    }
}

impl Intervals {
    pub(super) fn of(samples: &Samples) -> Self {
        Self {
            level: LEVEL,
            ttfa: Quantiles::of(&samples.ttfa),
            all_turns: Quantiles::of(&samples.all_turns),
        }
    }
}

impl CallCounts {
    pub(super) fn of(planned: usize, calls: &[CallRecord]) -> Self {
        let started = || calls.iter().filter(|c| !c.warmup && c.started_ms.is_some());
        let failed = started().filter(|c| c.failure.is_some()).count();
        Self {
            planned,
            started: started().count(),
            completed: started().count() - failed,
            failed,
            dropped: planned.saturating_sub(started().count()),
        }
    }
}

impl Metrics {
    pub(super) fn of(samples: &Samples) -> Self {
        Self {
            ttfa: Latency::of(&samples.ttfa),
            ttfa_wire: Latency::of(&samples.ttfa_wire),
            join: Latency::of(&samples.join),
            agent_join: Latency::of(&samples.agent_join),
            greeting: Latency::of(&samples.greeting),
            all_turns: AllTurns::of(&samples.all_turns),
        }
    }
}

impl Latency {
    /// The figures of `distribution`.
    pub fn of(distribution: &Distribution) -> Self {
        let percentile = |p| distribution.percentile(p).and_then(Ms::from_sample);
        Self {
            count: distribution.count(),
            min_ms: distribution.min().and_then(Ms::from_sample),
            mean_ms: distribution.mean().and_then(Ms::from_sample),
            p50_ms: percentile(50.0),
            p90_ms: percentile(90.0),
            p95_ms: percentile(95.0),
            p99_ms: percentile(99.0),
            max_ms: distribution.max().and_then(Ms::from_sample),
        }
    }
}

impl AllTurns {
    /// The figures of `distribution`.
    pub fn of(distribution: &Distribution) -> Self {
        let figures = Latency::of(distribution);
        Self {
            count: figures.count,
            infinite: distribution.infinite(),
            min_ms: figures.min_ms,
            mean_ms: figures.mean_ms,
            p50_ms: figures.p50_ms,
            p90_ms: figures.p90_ms,
            p95_ms: figures.p95_ms,
            p99_ms: figures.p99_ms,
            max_ms: figures.max_ms,
        }
    }
}

impl Quantiles {
    fn of(distribution: &Distribution) -> Self {
        let span = |q| {
            let found = distribution.interval(q, LEVEL).ok()?;
            let end = |sample: Sample| Ms::from_sample(sample);
            Some(Span {
                lower_ms: end(found.lower),
                upper_ms: end(found.upper),
            })
        };
        Self {
            p50: span(0.5),
            p95: span(0.95),
            p99: span(0.99),
        }
    }
}

impl SecondOpinions {
    fn of(turns: &[TurnRecord]) -> Self {
        let heard = || {
            turns
                .iter()
                .filter(|t| t.is_measured() && t.confidence.is_some())
        };
        let flagged = |flag| heard().filter(|t| t.flags.contains(&flag)).count();
        Self {
            onsets: heard().count(),
            asked: heard().filter(|t| t.second_opinion.is_some()).count(),
            not_speech: flagged(TurnFlag::NotSpeech),
            disputed: flagged(TurnFlag::OnsetDisputed),
        }
    }
}

fn count_flags(turns: &[TurnRecord]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let measured = turns.iter().filter(|t| t.is_measured());
    for flag in measured.flat_map(|t| &t.flags) {
        *counts.entry(flag.name().to_owned()).or_default() += 1;
    }
    counts
}

fn group_failures(calls: &[CallRecord], ending: &Ending) -> Vec<FailureGroup> {
    let mut groups: BTreeMap<&str, (usize, &CallRecord)> = BTreeMap::new();
    for call in calls.iter().filter(|c| !c.warmup) {
        if let Some(failure) = &call.failure {
            let (count, first) = groups.entry(&failure.cause).or_insert((0, call));
            *count += 1;
            if call.call < first.call {
                *first = call;
            }
        }
    }
    let mut groups: Vec<FailureGroup> = groups
        .into_values()
        .filter_map(|(count, first)| {
            let failure = first.failure.clone()?;
            let of_a_gate =
                failure.cause == Failure::Stopped.cause() && matches!(ending, Ending::Aborted(_));
            let (message, hint) = match of_a_gate {
                true => (ENDED_BY_A_GATE.to_owned(), LOOK_AT_THE_GATE.to_owned()),
                false => (failure.message, failure.hint),
            };
            Some(FailureGroup {
                cause: failure.cause,
                count,
                message,
                hint,
            })
        })
        .collect();
    // Stable: causes of equal count stay in alphabetical order.
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    groups
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Outcome, Run, facts};
    use super::super::{Status, Summary};
    use super::*;

    #[test]
    fn what_a_gate_cut_off_is_not_blamed_on_the_user() {
        let mut run = Run::default();
        run.good(2)
            .bad(Outcome::Failed, Some(Failure::Stopped))
            .bad(Outcome::Failed, Some(Failure::AgentLeft));
        for (ending, by_gate) in [
            (Ending::Aborted("ttfa med<1s".into()), true),
            (Ending::Stopped, false),
        ] {
            let summary = Summary::build(&facts(4, ending.clone()), &run.calls, &run.turns, &[]);
            assert_eq!(summary.verdict.ended_by.is_some(), by_gate, "{ending:?}");
            let of = |cause: &str| {
                let found = summary.failures.iter().find(|f| f.cause == cause);
                let found = found.expect(cause);
                (found.message.clone(), found.hint.clone())
            };
            let left = Failure::AgentLeft;
            let expected = (left.to_string(), left.hint().to_owned());
            assert_eq!(of("agent_left"), expected, "{ending:?}");
            let (message, hint) = of("stopped");
            assert_eq!(message == ENDED_BY_A_GATE, by_gate, "{message}");
            assert_eq!(hint == LOOK_AT_THE_GATE, by_gate, "{hint}");
        }
    }

    #[test]
    fn a_run_without_an_agent_is_an_error_even_where_a_gate_ended_it() {
        let absent = || {
            let waited = std::time::Duration::from_secs(30);
            Some(Failure::AgentAbsent { waited })
        };
        let mut run = Run::default();
        run.bad(Outcome::Failed, absent())
            .bad(Outcome::Failed, absent());
        let ending = Ending::Aborted("failed rate<0.1".into());
        let summary = Summary::build(&facts(9, ending), &run.calls, &run.turns, &[]);
        assert_eq!(summary.verdict.status, Status::Error);
        assert_eq!(summary.verdict.reasons, ["no call reached an agent"]);
    }
}
