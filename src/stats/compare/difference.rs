//! Differences of figures, their confidence intervals, and the scores that their tests permute.
//!
//! In: one metric of two arms. Out: figures, differences and intervals; scores. Invariant: +∞ is
//! a value like any other, larger than every finite one.

use super::comparison::{Change, Difference, Figure, SampleOrigin, Values};
use super::permute::{Scores, Side, Tested};
use crate::stats::{Distribution, Proportion, Sample};
use std::collections::BTreeMap;

/// One metric of one arm: its values and their distribution or proportion.
pub(super) enum Arm<'a> {
    Latencies(&'a [(SampleOrigin, Sample)], Distribution),
    Hits(&'a [(SampleOrigin, bool)], Proportion),
}

/// Estimate and interval of one arm's figure.
struct Estimate {
    at: f64,
    interval: Option<(f64, f64)>,
}

impl<'a> Arm<'a> {
    /// The two arms of a metric; `None` if one is empty or they are of different kinds.
    pub(super) fn pair(before: &'a Values, after: &'a Values) -> Option<(Self, Self)> {
        match (before, after) {
            (Values::Latencies(a), Values::Latencies(b)) if !a.is_empty() && !b.is_empty() => {
                let all = |v: &[(SampleOrigin, Sample)]| {
                    Distribution::in_groups(v.iter().map(|(p, s)| (p.call, *s)))
                };
                Some((Self::Latencies(a, all(a)), Self::Latencies(b, all(b))))
            }
            (Values::Hits(a), Values::Hits(b)) if !a.is_empty() && !b.is_empty() => {
                let all =
                    |v: &[(SampleOrigin, bool)]| v.iter().map(|(p, hit)| (p.call, *hit)).collect();
                Some((Self::Hits(a, all(a)), Self::Hits(b, all(b))))
            }
            _ => None,
        }
    }

    fn estimate(&self, figure: Figure, level: f64) -> Estimate {
        match self {
            Self::Latencies(_, all) => {
                let q = quantile(figure);
                let interval = all.interval(q, level).ok();
                Estimate {
                    at: all.quantile(q).map_or(f64::INFINITY, Sample::as_ms),
                    interval: interval.map(|i| (i.lower.as_ms(), i.upper.as_ms())),
                }
            }
            Self::Hits(_, all) => Estimate {
                at: all.value().unwrap_or_default(),
                interval: all.interval(level).map(|i| (i.lower, i.upper)),
            },
        }
    }

    /// For each block, how many more of its values lie beyond the figure than the arm's overall
    /// share predicts; `None` if a value belongs to no block.
    fn pull(&self, figure: Figure) -> Option<BTreeMap<u64, f64>> {
        let beyond: Vec<(SampleOrigin, bool)> = match self {
            Self::Hits(values, _) => values.to_vec(),
            Self::Latencies(values, all) => {
                let at = all.quantile(quantile(figure))?;
                values.iter().map(|(place, s)| (*place, *s > at)).collect()
            }
        };
        let share = beyond.iter().filter(|(_, b)| *b).count() as f64 / beyond.len() as f64;
        let mut blocks = BTreeMap::new();
        for (place, beyond) in beyond {
            *blocks.entry(place.block?).or_default() += f64::from(u8::from(beyond)) - share;
        }
        Some(blocks)
    }

    fn figures(&self) -> &'static [Figure] {
        match self {
            Self::Latencies(..) => &[Figure::P50, Figure::P95],
            Self::Hits(..) => &[Figure::Rate],
        }
    }
}

fn quantile(figure: Figure) -> f64 {
    match figure {
        Figure::P95 => 0.95,
        Figure::P50 | Figure::Rate => 0.5,
    }
}

/// Adds the tests of a metric, in the order of its figures.
pub(super) fn score(before: &Arm<'_>, after: &Arm<'_>, scores: &mut Scores) {
    match (before, after) {
        (Arm::Latencies(a, _), Arm::Latencies(b, _)) => {
            let ranked = ranks(a, b);
            scores.add(ranked.iter().map(|r| (r.side, r.place, r.rank)));
            // Count the values beyond the common p95; if there are none, those equal to it.
            let n = ranked.len();
            let at = ranked[(n * 95).div_ceil(100).max(1) - 1].rank;
            let any = ranked.last().is_some_and(|r| r.rank > at);
            let beyond = |rank: f64| f64::from(u8::from(if any { rank > at } else { rank >= at }));
            scores.add(ranked.iter().map(|r| (r.side, r.place, beyond(r.rank))));
        }
        (Arm::Hits(a, _), Arm::Hits(b, _)) => {
            let of = |side: Side,
                      values: &[(SampleOrigin, bool)]|
             -> Vec<(Side, SampleOrigin, f64)> {
                let score =
                    |(place, hit): &(SampleOrigin, bool)| (side, *place, f64::from(u8::from(*hit)));
                values.iter().map(score).collect()
            };
            let both = [of(Side::Baseline, a), of(Side::Candidate, b)];
            scores.add(both.into_iter().flatten());
        }
        _ => {}
    }
}

