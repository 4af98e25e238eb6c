//! Bounds the memory that the readings of a run take.
//!
//! In: readings, in the order of the file. Out: as many of them as fit within the bound.
//! Invariants: if there are too many, every second one of each source is kept, or every fourth, and
//! so on, which preserves the shape of gauges and the rise of counters; the first reading of each
//! source is always kept, whatever its size (at most the maximum length of a line); sources beyond
//! [`MOST_OBSERVED`] are left out.

use super::observed::Reading;
use crate::vocab::observed::MOST_OBSERVED;
use std::collections::HashMap;

/// Maximum memory that readings may take, in bytes. At most 16 sources with 64 series each are
/// observed; this is room for more than 600 readings of each, several times as many as a chart can
/// show. A typical run of four sources is kept whole for about seven hours.
const LARGEST: usize = 64 << 20;
/// Memory for a reading without its values, and for a value without its name.
const OF_READING: usize = 160;
const OF_VALUE: usize = 64;

/// The readings kept so far.
#[derive(Debug)]
pub(super) struct Thinned {
    largest: usize,
    /// The number of the last reading of each source, from 0.
    sources: HashMap<String, u64>,
    /// The readings that are kept, each with its number within its source.
    kept: Vec<(u64, Reading)>,
    /// Memory that the kept readings take, in bytes.
    bytes: usize,
    /// Readings whose number is a multiple of this are kept.
    every: u64,
}

impl Default for Thinned {
    fn default() -> Self {
        Self {
            largest: LARGEST,
            sources: HashMap::new(),
            kept: Vec::new(),
            bytes: 0,
            every: 1,
        }
    }
}

impl Thinned {
    pub(super) fn take(&mut self, reading: Reading) {
        let Some(number) = self.number(&reading.name) else {
            return;
        };
        if !number.is_multiple_of(self.every) {
            return;
        }
        self.bytes += size(&reading);
        self.kept.push((number, reading));
        if self.bytes > self.largest {
            self.every = self.every.saturating_mul(2);
            let every = self.every;
            self.kept.retain(|(number, _)| number.is_multiple_of(every));
            self.bytes = self.kept.iter().map(|(_, reading)| size(reading)).sum();
        }
    }

    /// The number of the next reading of a source, from 0; `None` if there are too many sources.
    fn number(&mut self, source: &str) -> Option<u64> {
        if let Some(number) = self.sources.get_mut(source) {
            *number += 1;
            return Some(*number);
        }
        let room = self.sources.len() < MOST_OBSERVED;
        room.then(|| *self.sources.entry(source.to_owned()).or_insert(0))
    }

    pub(super) fn into_readings(self) -> Vec<Reading> {
        self.kept.into_iter().map(|(_, reading)| reading).collect()
    }
}

/// Approximate memory of a reading, in bytes.
fn size(reading: &Reading) -> usize {
    let names = reading.gauges.keys().chain(reading.counters.keys());
    let values: usize = names.map(|name| name.len() + OF_VALUE).sum();
    let gap = reading.gap.as_ref().map_or(0, String::len);
    OF_READING + reading.name.len() + gap + values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ms;

    fn reading(name: &str, second: i64) -> Reading {
        Reading {
            counters: [("c_total".to_owned(), second as f64)].into(),
            ..Reading::new(name, Ms::from_micros(second * 1_000_000))
        }
    }

    #[test]
    fn every_second_reading_of_each_source_is_kept_once_there_are_too_many() {
        let largest = 100 * size(&reading("a", 0));
        let mut thinned = Thinned {
            largest,
            ..Thinned::default()
        };
        // The second source begins later, with an odd number of readings before it.
        for second in 0..451 {
            thinned.take(reading("a", second));
            if second >= 7 {
                thinned.take(reading("b", second));
            }
            assert!(thinned.bytes <= largest, "at {second} s");
        }
        let kept = thinned.into_readings();
        let of = |name: &str| -> Vec<f64> {
            let own = kept.iter().filter(|reading| reading.name == name);
            own.map(|reading| reading.counters["c_total"]).collect()
        };
        let expected = |first: u32| -> Vec<f64> {
            let seconds = (first..451).step_by(16);
            seconds.map(f64::from).collect()
        };
        assert_eq!(of("a"), expected(0));
        assert_eq!(of("b"), expected(7));
        assert!(kept.is_sorted_by_key(|reading| reading.at_ms));
    }

    #[test]
    fn sources_beyond_the_maximum_are_left_out() {
        let mut thinned = Thinned::default();
        for nth in 0..100 {
            thinned.take(reading(&format!("s{nth}"), nth));
        }
        assert_eq!(thinned.into_readings().len(), MOST_OBSERVED);
        // Readings larger than the bound are thinned as well.
        let mut thinned = Thinned {
            largest: 1,
            ..Thinned::default()
        };
        (0..200).for_each(|second| thinned.take(reading("a", second)));
        assert_eq!(thinned.into_readings(), [reading("a", 0)]);
    }
}
