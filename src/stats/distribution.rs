//! A sorted set of latencies and its exact order statistics.
//!
//! In: samples in any order, in groups or not. Out: count, extremes, mean, quantiles.
//! Invariant: a quantile is one of the samples, never an interpolation between two.

use std::collections::BTreeMap;
use std::time::Duration;

/// One latency; `Infinite` if the awaited event never happened. Ordered by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sample {
    /// The event happened after this long.
    Finite(Duration),
    /// The event never happened: +∞.
    Infinite,
}

impl Sample {
    /// The duration, unless infinite.
    pub(crate) fn finite(self) -> Option<Duration> {
        match self {
            Self::Finite(duration) => Some(duration),
            Self::Infinite => None,
        }
    }

    /// In milliseconds; `f64::INFINITY` if infinite.
    pub(crate) fn as_ms(self) -> f64 {
        const NANOS_PER_MS: f64 = 1e6;
        // Divides whole nanoseconds once, so that 400 ms is 400.0 and not 400.00000000000006.
        self.finite()
            .map_or(f64::INFINITY, |d| d.as_nanos() as f64 / NANOS_PER_MS)
    }
}

impl From<Duration> for Sample {
    fn from(duration: Duration) -> Self {
        Self::Finite(duration)
    }
}

/// Samples in ascending order, with their order statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    sorted: Vec<Sample>,
    /// The group of each sample; empty if every sample is its own group.
    groups: Vec<u32>,
}

impl Distribution {
    /// The distribution without samples.
    pub(crate) const EMPTY: &Self = &Self {
        sorted: Vec::new(),
        groups: Vec::new(),
    };
}

impl<S: Into<Sample>> FromIterator<S> for Distribution {
    fn from_iter<I: IntoIterator<Item = S>>(samples: I) -> Self {
        let mut sorted: Vec<Sample> = samples.into_iter().map(Into::into).collect();
        sorted.sort_unstable();
        Self {
            sorted,
            groups: Vec::new(),
        }
    }
}

impl Distribution {
    /// A distribution of grouped samples, such as the turns of several calls. Samples of one group
    /// are not independent; intervals take that into account.
    pub fn in_groups<S: Into<Sample>>(samples: impl IntoIterator<Item = (usize, S)>) -> Self {
        let mut numbers = BTreeMap::new();
        let mut pairs: Vec<(Sample, u32)> = Vec::new();
        for (group, sample) in samples {
            let next = numbers.len() as u32;
            pairs.push((sample.into(), *numbers.entry(group).or_insert(next)));
        }
        pairs.sort_unstable();
        let (sorted, groups) = pairs.into_iter().unzip();
        Self { sorted, groups }
    }

    /// The samples, ascending, each with the number of its group.
    pub(crate) fn grouped(&self) -> impl Iterator<Item = (u32, Sample)> + '_ {
        let group = |i: usize| self.groups.get(i).copied().unwrap_or(i as u32);
        let numbered = self.sorted.iter().enumerate();
        numbered.map(move |(i, &sample)| (group(i), sample))
    }

    /// Number of samples, infinite ones included.
    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Number of infinite samples.
    pub(crate) fn infinite(&self) -> usize {
        self.count() - self.sorted.partition_point(|&s| s < Sample::Infinite)
    }

    /// The samples, ascending.
    pub fn sorted(&self) -> &[Sample] {
        &self.sorted
    }

    /// The smallest sample; `None` if there are none.
    pub(crate) fn min(&self) -> Option<Sample> {
        self.sorted.first().copied()
    }

    /// The largest sample; `None` if there are none.
    pub(crate) fn max(&self) -> Option<Sample> {
        self.sorted.last().copied()
    }

    /// The arithmetic mean, rounded down to the nanosecond; infinite if any sample is.
    /// `None` if there are no samples.
    pub(crate) fn mean(&self) -> Option<Sample> {
        if self.sorted.is_empty() {
            return None;
        }
        let mut sum = 0_u128;
        for sample in &self.sorted {
            match sample {
                Sample::Finite(duration) => sum = sum.saturating_add(duration.as_nanos()),
                Sample::Infinite => return Some(Sample::Infinite),
            }
        }
        let nanos = u64::try_from(sum / self.sorted.len() as u128).unwrap_or(u64::MAX);
        Some(Sample::Finite(Duration::from_nanos(nanos)))
    }

    /// The `q` quantile: the smallest sample with at least `q` of all samples at or below it
    /// (the inverse of the empirical distribution function; type 1 of Hyndman & Fan, 1996).
    ///
    /// `q` in 0..=1. `None` if there are no samples or `q` is out of range.
    pub(crate) fn quantile(&self, q: f64) -> Option<Sample> {
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        self.sorted
            .get(rank(q, self.count())?.checked_sub(1)?)
            .copied()
    }

    /// The `p`-th percentile, `p` in 0..=100: `percentile(95.0)` is the p95.
    pub(crate) fn percentile(&self, p: f64) -> Option<Sample> {
        self.quantile(p / 100.0)
    }
}

