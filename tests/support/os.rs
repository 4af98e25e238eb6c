//! The parts of the harness that differ between operating systems.
//!
//! In: process ids. Out: whether processes have ended, and their children. Invariant: no other test
//! file has `cfg` conditions on the operating system; tests that read /proc need Linux.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

pub use system::{children, die_with_parent, is_zombie, members_of_group, pin};

/// Whether a process with this id exists (a zombie does).
pub fn is_running(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH)
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    use nix::unistd::Pid;
    use std::io;

    /// To be called in a child between fork and exec: the kernel will kill the child when the
    /// thread that started the child ends.
    pub fn die_with_parent() -> io::Result<()> {
        Ok(set_pdeathsig(Signal::SIGKILL)?)
    }

    /// Whether a child of ours has ended but has not been reaped; does not reap it.
    pub fn is_zombie(child: u32) -> io::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(Pid::from_raw(child.cast_signed())), flags)?;
        Ok(status != WaitStatus::StillAlive)
    }

    /// Process ids of the living children of `parent`.
    pub fn children(parent: u32) -> Vec<u32> {
        living(1, parent)
    }

    /// Process ids of the living processes in the process group `group`.
    pub fn members_of_group(group: u32) -> Vec<u32> {
        living(2, group)
    }

    /// Process ids of the living processes with `value` in this field of /proc/PID/stat, counted
    /// from the state.
    fn living(field: usize, value: u32) -> Vec<u32> {
        let entries = std::fs::read_dir("/proc").expect("/proc");
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // "pid (name) state ppid pgrp …", where the name may contain anything.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = rest.split_whitespace().collect();
            fields.first() != Some(&"Z") && fields.get(field) == Some(&value.to_string().as_str())
        })
        .collect()
    }

    /// Binds a thread (0: this one) to one core.
    pub fn pin(thread: i32, core: usize) {
        let mut set = CpuSet::new();
        set.set(core).expect("a core that exists");
        // The thread may have ended.
        let _ = sched_setaffinity(Pid::from_raw(thread), &set);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::process::Command;

    /// Does nothing: children outlive a test process that is killed.
    pub fn die_with_parent() -> io::Result<()> {
        Ok(())
    }

    /// The output of `ps` with these arguments.
    fn ps(arguments: &[&str]) -> io::Result<String> {
        let output = Command::new("ps").args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether a child of ours has ended but has not been reaped; does not reap it.
    pub fn is_zombie(child: u32) -> io::Result<bool> {
        let state = ps(&["-o", "stat=", "-p", &child.to_string()])?;
        Ok(state.trim_start().starts_with('Z'))
    }

    /// Process ids of the living children of `parent`.
    pub fn children(parent: u32) -> Vec<u32> {
        living("ppid=", parent)
    }

    /// Process ids of the living processes in the process group `group`.
    pub fn members_of_group(group: u32) -> Vec<u32> {
        living("pgid=", group)
    }

    /// Process ids of the living processes with `value` in this column.
    fn living(column: &str, value: u32) -> Vec<u32> {
        let all = ps(&["-axo", &format!("pid=,{column},stat=")]).expect("ps");
        let found = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [pid, of, state] = fields[..] else {
                return None;
            };
            let matches = of == value.to_string() && !state.starts_with('Z');
            pid.parse().ok().filter(|_| matches)
        };
        all.lines().filter_map(found).collect()
    }

    /// Does nothing: threads cannot be bound to a core.
    pub fn pin(_thread: i32, _core: usize) {}
}
