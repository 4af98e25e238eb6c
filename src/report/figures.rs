//! Formats the figures that several reports for people share.
//!
//! In: figures of a summary. Out: short strings. Invariant: the console and every other report
//! for people show the same digits.

use crate::record::{AllTurns, Latency, Metrics, Ms, Quantiles, Span};
use crate::stats::samples_needed;
use crate::vocab::{Metric, Visibility};

/// Shown in place of a figure that was not measured.
pub(super) const NOTHING: &str = "–";

/// A quantile that reports show, with accessors for its values in the summary.
pub(super) struct Quantile {
    pub(super) name: &'static str,
    pub(super) q: f64,
    pub(super) of: fn(&Latency) -> Option<Ms>,
    pub(super) of_all: fn(&AllTurns) -> Option<Ms>,
    pub(super) span: fn(&Quantiles) -> Option<Span>,
}

/// The quantiles that have a confidence interval.
pub(super) const QUANTILES: [Quantile; 3] = [
    Quantile {
        name: "p50",
        q: 0.5,
        of: |l| l.p50_ms,
        of_all: |a| a.p50_ms,
        span: |q| q.p50,
    },
    Quantile {
        name: "p95",
        q: 0.95,
        of: |l| l.p95_ms,
        of_all: |a| a.p95_ms,
        span: |q| q.p95,
    },
    Quantile {
        name: "p99",
        q: 0.99,
        of: |l| l.p99_ms,
        of_all: |a| a.p99_ms,
        span: |q| q.p99,
    },
];

/// The latencies that get a row in the tables for people.
pub(super) fn in_tables(metrics: &Metrics) -> impl Iterator<Item = (Metric, Latency)> {
    let has_row = |(metric, latency): &(Metric, Latency)| {
        let may_lack = [Visibility::Measured, Visibility::Account];
        !may_lack.contains(&metric.row().shown) || latency.count > 0
    };
    metrics.latencies().filter(has_row)
}

pub(super) fn cells(latency: &Latency) -> [String; 7] {
    [
        latency.min_ms,
        latency.mean_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.max_ms,
    ]
    .map(figure)
}

pub(super) fn figure(ms: Option<Ms>) -> String {
    ms.map_or_else(|| NOTHING.to_owned(), |ms| format!("{ms:.1}"))
}

pub(super) fn hundredths(ms: Option<Ms>) -> String {
    ms.map_or_else(|| NOTHING.to_owned(), |ms| format!("{ms:.2}"))
}

/// Formats a figure of all turns: if there are samples, `None` means +∞.
pub(super) fn possibly_infinite(ms: Option<Ms>, all: &AllTurns) -> String {
    if ms.is_none() && all.count > 0 {
        "∞".to_owned()
    } else {
        figure(ms)
    }
}

pub(super) fn interval(span: Option<Span>, count: usize, q: f64, level: f64) -> String {
    let end = |ms: Option<Ms>| ms.map_or_else(|| "∞".to_owned(), |ms| format!("{ms:.1}"));
    match (span, samples_needed(q, level)) {
        (Some(span), _) => format!("[{}, {}]", end(span.lower_ms), end(span.upper_ms)),
        (None, Ok(needed)) if count > 0 && count < needed => format!("(needs {needed} turns)"),
        // There are enough turns, but the turns of one call are correlated.
        (None, _) if count > 0 => "(needs more calls)".to_owned(),
        _ => String::new(),
    }
}
