//! The series of observed endpoints and processes, derived from their readings.
//!
//! In: readings, in the order of their instants. Out: a series per name and source: gauges as they
//! are, counters as rates per second. Invariants: a reading without a value interrupts a series,
//! and so does a counter that falls; the number of series is bounded, whatever the readings
//! contain.

use crate::record::{Ms, Reading};
use crate::vocab::observed::{LONGEST_SERIES, MOST_OBSERVED, MOST_SERIES};
use std::collections::BTreeMap;

/// Values beyond this are not shown, since the charts cannot label them.
const LARGEST: f64 = 1e15;

/// One series of an observed endpoint or process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedSeries {
    /// Name of the observed endpoint or process.
    pub source: String,
    /// The name of the series, as in the readings.
    pub name: String,
    /// Whether the values are rates per second, of a counter.
    pub rate: bool,
    /// Values without an interruption between them, by instant.
    pub segments: Vec<Vec<(Ms, f64)>>,
}

impl ObservedSeries {
    /// All values with their instants.
    pub(crate) fn points(&self) -> impl Iterator<Item = (Ms, f64)> {
        self.segments.iter().flatten().copied()
    }

    /// The values from `from` until `until`.
    pub(crate) fn within(&self, from: Ms, until: Ms) -> impl Iterator<Item = f64> {
        let points = self.points();
        let inside = points.filter(move |(at, _)| (from..until).contains(at));
        inside.map(|(_, value)| value)
    }
}

/// An observed endpoint or process while its series are being assembled.
#[derive(Default)]
struct Source {
    /// Number of readings so far.
    readings: usize,
    series: BTreeMap<(String, bool), Course>,
    /// Instants of the readings without any value.
    gaps: Vec<Ms>,
}

/// A series while it is being assembled.
#[derive(Default)]
struct Course {
    segments: Vec<Vec<(Ms, f64)>>,
    /// The last value: number of its reading, instant and value as read.
    last: Option<(usize, Ms, f64)>,
    /// Whether the last value is at the end of the last segment.
    shown: bool,
}

impl Course {
    fn take(&mut self, reading: usize, at: Ms, value: f64, rate: bool) {
        let last = self.last.replace((reading, at, value));
        let shown = match (rate, last) {
            (false, _) => Some(value),
            (true, None) => None,
            (true, Some((_, before, earlier))) => per_second((before, earlier), (at, value)),
        };
        let shown = shown.filter(|shown| shown.abs() <= LARGEST);
        let before = std::mem::replace(&mut self.shown, shown.is_some());
        let Some(shown) = shown else {
            return;
        };
        let follows = before && last.is_some_and(|(number, ..)| number + 1 == reading);
        match self.segments.last_mut().filter(|_| follows) {
            Some(segment) => segment.push((at, shown)),
            None => self.segments.push(vec![(at, shown)]),
        }
    }
}

/// The rate of a counter between two of its values; `None` if no time lies between them, or if the
/// counter fell. The value is the sum over label sets: if one of them restarted or disappeared, the
/// remaining sum is not the increase since then.
fn per_second((before, earlier): (Ms, f64), (at, value): (Ms, f64)) -> Option<f64> {
    let seconds = (at.as_f64() - before.as_f64()) / 1e3;
    let rise = value - earlier;
    (seconds > 0.0 && rise >= 0.0).then(|| rise / seconds)
}

/// The observed sources, each with its series and with its readings that had no value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Observations {
    /// The series, sorted by source and then by name.
    pub series: Vec<ObservedSeries>,
    /// Readings that failed: the source, and the instants.
    pub gaps: Vec<(String, Vec<Ms>)>,
}

impl Observations {
    /// Derives the series. If there are too many, the alphabetically first names are kept.
    pub(crate) fn of(readings: &[Reading]) -> Self {
        let mut sources: BTreeMap<&str, Source> = BTreeMap::new();
        for reading in readings {
            let name = reading.name.as_str();
            let full = sources.len() >= MOST_OBSERVED || name.len() > LONGEST_SERIES;
            if sources.contains_key(name) || !full {
                sources.entry(name).or_default().take(reading);
            }
        }
        let mut observations = Self::default();
        // The order in which sources are read within a second is arbitrary, so sort by name.
        for (name, source) in sources {
            let series = source.series.into_iter();
            let shown = series.filter(|(_, course)| !course.segments.is_empty());
            let series = shown.map(|((series, rate), course)| ObservedSeries {
                source: name.to_owned(),
                name: series,
                rate,
                segments: course.segments,
            });
            observations.series.extend(series);
            if !source.gaps.is_empty() {
                observations.gaps.push((name.to_owned(), source.gaps));
            }
        }
        observations
    }
}

