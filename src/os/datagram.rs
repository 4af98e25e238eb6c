//! A datagram as it was read from a socket.
//!
//! Invariants: a batch has at most [`BATCH`] datagrams, and each at most [`DATAGRAM`] bytes.

use std::net::SocketAddr;

/// Maximum datagrams per read. A caller receives one packet every 20 ms and its socket is read
/// every 100 ms; more than that is a backlog.
pub(crate) const BATCH: usize = 8;
/// Largest datagram accepted, in bytes: the Ethernet MTU plus headroom. Longer ones are truncated.
pub(crate) const DATAGRAM: usize = 2_048;

/// A datagram as read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) from: SocketAddr,
    /// Kernel receive timestamp: wall clock, in nanoseconds.
    pub(crate) wall_ns: Option<u64>,
    /// Running count of datagrams that the kernel dropped because this socket's buffer was full; 0
    /// where the kernel does not count them.
    pub(crate) dropped: u32,
}