/// Rank (from 1) of the `q` quantile among `n` samples: ⌈q·n⌉, at least 1. `None` for `n` = 0.
pub(crate) fn rank(q: f64, n: usize) -> Option<usize> {
    // 0.07 · 100 is 7.000000000000001 in binary; without this slack its rank would be 8.
    const SLACK: f64 = 1e-12;
    let rank = (q * n as f64 * (1.0 - SLACK)).ceil() as usize;
    (n > 0).then(|| rank.clamp(1, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(values: &[u64]) -> Distribution {
        values.iter().map(|&v| Duration::from_millis(v)).collect()
    }

    #[test]
    fn quantiles_are_the_expected_samples() {
        let hundred: Vec<u64> = (1..=100).collect();
        let twenty: Vec<u64> = (1..=20).collect();
        let cases: &[(&str, &[u64], f64, Option<u64>)] = &[
            ("nothing", &[], 0.5, None),
            ("one sample is every quantile", &[7], 0.99, Some(7)),
            ("q = 0 is the smallest", &[3, 1, 2], 0.0, Some(1)),
            ("q = 1 is the largest", &[3, 1, 2], 1.0, Some(3)),
            (
                "median of an even count is the lower one",
                &[4, 1, 3, 2],
                0.5,
                Some(2),
            ),
            ("median of an odd count", &[5, 1, 3], 0.5, Some(3)),
            ("p95 of 20 is the 19th", &twenty, 0.95, Some(19)),
            ("p95 of 100", &hundred, 0.95, Some(95)),
            ("p99 of 100", &hundred, 0.99, Some(99)),
            ("p99 of 20 is the largest", &twenty, 0.99, Some(20)),
            ("0.07 * 100 > 7 in binary", &hundred, 0.07, Some(7)),
            ("0.29 * 100 < 29 in binary", &hundred, 0.29, Some(29)),
            ("above 1", &[1], 1.01, None),
            ("below 0", &[1], -0.01, None),
            ("not a number", &[1], f64::NAN, None),
        ];
        for (name, values, q, expected) in cases {
            let expected = expected.map(|v| Sample::Finite(Duration::from_millis(v)));
            assert_eq!(ms(values).quantile(*q), expected, "{name}");
        }
    }

    #[test]
    fn infinite_samples_are_the_largest() {
        let finite = (1..=9).map(|v| Sample::Finite(Duration::from_millis(v)));
        let d: Distribution = finite.chain([Sample::Infinite]).collect();
        assert_eq!((d.count(), d.infinite()), (10, 1));
        assert_eq!(d.percentile(90.0), Some(Duration::from_millis(9).into()));
        assert_eq!(d.percentile(95.0), Some(Sample::Infinite));
        assert_eq!(d.max(), Some(Sample::Infinite));
        assert_eq!(d.mean(), Some(Sample::Infinite));
        assert_eq!(d.min(), Some(Duration::from_millis(1).into()));
        assert_eq!(Sample::Infinite.as_ms(), f64::INFINITY);
    }

    #[test]
    fn mean_minimum_and_maximum_are_computed() {
        let d = ms(&[30, 10, 20]);
        assert_eq!(d.mean(), Some(Duration::from_millis(20).into()));
        assert_eq!(d.min(), Some(Duration::from_millis(10).into()));
        assert_eq!(d.max(), Some(Duration::from_millis(30).into()));
        assert_eq!(Distribution::default().mean(), None);
        assert_eq!(Distribution::default().max(), None);
    }

    proptest! {
        #[test]
        fn quantile_is_the_smallest_with_q_at_or_below(
            values in prop::collection::vec(prop::option::weighted(0.9, 0_u64..50), 1..200),
            percent in 0_u32..=100,
        ) {
            let samples: Vec<Sample> = values
                .iter()
                .map(|v| v.map_or(Sample::Infinite, |v| Duration::from_millis(v).into()))
                .collect();
            let d: Distribution = samples.iter().copied().collect();
            let found = d.quantile(f64::from(percent) / 100.0).unwrap();
            // In integers, so that the check itself does not round.
            let enough = |s: Sample| {
                100 * samples.iter().filter(|&&x| x <= s).count() >= percent as usize * samples.len()
            };
            prop_assert!(enough(found));
            prop_assert!(samples.iter().all(|&s| s >= found || !enough(s)));
        }
    }
}