impl Source {
    fn take(&mut self, reading: &Reading) {
        self.readings += 1;
        let gauges = reading.gauges.iter().map(|entry| (entry, false));
        let counters = reading.counters.iter().map(|entry| (entry, true));
        for ((name, value), rate) in gauges.chain(counters) {
            let key = (name.clone(), rate);
            let known = self.series.contains_key(&key);
            let full = self.series.len() >= MOST_SERIES || name.len() > LONGEST_SERIES;
            if known || !full {
                let course = self.series.entry(key).or_default();
                course.take(self.readings, reading.at_ms, *value, rate);
            }
        }
        if reading.gauges.is_empty() && reading.counters.is_empty() {
            self.gaps.push(reading.at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: &str = "x_total";

    fn at(seconds: f64) -> Ms {
        Ms::from_micros((seconds * 1e6) as i64)
    }

    fn reading(seconds: f64, gauge: Option<f64>, counter: Option<f64>) -> Reading {
        let of = |name: &str, value: Option<f64>| value.map(|value| (name.to_owned(), value));
        Reading {
            gauges: of("g", gauge).into_iter().collect(),
            counters: of(COUNTER, counter).into_iter().collect(),
            ..Reading::new("worker", at(seconds))
        }
    }

    fn counter(values: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
        let readings = values.iter().map(|(s, value)| reading(*s, None, *value));
        let observed = Observations::of(&readings.collect::<Vec<_>>());
        let Some(series) = observed.series.first() else {
            return Vec::new();
        };
        assert!(series.rate && series.name == COUNTER);
        let plain = |(at, value): &(Ms, f64)| (at.as_f64() / 1e3, *value);
        let segments = series.segments.iter();
        segments.map(|s| s.iter().map(plain).collect()).collect()
    }

    #[test]
    fn counters_become_rates() {
        for (name, values, expected) in [
            ("one value", vec![(0.0, Some(5.0))], vec![]),
            (
                "steady",
                vec![(0.0, Some(5.0)), (1.0, Some(6.0)), (3.0, Some(9.0))],
                vec![vec![(1.0, 1.0), (3.0, 1.5)]],
            ),
            (
                "one of its label sets, of 1,000, has disappeared",
                vec![
                    (0.0, Some(9_000.0)),
                    (1.0, Some(9_002.0)),
                    (2.0, Some(8_002.0)),
                    (3.0, Some(8_005.0)),
                    (4.0, Some(8_006.0)),
                ],
                vec![vec![(1.0, 2.0)], vec![(3.0, 3.0), (4.0, 1.0)]],
            ),
            (
                "the rate after a gap is the mean over the gap",
                vec![
                    (0.0, Some(0.0)),
                    (1.0, Some(1.0)),
                    (2.0, None),
                    (3.0, Some(5.0)),
                    (4.0, Some(6.0)),
                ],
                vec![vec![(1.0, 1.0)], vec![(3.0, 2.0), (4.0, 1.0)]],
            ),
            (
                "instants that do not rise",
                vec![(1.0, Some(1.0)), (1.0, Some(2.0)), (0.5, Some(3.0))],
                vec![],
            ),
        ] {
            assert_eq!(counter(&values), expected, "{name}");
        }
    }

    #[test]
    fn a_missing_value_interrupts_a_gauge() {
        let readings = [
            reading(0.0, Some(1.0), None),
            reading(1.0, Some(2.0), None),
            reading(2.0, None, None),
            reading(3.0, Some(4.0), None),
            // The endpoint answers, without this series.
            reading(4.0, None, Some(1.0)),
            reading(5.0, Some(6.0), None),
            // A value beyond `LARGEST` is a gap as well.
            reading(6.0, Some(1e300), None),
            reading(7.0, Some(8.0), None),
        ];
        let observed = Observations::of(&readings);
        assert_eq!(observed.gaps, [("worker".to_owned(), vec![at(2.0)])]);
        let [series] = &observed.series[..] else {
            panic!("{observed:?}");
        };
        let expected = vec![
            vec![(at(0.0), 1.0), (at(1.0), 2.0)],
            vec![(at(3.0), 4.0)],
            vec![(at(5.0), 6.0)],
            vec![(at(7.0), 8.0)],
        ];
        assert!(!series.rate && series.segments == expected, "{series:?}");
        let within = |from, until| series.within(at(from), at(until)).collect::<Vec<_>>();
        assert_eq!(within(1.0, 5.0), [2.0, 4.0]);
        assert_eq!(within(7.5, 9.0), [0.0; 0]);
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let names = || (0..500).map(|nth| (format!("g{nth:03}"), 1.0));
        let readings: Vec<Reading> = (0..40)
            .map(|nth| Reading {
                gauges: names().collect(),
                ..Reading::new(&format!("s{}", nth % 20), at(f64::from(nth)))
            })
            .collect();
        let observed = Observations::of(&readings);
        assert_eq!(observed.series.len(), MOST_OBSERVED * MOST_SERIES);
        assert!(observed.series.iter().all(|s| s.points().count() == 2));
        let sources: Vec<&str> = observed.series.iter().map(|s| s.source.as_str()).collect();
        assert!(sources.is_sorted() && sources[0] == "s0", "{sources:?}");
        assert!(!sources.contains(&"s16"), "the first sixteen are kept");
    }
}
