//! Running quantiles in constant memory.
//!
//! In: latencies as they are measured. Out: quantiles to three significant digits, for the
//! progress line only; reports use the exact [`super::Distribution`].

use hdrhistogram::Histogram;
use std::time::Duration;

/// Longest latency recorded, in microseconds: ten minutes. Longer ones are clamped.
const LONGEST_US: u64 = 600_000_000;

/// A running histogram of latencies.
#[derive(Debug, Clone)]
pub(crate) struct LiveQuantiles {
    histogram: Histogram<u64>,
}

impl Default for LiveQuantiles {
    fn default() -> Self {
        Self::new()
    }
}

impl LiveQuantiles {
    /// An empty histogram from 1 µs to 10 min with three significant digits.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3)
            .expect("the constant bounds satisfy low ≥ 1, high ≥ 2·low, digits ≤ 5");
        Self { histogram }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(us.min(LONGEST_US));
    }

    /// Number of latencies so far.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The `q` quantile (0..=1), within 0.1 %; `None` before the first latency.
    pub(crate) fn quantile(&self, q: f64) -> Option<Duration> {
        (self.count() > 0)
            .then(|| Duration::from_micros(self.histogram.value_at_quantile(q).min(LONGEST_US)))
    }

    /// The median so far.
    pub(crate) fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// The 95th percentile so far.
    pub(crate) fn p95(&self) -> Option<Duration> {
        self.quantile(0.95)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_quantiles_are_within_the_histograms_precision() {
        let mut live = LiveQuantiles::new();
        assert_eq!((live.p50(), live.p95(), live.count()), (None, None, 0));
        for ms in 1..=1_000 {
            live.record(Duration::from_millis(ms));
        }
        for (q, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let seen = live.quantile(q).unwrap().as_secs_f64() * 1e3;
            assert!((seen - ms).abs() <= ms * 1e-3, "{q}: {seen}");
        }
        assert_eq!(live.count(), 1_000);
    }

    #[test]
    fn values_outside_the_histograms_range_are_clamped() {
        let mut live = LiveQuantiles::new();
        live.record(Duration::ZERO);
        live.record(Duration::from_secs(1 << 40));
        assert_eq!(live.count(), 2);
        assert_eq!(live.quantile(1.0), Some(Duration::from_micros(LONGEST_US)));
    }
}
