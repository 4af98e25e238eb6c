//! Facts about the machine, from sysinfo.
//!
//! Invariant: a fact that sysinfo does not report is `None`. Only Linux has control groups.

use crate::os::facts::{Boot, MachineTimes};
use sysinfo::{MemoryRefreshKind, System};

/// Memory, in bytes, that is still available to processes.
pub(crate) fn free_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// Number of ephemeral UDP ports: not known.
pub(crate) fn udp_ports() -> Option<u64> {
    None
}

/// Default size of a socket's receive buffer: not known.
pub(crate) fn receive_buffer() -> Option<u64> {
    None
}

/// Accumulated processor time of the machine: not known, because steal time is unknown.
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

/// Memory, in bytes, that is still free within the limits of control groups: no limit is known.
pub(crate) fn group_free_memory() -> Option<u64> {
    None
}

/// Processor time that control groups allow, in cores: no limit is known.
pub(crate) fn cpu_limit() -> Option<f64> {
    None
}

/// Stands in for the count of how often a limit on processor time is reached: no limit is known.
#[derive(Debug, Clone)]
pub(crate) struct ThrottleMeter(());

impl ThrottleMeter {
    pub(crate) fn start() -> Self {
        Self(())
    }

    /// Processor time that this process may use, in cores.
    pub(crate) fn limit(&self) -> Option<f64> {
        cpu_limit()
    }

    /// Share of the periods since the start in which the process was throttled.
    pub(crate) fn throttled(&self) -> Option<f64> {
        None
    }
}

/// Leaves free heap memory to the allocator: there is no common way to return it to the system.
pub(crate) fn release_free_memory() {}
