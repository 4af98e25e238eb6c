//! Proportions of clustered samples: the turns of one call are correlated.
//!
//! In: the group of each sample and whether it is a hit. Out: the share, the effective sample
//! size, intervals and tests. Invariants: with one sample per group, the effective sample size is
//! the number of samples; it is never larger than that.

use super::beta::{at_least, inverse_beta, student_t};
use std::collections::BTreeMap;

/// A share of grouped samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Proportion {
    hits: usize,
    total: usize,
    groups: usize,
    /// Sum over groups of size².
    squares: f64,
    /// Sum over groups of hits² / size.
    between: f64,
    /// Whether the samples of a group count as perfectly correlated, whatever their values.
    alike: bool,
}

/// Sample size and effective sample size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    /// Number of samples.
    pub n: usize,
    /// Effective sample size.
    pub n_eff: f64,
    /// Design effect: by how much grouping multiplies the variance; at least 1.
    pub deff: f64,
}

/// A confidence interval of a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ShareInterval {
    /// Lower end, 0..=1.
    pub lower: f64,
    /// Upper end, 0..=1.
    pub upper: f64,
    /// The sample size that the interval is computed from.
    pub worth: Worth,
}

impl<G: Ord> FromIterator<(G, bool)> for Proportion {
    /// From the group of each sample and whether it is a hit.
    fn from_iter<I: IntoIterator<Item = (G, bool)>>(samples: I) -> Self {
        let mut groups: BTreeMap<G, (usize, usize)> = BTreeMap::new();
        for (group, hit) in samples {
            let (hits, size) = groups.entry(group).or_default();
            *hits += usize::from(hit);
            *size += 1;
        }
        Self::of_groups(groups.into_values())
    }
}

impl Proportion {
    /// From the number of hits and the size of each group; empty groups are left out.
    pub(crate) fn of_groups(groups: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut all = Self::default();
        for (hits, size) in groups.into_iter().filter(|(_, size)| *size > 0) {
            all.hits += hits;
            all.total += size;
            all.groups += 1;
            all.squares += (size as f64).powi(2);
            all.between += (hits as f64).powi(2) / size as f64;
        }
        all
    }

    /// The same samples, but hit or miss is a property of the whole group: the samples of a group
    /// carry no more information than one of them.
    pub(crate) fn of_whole_groups(self) -> Self {
        Self {
            alike: true,
            ..self
        }
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits
    }

    /// Number of samples.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    #[cfg(test)]
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// The share of hits; `None` without samples.
    pub(crate) fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.hits as f64 / self.total as f64)
    }

    /// Whether there are both hits and misses.
    fn varies(&self) -> bool {
        self.hits > 0 && self.hits < self.total
    }

    /// Intraclass correlation of the samples, 0..=1, by one-way analysis of variance (Donner,
    /// *Int. Stat. Rev.* 54, 1986); a negative estimate counts as 0.
    ///
    /// 0 if no group has more than one sample. Otherwise 1 if there is only one group, which cannot
    /// show how groups differ, or for [whole groups](Self::of_whole_groups). Otherwise 0 if all or
    /// none of the samples are hits, as is usual for shares (Korn & Graubard).
    pub(crate) fn icc(&self) -> f64 {
        let (n, k) = (self.total as f64, self.groups as f64);
        if self.groups == self.total {
            return 0.0;
        }
        if self.groups == 1 || self.alike {
            return 1.0;
        }
        if !self.varies() {
            return 0.0;
        }
        let hits = self.hits as f64;
        let between = (self.between - hits * hits / n) / (k - 1.0);
        let within = (hits - self.between) / (n - k);
        let size = (n - self.squares / n) / (k - 1.0);
        let spread = between + (size - 1.0) * within;
        if spread > 0.0 {
            ((between - within) / spread).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Design effect 1 + (m − 1)·ICC, where m = Σmᵢ²/Σmᵢ is the mean group size as seen by a sample
    /// (Kish, *Survey Sampling*, 5.4 and 8.2, for groups of unequal size).
    pub(crate) fn deff(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        1.0 + (self.squares / self.total as f64 - 1.0).max(0.0) * self.icc()
    }

    /// Effective sample size for an interval with `tail` on each side: n / deff. If the design
    /// effect is estimated, the result is multiplied by a squared ratio of Student's quantiles,
    /// which is small for few groups (Korn & Graubard, *Survey Methodology* 24, 1998).
    pub(crate) fn worth(&self, tail: f64) -> Worth {
        let deff = self.deff();
        let n = self.total as f64;
        let known = match self.groups {
            // For whole groups the design effect is known, not estimated.
            groups if groups > 1 && groups < self.total && !self.alike => {
                let t = |freedom: f64| student_t(tail, freedom);
                (t(n - 1.0) / t(groups as f64 - 1.0)).powi(2)
            }
            _ => 1.0,
        };
        Worth {
            n: self.total,
            n_eff: n / deff * known,
            deff,
        }
    }

    /// Confidence interval of the share, exact for independent samples (Clopper & Pearson), with
    /// the effective sample size in place of n. `level` in 0..1; each end is also a one-sided bound
    /// at (1 + `level`)/2. `None` without samples.
    pub(crate) fn interval(&self, level: f64) -> Option<ShareInterval> {
        let share = self.value()?;
        let tail = (1.0 - level) / 2.0;
        let worth = self.worth(tail);
        let n = worth.n_eff;
        let hits = share * n;
        let lower = match self.hits {
            0 => 0.0,
            _ => inverse_beta(tail, hits, n - hits + 1.0),
        };
        let upper = match self.total - self.hits {
            0 => 1.0,
            _ => inverse_beta(1.0 - tail, hits + 1.0, n - hits),
        };
        Some(ShareInterval {
            lower,
            upper,
            worth,
        })
    }

    /// Whether the hits refute, at `level`, that the true share is at most `most`: that many hits
    /// or more would have a probability of at most 1 − `level`. Exact binomial test.
    ///
    /// If all samples are hits (or none is), the test counts groups instead of samples, which is
    /// valid however strongly the samples of a group are correlated.
    pub(crate) fn refutes_at_most(&self, most: f64, level: f64) -> bool {
        /// Tolerance for the rounding error of 1 − `level`.
        const ROUNDING: f64 = 1e-9;
        let Some(share) = self.value() else {
            return false;
        };
        let n = if self.varies() {
            self.worth(1.0 - level).n_eff
        } else {
            self.groups as f64
        };
        at_least(share * n, n, most) <= 1.0 - level + ROUNDING
    }

    /// Whether the misses refute, at `level`, that the true share is at least `least`.
    pub(crate) fn refutes_at_least(&self, least: f64, level: f64) -> bool {
        let misses = Self {
            hits: self.total - self.hits,
            between: self.between + self.total as f64 - 2.0 * self.hits as f64,
            ..*self
        };
        misses.refutes_at_most(1.0 - least, level)
    }
}

#[cfg(test)]
#[path = "proportion_tests.rs"]
mod tests;
