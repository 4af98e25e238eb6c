//! Reads the resource usage of processes from Linux's /proc.
//!
//! In: process ids. Out: CPU time, resident memory, child processes, the listener on a port.
//! Invariant: a figure that cannot be read is `None`, never 0.

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, Stat, all_processes};
use std::time::Duration;

/// Usage of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system CPU time.
    pub cpu: Duration,
    pub rss_bytes: u64,
}

impl Usage {
    pub(super) fn of(pid: u32) -> Option<Self> {
        let process = process(pid)?;
        Some(Self {
            cpu: cpu(&process.stat().ok()?),
            rss_bytes: process.status().ok()?.vmrss? * 1_024,
        })
    }
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn cpu(stat: &Stat) -> Duration {
    let ticks = (stat.utime + stat.stime) as f64;
    Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
}

/// A child of a process: the first one found.
pub(super) fn child(parent: u32) -> Option<u32> {
    let is_child = |process: &Process| {
        let parent_of = process.stat().map(|stat| stat.ppid);
        parent_of.is_ok_and(|pid| u32::try_from(pid) == Ok(parent))
    };
    processes().find(is_child).and_then(pid)
}

fn processes() -> impl Iterator<Item = Process> {
    // A process may end while the list is read.
    all_processes().into_iter().flatten().flatten()
}

fn pid(process: Process) -> Option<u32> {
    u32::try_from(process.pid).ok()
}

/// The process that listens on a local TCP port, if its file descriptors are readable to us.
pub(super) fn listener(port: u16) -> Option<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn memory_of_a_process_and_the_owner_of_a_port_are_found() {
        let me = std::process::id();
        let usage = Usage::of(me).expect("/proc");
        assert!(usage.rss_bytes > 1 << 20);
        let server = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = server.local_addr().expect("address").port();
        assert_eq!(listener(port), Some(me));
        drop(server);
        assert_eq!(listener(port), None);
    }

    #[test]
    fn a_child_is_found() {
        let mut sleeper = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let found = child(std::process::id());
        let _ = sleeper.kill();
        let _ = sleeper.wait();
        assert!(found.is_some());
    }
}
