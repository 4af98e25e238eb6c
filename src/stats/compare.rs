//! Compares candidates with a baseline: differences with intervals, tests and verdicts.
//!
//! In: the values of every metric of a baseline and of candidates, each with the call that it
//! comes from. Out: for each candidate and metric, the differences and a verdict. Invariants: a
//! test permutes calls, never turns; the probability that any test of one comparison reports a
//! change where there is none is at most 1 − `level` (Holm); the same seed gives the same result.

mod difference;
mod needed;
mod permute;

use super::distribution::Sample;
use difference::Arm;
pub use needed::Needed;
use permute::Scores;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The call.
    pub call: usize,
    /// The block of an interleaved run, in which calls of all variants were made side by side and
    /// are compared with each other. `None` if there are no blocks.
    pub block: Option<u64>,
}

/// The values of one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Compared by median and p95; infinite if the awaited event never happened.
    Latencies(Vec<(Place, Sample)>),
    /// Compared by their share.
    Hits(Vec<(Place, bool)>),
}

/// One metric of a baseline or of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the metric; series with the same name are compared.
    pub metric: String,
    /// The measured values.
    pub values: Values,
    /// Whether a larger value is better; for latencies and most rates it is worse.
    pub more_is_better: bool,
}

/// Differences too small to matter, however certain: those within any one of these bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// As a share of the baseline's figure.
    pub share: f64,
    /// For latencies, in ms.
    pub ms: f64,
    /// For rates, between 0 and 1.
    pub rate: f64,
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Differences that do not matter.
    pub noise: Noise,
    /// Confidence level of the intervals, and 1 − the probability of any false alarm: 0.95.
    pub level: f64,
    /// Fixes every permutation.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let noise = Noise {
            share: 0.05,
            ms: 20.0,
            rate: 0.01,
        };
        Self {
            noise,
            level: 0.95,
            seed: 0,
        }
    }
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Figure {
    /// The median, in ms.
    P50,
    /// The 95th percentile, in ms.
    P95,
    /// A share, 0..=1.
    Rate,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Significantly better, by more than the noise.
    Improved,
    /// Significantly worse, by more than the noise.
    Regressed,
    /// The whole confidence interval of the difference is within the noise.
    Unchanged,
    /// The data supports none of the other verdicts.
    Inconclusive,
}

/// One figure, compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The figure.
    pub figure: Figure,
    /// Value of the baseline; may be infinite.
    pub baseline: f64,
    /// Value of the candidate; may be infinite.
    pub candidate: f64,
    /// Candidate − baseline; 0 if both are infinite.
    pub by: f64,
    /// Confidence interval of the difference; `None` with too few samples.
    pub interval: Option<(f64, f64)>,
    /// Candidate − baseline of the statistic that the test permutes: the mean rank, the share
    /// beyond the common p95, or the share of hits. Its sign can differ from that of `by`.
    pub tested: f64,
    /// p-value of the permutation test: how often so large a difference arises by chance.
    pub p: f64,
    /// The p-value corrected for all tests of the comparison (Holm).
    pub p_adjusted: f64,
    /// The verdict.
    pub change: Change,
    /// What is missing if the verdict is inconclusive and this few calls could not have been
    /// conclusive, whatever their values. Never set for the 95th percentile.
    pub needed: Option<Needed>,
}

/// One metric, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the metric.
    pub metric: String,
    /// One difference per figure.
    pub differences: Vec<Difference>,
    /// The verdict on all figures together, by [`Change::of_all`].
    pub change: Change,
}

impl Series {
    fn figures(&self) -> usize {
        match self.values {
            Values::Latencies(_) => 2,
            Values::Hits(_) => 1,
        }
    }
}

impl Figure {
    /// The figure's name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Rate => "rate",
        }
    }
}

impl Change {
    /// The verdict's name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The verdict on several figures together: regressed if any is, else improved if any is, else
    /// inconclusive if any is or there are none, else unchanged.
    pub fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.into_iter().collect();
        let any = |change| all.contains(&change);
        if any(Self::Regressed) {
            Self::Regressed
        } else if any(Self::Improved) {
            Self::Improved
        } else if any(Self::Inconclusive) || all.is_empty() {
            Self::Inconclusive
        } else {
            Self::Unchanged
        }
    }
}

/// Compares each of `candidates` with `baseline`, metric by metric. Metrics that either of the two
/// lacks, or has no values for, are left out. The result is in the order of the candidates, and
/// within each in the baseline's order of metrics.
///
/// A figure counts as changed only if the tested statistic differs in the same direction as the
/// figure itself.
///
/// The test of a candidate exchanges its calls with the baseline's at random, within blocks if
/// both have them, and counts how often the difference is as large. The tested statistic is the
/// mean rank for the median, the share of turns beyond the common p95 for the p95, and the share
/// itself for rates.
pub fn compare(
    baseline: &[Series],
    candidates: &[Vec<Series>],
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    let pairs: Vec<_> = candidates
        .iter()
        .map(|c| (baseline, c.as_slice()))
        .collect();
    compare_pairs(&pairs, settings)
}

/// As [`compare`], if `best` was chosen as the best of all by these same values. The tests are then
/// corrected for every pair that could have been compared, since among equals one always looks
/// best.
pub fn compare_chosen(
    best: &[Series],
    others: &[Vec<Series>],
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    let pairs: Vec<_> = others.iter().map(|c| (best, c.as_slice())).collect();
    // With k series, k − 1 pairs are compared out of k · (k − 1) / 2 possible ones.
    compare_among(&pairs, (others.len() + 1) as f64 / 2.0, settings)
}

