//! Compares candidates with a baseline: differences with intervals, tests and verdicts.
//!
//! In: the values of every metric of a baseline and of candidates, each with the call that it
//! comes from. Out: for each candidate and metric, the differences and a verdict. Invariants: a
//! test permutes calls, never turns; the probability that any test of one comparison reports a
//! change where there is none is at most 1 − `level` (Holm); the same seed gives the same result.

mod comparison;
mod difference;
mod needed;
mod permute;

pub use comparison::{
    Change, CompareSettings, Comparison, Difference, Noise, SampleOrigin, Series, Values,
};
pub(crate) use comparison::{Figure, Needed};
use difference::Arm;
use permute::Scores;

/// Compares each of `candidates` with `baseline`, metric by metric. Metrics that either of the two
/// lacks, or has no values for, are left out. The result is in the order of the candidates, and
/// within each in the baseline's order of metrics.
///
/// A figure counts as changed only if the tested statistic differs in the same direction as the
/// figure itself.
///
/// The test of a candidate exchanges its calls with the baseline's at random, within blocks if
/// both have them, and counts how often the difference is at least as large. The tested statistic
/// is the mean rank for the median, the share of turns beyond the common p95 for the p95, and the
/// share itself for rates.
pub fn compare(
    baseline: &[Series],
    candidates: &[Vec<Series>],
    settings: &CompareSettings,
) -> Vec<Vec<Comparison>> {
    let pairs: Vec<_> = candidates
        .iter()
        .map(|c| (baseline, c.as_slice()))
        .collect();
    compare_pairs(&pairs, settings)
}

/// Like [`compare`], but `best` was chosen as the best of all from these same values. The tests are
/// therefore corrected for every pair that could have been compared, since one of several equal
/// series always looks best.
pub fn compare_chosen(
    best: &[Series],
    others: &[Vec<Series>],
    settings: &CompareSettings,
) -> Vec<Vec<Comparison>> {
    let pairs: Vec<_> = others.iter().map(|c| (best, c.as_slice())).collect();
    // With k series, k − 1 pairs are compared out of k · (k − 1) / 2 possible ones.
    compare_among(&pairs, (others.len() + 1) as f64 / 2.0, settings)
}

/// Like [`compare`], with a separate baseline for each candidate; all pairs form one comparison.
pub(crate) fn compare_pairs(
    pairs: &[(&[Series], &[Series])],
    settings: &CompareSettings,
) -> Vec<Vec<Comparison>> {
    compare_among(pairs, 1.0, settings)
}

/// `times`: the number of tests that could have been made, divided by the number that are made.
fn compare_among(
    pairs: &[(&[Series], &[Series])],
    times: f64,
    settings: &CompareSettings,
) -> Vec<Vec<Comparison>> {
    let tests: usize = pairs.iter().map(|(a, b)| figures_of_both(a, b)).sum();
    let corrected_for = tests as f64 * times;
    let plan = Plan {
        most: permute::permutations(corrected_for.ceil() as usize, settings.level),
        corrected_for,
    };
    let numbered = pairs.iter().enumerate();
    let mut all: Vec<Vec<Comparison>> = numbered
        .map(|(nth, (baseline, candidate))| compare_pair(baseline, candidate, nth, plan, settings))
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

/// Number of figures of the metrics for which both baseline and candidate have values.
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
    /// Maximum number of permutations of a test.
    most: u32,
    /// Number of tests that were or could have been made.
    corrected_for: f64,
}

/// Compares one candidate; its p-values are not yet corrected for the other tests.
fn compare_pair(
    baseline: &[Series],
    candidate: &[Series],
    nth: usize,
    plan: Plan,
    settings: &CompareSettings,
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
        differences: difference::between(
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
/// made: `times` times as many as the comparison makes.
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
fn judge(difference: &Difference, worse: f64, settings: &CompareSettings) -> Change {
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
    // Only the tested statistic is known to differ: if it differs in the other direction, there is
    // no verdict.
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
