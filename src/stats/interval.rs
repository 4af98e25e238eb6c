//! How far a quantile can be trusted: an interval that assumes no shape of the distribution.
//!
//! In: a [`Distribution`], a quantile, a level. Out: two of its samples, or how many it lacks.
//! Holds: for independent samples the interval covers the true quantile with at least `level`.

use super::distribution::{Distribution, Sample};

/// What keeps an interval from being given.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// No pair of order statistics reaches the level.
    #[error("{count} samples are too few to bracket the {q} quantile: {needed} are needed")]
    TooFewSamples {
        /// The quantile.
        q: f64,
        /// Samples there are.
        count: usize,
        /// Samples it takes.
        needed: usize,
    },
    /// The quantile or the level is not strictly between 0 and 1.
    #[error("{value} is not strictly between 0 and 1")]
    OutOfRange {
        /// What was given.
        value: f64,
    },
}

impl StatsError {
    /// What to try next; printed on its own `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooFewSamples { .. } => "make more calls, or look at a lower quantile",
            Self::OutOfRange { .. } => "give a fraction such as 0.95",
        }
    }
}

/// A confidence interval between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lower: Sample,
    /// Upper end; infinite where that order statistic is.
    pub upper: Sample,
    /// The coverage these two ends really have: at least the level asked for.
    pub coverage: f64,
}

impl Distribution {
    /// Distribution-free confidence interval of the `q` quantile, from order statistics
    /// (Hahn & Meeker, *Statistical Intervals*, 5.2): the number of samples below the true
    /// quantile is binomial (n, q), whatever the distribution.
    ///
    /// Equal-tailed, so that each end is also a one-sided bound of (1 + `level`)/2; where the
    /// samples end before one tail does, the extreme sample takes its place as long as the pair
    /// still reaches `level`. `q` and `level` strictly within 0..1. Samples are taken as
    /// independent, which the turns of one call are not quite.
    ///
    /// # Errors
    /// [`StatsError::TooFewSamples`] when no pair of order statistics reaches `level`;
    /// [`StatsError::OutOfRange`] for a `q` or `level` outside.
    pub fn interval(&self, q: f64, level: f64) -> Result<Interval, StatsError> {
        let needed = samples_needed(q, level)?;
        let n = self.count();
        let too_few = StatsError::TooFewSamples {
            q,
            count: n,
            needed,
        };
        if n < needed {
            return Err(too_few);
        }
        let (l, u, coverage) = ranks(&Binomial::new(n, q), level);
        match (self.sorted().get(l - 1), self.sorted().get(u - 1)) {
            (Some(&lower), Some(&upper)) => Ok(Interval {
                lower,
                upper,
                coverage,
            }),
            _ => Err(too_few),
        }
    }
}

/// The fewest samples whose extremes bracket the `q` quantile with probability `level`:
/// the least n with 1 − qⁿ − (1−q)ⁿ ≥ `level`. 59 for p95 and 299 for p99 at 0.95.
///
/// # Errors
/// [`StatsError::OutOfRange`] when `q` or `level` is not strictly within 0..1.
pub fn samples_needed(q: f64, level: f64) -> Result<usize, StatsError> {
    for value in [q, level] {
        if !(value > 0.0 && value < 1.0) {
            return Err(StatsError::OutOfRange { value });
        }
    }
    let covered = |n: usize| 1.0 - q.powf(n as f64) - (1.0 - q).powf(n as f64);
    // The larger of the two powers alone gives a start at or below the answer, and at most a
    // few steps away: with q = 0.5, where they are equal, they halve with each step.
    let mut n = ((1.0 - level).ln() / q.max(1.0 - q).ln()).floor().max(1.0) as usize;
    while covered(n) < level {
        n += 1;
    }
    Ok(n)
}

