//! Distribution-free confidence intervals of quantiles.
//!
//! In: a [`Distribution`], grouped or not, a quantile, a level. Out: two of the samples, or how
//! many samples are needed. Invariant: for independent samples, the interval covers the true
//! quantile with probability `level` or more; for grouped samples, it is computed from the
//! effective sample size.

use super::beta::{at_least, at_most};
use super::distribution::{Distribution, Sample};
use super::proportion::{Proportion, Worth};

/// The reason why there is no interval.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// No pair of order statistics reaches the level.
    #[error(
        "{count} samples (effective sample size {effective}) are too few to bracket the {q} \
         quantile: {needed} are needed"
    )]
    TooFewSamples {
        /// The quantile.
        q: f64,
        /// Number of samples.
        count: usize,
        /// Effective sample size, rounded down.
        effective: usize,
        /// Number of independent samples needed.
        needed: usize,
    },
    /// The quantile or the level is not strictly between 0 and 1.
    #[error("{value} is not strictly between 0 and 1")]
    OutOfRange {
        /// The value given.
        value: f64,
    },
}

/// A confidence interval between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lower: Sample,
    /// Upper end; infinite if that order statistic is.
    pub upper: Sample,
    /// The actual coverage of these two ends: at least the requested level.
    pub(crate) coverage: f64,
    /// The sample size that the interval is computed from.
    pub(crate) worth: Worth,
}

impl Distribution {
    /// Distribution-free confidence interval of the `q` quantile, from order statistics
    /// (Hahn & Meeker, *Statistical Intervals*, 5.2): the number of samples below the true
    /// quantile is binomial (n, q), whatever the distribution. For grouped samples, n is the
    /// effective sample size (`Proportion::worth` of the samples above the quantile).
    ///
    /// Equal-tailed, so that each end is also a one-sided bound at (1 + `level`)/2. If there are
    /// too few samples for one of the tails, the extreme sample serves as that end as long as the
    /// pair still reaches `level`. `q` and `level` strictly between 0 and 1.
    ///
    /// # Errors
    /// [`StatsError::TooFewSamples`] when no pair of order statistics reaches `level`;
    /// [`StatsError::OutOfRange`] when `q` or `level` is out of range.
    pub fn interval(&self, q: f64, level: f64) -> Result<Interval, StatsError> {
        let needed = samples_needed(q, level)?;
        let tail = (1.0 - level) / 2.0;
        let worth = self.worth(q, tail);
        // Without samples every probability below would be 0/0.
        if self.count() == 0 {
            return Err(too_few(q, worth, needed));
        }
        let ranks = Ranks { q, worth };
        let (l, u) = match (ranks.lower(tail), ranks.upper(tail)) {
            (Some(l), Some(u)) => (Some(l), Some(u)),
            (None, _) => (Some(1), ranks.upper(1.0 - level - ranks.below(1))),
            (_, None) => (
                ranks.lower(1.0 - level - ranks.above(worth.n)),
                Some(worth.n),
            ),
        };
        let end = |rank: Option<usize>| self.sorted().get(rank?.checked_sub(1)?).copied();
        match (end(l), end(u), l.zip(u)) {
            (Some(lower), Some(upper), Some((l, u))) => Ok(Interval {
                lower,
                upper,
                coverage: 1.0 - ranks.below(l) - ranks.above(u),
                worth,
            }),
            _ => Err(too_few(q, worth, needed)),
        }
    }

    /// Effective sample size for an interval of the `q` quantile with `tail` on each side.
    fn worth(&self, q: f64, tail: f64) -> Worth {
        let at = self.quantile(q).unwrap_or(Sample::Infinite);
        let above = self.share(|s| s > at);
        // If no sample is above the quantile (many are equal or infinite), use those that reach it.
        let share = match above.hits() {
            0 => self.share(|s| s >= at),
            _ => above,
        };
        share.worth(tail)
    }

    /// The share of samples for which `counts` is true, with their groups.
    pub(crate) fn share(&self, counts: impl Fn(Sample) -> bool) -> Proportion {
        let hit = |(group, sample): (u32, Sample)| (group, counts(sample));
        self.grouped().map(hit).collect()
    }
}

fn too_few(q: f64, worth: Worth, needed: usize) -> StatsError {
    StatsError::TooFewSamples {
        q,
        count: worth.n,
        effective: worth.n_eff as usize,
        needed,
    }
}

fn in_range<const N: usize>(values: [f64; N]) -> Result<(), StatsError> {
    match values.into_iter().find(|v| !(*v > 0.0 && *v < 1.0)) {
        Some(value) => Err(StatsError::OutOfRange { value }),
        None => Ok(()),
    }
}

/// Ranks (from 1) among samples with this effective size.
struct Ranks {
    q: f64,
    worth: Worth,
}

impl Ranks {
    fn scale(&self) -> f64 {
        self.worth.n_eff / self.worth.n as f64
    }

    /// Probability that fewer than `rank` samples lie below the true quantile, so that the sample
    /// of that rank is above it.
    fn below(&self, rank: usize) -> f64 {
        at_most((rank as f64 - 1.0) * self.scale(), self.worth.n_eff, self.q)
    }

    /// Probability that at least `rank` samples lie below the true quantile.
    fn above(&self, rank: usize) -> f64 {
        // The highest rank means all samples, whatever the rounding of n · n_eff / n.
        let count = match rank {
            r if r >= self.worth.n => self.worth.n_eff,
            r => r as f64 * self.scale(),
        };
        at_least(count, self.worth.n_eff, self.q)
    }

    /// The largest rank whose sample is above the quantile with probability `tail` or less.
    fn lower(&self, tail: f64) -> Option<usize> {
        let (mut low, mut high) = (0, self.worth.n + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.below(middle) <= tail {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low > 0).then_some(low)
    }

    /// The smallest rank whose sample is below the quantile with probability `tail` or less.
    fn upper(&self, tail: f64) -> Option<usize> {
        let (mut low, mut high) = (0, self.worth.n + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.above(middle) <= tail {
                high = middle;
            } else {
                low = middle;
            }
        }
        (high <= self.worth.n).then_some(high)
    }
}

/// The fewest independent samples whose extremes bracket the `q` quantile with probability
/// `level`: the least n with 1 − qⁿ − (1−q)ⁿ ≥ `level`. 59 for p95 and 299 for p99 at 0.95;
/// `usize::MAX` if `q` is so small that 1 − q rounds to 1.
///
/// # Errors
/// [`StatsError::OutOfRange`] when `q` or `level` is not strictly within 0..1.
pub(crate) fn samples_needed(q: f64, level: f64) -> Result<usize, StatsError> {
    in_range([q, level])?;
    let covered = |n: usize| 1.0 - q.powf(n as f64) - (1.0 - q).powf(n as f64);
    let larger = q.max(1.0 - q);
    if larger >= 1.0 {
        return Ok(usize::MAX);
    }
    // The larger of the two powers alone gives a lower bound on n. Once that power is at most half
    // of 1 − level, the sum of both is small enough, which gives an upper bound.
    let alone = |doubt: f64| doubt.ln() / larger.ln();
    let mut low = (alone(1.0 - level).floor() as usize).saturating_sub(1);
    let mut high = (alone((1.0 - level) / 2.0).ceil() as usize).saturating_add(1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if covered(middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
