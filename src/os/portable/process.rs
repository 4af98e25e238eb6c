//! Facts about processes, from getrusage, sysinfo and a shell.
//!
//! In: process ids. Out: processor time, memory, child processes.
//! Invariant: a figure that cannot be read is `None`, never 0.

use crate::os::facts::{ProcessUsage, Usage, descendants};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::process::{Command, Stdio};
use std::time::Duration;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

/// Reads a process with sysinfo: the figures that `kind` selects.
fn look_at(pid: u32, kind: ProcessRefreshKind) -> Option<System> {
    let mut system = System::new();
    let only = [Pid::from_u32(pid)];
    let found = system.refresh_processes_specifics(ProcessesToUpdate::Some(&only), true, kind);
    (found > 0).then_some(system)
}

/// Usage of a process so far.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let system = look_at(pid, ProcessRefreshKind::nothing().with_cpu().with_memory())?;
    let process = system.process(Pid::from_u32(pid))?;
    Some(Usage {
        cpu: Duration::from_millis(process.accumulated_cpu_time()),
        rss_bytes: Some(process.memory()).filter(|bytes| *bytes > 0)?,
    })
}

/// Processor time of this process.
pub(crate) fn own_cpu_time() -> Option<Duration> {
    let own = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some(duration(own.user_time()) + duration(own.system_time()))
}

fn duration(time: TimeVal) -> Duration {
    let whole = Duration::from_secs(time.tv_sec().max(0) as u64);
    whole + Duration::from_micros(time.tv_usec().max(0) as u64)
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    let pid = std::process::id();
    let system = look_at(pid, ProcessRefreshKind::nothing().with_memory())?;
    let bytes = system.process(Pid::from_u32(pid))?.memory();
    Some(bytes).filter(|bytes| *bytes > 0)
}

/// When a process started, in seconds since 1970; `None` if there is no such process. Id and
/// start together identify a process, because ids are reused.
pub(crate) fn process_start(pid: u32) -> Option<u64> {
    let system = look_at(pid, ProcessRefreshKind::nothing())?;
    Some(system.process(Pid::from_u32(pid))?.start_time())
}

/// Whether this process was started to outlive its terminal, for example by nohup. Call this before
/// the process starts to handle hang-ups itself.
///
/// A child inherits ignored signals: a shell that sends itself a hang-up survives if hang-ups are
/// ignored.
pub(crate) fn hang_ups_are_ignored() -> bool {
    survives_hang_up(Command::new("/bin/sh"))
}

fn survives_hang_up(mut shell: Command) -> bool {
    shell.args(["-c", "kill -HUP $$"]);
    shell.stdin(Stdio::null()).stdout(Stdio::null());
    let status = shell.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A child of a process: the first one found.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let parent = Some(Pid::from_u32(parent));
    let mut all = system.processes().values();
    all.find(|process| process.parent() == parent)
        .map(|process| process.pid().as_u32())
}

/// Usage of a process and, with `children`, of all its descendants; empty if there is no such
/// process.
pub(crate) fn family(root: u32, children: bool) -> Vec<ProcessUsage> {
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing()
        .with_cpu()
        .with_memory()
        .without_tasks();
    let only = [Pid::from_u32(root)];
    let which = match children {
        true => ProcessesToUpdate::All,
        false => ProcessesToUpdate::Some(&only),
    };
    system.refresh_processes_specifics(which, true, kind);
    let usage = |process: &Process| {
        let of_process = ProcessUsage {
            pid: process.pid().as_u32(),
            start: process.start_time(),
            usage: Usage {
                cpu: Duration::from_millis(process.accumulated_cpu_time()),
                rss_bytes: process.memory(),
            },
        };
        (of_process, process.parent().map_or(0, Pid::as_u32))
    };
    let ended = |process: &&Process| {
        matches!(
            process.status(),
            ProcessStatus::Zombie | ProcessStatus::Dead
        )
    };
    let alive = system.processes().values().filter(|p| !ended(p));
    descendants(root, alive.map(usage).collect())
}

/// The process that listens on a local TCP port: not known.
pub(crate) fn tcp_listener(_port: u16) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_hang_ups_are_detected() {
        assert!(!survives_hang_up(Command::new("/bin/sh")));
        let mut nohup = Command::new("/bin/sh");
        nohup.args(["-c", "trap '' HUP; exec /bin/sh \"$@\"", "sh"]);
        assert!(survives_hang_up(nohup));
    }
}
