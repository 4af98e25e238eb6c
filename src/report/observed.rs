//! The titles and units of observed series.
//!
//! In: series of endpoints and processes. Out: the same series in display order, each with a title.
//! Invariant: the meaning of a recognised series comes from one table, [`KNOWN_SERIES`].

use super::text::grouped;
use crate::record::ObservedSeries;
use crate::vocab::observed::{KNOWN_SERIES, KnownSeries, SeriesKind, known_series};

/// The meaning of a series, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning<'a> {
    name: &'a str,
    /// Whether the values are rates per second.
    rate: bool,
    known: Option<&'static KnownSeries>,
}

impl<'a> Meaning<'a> {
    pub(crate) fn of(name: &'a str, rate: bool) -> Self {
        // An endpoint may use a recognised name for a series of another kind.
        let same_kind = |known: &&KnownSeries| (known.kind == SeriesKind::Counter) == rate;
        let known = known_series(name).filter(same_kind);
        Self { name, rate, known }
    }

    /// The rank of the series within its source: the recognised ones come first.
    pub(crate) fn rank(&self) -> usize {
        let place = |known| KNOWN_SERIES.iter().position(|k| k == known);
        self.known.and_then(place).unwrap_or(KNOWN_SERIES.len())
    }

    /// Title of the series, with the unit: `CPU, cores`.
    pub(crate) fn words(&self) -> String {
        match self.known {
            Some(known) if known.unit.is_empty() => known.words.to_owned(),
            Some(known) => format!("{}, {}", known.words, known.unit),
            None if self.rate => format!("{}, a second", self.name),
            None => self.name.to_owned(),
        }
    }

    /// A value in the unit of [`Self::words`].
    pub(crate) fn scaled(&self, value: f64) -> f64 {
        value / self.known.map_or(1.0, |known| f64::from(known.divisor))
    }

    /// /// A value in the unit of [`Self::words`] as text, with three significant digits or as a
    /// whole number.
    pub(crate) fn text(&self, value: f64) -> String {
        let value = self.scaled(value);
        let size = value.abs();
        let sign = if value < 0.0 { "−" } else { "" };
        match size {
            _ if size >= 99.95 => format!("{sign}{}", grouped(size.round() as u64)),
            _ if size >= 9.995 => format!("{sign}{size:.1}"),
            _ => format!("{sign}{size:.2}"),
        }
    }
}

/// Series with their meanings: in the order of their sources; of each source, the recognised ones
/// come first.
pub(crate) fn in_order(series: &[ObservedSeries]) -> Vec<(&ObservedSeries, Meaning<'_>)> {
    let mut sources: Vec<&str> = Vec::new();
    for one in series {
        if !sources.contains(&one.source.as_str()) {
            sources.push(&one.source);
        }
    }
    let named = series.iter();
    let mut all: Vec<_> = named
        .map(|one| (one, Meaning::of(&one.name, one.rate)))
        .collect();
    // Stable: the others stay in the order of their names.
    all.sort_by_key(|(one, meaning)| {
        let source = sources.iter().position(|s| *s == one.source);
        (source, meaning.rank())
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognised_series_come_first_in_words_and_units() {
        let series = |source: &str, name: &str, rate| ObservedSeries {
            source: source.into(),
            name: name.into(),
            rate,
            segments: Vec::new(),
        };
        let all = [
            series("server", "a_total", true),
            series("server", "livekit_room_total", false),
            series("server", "livekit_room_total", true),
            series("server", "process_cpu_seconds_total", true),
            series("agent", "process_resident_memory_bytes", false),
            series("agent", "b", false),
        ];
        let ordered = in_order(&all);
        let told = ordered.iter();
        let told = told.map(|(one, meaning)| format!("{}: {}", one.source, meaning.words()));
        let expected = [
            "server: CPU, cores",
            "server: rooms",
            "server: a_total, a second",
            "server: livekit_room_total, a second",
            "agent: memory, MiB",
            "agent: b",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let (memory, other) = (ordered[4].1, ordered[5].1);
        assert_eq!(memory.text(f64::from(3 << 20)), "3.00");
        for (value, text) in [
            (0.0, "0.00"),
            (0.974, "0.97"),
            (12.34, "12.3"),
            (99.96, "100"),
            (-1_234.5, "−1,235"),
            (1e15, "1,000,000,000,000,000"),
        ] {
            assert_eq!(other.text(value), text);
        }
    }
}
