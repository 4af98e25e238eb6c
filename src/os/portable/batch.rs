//! Receives waiting datagrams of one socket, with one system call (recvmsg) for each.
//!
//! In: a socket. Out: datagrams with their sender and the kernel's receive timestamp, in
//! microseconds (SO_TIMESTAMP). Invariants: buffers are allocated once per thread and shared by all
//! of its sockets; a read never blocks.

use crate::os::datagram::{BATCH, DATAGRAM, Datagram};
use nix::sys::socket::sockopt::ReceiveTimestamp;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use nix::sys::time::TimeVal;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Requests that the kernel timestamp the datagrams of a socket on arrival.
pub(crate) fn request_stamps(socket: &UdpSocket) {
    // Without this option, user-space times are used, and the record is flagged accordingly.
    let _ = setsockopt(socket, ReceiveTimestamp, &true);
}

/// Buffer for one datagram, with its sender and timestamp.
struct Slot {
    bytes: [u8; DATAGRAM],
    length: usize,
    from: Option<SocketAddr>,
    wall_ns: Option<u64>,
}

/// Receive buffers for one read.
pub(crate) struct Batch {
    slots: Box<[Slot]>,
    /// Space for the control messages of one datagram: its timestamp.
    control: Vec<u8>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let empty = || Slot {
            bytes: [0; DATAGRAM],
            length: 0,
            from: None,
            wall_ns: None,
        };
        Self {
            slots: (0..BATCH).map(|_| empty()).collect(),
            control: nix::cmsg_space!(TimeVal),
        }
    }

    /// Reads up to [`BATCH`] waiting datagrams; fewer than that means that the socket is now empty.
    ///
    /// # Errors
    /// The operating system's error; an empty socket is not an error.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(slot) = self.slots.get_mut(filled) {
            match slot.fill(socket, &mut self.control) {
                Ok(()) => filled += 1,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if filled == 0 => return Err(e),
                // An ICMP error caused by a datagram that we sent. The read removed it from the
                // socket, and datagrams may still be waiting.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                // The next read reports the error again.
                Err(_) => break,
            }
        }
        Ok(filled)
    }

    /// Datagram `index` of the last [`Batch::fill`]; `None` if it has no usable sender address.
    pub(crate) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let slot = self.slots.get(index)?;
        Some(Datagram {
            bytes: &slot.bytes[..slot.length],
            from: slot.from?,
            wall_ns: slot.wall_ns,
            dropped: 0,
        })
    }
}

impl Slot {
    /// Reads one datagram; one longer than [`DATAGRAM`] is truncated.
    fn fill(&mut self, socket: BorrowedFd<'_>, control: &mut [u8]) -> io::Result<()> {
        let mut room = [IoSliceMut::new(&mut self.bytes)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut room,
            Some(control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        // Truncated control messages are an error, and count as absent.
        let mut told = message.cmsgs().into_iter().flatten();
        self.wall_ns = told.find_map(|told| match told {
            ControlMessageOwned::ScmTimestamp(time) => nanoseconds(&time),
            _ => None,
        });
        self.from = message.address.as_ref().and_then(address);
        self.length = message.bytes.min(DATAGRAM);
        Ok(())
    }
}

/// Nanoseconds since 1970.
fn nanoseconds(time: &TimeVal) -> Option<u64> {
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let micros = u64::try_from(time.tv_usec()).ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(micros * 1_000)
}

fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = of.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    // The flow label belongs to the packet, not to its sender.
    let v6 = || {
        let v6 = of.as_sockaddr_in6()?;
        Some(SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()).into())
    };
    v4.or_else(v6)
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_nanoseconds_since_1970() {
        assert_eq!(nanoseconds(&TimeVal::new(3, 5)), Some(3_000_005_000));
        assert_eq!(nanoseconds(&TimeVal::new(-1, 5)), None);
    }
}
