//! Builds the summary from records.
//!
//! In: call and turn records, thresholds, facts about the run. Out: a [`Summary`]. Pure. Invariant:
//! every figure comes from the records as they are on disk, so a report generated again later shows
//! the same figures.

use super::broken::BrokenReplies;
use super::connection::ConnectionFigures;
use super::conversation::ConversationFigures;
use super::figures::Intervals;
use super::gate::Records;
use super::latencies::Metrics;
use super::path::PathFigures;
use super::said::SaidFigures;
use super::samples::Samples;
use super::steady::SteadyRecords;
use super::summary::{FailureGroup, RunFacts, RunInfo, SecondOpinions, Summary};
use super::threshold::Threshold;
use super::usage::UsageFigures;
use super::variants;
use super::verdict::Doubts;
use super::verdict::{Ending, Verdict};
use crate::record::{
    CallCounts, CallFailure, CallOutcome, CallRecord, SUMMARY_VERSION, TurnCounts, TurnRecord,
};
use crate::vocab::{Flag, Outcome, Prices};
use std::collections::BTreeMap;

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
        let counts = CallCounts::of(facts.planned_calls, calls, facts.ending.leaves_out());
        let ending = match &facts.ending {
            Ending::Finished | Ending::Aborted(_) if met_no_agent(calls, turns) => {
                Ending::Error("no call reached an agent".to_owned())
            }
            Ending::Finished
                if thresholds.is_empty() && counts.completed == 0 && counts.failed > 0 =>
            {
                Ending::Error(format!("no call completed: {} failed", counts.failed))
            }
            ending => ending.clone(),
        };
        let doubts = Doubts {
            invalid: facts.invalid.clone(),
            missing: match ending {
                Ending::Finished => missing_load(&counts, &samples),
                _ => Vec::new(),
            },
            ungated: went_wrong(&counts, &samples.outcomes),
        };
        let steady = SteadyRecords::of(&facts.steady, calls, turns);
        let records = Records {
            calls,
            turns,
            steady: (!facts.steady.is_empty()).then_some(&steady),
        };
        Self {
            version: SUMMARY_VERSION,
            verdict: Verdict::of(&ending, doubts, thresholds, &records),
            run: RunInfo::of(facts),
            network: facts.network.clone(),
            metrics: Metrics::of(&samples),
            steady: steady.figures(&facts.steady),
            intervals: Intervals::of(&samples),
            variants: variants::ranked(facts.seed, calls, turns),
            outcomes: turn_counts(samples.outcomes, calls, &facts.ending),
            calls: counts,
            conversation: ConversationFigures::of(calls, turns),
            critical_path: PathFigures::of(turns),
            said: SaidFigures::of(calls, turns),
            broken: BrokenReplies::of(turns),
            connection: ConnectionFigures::of(calls),
            usage: UsageFigures::of(calls),
            second_opinion: SecondOpinions::of(turns),
            echoes: calls.iter().filter(|c| !c.warmup).map(|c| c.echoes).sum(),
            longest_wait_ms: measured(turns)
                .filter(|t| t.outcome == Outcome::CutOff)
                .filter_map(|t| t.waited_ms)
                .max(),
            late_replies: measured(turns)
                .filter(|t| t.late_reply_ms.is_some())
                .count(),
            flags: count_flags(turns),
            failures: group_failures(calls),
            generator: facts.generator.clone(),
            sentinels: facts.sentinels,
            agent_spans: None,
            conditions: None,
        }
    }
}

impl Summary {
    /// Adds the cost of the run to the summary. `calls`: all calls of the run.
    pub(crate) fn priced(mut self, prices: Option<&Prices>, calls: &[CallRecord]) -> Self {
        let Some(prices) = prices else { return self };
        self.usage = self.usage.map(|u| u.priced(prices, calls, true));
        for variant in &mut self.variants {
            let own = calls.iter().filter(|c| c.variant == variant.name);
            let own: Vec<CallRecord> = own.cloned().collect();
            variant.usage = variant.usage.take().map(|u| u.priced(prices, &own, false));
        }
        self
    }
}

/// Whether calls started but none of them reached an agent.
fn met_no_agent(calls: &[CallRecord], turns: &[TurnRecord]) -> bool {
    calls.iter().any(|c| c.started_ms.is_some())
        && calls
            .iter()
            .all(|c| c.agent_present_ms.is_none() && c.agent_audible_ms.is_none())
        && turns.iter().all(|t| {
            let heard = matches!(
                t.outcome,
                Outcome::Replied | Outcome::Missed | Outcome::Early
            );
            t.sentinel || !heard
        })
}

fn measured(turns: &[TurnRecord]) -> impl Iterator<Item = &TurnRecord> {
    turns.iter().filter(|t| t.is_measured())
}

