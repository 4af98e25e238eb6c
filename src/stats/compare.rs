//! Whether a candidate differs from a baseline: differences with intervals, tests, one word.
//!
//! In: the values of every metric of a baseline and of candidates, each with the call that it
//! comes from. Out: for each candidate and metric the differences and a verdict. Holds: calls
//! are what is exchanged in a test, never turns; all tests of one comparison together say
//! "changed" of equal things with at most 1 − `level` (Holm); the same seed gives the same.

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
    /// The block of an interleaved run in which calls of all variants were made side by side:
    /// they are compared within it. `None` where there are no blocks.
    pub block: Option<u64>,
}

/// The values of one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Compared by median and p95; infinite where the awaited thing never happened.
    Latencies(Vec<(Place, Sample)>),
    /// Compared by their share.
    Hits(Vec<(Place, bool)>),
}

/// One metric of a baseline or of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Series of the same name are compared.
    pub metric: String,
    /// What was measured.
    pub values: Values,
    /// More is better; of latencies and most rates it is worse.
    pub more_is_better: bool,
}

/// Differences that do not matter, however sure they are: those within any one of the bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Of the baseline's figure.
    pub share: f64,
    /// Of latencies.
    pub ms: f64,
    /// Of rates, between 0 and 1.
    pub rate: f64,
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What does not matter.
    pub noise: Noise,
    /// Of the intervals, and 1 − the chance of any false alarm: 0.95.
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

/// A verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Surely better, by more than noise.
    Improved,
    /// Surely worse, by more than noise.
    Regressed,
    /// The difference is surely within the noise.
    Unchanged,
    /// Neither can be said.
    Inconclusive,
}

/// One figure, compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Which.
    pub figure: Figure,
    /// Of the baseline; may be infinite.
    pub baseline: f64,
    /// Of the candidate; may be infinite.
    pub candidate: f64,
    /// Candidate − baseline; 0 where both are infinite.
    pub by: f64,
    /// Confidence interval of the difference; `None` with too few samples.
    pub interval: Option<(f64, f64)>,
    /// By how much the candidate's statistic is larger that the test exchanges: of ranks, of
    /// those beyond the common p95, of those that count. Its sign can differ from that of `by`.
    pub tested: f64,
    /// Of the permutation test: how often so large a difference comes of equal things.
    pub p: f64,
    /// The same, corrected for all tests of the comparison (Holm).
    pub p_adjusted: f64,
    /// The verdict.
    pub change: Change,
    /// What is missing where it is inconclusive and so few calls could not be conclusive, however
    /// far apart they lie. Not of the 95th percentile.
    pub needed: Option<Needed>,
}

/// One metric, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Its name.
    pub metric: String,
    /// Its figures.
    pub differences: Vec<Difference>,
    /// Of all figures: regressed if one is, else improved if one is, unchanged if all are.
    pub change: Change,
}

impl Series {
    /// How many figures are compared.
    fn figures(&self) -> usize {
        match self.values {
            Values::Latencies(_) => 2,
            Values::Hits(_) => 1,
        }
    }
}

impl Figure {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Rate => "rate",
        }
    }
}

impl Change {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The word for several figures together.
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

/// Compares each of `candidates` with `baseline`, metric by metric; metrics that one of the two
/// has not, or of which it has no value, are left out. The answer has the candidates' order, and
/// within each the baseline's order of metrics.
///
/// A figure is changed only where the statistic tested lies on the same side as the figure itself.
///
/// The test of a candidate exchanges its calls with the baseline's at random, within blocks where
/// both have them, and counts how often the difference is as large. What differs is measured by
/// ranks for the median, by the share of turns beyond the common p95 for the p95, and by the
/// share for rates.
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

/// As [`compare`], where `best` was chosen as the best of all by these same values: it is then
/// corrected for every pair that there could have been, since one of equals always looks best.
pub fn compare_chosen(
    best: &[Series],
    others: &[Vec<Series>],
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    let pairs: Vec<_> = others.iter().map(|c| (best, c.as_slice())).collect();
    // Of k, k − 1 pairs are looked at and k · (k − 1) / 2 could have been.
    compare_among(&pairs, (others.len() + 1) as f64 / 2.0, settings)
}

/// As [`compare`], each candidate with a baseline of its own; all pairs are one comparison.
pub fn compare_pairs(
    pairs: &[(&[Series], &[Series])],
    settings: &Settings,
) -> Vec<Vec<Comparison>> {
    compare_among(pairs, 1.0, settings)
}

/// `times`: so many times the tests that are made could have been chosen to be made.
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

/// Figures of the metrics that both have values of.
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

/// What the tests of a comparison have in common.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Most permutations of a test.
    most: u32,
    /// Tests that are made or could have been made.
    corrected_for: f64,
}

/// One candidate, its tests not yet corrected for the others.
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
    // Candidates have permutations of their own, so that adding one changes no other.
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

/// Holm's correction (*Scand. J. Statist.* 6, 1979) over every test of the comparison, and over
/// those that could have been made, `times` as many in all.
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

/// `worse` is 1 where more is worse, else −1.
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
    // What is sure is the statistic tested: where it points the other way, nothing is said.
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
