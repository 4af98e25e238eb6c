//! Reads the resource usage of processes from Linux's /proc.
//!
//! In: process ids. Out: CPU time, resident memory, child processes, the listener on a port.
//! Invariant: a figure that cannot be read is `None`, never 0.

use std::fs;
use std::time::Duration;

/// Kernel ticks per second in /proc (USER_HZ, fixed at 100 on Linux).
const USER_HZ: f64 = 100.0;

/// Usage of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system CPU time.
    pub cpu: Duration,
    pub rss_bytes: u64,
}

impl Usage {
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self {
            cpu: cpu(&stat)?,
            rss_bytes: rss(&status)?,
        })
    }
}

fn fields(stat: &str) -> impl Iterator<Item = &str> {
    // The command name may contain spaces: count fields from its closing parenthesis.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    fields.split_whitespace()
}

fn cpu(stat: &str) -> Option<Duration> {
    let mut ticks = fields(stat).skip(11);
    let user: f64 = ticks.next()?.parse().ok()?;
    let system: f64 = ticks.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) / USER_HZ))
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// The first child found of a process.
pub(super) fn child(parent: u32) -> Option<u32> {
    processes().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        fields(&stat).nth(1).and_then(|p| p.parse().ok()) == Some(parent)
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The process that listens on a local TCP port, if its file descriptors are readable to us.
pub(super) fn listener(port: u16) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|file| {
            let table = fs::read_to_string(file).ok()?;
            let inode = table.lines().find_map(|line| listening_inode(line, port));
            inode.map(str::to_owned)
        })?;
    let wanted = format!("socket:[{inode}]");
    processes().find(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        open.flatten()
            .filter_map(|e| fs::read_link(e.path()).ok())
            .any(|to| to.as_os_str() == wanted.as_str())
    })
}

/// Inode of the socket in a line of /proc/net/tcp, if it listens (state 0A) on `port`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let (_, local) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let matches = u16::from_str_radix(local, 16) == Ok(port) && state == "0A";
    fields.nth(5).filter(|_| matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn this_process_has_used_something_and_is_found_by_its_port() {
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

    #[test]
    fn names_with_spaces_do_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 10 0 0 0 250 50 0 0 20 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("nonsense"), None);
        assert_eq!(rss("VmPeak: 1 kB\nVmRSS:\t  12 kB\n"), Some(12_288));
    }
}