/// As [`compare`], with a separate baseline for each candidate; all pairs form one comparison.
pub fn compare_pairs(
    pairs: &[(&[Series], &[Series])],
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    compare_among(pairs, 1.0, settings)
}

/// `times`: the number of tests that could have been made, divided by the number that are made.
fn compare_among(
    pairs: &[(&[Series], &[Series])],
    times: f64,
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    let tests: usize = pairs.iter().map(|(a, b)| figures_of_both(a, b)).sum();
    let corrected_for = tests as f64 * times;
    let plan = Plan {
        most: permute::permutations(corrected_for.ceil() as usize, settings.level),
        corrected_for,
    };
    let numbered = pairs.iter().enumerate();
    let mut all: Vec<Vec<Comparison>> = numbered
        .map(|(nth, (baseline, candidate))| one(baseline, candidate, nth, plan, settings))
        .collect();
    correct(&mut all, times);
    for ((baseline, _), comparisons) in pairs.iter().zip(&mut all) {
        for comparison in comparisons {
            let worse = baseline
                .iter()
                .find(|s| s.metric == comparison.metric)
                .map_or(1.0, |s| if s.more_is_better { -1.0 } else { 1.0 });
            for difference in &mut comparison.differences {
                difference.change = judge(difference, worse, settings);
                let open = difference.change == Change::Inconclusive;
                difference.needed = difference.needed.filter(|_| open);
            }
            comparison.change = Change::of_all(comparison.differences.iter().map(|d| d.change));
        }
    }
    all
}

/// Number of figures of the metrics for which both have values.
fn figures_of_both(baseline: &[Series], candidate: &[Series]) -> usize {
    let compared = baseline.iter().filter(|before| {
        let after = candidate.iter().find(|s| s.metric == before.metric);
        after.is_some_and(|after| match (&before.values, &after.values) {
            (Values::Latencies(a), Values::Latencies(b)) => !a.is_empty() && !b.is_empty(),
            (Values::Hits(a), Values::Hits(b)) => !a.is_empty() && !b.is_empty(),
            _ => false,
        })
    });
    compared.map(Series::figures).sum()
}

/// Settings that all tests of a comparison share.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// The most permutations of a test.
    most: u32,
    /// Number of tests that are or could have been made.
    corrected_for: f64,
}

/// Compares one candidate; its p-values are not yet corrected for the other tests.
fn one(
    baseline: &[Series],
    candidate: &[Series],
    nth: usize,
    plan: Plan,
    settings: &Settings,
) -> Vec<Comparison> {
    let pairs = baseline.iter().filter_map(|before| {
        let after = candidate.iter().find(|s| s.metric == before.metric)?;
        let arms = Arm::pair(&before.values, &after.values)?;
        Some((before, arms))
    });
    let pairs: Vec<_> = pairs.collect();
    let mut scores = Scores::default();
    for (_, (before, after)) in &pairs {
        difference::score(before, after, &mut scores);
    }
    // Each candidate has its own permutations, so that adding one does not affect the others.
    let mut tests = scores
        .permute(settings.seed.wrapping_add(nth as u64), plan.most)
        .into_iter();
    let compared = pairs.iter().map(|(series, (before, after))| Comparison {
        metric: series.metric.clone(),
        differences: difference::of(
            before,
            after,
            settings.level,
            plan.corrected_for,
            &mut tests,
        ),
        change: Change::Inconclusive,
    });
    compared.collect()
}

/// Applies Holm's correction (*Scand. J. Statist.* 6, 1979) for every test that could have been
/// made: `times` as many as the comparison makes.
fn correct(all: &mut [Vec<Comparison>], times: f64) {
    let figures = all.iter_mut().flatten().flat_map(|c| &mut c.differences);
    let mut figures: Vec<&mut Difference> = figures.collect();
    figures.sort_by(|a, b| a.p.total_cmp(&b.p));
    let count = figures.len() as f64 * times;
    let mut largest: f64 = 0.0;
    for (rank, figure) in figures.into_iter().enumerate() {
        largest = largest.max(figure.p * (count - rank as f64)).min(1.0);
        figure.p_adjusted = largest;
    }
}

/// `worse` is 1 if a larger value is worse, else −1.
fn judge(difference: &Difference, worse: f64, settings: &Settings) -> Change {
    let Difference { by, baseline, .. } = *difference;
    if by == 0.0 && baseline.is_infinite() {
        return Change::Unchanged;
    }
    let absolute = match difference.figure {
        Figure::Rate => settings.noise.rate,
        Figure::P50 | Figure::P95 => settings.noise.ms,
    };
    let noise = match baseline.is_finite() {
        true => absolute.max(settings.noise.share * baseline),
        false => absolute,
    };
    // Only the tested statistic is known to differ: if it points the other way, there is no
    // verdict.
    let agree = by * difference.tested > 0.0;
    if by.abs() > noise && agree && difference.p_adjusted <= 1.0 - settings.level {
        return match by * worse > 0.0 {
            true => Change::Regressed,
            false => Change::Improved,
        };
    }
    match difference.interval {
        Some((lower, upper)) if -noise <= lower && upper <= noise => Change::Unchanged,
        _ => Change::Inconclusive,
    }
}

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
