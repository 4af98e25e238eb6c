//! Facts that a system reports about processes, threads and the machine.

use std::time::Duration;

/// Usage of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system processor time.
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
}

/// Accumulated times of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ThreadTimes {
    /// Processor time.
    pub(crate) used: Duration,
    /// Time that it was runnable but waited for a core.
    pub(crate) waited: Option<Duration>,
}

/// Accumulated processor time of the machine, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MachineTimes {
    pub(crate) all: u64,
    /// Time that the machine's host gave to others (steal).
    pub(crate) stolen: u64,
}

/// A machine, identified together with its current boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Its host name; containers have their own.
    pub(crate) host: String,
    /// Identifies the current boot; containers share it with their host.
    pub(crate) id: String,
}

/// Processor cores that this process may run on; 1 if the system does not report their number.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
