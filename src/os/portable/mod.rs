//! The common interface, implemented in safe code with cross-platform crates: mio, nix, sysinfo.
//!
//! Limitations compared with `linux/`: timestamps in microseconds instead of nanoseconds, and
//! user-space time where the system provides none; one system call per datagram; no count of
//! datagrams that the kernel dropped; no figures for waits for a core, steal time, control
//! groups, the range of ephemeral ports or the owner of a port.

mod batch;
mod machine;
mod poller;
mod process;
mod threads;

pub(crate) use batch::{Batch, request_stamps};
pub(crate) use machine::{
    ThrottleMeter, boot, cpu_limit, free_memory, group_free_memory, machine_times, receive_buffer,
    release_free_memory, udp_ports,
};
pub(crate) use poller::{Poller, Waker};
pub(crate) use process::{
    child_of, family, hang_ups_are_ignored, own_cpu_time, process_start, resident_bytes,
    tcp_listener, usage,
};
pub(crate) use threads::threads;
