//! Facts that a system reports about processes, threads and the machine.

use std::collections::BTreeMap;
use std::time::Duration;

/// Usage of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system processor time.
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
}

/// Usage of one of several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    pub(crate) pid: u32,
    /// When the process started. Id and start together identify a process, because ids are reused.
    pub(crate) start: u64,
    pub(crate) usage: Usage,
}

/// The process `root` and its descendants among `all`, in which each process is paired with the id
/// of its parent; empty if `root` is not among them.
pub(super) fn descendants(root: u32, all: Vec<(ProcessUsage, u32)>) -> Vec<ProcessUsage> {
    let mut children: BTreeMap<u32, Vec<ProcessUsage>> = BTreeMap::new();
    let mut found = Vec::new();
    for (process, parent) in all {
        match process.pid == root {
            true => found.push(process),
            false => children.entry(parent).or_default().push(process),
        }
    }
    let mut next = 0;
    while let Some(process) = found.get(next) {
        // Each list is taken once, so that ids that are reused meanwhile cannot form a cycle.
        found.extend(children.remove(&process.pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Accumulated times of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ThreadTimes {
    /// Processor time.
    pub(crate) used: Duration,
    /// Time for which the thread was runnable but waited for a core.
    pub(crate) waited: Option<Duration>,
}

/// Accumulated processor time of the machine, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MachineTimes {
    pub(crate) all: u64,
    /// Time for which the hypervisor ran something else (steal).
    pub(crate) stolen: u64,
}

/// A machine, identified together with its current boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Host name; containers have their own.
    pub(crate) host: String,
    /// Identifies the current boot; containers share it with their host.
    pub(crate) id: String,
}

/// Processor cores that this process may run on; 1 if the system does not report their number.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