/// Ranks (from 1) of the lower and upper end, and their coverage. Needs n ≥ `samples_needed`.
fn ranks(binomial: &Binomial, level: f64) -> (usize, usize, f64) {
    let n = binomial.n;
    let tail = (1.0 - level) / 2.0;
    // l: the largest rank with P(X < l) ≤ tail; u: the smallest with P(X < u) ≥ 1 − tail.
    let mut l = binomial.first_above(tail);
    let mut u = binomial.first_reaching(1.0 - tail) + 1;
    if l == 0 {
        l = 1;
        u = binomial.first_reaching(level + binomial.cdf(0)) + 1;
    } else if u > n {
        u = n;
        l = binomial.first_above((binomial.cdf(n - 1) - level).max(0.0));
    }
    let (l, u) = (l.clamp(1, n), u.clamp(1, n));
    (l, u, binomial.cdf(u - 1) - binomial.cdf(l - 1))
}

/// Cumulative binomial probabilities around the mode; beyond the window they are 0 or 1.
struct Binomial {
    n: usize,
    /// The count that `below[0]` belongs to.
    first: usize,
    /// P(X ≤ first + i).
    below: Vec<f64>,
}

impl Binomial {
    /// By the ratio of neighbours from the mode outwards, then normalised: no logarithm of a
    /// gamma function, no underflow at n = 10⁶, and work of order √n.
    fn new(n: usize, q: f64) -> Self {
        /// Relative to the mode; what lies further out is below the rounding of the sum.
        const NEGLIGIBLE: f64 = 1e-18;
        let mode = (((n + 1) as f64 * q) as usize).min(n);
        let odds = q / (1.0 - q);
        let mut down = Vec::new();
        let (mut k, mut weight) = (mode, 1.0);
        while k > 0 && weight > NEGLIGIBLE {
            weight *= k as f64 / ((n - k + 1) as f64 * odds);
            k -= 1;
            down.push(weight);
        }
        let first = k;
        let mut weights: Vec<f64> = down.into_iter().rev().collect();
        weights.push(1.0);
        let (mut k, mut weight) = (mode, 1.0);
        while k < n && weight > NEGLIGIBLE {
            weight *= (n - k) as f64 * odds / (k + 1) as f64;
            k += 1;
            weights.push(weight);
        }
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let below = weights
            .iter()
            .map(|w| {
                sum += w / total;
                sum
            })
            .collect();
        Self { n, first, below }
    }

    /// P(X ≤ k).
    fn cdf(&self, k: usize) -> f64 {
        match k.checked_sub(self.first) {
            None => 0.0,
            Some(i) => self.below.get(i).copied().unwrap_or(1.0),
        }
    }

    /// The least k with P(X ≤ k) > p; n when there is none.
    fn first_above(&self, p: f64) -> usize {
        (self.first + self.below.partition_point(|&b| b <= p)).min(self.n)
    }

