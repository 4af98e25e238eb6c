//! Series that are observed during a run besides the calls: bounds, and the recognised series.
//!
//! In: the name of a series. Out: its kind, description and unit. Invariant: every
//! recognised series is listed once, here; scraping, reports and the capacity search read this
//! table.

use SeriesKind::{Counter, Gauge};

/// Maximum number of endpoints and processes that a scenario may observe.
pub(crate) const MOST_OBSERVED: usize = 16;
/// Maximum number of series of each endpoint or process.
pub(crate) const MOST_SERIES: usize = 64;
/// Longest name of a series, in bytes.
pub(crate) const LONGEST_SERIES: usize = 200;

/// Processor time of a process, in seconds; also recorded for observed processes.
pub(crate) const CPU: &str = "process_cpu_seconds_total";
/// Resident memory of a process, in bytes; also recorded for observed processes.
pub(crate) const MEMORY: &str = "process_resident_memory_bytes";

/// The kind of a series: how its values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesKind {
    /// The values may rise and fall, and are shown unchanged.
    Gauge,
    /// The values only rise, and are shown as a rate per second.
    Counter,
}

/// A series that is recorded even if the scenario does not list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSeries {
    /// Name of the series at the endpoint.
    pub name: &'static str,
    /// Kind of the series, even if the endpoint declares no types.
    pub kind: SeriesKind,
    /// Description of the series, as shown in reports.
    pub words: &'static str,
    /// Unit as shown; empty for counts.
    pub unit: &'static str,
    /// Number of the series' own units in one shown unit.
    pub divisor: u32,
}

const fn known(name: &'static str, kind: SeriesKind, words: &'static str) -> KnownSeries {
    KnownSeries {
        name,
        kind,
        words,
        unit: "",
        divisor: 1,
    }
}

/// The recognised series, in the order in which reports show them.
pub(crate) const KNOWN_SERIES: &[KnownSeries] = &[
    // Client libraries for Python, Go and others; the rate of processor seconds is a number of
    // cores.
    KnownSeries {
        unit: "cores",
        ..known(CPU, Counter, "CPU")
    },
    KnownSeries {
        unit: "MiB",
        divisor: 1 << 20,
        ..known(MEMORY, Gauge, "memory")
    },
    // livekit-agents.
    KnownSeries {
        unit: "of 1",
        ..known("lk_agents_worker_load", Gauge, "load")
    },
    known("lk_agents_active_job_count", Gauge, "active jobs"),
    known("lk_agents_child_process_count", Gauge, "child processes"),
    // livekit-server, which names gauges like counters and counters like gauges.
    known("livekit_room_total", Gauge, "rooms"),
    known("livekit_participant_total", Gauge, "participants"),
    KnownSeries {
        unit: "a second",
        ..known("livekit_node_messages", Counter, "signalling messages")
    },
];

/// The recognised series of this name.
pub(crate) fn known_series(name: &str) -> Option<&'static KnownSeries> {
    KNOWN_SERIES.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_is_recognised_once() {
        for (nth, series) in KNOWN_SERIES.iter().enumerate() {
            assert_eq!(known_series(series.name), Some(&KNOWN_SERIES[nth]));
            assert!(series.name.len() <= LONGEST_SERIES && series.divisor > 0);
        }
        assert_eq!(known_series("up"), None);
        assert!(KNOWN_SERIES.len() < MOST_SERIES);
    }
}
