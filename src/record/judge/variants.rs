//! Ranks the variants of a run and compares each with the one that answers soonest.
//!
//! In: call and turn records. Out: a [`VariantSummary`] for each of several variants; none if
//! there is only one. Invariants: warm-up calls and sentinels are excluded from every figure;
//! calls are compared within blocks, and all differences form one family of comparisons (Holm),
//! also corrected for the choice of the first variant.

use super::figures::{AllTurns, Intervals, Latency, Span};
use super::path::PathFigures;
use super::said::SaidFigures;
use super::samples::Samples;
use super::samples::of_turn;
use super::usage::UsageFigures;
use crate::record::{CallCounts, CallRecord, Ms, TurnCounts, TurnRecord};
use crate::stats::Sample;
use crate::stats::compare::{
    Change, CompareSettings, Difference, Figure, Needed, SampleOrigin, Series, Values,
    compare_chosen,
};
use crate::vocab::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The figures of one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VariantSummary {
    /// Name of the variant.
    pub name: String,
    /// Measured calls of the variant, by outcome.
    pub calls: CallCounts,
    /// Turns of those calls, by outcome.
    pub outcomes: TurnCounts,
    /// `ttfa` of the turns that got a reply.
    pub ttfa: Latency,
    /// `ttfa` of all turns that expect a reply, with missed and failed turns as +∞; variants are
    /// ranked by this.
    pub all_turns: AllTurns,
    /// Confidence intervals of the quantiles of `ttfa` and `all_turns`.
    pub intervals: Intervals,
    /// The critical path of the variant's replies, step by step; absent if its agents do not report
    /// enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_path: Option<PathFigures>,
    /// Accuracy of the variant's transcripts and of its replies; absent without transcripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<SaidFigures>,
    /// Usage and cost of the variant's models; absent if its agents do not report their usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageFigures>,
    /// How much later the variant answers than the one that is ranked first; null for the first.
    pub behind: Option<Behind>,
}

/// How much later a variant answers than the one ranked first, over all turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Behind {
    /// Difference at the median.
    pub p50: Option<Lag>,
    /// Difference at the 95th percentile.
    pub p95: Option<Lag>,
}

/// The difference in one figure between a variant and the one ranked first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Lag {
    /// This variant minus the first; null if infinite.
    pub by_ms: Option<Ms>,
    /// Confidence interval of the difference, at the level of `intervals`; null if there are too
    /// few turns. A null end is infinite.
    pub interval: Option<Span>,
    /// Probability of a difference this large between equal variants, corrected for all pairs.
    pub p: f64,
    /// The verdict on the difference.
    pub verdict: LagVerdict,
    /// Number of calls that would be enough, if the run has too few for any difference to be
    /// significant; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<LagNeeded>,
}

/// Number of calls and blocks needed to decide a difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LagNeeded {
    /// The smallest corrected p that the number of calls made can reach.
    pub best_p: f64,
    /// Number of calls made: to the first variant, and to this one.
    pub have_calls: [usize; 2],
    /// Number of calls that would be enough to decide: to the first variant, and to this one.
    pub calls: [usize; 2],
    /// Number of blocks in the run; null if calls are not compared within blocks.
    pub have_blocks: Option<usize>,
    /// Number of blocks that would be enough to decide.
    pub blocks: Option<usize>,
}

impl From<Needed> for LagNeeded {
    fn from(needed: Needed) -> Self {
        Self {
            best_p: needed.best_p,
            have_calls: needed.have,
            calls: needed.calls,
            have_blocks: needed.blocks.map(|[have, _]| have),
            blocks: needed.blocks.map(|[_, wanted]| wanted),
        }
    }
}

/// The verdict on a difference between two variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LagVerdict {
    /// Certainly later, by more than 5 % and 20 ms.
    Slower,
    /// Certainly sooner, by more than 5 % and 20 ms.
    Faster,
    /// Certainly no more than 5 % or 20 ms apart.
    Alike,
    /// None of these is certain.
    Unclear,
}

impl LagVerdict {
    /// The verdict as one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Alike => "alike",
            Self::Unclear => "unclear",
        }
    }
}