/// Turns by outcome. If the run ended early, planned turns without an outcome count as not run,
/// except those of dropped calls.
fn turn_counts(counts: TurnCounts, calls: &[CallRecord], ending: &Ending) -> TurnCounts {
    if !ending.leaves_out() {
        return counts;
    }
    let dropped = calls
        .iter()
        .filter(|c| !c.warmup && c.ended_as() == Some(CallOutcome::Dropped));
    let dropped: usize = dropped.map(|c| c.turns.planned).sum();
    let not_run = counts.without_outcome().saturating_sub(dropped);
    TurnCounts {
        not_run: counts.not_run + not_run,
        ..counts
    }
}

/// Reasons why the run cannot be judged: it offered less load than planned, or measured no turn.
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

/// Sentences about calls that failed and turns that were missed or answered early; empty if there
/// are none.
fn went_wrong(calls: &CallCounts, turns: &TurnCounts) -> Vec<String> {
    let of = |n: usize, all: usize, what: &str| (n > 0).then(|| format!("{n} of {all} {what}"));
    let told = [
        of(calls.failed, calls.started, "calls failed"),
        of(turns.missed, turns.ended(), "turns were missed"),
        of(turns.early, turns.ended(), "turns were answered early"),
    ];
    told.into_iter().flatten().collect()
}

impl RunInfo {
    fn of(facts: &RunFacts<'_>) -> Self {
        Self {
            name: facts.name.to_owned(),
            seed: facts.seed,
            target: facts.target.to_owned(),
            started_at: facts.started_at.to_owned(),
            zero_at: facts.zero_at.map(str::to_owned),
            duration_ms: facts.duration.into(),
            loadgen_version: facts.loadgen_version.to_owned(),
            measurement_version: facts.measurement_version,
            complete: facts.ending != Ending::Cut,
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
            not_speech: flagged(Flag::NotSpeech),
            disputed: flagged(Flag::OnsetDisputed),
        }
    }
}

fn count_flags(turns: &[TurnRecord]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for flag in measured(turns).flat_map(|t| &t.flags) {
        *counts.entry(flag.name().to_owned()).or_default() += 1;
    }
    counts
}

fn group_failures(calls: &[CallRecord]) -> Vec<FailureGroup> {
    let mut groups: BTreeMap<&str, (usize, &CallRecord)> = BTreeMap::new();
    let failed = |c: &&CallRecord| !c.warmup && c.ended_as() == Some(CallOutcome::Failed);
    for call in calls.iter().filter(failed) {
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
            let CallFailure {
                cause,
                message,
                hint,
            } = first.failure.clone()?;
            Some(FailureGroup {
                cause,
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
    use super::*;
    use crate::record::fixtures::{Failure, Outcome, Run, facts};
    use crate::record::{Ms, Status, Summary};

    /// Two calls completed, one was cut off in its second turn, one failed, and three of the seven
    /// planned calls never started.
    #[test]
    fn calls_cut_off_by_the_end_of_the_run_are_not_failures() {
        let mut run = Run::default();
        run.good(2)
            .stopped()
            .bad(Outcome::Failed, Some(Failure::AgentLeft));
        // A reply in text that the caller did not wait for; its turn was not cut off.
        run.turns[0].waited_ms = Some(Ms::from_micros(9_000_000));
        for ending in [
            Ending::Aborted("ttfa med<1s".into()),
            Ending::Stopped,
            Ending::Cut,
        ] {
            let summary = Summary::build(&facts(7, ending.clone()), &run.calls, &run.turns, &[]);
            let causes = summary.failures.iter().map(|f| f.cause.as_str());
            assert_eq!(causes.collect::<Vec<_>>(), ["agent_left"], "{ending:?}");
            let calls = CallCounts {
                planned: 7,
                started: 4,
                completed: 2,
                failed: 1,
                cut_off: 1,
                dropped: 0,
                not_run: 3,
            };
            assert_eq!(summary.calls, calls, "{ending:?}");
            let turns = TurnCounts {
                planned: 21,
                replied: 7,
                failed: 3,
                cut_off: 1,
                not_run: 10,
                ..TurnCounts::default()
            };
            assert_eq!(summary.outcomes, turns, "{ending:?}");
            assert_eq!(summary.longest_wait_ms, Some(Ms::from_micros(1_200_000)));
        }
        // In a run that finished, planned calls without a record were dropped.
        let summary = Summary::build(&facts(7, Ending::Finished), &run.calls, &run.turns, &[]);
        assert_eq!((summary.calls.dropped, summary.calls.not_run), (3, 0));
        assert_eq!(summary.outcomes.not_run, 1);
    }

    #[test]
    fn a_run_that_reached_no_agent_is_an_error_even_if_a_gate_ended_it() {
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
