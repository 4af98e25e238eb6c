//! Puts the metric values of agents' processes together into readings, one per service.
//!
//! In: values as they are exported. Out: a reading of each service that sent something. Invariants:
//! the values of one name are added up over processes and attributes, as with a scraped endpoint;
//! numbers are finite; the numbers of services, series and values are bounded.
//!
//! The processes of a service export one after another. A reading after each export would have the
//! new value of one process and old ones of all others, so that rates would jump; a reading per
//! export interval has about one new value of each.

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

/// Bounds of the time between two readings of a service; the upper one is the interval at which
/// exporters send unless they are told otherwise.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The values of a series.
#[derive(Debug, Default)]
struct Streams {
    /// The last values, by stream, with when they came.
    last: HashMap<u64, (f64, Instant)>,
    /// Sum of the last values of counters that were freed, if any were.
    freed: Option<f64>,
}

impl Streams {
    /// Frees the values that have not been exported for a long time, and returns how many.
    fn free_silent(&mut self, is_counter: bool, now: Instant) -> usize {
        let before = self.last.len();
        self.last.retain(|_, (value, at)| {
            let is_silent = now.saturating_duration_since(*at) >= STALE;
            if is_silent && is_counter && value.is_finite() {
                self.freed = Some(self.freed.unwrap_or(0.0) + *value);
            }
            !is_silent
        });
        before - self.last.len()
    }

    /// The sum of the values; `None` if there is none.
    fn sum(&self) -> Option<f64> {
        let last = self.last.values().map(|(value, _)| value);
        let sum = self.freed.unwrap_or(0.0) + last.sum::<f64>();
        let has_any = self.freed.is_some() || !self.last.is_empty();
        (has_any && sum.is_finite()).then_some(sum)
    }
}

/// The series of all services.
#[derive(Debug, Default)]
pub(super) struct Series {
    services: BTreeMap<Arc<str>, Service>,
    streams: usize,
    /// When values of ended processes were last looked for, to make room.
    freed_at: Option<Instant>,
    /// Names of sources that are observed in another way.
    taken: Vec<String>,
}

#[derive(Debug, Default)]
struct Service {
    /// By name, and whether the values are counted up.
    series: BTreeMap<(Arc<str>, bool), Streams>,
    /// When the first value since the last reading came.
    new_since: Option<Instant>,
    /// When the last reading was made.
    read_at: Option<Instant>,
    /// The longest time between two exports of a value so far.
    interval: Option<Duration>,
}

impl Service {
    /// Whether every process that exports regularly has exported since the last reading.
    fn is_due(&self, now: Instant) -> bool {
        let interval = self.interval.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        self.new_since.is_some_and(|new| {
            let since = self.read_at.unwrap_or(new);
            now.saturating_duration_since(since) >= interval
        })
    }