/// The variants of a run by rank; empty if there are fewer than two.
pub(in crate::record) fn ranked(
    seed: u64,
    calls: &[CallRecord],
    turns: &[TurnRecord],
) -> Vec<VariantSummary> {
    let names: BTreeSet<&str> = calls
        .iter()
        .filter(|c| !c.warmup)
        .map(|c| c.variant.as_str())
        .collect();
    if names.len() < 2 {
        return Vec::new();
    }
    let mut variants: Vec<(Order, VariantSummary, Series)> = names
        .iter()
        .map(|name| variant(name, calls, turns))
        .collect();
    // The sort is stable: equal variants stay in alphabetical order.
    variants.sort_by_key(|(order, ..)| *order);
    let settings = CompareSettings {
        seed,
        ..CompareSettings::default()
    };
    let series: Vec<Vec<Series>> = variants.iter().map(|(.., s)| vec![s.clone()]).collect();
    let (first, others) = series.split_at(1);
    let lags = compare_chosen(&first[0], others, &settings);
    let mut ranked: Vec<VariantSummary> = variants.into_iter().map(|(_, v, _)| v).collect();
    for (variant, compared) in ranked.iter_mut().skip(1).zip(lags) {
        let of = |figure| {
            let all = compared.iter().flat_map(|c| &c.differences);
            let mut found = all.filter(|d| d.figure == figure);
            found.next().map(Lag::of)
        };
        variant.behind = Some(Behind {
            p50: of(Figure::P50),
            p95: of(Figure::P95),
        });
    }
    ranked
}

/// Ranked by the median of all turns, then by their p95; variants without a figure come last.
type Order = (Option<Sample>, Option<Sample>);

fn variant(
    name: &str,
    calls: &[CallRecord],
    turns: &[TurnRecord],
) -> (Order, VariantSummary, Series) {
    let calls: Vec<CallRecord> = calls
        .iter()
        .filter(|c| c.variant == name && !c.warmup)
        .cloned()
        .collect();
    let own = |t: &&TurnRecord| t.is_measured() && t.variant == name;
    let turns: Vec<TurnRecord> = turns.iter().filter(own).cloned().collect();
    let planned = calls.iter().map(|c| c.turns.planned).sum();
    let samples = Samples::of(planned, &calls, &turns);
    let quantile = |q| {
        samples
            .all(Metric::Ttfa)
            .quantile(q)
            .or(Some(Sample::Infinite))
    };
    let order = (quantile(0.5), quantile(0.95));
    let value = |t: &TurnRecord| {
        let (call, block) = (t.call, t.block);
        Some((SampleOrigin { call, block }, of_turn(t, t.ttfa_ms)?))
    };
    let asked = turns
        .iter()
        .filter(|t| t.counts() && t.expect.asks_for_reply());
    let series = Series {
        metric: Metric::Ttfa.name().to_owned(),
        values: Values::Latencies(asked.filter_map(value).collect()),
        more_is_better: false,
    };
    let summary = VariantSummary {
        name: name.to_owned(),
        calls: CallCounts::of(calls.len(), &calls, false),
        outcomes: samples.outcomes,
        ttfa: Latency::of(samples.measured(Metric::Ttfa)),
        all_turns: AllTurns::of(samples.all(Metric::Ttfa)),
        intervals: Intervals::of(&samples),
        critical_path: PathFigures::of(&turns),
        said: SaidFigures::of(&calls, &turns),
        usage: UsageFigures::of(&calls),
        behind: None,
    };
    (order, summary, series)
}

impl Lag {
    fn of(difference: &Difference) -> Self {
        let end = |ms: f64| {
            let micros = (ms * 1e3).round();
            ms.is_finite().then(|| Ms::from_micros(micros as i64))
        };
        Self {
            by_ms: end(difference.by),
            interval: difference.interval.map(|(lower, upper)| Span {
                lower_ms: end(lower),
                upper_ms: end(upper),
            }),
            p: difference.p_adjusted,
            verdict: match difference.change {
                Change::Regressed => LagVerdict::Slower,
                Change::Improved => LagVerdict::Faster,
                Change::Unchanged => LagVerdict::Alike,
                Change::Inconclusive => LagVerdict::Unclear,
            },
            needed: difference.needed.map(LagNeeded::from),
        }
    }
}
