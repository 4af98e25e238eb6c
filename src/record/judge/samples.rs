//! The samples behind every metric: the one place that decides which turns and calls it includes.
//!
//! In: records. Out: a [`Distribution`] for each latency, counts of outcomes. Invariants: warm-up
//! calls and sentinel calls are never included; turns that the end of the run cut off are only
//! counted; in the samples of gates, an awaited event that never happened is +∞.

use crate::record::facts::turns::{GENERATOR, STOPPED};
use crate::record::{CallRecord, Ms, TurnCounts, TurnRecord};
use crate::stats::{Distribution, Sample};
use crate::vocab::Outcome;
use crate::vocab::{Metric, SampleUnit};
use std::collections::BTreeMap;

/// The samples of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    latencies: BTreeMap<Metric, Latencies>,
    /// All measured turns by outcome.
    pub outcomes: TurnCounts,
}

/// The samples of one latency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Latencies {
    measured: Distribution,
    all: Distribution,
}

impl Samples {
    /// Collects the samples. `planned_turns`: turns in the plan, without those of warm-up calls.
    pub fn of(planned_turns: usize, calls: &[CallRecord], turns: &[TurnRecord]) -> Self {
        let measured = turns.iter().filter(|t| t.is_measured());
        let outcomes = TurnCounts::of(planned_turns, measured.map(|t| t.outcome));
        let collected = Metric::summarized().map(|m| (m, Latencies::of(m, calls, turns)));
        Self {
            latencies: collected.collect(),
            outcomes: of_calls_too(outcomes, calls.iter().filter(|c| !c.warmup)),
        }
    }

    /// Samples of the turns or calls that have the latency.
    pub fn measured(&self, metric: Metric) -> &Distribution {
        let found = self.latencies.get(&metric);
        found.map_or(Distribution::EMPTY, |l| &l.measured)
    }

    /// Like [`Self::measured`], with +∞ for missed and failed turns that expect the latency, and
    /// for calls that failed before it. Early replies, which have no latency, and turns that the
    /// end of the run cut off are not included.
    pub fn all(&self, metric: Metric) -> &Distribution {
        let found = self.latencies.get(&metric);
        found.map_or(Distribution::EMPTY, |l| &l.all)
    }
}

impl Latencies {
    fn of(metric: Metric, calls: &[CallRecord], turns: &[TurnRecord]) -> Self {
        let is_finite = |sample: &Sample| *sample != Sample::Infinite;
        let values = metric.values();
        match metric.row().about {
            // Words and packets have no latencies.
            SampleUnit::Turn | SampleUnit::Word | SampleUnit::Packet => {
                let counting = counting_turns(turns, None);
                let samples = counting.filter_map(|t| Some((t.call, values.of_turn(t)?)));
                Self {
                    all: Distribution::in_groups(samples.clone()),
                    measured: Distribution::in_groups(samples.filter(|(_, s)| is_finite(s))),
                }
            }
            SampleUnit::Call => {
                let counting = counting_calls(calls, None);
                let samples = counting.filter_map(|c| values.of_call(c));
                Self {
                    all: samples.clone().collect(),
                    measured: samples.filter(is_finite).collect(),
                }
            }
        }
    }
}

/// The turns included in metrics, of one variant or of all.
pub(in crate::record) fn counting_turns<'a>(
    turns: &'a [TurnRecord],
    variant: Option<&'a str>,
) -> impl Iterator<Item = &'a TurnRecord> + Clone {
    let wanted = move |t: &&TurnRecord| variant.is_none_or(|v| v == t.variant);
    turns.iter().filter(|t| t.counts()).filter(wanted)
}

/// The calls included in metrics, of one variant or of all.
pub(in crate::record) fn counting_calls<'a>(
    calls: &'a [CallRecord],
    variant: Option<&'a str>,
) -> impl Iterator<Item = &'a CallRecord> + Clone {
    let wanted = move |c: &&CallRecord| variant.is_none_or(|v| v == c.variant);
    let started = calls.iter().filter(|c| !c.warmup && c.started_ms.is_some());
    started.filter(wanted)
}

/// Adds turns without a record to the counts: those of calls that never started and, after a
/// kill, those that had not ended.
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

pub(in crate::record) fn finite(ms: Option<Ms>) -> Option<Sample> {
    ms.and_then(Ms::duration).map(Sample::Finite)
}

/// The sample for a latency of a turn that counts. A turn with two latencies can have one and lack
/// the other, which makes the turn missed.
pub(in crate::record) fn of_turn(turn: &TurnRecord, latency: Option<Ms>) -> Option<Sample> {
    match turn.outcome {
        Outcome::Replied | Outcome::Early => finite(latency),
        // The generator failed, not the agent: the run is invalid, but this is no infinite latency.
        Outcome::Failed if turn.failure.as_deref() == Some(GENERATOR) => finite(latency),
        Outcome::Missed | Outcome::Failed => finite(latency).or(Some(Sample::Infinite)),
        Outcome::CutOff | Outcome::NotRun | Outcome::Skipped => None,
    }
}

/// As [`of_turn`], for the end of a reply: a reply that began and did not end is +∞ as well, unless
/// the caller stopped waiting for its end.
pub(in crate::record) fn of_reply_end(turn: &TurnRecord, latency: Option<Ms>) -> Option<Sample> {
    let never_ended = turn.outcome == Outcome::Replied && turn.waited_ms.is_none();
    let infinite = never_ended.then_some(Sample::Infinite);
    of_turn(turn, latency).or(infinite)
}

pub(in crate::record) fn of_call(call: &CallRecord, latency: Option<Ms>) -> Option<Sample> {
    finite(latency).or_else(|| {
        let failure = call.failure.as_ref()?;
        // A call with ended turns did join; only a defect in loadgen can have lost this latency.
        let TurnCounts {
            replied,
            missed,
            early,
            ..
        } = call.turns;
        let joined = replied + missed + early > 0;
        let ours = [STOPPED, GENERATOR].contains(&failure.cause.as_str());
        (!ours && !joined).then_some(Sample::Infinite)
    })
}
