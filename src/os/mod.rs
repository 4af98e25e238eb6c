//! The interface to the operating system, with two implementations.
//!
//! In: sockets, deadlines, process ids. Out: readable sockets, datagrams with the kernel's stamps,
//! facts about processes and the machine.
//! Invariants: `linux/` uses Linux's own interfaces, `portable/` is safe code based on
//! cross-platform crates; both export the same names, listed below; the choice between them is
//! made here, and no other file checks the operating system. A fact that a system does not report
//! is `None`, never a made-up value.
//!
//! macOS uses the portable implementation. The feature `portable` builds it on Linux, so that it
//! is tested there.

mod clock;
mod datagram;
mod facts;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(test)]
mod tests;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use linux as system;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use portable as system;

pub(crate) use clock::{monotonic_ns_now, thread_cpu_time, wall_ns};
pub(crate) use datagram::{BATCH, DATAGRAM, Datagram};
#[cfg(test)]
pub(crate) use facts::Usage;
pub(crate) use facts::{Boot, MachineTimes, ProcessUsage, ThreadTimes, cores};
pub(crate) use system::{
    Batch, Poller, ThrottleMeter, Waker, boot, child_of, cpu_limit, family, free_memory,
    group_free_memory, hang_ups_are_ignored, machine_times, own_cpu_time, process_start,
    receive_buffer, release_free_memory, request_stamps, resident_bytes, tcp_listener, threads,
    udp_ports, usage,
};
