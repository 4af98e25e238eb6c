//! Measures the CPU cost of reading the agent's account of its session.
//!
//! In: the CPU usage of pairs of runs, one that reads the account and one that ignores it. Out: the
//! median ratio of the two, with an upper bound. Invariant: the order within a pair alternates, so
//! that a gradual change in the machine's speed biases neither.

use crate::stats::{Distribution, Sample};
use crate::vocab::AccountUse;
use serde::Serialize;
use std::time::Duration;

/// Level of an equal-tailed interval whose upper end is a one-sided bound at 95 %.
const LEVEL: f64 = 0.9;

/// CPU usage of the pairs of runs at one level, and their ratio.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct AccountPairs {
    pub pairs: Vec<Pair>,
    /// CPU usage when reading divided by CPU usage when ignoring; median over the pairs.
    pub ratio_median: f64,
    /// One-sided upper bound of that median at 95 %, from order statistics; `None` with fewer than
    /// five pairs.
    pub ratio_upper_95: Option<f64>,
}

/// Percent of one core per caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Pair {
    pub reading_cpu_percent: f64,
    pub ignoring_cpu_percent: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.reading_cpu_percent / self.ignoring_cpu_percent
    }
}

/// The order of the runs in the `nth` pair.
pub(super) fn order(nth: u32) -> [AccountUse; 2] {
    match nth % 2 {
        0 => [AccountUse::Read, AccountUse::Ignore],
        _ => [AccountUse::Ignore, AccountUse::Read],
    }
}

impl AccountPairs {
    pub(super) fn of(pairs: Vec<Pair>) -> Self {
        // A `Distribution` holds durations, so a ratio of 1 is represented by one second.
        let sample = |pair: &Pair| {
            let ratio = Duration::try_from_secs_f64(pair.ratio());
            ratio.map_or(Sample::Infinite, Sample::Finite)
        };
        let ratio = |sample| match sample {
            Sample::Finite(ratio) => Some(ratio.as_secs_f64()),
            Sample::Infinite => None,
        };
        let ratios: Distribution = pairs.iter().map(sample).collect();
        let upper = ratios.interval(0.5, LEVEL).ok();
        Self {
            ratio_median: ratios.quantile(0.5).and_then(ratio).unwrap_or_default(),
            ratio_upper_95: upper.and_then(|interval| ratio(interval.upper)),
            pairs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(ratios: &[f64]) -> AccountPairs {
        let pair = |ratio: &f64| Pair {
            reading_cpu_percent: 0.5 * ratio,
            ignoring_cpu_percent: 0.5,
        };
        AccountPairs::of(ratios.iter().map(pair).collect())
    }

    #[test]
    fn the_bound_of_ten_pairs_is_the_second_largest_ratio() {
        let ratios = [1.01, 1.0, 1.09, 1.02, 0.99, 1.03, 0.98, 1.2, 1.04, 1.05];
        let ten = pairs(&ratios);
        assert!((ten.ratio_median - 1.02).abs() < 1e-6, "{ten:?}");
        // At least 8 of 10 ratios are below the median with a probability of 5.5 %, at least 9 with
        // a probability of 1.1 %.
        assert!((ten.ratio_upper_95.expect("a bound") - 1.09).abs() < 1e-6);
        assert!((pairs(&ratios[..5]).ratio_upper_95.expect("a bound") - 1.09).abs() < 1e-6);
        assert_eq!(pairs(&ratios[..4]).ratio_upper_95, None);
    }
}
