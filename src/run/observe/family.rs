//! Processor time and memory of a process and, if configured, of its descendants.
//!
//! In: the system's figures about each of these processes, read repeatedly. Out: the same two
//! series that Prometheus client libraries report about their own process. Invariants: the
//! processor time never falls, even when processes end; a process that has reused the id of the
//! observed process is not mistaken for it.

use super::exposition::Values;
use crate::os::{self, ProcessUsage};
use crate::vocab::observed::{CPU, MEMORY};
use std::collections::BTreeMap;
use std::time::Duration;

/// A process under observation.
#[derive(Debug)]
pub(super) struct Family {
    pid: u32,
    children: bool,
    /// When the process started; `None` until it has been found.
    start: Option<u64>,
    /// Processor time of each live process at the last reading, by id and start.
    last: BTreeMap<(u32, u64), Duration>,
    /// Processor time of all processes so far, including those that have ended.
    cpu: Duration,
}

impl Family {
    pub(super) fn new(pid: u32, children: bool) -> Self {
        Self {
            pid,
            children,
            start: None,
            last: BTreeMap::new(),
            cpu: Duration::ZERO,
        }
    }

    /// Reads the processes; `None` if the observed process does not exist, or no longer exists.
    pub(super) fn read(&mut self) -> Option<Values> {
        let found = os::family(self.pid, self.children);
        self.take(&found)
    }

    fn take(&mut self, found: &[ProcessUsage]) -> Option<Values> {
        let root = found.iter().find(|process| process.pid == self.pid)?;
        if root.start != *self.start.get_or_insert(root.start) {
            return None;
        }
        let mut now = BTreeMap::new();
        for process in found {
            let id = (process.pid, process.start);
            // All processor time of a new process was used since the last reading.
            let before = self.last.get(&id).copied().unwrap_or_default();
            self.cpu += process.usage.cpu.saturating_sub(before);
            now.insert(id, process.usage.cpu);
        }
        self.last = now;
        let memory: u64 = found.iter().map(|process| process.usage.rss_bytes).sum();
        Some(Values {
            gauges: [(MEMORY.to_owned(), memory as f64)].into(),
            counters: [(CPU.to_owned(), self.cpu.as_secs_f64())].into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Usage;

    fn process(pid: u32, start: u64, cpu_ms: u64) -> ProcessUsage {
        ProcessUsage {
            pid,
            start,
            usage: Usage {
                cpu: Duration::from_millis(cpu_ms),
                rss_bytes: 1 << 20,
            },
        }
    }

    /// Processor time in ms, and memory in MiB.
    fn figures(values: Option<Values>) -> Option<(u64, u64)> {
        let values = values?;
        let (cpu, memory) = (values.counters[CPU], values.gauges[MEMORY]);
        Some(((cpu * 1e3).round() as u64, memory as u64 >> 20))
    }

    #[test]
    fn processor_time_of_ended_processes_is_kept() {
        let mut family = Family::new(7, true);
        let mut take = |found: &[ProcessUsage]| figures(family.take(found));
        assert_eq!(take(&[process(7, 1, 100)]), Some((100, 1)));
        // A child process starts, works and ends; then another process gets the same id.
        assert_eq!(
            take(&[process(7, 1, 110), process(8, 2, 500)]),
            Some((610, 2))
        );
        assert_eq!(
            take(&[process(7, 1, 110), process(8, 2, 900)]),
            Some((1010, 2))
        );
        assert_eq!(take(&[process(7, 1, 120)]), Some((1020, 1)));
        assert_eq!(
            take(&[process(7, 1, 120), process(8, 3, 50)]),
            Some((1070, 2))
        );
    }

    #[test]
    fn a_process_that_reuses_the_id_is_not_the_observed_process() {
        let mut family = Family::new(7, false);
        assert_eq!(family.take(&[]), None, "it has not started yet");
        assert_eq!(figures(family.take(&[process(7, 1, 10)])), Some((10, 1)));
        assert_eq!(family.take(&[]), None);
        assert_eq!(family.take(&[process(7, 2, 5)]), None, "a reused id");
    }

    #[test]
    fn this_process_is_observed_with_its_child() {
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "read _"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let memory = |children| {
            let values = Family::new(std::process::id(), children).read();
            values.expect("this process exists").gauges[MEMORY]
        };
        let (alone, both) = (memory(false), memory(true));
        let _ = shell.kill();
        let _ = shell.wait();
        assert!(alone > 0.0 && both > alone, "{alone} {both}");
        let gone = Family::new(shell.id(), true).read();
        assert_eq!(gone, None, "the child has exited and been reaped");
    }
}
