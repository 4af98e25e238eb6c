//! Facts about processes and their threads, from /proc.
//!
//! In: process ids. Out: processor time, memory, threads, child processes, the listener on a port.
//! Invariant: a figure that cannot be read is `None`, never 0.

use crate::os::facts::{ProcessUsage, ThreadTimes, Usage, descendants};
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, Stat, Task, all_processes};
use std::collections::BTreeMap;
use std::time::Duration;

/// Usage of a process so far.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let process = process(pid)?;
    Some(Usage {
        cpu: cpu_time(&process.stat().ok()?),
        rss_bytes: process.status().ok()?.vmrss? * 1_024,
    })
}

/// Processor time of this process.
pub(crate) fn own_cpu_time() -> Option<Duration> {
    Some(cpu_time(&Process::myself().ok()?.stat().ok()?))
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    let memory = Process::myself().ok()?.statm().ok()?;
    Some(memory.resident * procfs::page_size())
}

/// The live threads of this process whose name begins with `prefix`. The keys increase in the
/// order in which the threads started.
pub(crate) fn threads(prefix: &str) -> BTreeMap<u64, ThreadTimes> {
    let tasks = Process::myself().and_then(|me| me.tasks());
    let times = |task: Task| {
        let stat = task.stat().ok();
        let stat = stat.filter(|stat| stat.comm.starts_with(prefix))?;
        let waited = task.schedstat().ok().map(|s| s.run_delay);
        let times = ThreadTimes {
            used: cpu_time(&stat),
            waited: waited.map(Duration::from_nanos),
        };
        Some((u64::try_from(task.tid).ok()?, times))
    };
    // A thread may end while the list is read.
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(times).collect()
}

/// When a process started, in kernel ticks since the boot; `None` if there is no such process.
/// Id and start together identify a process, because ids are reused.
pub(crate) fn process_start(pid: u32) -> Option<u64> {
    Some(process(pid)?.stat().ok()?.starttime)
}

/// Whether this process was started to outlive its terminal, for example by nohup.
pub(crate) fn hang_ups_are_ignored() -> bool {
    let own = Process::myself().and_then(|process| process.status());
    let bit = 1 << (libc::SIGHUP - 1);
    own.is_ok_and(|status| status.sigign & bit != 0)
}

/// A child of a process: the first one found.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    let is_child = |process: &Process| {
        let parent_of = process.stat().map(|stat| stat.ppid);
        parent_of.is_ok_and(|pid| u32::try_from(pid) == Ok(parent))
    };
    processes().find(is_child).and_then(pid)
}

/// Usage of a process and, with `children`, of all its descendants; empty if there is no such
/// process.
pub(crate) fn family(root: u32, children: bool) -> Vec<ProcessUsage> {
    let usage = |process: Process| {
        let stat = process.stat().ok()?;
        let of_process = ProcessUsage {
            pid: u32::try_from(stat.pid).ok()?,
            start: stat.starttime,
            usage: Usage {
                cpu: cpu_time(&stat),
                rss_bytes: stat.rss * procfs::page_size(),
            },
        };
        // A process that has ended but has not been waited for is left out.
        let is_alive = !matches!(stat.state, 'Z' | 'X');
        is_alive.then_some((of_process, u32::try_from(stat.ppid).unwrap_or(0)))
    };
    let found = match children {
        true => processes().filter_map(usage).collect(),
        false => process(root).and_then(usage).into_iter().collect(),
    };
    descendants(root, found)
}

/// The process that listens on a local TCP port, if its file descriptors are readable to us.
pub(crate) fn tcp_listener(port: u16) -> Option<u32> {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    let socket = tables
        .into_iter()
        .flatten()
        .flatten()
        .find(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)?;
    let holds = |process: &Process| {
        let open = process.fd().into_iter().flatten().flatten();
        open.into_iter()
            .any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inode == socket.inode))
    };
    processes().find(holds).and_then(pid)
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn cpu_time(stat: &Stat) -> Duration {
    let ticks = (stat.utime + stat.stime) as f64;
    Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
}

fn processes() -> impl Iterator<Item = Process> {
    // A process may end while the list is read.
    all_processes().into_iter().flatten().flatten()
}

fn pid(process: Process) -> Option<u32> {
    u32::try_from(process.pid).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_owner_of_a_port_is_found() {
        let server = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = server.local_addr().expect("address").port();
        assert_eq!(tcp_listener(port), Some(std::process::id()));
        drop(server);
        assert_eq!(tcp_listener(port), None);
    }
}
