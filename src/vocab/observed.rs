//! What is observed during a run besides the calls: bounds, and the series that are recognised.
//!
//! In: the name of a series. Out: what it means, in words and with its unit. Invariant: every
//! recognised series is listed once, here; scraping, reports and the capacity search read this
//! table.

/// Maximum number of endpoints and processes that a scenario may observe.
pub(crate) const MOST_OBSERVED: usize = 16;
/// Maximum number of series of each.
pub(crate) const MOST_SERIES: usize = 64;
/// Longest name of a series, in bytes.
pub(crate) const LONGEST_SERIES: usize = 200;

/// Processor time of a process, in seconds; also recorded for observed processes.
pub(crate) const CPU: &str = "process_cpu_seconds_total";
/// Resident memory of a process, in bytes; also recorded for observed processes.
pub(crate) const MEMORY: &str = "process_resident_memory_bytes";

/// A series that is recorded without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSeries {
    /// Its name at the endpoint.
    pub name: &'static str,
    /// What it shows, in words.
    pub words: &'static str,
    /// Its unit as shown; empty for numbers of things.
    pub unit: &'static str,
    /// How many of its own units one shown unit is.
    pub divisor: u32,
}

const fn known(name: &'static str, words: &'static str, unit: &'static str) -> KnownSeries {
    KnownSeries {
        name,
        words,
        unit,
        divisor: 1,
    }
}

/// The recognised series, in the order in which reports show them.
pub(crate) const KNOWN_SERIES: &[KnownSeries] = &[
    // Client libraries for Python, Go and others; the rate of processor seconds is a number of
    // cores.
    known(CPU, "CPU", "cores"),
    KnownSeries {
        divisor: 1 << 20,
        ..known(MEMORY, "memory", "MiB")
    },
    // livekit-agents.
    known("lk_agents_worker_load", "load", "of 1"),
    known("lk_agents_active_job_count", "active jobs", ""),
    known("lk_agents_child_process_count", "child processes", ""),
    // livekit-server.
    known("livekit_room_total", "rooms", ""),
    known("livekit_participant_total", "participants", ""),
    known("livekit_node_messages", "signalling messages", "a second"),
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