    /// The sums of all series.
    fn reading(&self, name: &str, at: Ms) -> Reading {
        let mut reading = Reading::new(name, at);
        for ((series, is_counter), streams) in &self.series {
            let into = match is_counter {
                true => &mut reading.counters,
                false => &mut reading.gauges,
            };
            into.extend(streams.sum().map(|sum| (series.to_string(), sum)));
        }
        reading
    }
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
        if self.streams >= STREAMS {
            self.make_room(now);
        }
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
        if !streams.last.contains_key(&point.stream) {
            if self.streams >= STREAMS {
                return false;
            }
            self.streams += 1;
        }
        let (value, at) = streams.last.entry(point.stream).or_insert((0.0, now));
        *value = match point.kind {
            MetricKind::Delta => *value + point.value,
            MetricKind::Gauge | MetricKind::Counter => point.value,
        };
        let apart = now.saturating_duration_since(*at);
        *at = now;
        // A request can have several values of a stream.
        if !apart.is_zero() {
            service.interval = service.interval.max(Some(apart));
        }
        service.new_since.get_or_insert(now);
        true
    }

    /// Frees the values of processes that have ended, at most once per look of the run.
    fn make_room(&mut self, now: Instant) {
        if self.freed_at.replace(now) == Some(now) {
            return;
        }
        for service in self.services.values_mut() {
            for ((_, is_counter), streams) in &mut service.series {
                self.streams -= streams.free_silent(*is_counter, now);
            }
        }
    }

    /// A reading of each service that has sent something since its last one, once per interval at
    /// which it exports.
    pub(super) fn readings(&mut self, run_start: Instant, now: Instant) -> Vec<Reading> {
        self.read(run_start, now, |service| service.is_due(now))
    }

    /// A reading of each service that has sent something since its last one.
    pub(super) fn last_readings(&mut self, run_start: Instant, now: Instant) -> Vec<Reading> {
        self.read(run_start, now, |service| service.new_since.is_some())
    }

    fn read(
        &mut self,
        run_start: Instant,
        now: Instant,
        which: impl Fn(&Service) -> bool,
    ) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (name, service) in &mut self.services {
            if !which(service) {
                continue;
            }
            (service.new_since, service.read_at) = (None, Some(now));
            for ((_, is_counter), streams) in &mut service.series {
                if !is_counter {
                    self.streams -= streams.free_silent(false, now);
                }
            }
            let name = match self.taken.iter().any(|taken| **taken == **name) {
                true => format!("{name} (OTLP)"),
                false => name.to_string(),
            };
            readings.push(service.reading(&name, Ms::between(run_start, now)));
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
        let readings = series.last_readings(start, at(2));
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
        assert!(series.last_readings(start, at(3)).is_empty(), "nothing new");
        // One of the two processes has ended: its count stays, its gauge does not.
        series.add(point("worker", "tokens", Counter, 1, 20.0), at(200));
        series.add(point("worker", "active", Gauge, 1, 3.0), at(200));
        let reading = series.last_readings(start, at(200)).remove(0);
        assert_eq!(reading.counters["tokens"], 25.0);
        assert_eq!(reading.gauges["active"], 3.0);
    }

    #[test]
    fn a_service_of_several_processes_is_read_once_per_interval_of_its_exports() {
        let start = Instant::now();
        // Five processes that count one per second each, one after another.
        for (interval, first) in [(60, 61), (10, 11)] {
            let mut series = Series::default();
            let mut read = Vec::new();
            for s in 1..=600_u64 {
                let now = start + Duration::from_secs(s);
                for process in 0..5 {
                    if s % interval == process * interval / 5 + 1 {
                        let value = s as f64;
                        series.add(point("a", "n", MetricKind::Counter, process, value), now);
                    }
                }
                let readings = series.readings(start, now);
                read.extend(readings.iter().map(|r| (s, r.counters["n"])));
            }
            assert_eq!(read[0].0, first, "every {interval} s");
            for ((from, before), (to, after)) in read.iter().zip(&read[1..]) {
                assert_eq!(to - from, interval);
                assert_eq!(after - before, 5.0 * interval as f64);
            }
            assert!(read.len() as u64 >= 600 / interval - 1);
        }
    }

    #[test]
    fn counters_of_ended_processes_make_room_and_still_count() {
        let start = Instant::now();
        let mut series = Series::default();
        let counted = |stream: u64| point("a", "n", MetricKind::Counter, stream, 1.0);
        for stream in 0..STREAMS as u64 {
            assert!(series.add(counted(stream), start));
        }
        let soon = start + STALE / 2;
        assert!(
            !series.add(counted(STREAMS as u64), soon),
            "all may be alive"
        );
        assert!(series.add(counted(0), soon), "one is alive");
        let later = start + STALE;
        for stream in STREAMS..2 * STREAMS - 1 {
            assert!(series.add(counted(stream as u64), later), "{stream}");
        }
        assert_eq!(series.streams, STREAMS, "the living one and the new ones");
        let reading = series.last_readings(start, later).remove(0);
        assert_eq!(reading.counters["n"], (2 * STREAMS - 1) as f64);
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
