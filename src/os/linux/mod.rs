//! Linux's own interfaces: epoll, eventfd, recvmmsg, /proc, control groups.

mod batch;
mod control_group;
mod machine;
mod poller;
mod process;
mod system_calls;

pub(crate) use batch::{Batch, request_stamps};
pub(crate) use control_group::{ThrottleMeter, cpu_limit, group_free_memory};
pub(crate) use machine::{boot, free_memory, machine_times, receive_buffer, udp_ports};
pub(crate) use poller::{Poller, Waker};
pub(crate) use process::{
    child_of, family, hang_ups_are_ignored, own_cpu_time, process_start, resident_bytes,
    tcp_listener, threads, usage,
};
pub(crate) use system_calls::release_free_memory;
