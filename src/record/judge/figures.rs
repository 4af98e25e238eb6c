//! Order statistics of latencies, and the intervals of their quantiles.
//!
//! In: samples. Out: exact figures, as in `summary.json`. Invariants: no figure is estimated from
//! buckets; a figure that does not exist, or is +∞, is null.

use super::samples::Samples;
use crate::record::Ms;
use crate::stats::{Distribution, Sample};
use crate::vocab::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Confidence level of every interval in a summary.
const LEVEL: f64 = 0.95;

/// Exact order statistics of one metric; null where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Latency {
    pub count: usize,
    pub min_ms: Option<Ms>,
    pub mean_ms: Option<Ms>,
    pub p50_ms: Option<Ms>,
    pub p90_ms: Option<Ms>,
    pub p95_ms: Option<Ms>,
    pub p99_ms: Option<Ms>,
    pub max_ms: Option<Ms>,
}

/// Exact order statistics of samples that may be +∞; null stands for +∞ if `count` > 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AllTurns {
    pub count: usize,
    /// Number of samples that are +∞.
    pub infinite: usize,
    pub min_ms: Option<Ms>,
    pub mean_ms: Option<Ms>,
    pub p50_ms: Option<Ms>,
    pub p90_ms: Option<Ms>,
    pub p95_ms: Option<Ms>,
    pub p99_ms: Option<Ms>,
    pub max_ms: Option<Ms>,
}

/// Distribution-free confidence intervals from order statistics. They are based on the effective
/// sample size, which is smaller than the number of turns if the turns of a call are correlated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Intervals {
    /// Each interval contains the true quantile with at least this probability.
    pub level: f64,
    /// Intervals of the quantiles of `metrics.ttfa`.
    pub ttfa: Quantiles,
    /// Intervals of the quantiles of `metrics.all_turns`.
    pub all_turns: Quantiles,
}

/// Intervals of the quantiles; null where there are too few turns (p95 needs 59 independent
/// ones, p99 299).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Quantiles {
    pub p50: Option<Span>,
    pub p95: Option<Span>,
    pub p99: Option<Span>,
}

/// An interval of latencies; a null end is +∞.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Span {
    /// Lower end.
    pub lower_ms: Option<Ms>,
    /// Upper end.
    pub upper_ms: Option<Ms>,
}

impl Latency {
    pub(crate) fn of(distribution: &Distribution) -> Self {
        let percentile = |p| distribution.percentile(p).and_then(Ms::from_sample);
        Self {
            count: distribution.count(),
            min_ms: distribution.min().and_then(Ms::from_sample),
            mean_ms: distribution.mean().and_then(Ms::from_sample),
            p50_ms: percentile(50.0),
            p90_ms: percentile(90.0),
            p95_ms: percentile(95.0),
            p99_ms: percentile(99.0),
            max_ms: distribution.max().and_then(Ms::from_sample),
        }
    }
}

impl AllTurns {
    pub(crate) fn of(distribution: &Distribution) -> Self {
        let figures = Latency::of(distribution);
        Self {
            count: figures.count,
            infinite: distribution.infinite(),
            min_ms: figures.min_ms,
            mean_ms: figures.mean_ms,
            p50_ms: figures.p50_ms,
            p90_ms: figures.p90_ms,
            p95_ms: figures.p95_ms,
            p99_ms: figures.p99_ms,
            max_ms: figures.max_ms,
        }
    }
}

impl Quantiles {
    fn of(distribution: &Distribution) -> Self {
        let span = |q| {
            let found = distribution.interval(q, LEVEL).ok()?;
            let end = |sample: Sample| Ms::from_sample(sample);
            Some(Span {
                lower_ms: end(found.lower),
                upper_ms: end(found.upper),
            })
        };
        Self {
            p50: span(0.5),
            p95: span(0.95),
            p99: span(0.99),
        }
    }
}

impl Intervals {
    pub(in crate::record) fn of(samples: &Samples) -> Self {
        Self {
            level: LEVEL,
            ttfa: Quantiles::of(samples.measured(Metric::Ttfa)),
            all_turns: Quantiles::of(samples.all(Metric::Ttfa)),
        }
    }
}