    /// The least k with P(X ≤ k) ≥ p; n when there is none.
    fn first_reaching(&self, p: f64) -> usize {
        (self.first + self.below.partition_point(|&b| b < p)).min(self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::time::Duration;

    fn up_to(n: u64) -> Distribution {
        (1..=n).map(Duration::from_millis).collect()
    }

    /// Ends as ranks: sample k of `up_to` is k ms.
    fn ends(n: u64, q: f64, level: f64) -> Result<(u64, u64), StatsError> {
        let rank = |s: Sample| s.finite().map_or(u64::MAX, |d| d.as_millis() as u64);
        let found = up_to(n).interval(q, level)?;
        assert!(found.coverage >= level, "{found:?}");
        Ok((rank(found.lower), rank(found.upper)))
    }

    #[test]
    fn ranks_by_table() {
        // Ends from binomial tables, worked by hand from their tails.
        let cases: &[(&str, u64, f64, (u64, u64))] = &[
            ("median of 6: the extremes", 6, 0.5, (1, 6)),
            ("median of 10: P(X≤1) = 0.0107", 10, 0.5, (2, 9)),
            ("median of 100: P(X≤39) = 0.0176", 100, 0.5, (40, 61)),
            (
                "p90 of 100: P(X≤83) = 0.0206, P(X≤95) = 0.9763",
                100,
                0.9,
                (84, 96),
            ),
            ("p10 of 100 mirrors it", 100, 0.1, (5, 17)),
            (
                "p95 of 59: no upper tail left, the lower takes the rest",
                59,
                0.95,
                (50, 59),
            ),
        ];
        for (name, n, q, expected) in cases {
            let (l, u) = ends(*n, *q, 0.95).unwrap();
            assert_eq!((l, u), *expected, "{name}");
        }
    }

    #[test]
    fn too_few_and_out_of_range() {
        for (q, needed) in [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299), (0.05, 59)] {
            assert_eq!(samples_needed(q, 0.95), Ok(needed), "{q}");
            let count = needed - 1;
            assert_eq!(
                up_to(count as u64).interval(q, 0.95),
                Err(StatsError::TooFewSamples { q, count, needed })
            );
            assert!(up_to(needed as u64).interval(q, 0.95).is_ok(), "{q}");
        }
        for (q, level) in [(0.0, 0.95), (1.0, 0.95), (0.5, 1.0), (f64::NAN, 0.9)] {
            let error = up_to(10).interval(q, level).unwrap_err();
            assert!(
                matches!(error, StatsError::OutOfRange { .. }),
                "{q} {level}"
            );
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn a_large_run_costs_little_and_stays_exact() {
        // Normal approximation: 950_000 ± 1.96 · √(10⁶ · 0.95 · 0.05) = ± 427.2.
        let (l, u, _) = ranks(&Binomial::new(1_000_000, 0.95), 0.95);
        assert!((949_571..=949_575).contains(&l), "{l}");
        assert!((950_426..=950_430).contains(&u), "{u}");
    }

    #[test]
    fn an_infinite_end_stays_infinite() {
        let finite = (1..=96).map(|v| Sample::Finite(Duration::from_millis(v)));
        let d: Distribution = finite.chain([Sample::Infinite; 4]).collect();
        let found = d.interval(0.95, 0.95).unwrap();
        assert_eq!(found.upper, Sample::Infinite);
        assert!(found.lower < d.percentile(95.0).unwrap());
    }

    #[test]
    fn covers_the_true_quantile_as_often_as_it_says() {
        let seed = 20_260_101;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (n, q) in [(80, 0.95), (60, 0.95), (40, 0.5), (400, 0.99)] {
            let runs = 1_000;
            let covered = (0..runs)
                .filter(|_| {
                    let d: Distribution = (0..n)
                        .map(|_| Duration::from_secs_f64(rng.random_range(0.0..1.0)))
                        .collect();
                    let truth = Sample::Finite(Duration::from_secs_f64(q));
                    let found = d.interval(q, 0.95).unwrap();
                    found.lower <= truth && truth <= found.upper
                })
                .count();
            // Three standard errors of 0.95 at 1,000 runs: 0.0207.
            assert!(
                covered as f64 / f64::from(runs) > 0.929,
                "seed {seed}, n {n}, q {q}: {covered}"
            );
        }
    }

    proptest! {
        #[test]
        fn brackets_the_point_estimate(n in 6_usize..3_000, q in 0.02_f64..0.98, level in 0.5_f64..0.99) {
            let d = up_to(n as u64);
            match d.interval(q, level) {
                Ok(found) => {
                    let point = d.quantile(q).unwrap();
                    prop_assert!(found.lower <= point && point <= found.upper);
                    prop_assert!(found.coverage >= level - 1e-9 && found.coverage <= 1.0 + 1e-9);
                }
                Err(error) => {
                    prop_assert_eq!(error, StatsError::TooFewSamples {
                        q, count: n, needed: samples_needed(q, level).unwrap(),
                    });
                    prop_assert!(n < samples_needed(q, level).unwrap());
                }
            }
        }
    }
}
