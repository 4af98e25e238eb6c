//! Facts about the machine, from sysinfo.
//!
//! Invariant: what it does not know is `None`. Control groups are Linux's alone.

use crate::os::facts::{Boot, MachineTimes};
use sysinfo::{MemoryRefreshKind, System};

/// Memory in bytes that processes may still take.
pub(crate) fn free_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// Number of ports that the system gives to UDP sockets that ask for any: not known.
pub(crate) fn udp_ports() -> Option<u64> {
    None
}

/// Accumulated processor time of the machine: what its host takes is not known.
pub(crate) fn machine_times() -> Option<MachineTimes> {
    None
}

/// This machine, and its current boot.
pub(crate) fn boot() -> Option<Boot> {
    let since = Some(System::boot_time()).filter(|seconds| *seconds > 0)?;
    Some(Boot {
        host: System::host_name()?,
        id: format!("since {since}"),
    })
}

/// Memory in bytes that the limits of control groups leave: no limit is known.
pub(crate) fn group_free_memory() -> Option<u64> {
    None
}

/// Cores' worth of processor time that control groups allow: no limit is known.
pub(crate) fn cpu_limit() -> Option<f64> {
    None
}

/// Counts how often a limit on processor time is reached, where one is known.
#[derive(Debug, Clone)]
pub(crate) struct ThrottleMeter(());

impl ThrottleMeter {
    pub(crate) fn start() -> Self {
        Self(())
    }

    /// Cores' worth of time that this process may use.
    pub(crate) fn limit(&self) -> Option<f64> {
        cpu_limit()
    }

    /// Share of the periods since the start in which the process was held back.
    pub(crate) fn throttled(&self) -> Option<f64> {
        None
    }
}

/// Leaves free heap memory to the allocator: there is no common way to return it to the system.
pub(crate) fn release_free_memory() {}