struct Ranked {
    side: Side,
    place: SampleOrigin,
    sample: Sample,
    /// Rank relative to the middle; equal samples share their mean rank.
    rank: f64,
}

/// The values of both arms in ascending order, with their ranks.
fn ranks(before: &[(SampleOrigin, Sample)], after: &[(SampleOrigin, Sample)]) -> Vec<Ranked> {
    let of = |side: Side, values: &[(SampleOrigin, Sample)]| -> Vec<Ranked> {
        let ranked = |&(place, sample): &(SampleOrigin, Sample)| Ranked {
            side,
            place,
            sample,
            rank: 0.0,
        };
        values.iter().map(ranked).collect()
    };
    let mut all = of(Side::Baseline, before);
    all.extend(of(Side::Candidate, after));
    all.sort_unstable_by_key(|r| (r.sample, r.side, r.place));
    let middle = 0.5 * all.len() as f64;
    let mut begin = 0;
    for equal in all.chunk_by_mut(|a, b| a.sample == b.sample) {
        let rank = begin as f64 + 0.5 * equal.len() as f64 - middle;
        begin += equal.len();
        equal.iter_mut().for_each(|r| r.rank = rank);
    }
    all
}

/// The differences of a metric's figures; takes the test of each from `tests`. The comparison
/// is corrected for `corrected_for` tests.
pub(super) fn between(
    before: &Arm<'_>,
    after: &Arm<'_>,
    level: f64,
    corrected_for: f64,
    tests: &mut impl Iterator<Item = Tested>,
) -> Vec<Difference> {
    let figures = before.figures().iter().zip(tests);
    let difference = |(&figure, tested): (&Figure, Tested)| {
        let (a, b) = (
            before.estimate(figure, level),
            after.estimate(figure, level),
        );
        let equal = a.at == b.at;
        // Too few values lie beyond a common p95 for the number of calls to be informative.
        let design = (figure != Figure::P95).then_some(&tested.design);
        Difference {
            figure,
            baseline: a.at,
            candidate: b.at,
            by: if equal { 0.0 } else { b.at - a.at },
            interval: interval(&a, &b, correlation(before, after, figure)),
            tested: tested.by,
            p: tested.p,
            p_adjusted: 1.0,
            change: Change::Inconclusive,
            needed: design.and_then(|d| d.needed(corrected_for, 1.0 - level)),
        }
    };
    figures.map(difference).collect()
}

/// Interval of the difference of two estimates from their own intervals (Zou & Donner, *Statist.
/// Med.* 27, 2008), with `r` their correlation. Unbounded where an end is infinite.
fn interval(a: &Estimate, b: &Estimate, r: f64) -> Option<(f64, f64)> {
    let ((la, ua), (lb, ub)) = (a.interval?, b.interval?);
    if a.at.is_infinite() || b.at.is_infinite() {
        let open = |end: f64, otherwise: f64| if end.is_nan() { otherwise } else { end };
        return Some((
            open(lb - ua, f64::NEG_INFINITY),
            open(ub - la, f64::INFINITY),
        ));
    }
    let by = b.at - a.at;
    let root = |x: f64, y: f64| {
        (x * x + y * y - if r == 0.0 { 0.0 } else { 2.0 * r * x * y })
            .max(0.0)
            .sqrt()
    };
    let reach = |x: f64, y: f64| match x.is_finite() && y.is_finite() {
        true => root(x, y),
        false => f64::INFINITY,
    };
    Some((
        by - reach(b.at - lb, ua - a.at),
        by + reach(ub - b.at, a.at - la),
    ))
}

/// Correlation of the two arms' estimates, from the blocks that both have.
fn correlation(before: &Arm<'_>, after: &Arm<'_>, figure: Figure) -> f64 {
    /// Upper limit, so that the interval of the difference always has some width.
    const MOST: f64 = 0.95;
    let (Some(a), Some(b)) = (before.pull(figure), after.pull(figure)) else {
        return 0.0;
    };
    let common = a.iter().filter_map(|(block, x)| Some(x * b.get(block)?));
    let spread = |pull: &BTreeMap<u64, f64>| pull.values().map(|x| x * x).sum::<f64>();
    let product = (spread(&a) * spread(&b)).sqrt();
    match product > 0.0 {
        true => (common.sum::<f64>() / product).clamp(-1.0, MOST),
        false => 0.0,
    }
}
