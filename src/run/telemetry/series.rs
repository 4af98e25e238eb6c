//! Puts the metric values of agents' processes together into readings, one per service.
//!
//! In: values as they are exported. Out: a reading of each service that sent something. Invariants:
//! the values of one name are added up over processes and attributes, as with a scraped endpoint;
//! numbers are finite; the numbers of services, series and values are bounded.

use super::inbox::{MetricKind, MetricPoint};
use crate::record::{Ms, Reading};
use crate::vocab::observed::{LONGEST_SERIES, MOST_OBSERVED, MOST_SERIES};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of values that are added up, over all series.
const STREAMS: usize = 16_384;
/// A gauge that has not been exported for this long belongs to a process that has ended. Exporters
/// send every minute unless they are told otherwise.
const STALE: Duration = Duration::from_secs(150);

/// The last values of a series, by stream, with when they came.
type Streams = HashMap<u64, (f64, Instant)>;

/// The series of all services.
#[derive(Debug, Default)]
pub(super) struct Series {
    services: BTreeMap<Arc<str>, Service>,
    streams: usize,
    /// Names of sources that are observed in another way.
    taken: Vec<String>,
}

#[derive(Debug, Default)]
struct Service {
    /// By name, and whether the values are counted up.
    series: BTreeMap<(Arc<str>, bool), Streams>,
    /// Something has come since the last reading.
    is_new: bool,
}

impl Series {
    /// `taken`: names that the readings must not have.
    pub(super) fn new(taken: Vec<String>) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// Takes a value; false if there is no room for it.
    pub(super) fn add(&mut self, point: MetricPoint, now: Instant) -> bool {
        let full = self.services.len() >= MOST_OBSERVED;
        if full && !self.services.contains_key(&point.service) {
            return false;
        }
        let service = self.services.entry(point.service).or_default();
        let is_counter = point.kind != MetricKind::Gauge;
        let key = (point.name, is_counter);
        let full = service.series.len() >= MOST_SERIES || key.0.len() > LONGEST_SERIES;
        if full && !service.series.contains_key(&key) {
            return false;
        }
        let streams = service.series.entry(key).or_default();
        if !streams.contains_key(&point.stream) {
            if self.streams >= STREAMS {
                return false;
            }
            self.streams += 1;
        }
        let (value, at) = streams.entry(point.stream).or_insert((0.0, now));
        *value = match point.kind {
            MetricKind::Delta => *value + point.value,
            MetricKind::Gauge | MetricKind::Counter => point.value,
        };
        *at = now;
        service.is_new = true;
        true
    }

    /// A reading of each service that has sent something since the last call.
    pub(super) fn readings(&mut self, run_start: Instant, now: Instant) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (name, service) in &mut self.services {
            if !std::mem::take(&mut service.is_new) {
                continue;
            }
            let name = match self.taken.iter().any(|taken| **taken == **name) {
                true => format!("{name} (OTLP)"),
                false => name.to_string(),
            };
            let mut reading = Reading::new(&name, Ms::between(run_start, now));
            for ((series, is_counter), streams) in &mut service.series {
                if !is_counter {
                    let before = streams.len();
                    streams.retain(|_, (_, at)| now.saturating_duration_since(*at) < STALE);
                    self.streams -= before - streams.len();
                }
                let sum: f64 = streams.values().map(|(value, _)| value).sum();
                let into = match is_counter {
                    true => &mut reading.counters,
                    false => &mut reading.gauges,
                };
                if sum.is_finite() && !streams.is_empty() {
                    into.insert(series.to_string(), sum);
                }
            }
            readings.push(reading);
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(service: &str, name: &str, kind: MetricKind, stream: u64, value: f64) -> MetricPoint {
        MetricPoint {
            service: service.into(),
            name: name.into(),
            kind,
            stream,
            value,
        }
    }

    #[test]
    fn values_of_processes_are_added_up_and_counters_never_lose_one() {
        use MetricKind::{Counter, Delta, Gauge};
        let mut series = Series::new(vec!["worker".into()]);
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        for (kind, name, stream, value) in [
            (Counter, "tokens", 1, 10.0),
            (Counter, "tokens", 2, 5.0),
            (Counter, "tokens", 1, 12.0),
            (Delta, "turns", 1, 2.0),
            (Delta, "turns", 1, 3.0),
            (Gauge, "active", 1, 4.0),
            (Gauge, "active", 2, 1.0),
            (Gauge, "broken", 1, f64::NAN),
        ] {
            assert!(series.add(point("worker", name, kind, stream, value), at(1)));
        }
        let readings = series.readings(start, at(2));
        assert_eq!(readings.len(), 1);
        let reading = &readings[0];
        assert_eq!(
            reading.name, "worker (OTLP)",
            "the scenario observes `worker`"
        );
        assert_eq!(reading.at_ms, Ms::from_micros(2_000_000));
        assert_eq!(
            reading.counters,
            [("tokens".into(), 17.0), ("turns".into(), 5.0)].into()
        );
        assert_eq!(reading.gauges, [("active".into(), 5.0)].into());
        assert!(series.readings(start, at(3)).is_empty(), "nothing new");
        // One of the two processes has ended: its count stays, its gauge does not.
        series.add(point("worker", "tokens", Counter, 1, 20.0), at(200));
        series.add(point("worker", "active", Gauge, 1, 3.0), at(200));
        let reading = series.readings(start, at(200)).remove(0);
        assert_eq!(reading.counters["tokens"], 25.0);
        assert_eq!(reading.gauges["active"], 3.0);
    }

    #[test]
    fn the_number_of_services_series_and_values_is_bounded() {
        let mut series = Series::default();
        let now = Instant::now();
        let kind = MetricKind::Gauge;
        for n in 0..2 * MOST_OBSERVED {
            let kept = series.add(point(&n.to_string(), "a", kind, 0, 1.0), now);
            assert_eq!(kept, n < MOST_OBSERVED);
        }
        for n in 0..2 * MOST_SERIES {
            let kept = series.add(point("0", &format!("a{n:03}"), kind, 0, 1.0), now);
            assert_eq!(kept, n + 1 < MOST_SERIES, "{n}");
        }
        let long = "a".repeat(LONGEST_SERIES + 1);
        assert!(!series.add(point("1", &long, kind, 0, 1.0), now));
        let kept = (1..2 * STREAMS as u64)
            .filter(|n| series.add(point("0", "a", kind, *n, 1.0), now))
            .count();
        assert_eq!(kept, STREAMS - (MOST_OBSERVED + MOST_SERIES - 1));
    }
}
