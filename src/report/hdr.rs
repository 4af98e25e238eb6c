//! `histogram.hlog`: the latencies as HdrHistograms in HdrHistogram's own log format (version
//! 1.3, compressed V2 payloads), so that its tools can read, plot and merge them.
//!
//! In: a record. Out: for each measured metric, one interval over the whole run, tagged with the
//! metric's name. Invariants: values are microseconds with five significant digits; infinite
//! samples are left out.

use crate::record::{RunRecord, Samples};
use crate::stats::{Distribution, Sample};
use crate::vocab::Metric;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::time::Duration;

/// Significant digits of a value: at two seconds, a resolution of eight microseconds.
pub(crate) const DIGITS: u8 = 5;
/// The maximum in a log line is meant for people, so it is in milliseconds.
const US_PER_MS: f64 = 1e3;

/// Renders `histogram.hlog`.
pub(crate) fn log(record: &RunRecord) -> Vec<u8> {
    let run = &record.summary.run;
    let samples = Samples::of(0, &record.calls, &record.turns);
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!(
            "Values in microseconds; the maximum of each line in milliseconds. {}.",
            match run.complete {
                true => "One line per metric, over the whole run",
                false => "The run is incomplete",
            }
        ))
        .add_comment(&format!(
            "measurement_version {}: merge only histograms of the same version.",
            run.measurement_version
        ))
        .with_max_value_divisor(US_PER_MS);
    if let Ok(started) = run.started_at.parse::<jiff::Timestamp>() {
        builder
            .with_start_time(started.into())
            .with_base_time(started.into());
    }
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = builder
        .begin_log_with(&mut bytes, &mut serializer)
        .expect("a write to memory cannot fail");
    let lasted = run.duration_ms.duration().unwrap_or_default();
    for metric in Metric::summarized() {
        if let Some(histogram) = histogram(samples.measured(metric)) {
            let tag = Tag::new(metric.name());
            log.write_histogram(&histogram, Duration::ZERO, lasted, tag)
                .expect("written to memory, with bounds far inside those of the format");
        }
    }
    bytes
}

/// A histogram of the finite samples; `None` if there are none.
fn histogram(distribution: &Distribution) -> Option<Histogram<u64>> {
    let micros: Vec<u64> = distribution
        .sorted()
        .iter()
        .filter_map(|s| match s {
            // The histogram's lowest value is 1, so zero is recorded as 1.
            Sample::Finite(d) => Some(u64::try_from(d.as_micros()).unwrap_or(u64::MAX).max(1)),
            Sample::Infinite => None,
        })
        .collect();
    let longest = micros.iter().copied().max()?.clamp(2, LONGEST_US);
    let mut histogram = Histogram::new_with_bounds(1, longest, DIGITS)
        .expect("bounds satisfy low ≥ 1, high ≥ 2·low, digits ≤ 5");
    micros
        .into_iter()
        .for_each(|value| histogram.saturating_record(value.min(longest)));
    Some(histogram)
}

/// Longer latencies are recorded as one day, which bounds the memory that an untrusted record
/// can make us allocate.
const LONGEST_US: u64 = 86_400_000_000;
