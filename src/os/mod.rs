//! What differs between operating systems, behind one interface.
//!
//! In: sockets, deadlines, process ids. Out: readable sockets, datagrams with the kernel's stamps,
//! facts about processes and the machine.
//! Invariants: no other file asks for the operating system or names what only one has. A fact that
//! a system does not tell is `None`, never a made-up value.

mod clock;
mod datagram;
mod facts;
mod linux;
#[cfg(test)]
mod tests;

use linux as system;

pub(crate) use clock::{monotonic_ns_now, thread_cpu_time, wall_ns};
pub(crate) use datagram::{BATCH, DATAGRAM, Datagram};
pub(crate) use facts::{Boot, MachineTimes, ThreadTimes};
pub(crate) use system::{
    Batch, Poller, ThrottleMeter, Waker, boot, child_of, cpu_limit, free_memory, group_free_memory,
    hang_ups_are_ignored, machine_times, own_cpu_time, process_start, release_free_memory,
    request_stamps, resident_bytes, tcp_listener, threads, udp_ports, usage,
};
