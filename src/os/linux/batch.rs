//! Receives several datagrams of one socket with one system call.
//!
//! In: a socket. Out: datagrams with their sender, the kernel's receive timestamp and drop count.
//! Invariants: buffers are allocated once per thread and shared by all of its sockets; a read
//! never blocks.

use super::system_calls::{Message, receive};
use crate::os::datagram::{BATCH, Datagram};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{ReceiveTimestampns, RxqOvfl};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::BorrowedFd;

/// Requests that the kernel timestamp the datagrams of a socket on arrival, and count dropped ones.
pub(crate) fn request_stamps(socket: &UdpSocket) {
    // Without this option, user-space times are used, and the record is flagged accordingly.
    let _ = setsockopt(socket, ReceiveTimestampns, &true);
    // Without this option, our own drops cannot be distinguished from the network's.
    let _ = setsockopt(socket, RxqOvfl, &1);
}

/// Receive buffers for one system call.
pub(crate) struct Batch {
    messages: Box<[Message]>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            messages: vec![Message::EMPTY; BATCH].into(),
        }
    }

    /// Reads up to [`BATCH`] waiting datagrams; fewer than that means that the socket is now empty.
    ///
    /// # Errors
    /// The operating system's error; an empty socket is not an error.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        match receive(socket, &mut self.messages) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            filled => filled,
        }
    }

    /// Datagram `index` of the last [`Batch::fill`]; `None` if it has no usable sender address.
    pub(crate) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let message = self.messages.get(index)?;
        let (wall_ns, dropped) = told(message.control());
        Some(Datagram {
            bytes: message.bytes(),
            from: address(message.name())?,
            wall_ns,
            dropped,
        })
    }
}

/// `N` bytes from `at` on, if there are that many.
fn bytes<const N: usize>(of: &[u8], at: usize) -> Option<[u8; N]> {
    of.get(at..)?.first_chunk().copied()
}

/// The kernel's `long`: the unit in which control messages are aligned.
const LONG: usize = size_of::<libc::c_long>();
/// Length of a control message's header: its length (a `size_t`), level and type.
const HEADER: usize = LONG + 8;

/// Reads a datagram's control messages: the kernel's receive timestamp and its drop count.
fn told(mut control: &[u8]) -> (Option<u64>, u32) {
    let (mut stamp, mut dropped) = (None, 0);
    while let Some(length) = bytes(control, 0).map(usize::from_ne_bytes) {
        let Some(message) = control.get(..length).filter(|m| m.len() >= HEADER) else {
            break; // truncated, because the buffer was too small
        };
        let number = |at| bytes(message, at).map(i32::from_ne_bytes);
        let long = |at| bytes(message, at).map(libc::c_long::from_ne_bytes);
        match (number(LONG), number(LONG + 4)) {
            (Some(libc::SOL_SOCKET), Some(libc::SCM_TIMESTAMPNS)) => {
                let time = long(HEADER).zip(long(HEADER + LONG));
                stamp = time.map(|(s, ns)| s.max(0) as u64 * 1_000_000_000 + ns.max(0) as u64);
            }
            (Some(libc::SOL_SOCKET), Some(libc::SO_RXQ_OVFL)) => {
                dropped = bytes(message, HEADER).map_or(0, u32::from_ne_bytes);
            }
            _ => {}
        }
        let next = length.next_multiple_of(LONG).min(control.len());
        control = &control[next..];
    }
    (stamp, dropped)
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
fn address(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(bytes(name, 0)?);
    let port = u16::from_be_bytes(bytes(name, 2)?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(bytes::<4>(name, 4)?);
            Some(SocketAddr::new(ip.into(), port))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(bytes::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(bytes(name, 24)?);
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn datagrams_that_a_full_socket_dropped_are_counted() {
        use nix::sys::socket::sockopt::RcvBuf;
        let to = UdpSocket::bind("127.0.0.1:0").expect("bind");
        setsockopt(&to, RcvBuf, &4_096).expect("option");
        setsockopt(&to, RxqOvfl, &1).expect("option");
        let from = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let at = to.local_addr().expect("address");
        for _ in 0..200 {
            from.send_to(&[0; 1_000], at).expect("send");
        }
        let mut batch = Batch::new();
        while batch.fill(to.as_fd()).expect("read") == BATCH {}
        // The kernel reports its drop count with the next datagram that it can queue. The control
        // buffer must also have room for the timestamp, although earlier reads returned less.
        setsockopt(&to, ReceiveTimestampns, &true).expect("option");
        from.send_to(&[1], at).expect("send");
        assert_eq!(batch.fill(to.as_fd()).expect("read"), 1);
        let datagram = batch.get(0).expect("a datagram");
        assert!(datagram.dropped > 100);
        assert!(datagram.wall_ns.is_some());
    }

    /// Reading terminates whatever the bytes are, and uses the complete messages before the damage.
    #[test]
    fn damaged_control_messages_are_left_out() {
        let message = |length: usize, kind: i32, data: &[u8]| {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(LONG), 0);
            bytes
        };
        let time: Vec<u8> = [3 as libc::c_long, 5]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        let stamp = message(HEADER + 2 * LONG, libc::SCM_TIMESTAMPNS, &time);
        let drops = message(HEADER + 4, libc::SO_RXQ_OVFL, &7u32.to_ne_bytes());
        let both = [stamp.clone(), drops.clone()].concat();
        let stamped = Some(3_000_000_005);
        let with = |damage: &[u8]| [&stamp, damage].concat();
        for (control, expected) in [
            (vec![], (None, 0)),
            (both.clone(), (stamped, 7)),
            ([drops, stamp.clone()].concat(), (stamped, 7)),
            (with(&[0; 40]), (stamped, 0)),
            (with(&[255; 40]), (stamped, 0)),
            (with(&message(HEADER - 1, 0, &[])), (stamped, 0)),
            (message(HEADER, libc::SCM_TIMESTAMPNS, &[]), (None, 0)),
            (message(HEADER, libc::SO_RXQ_OVFL, &[]), (None, 0)),
        ] {
            assert_eq!(told(&control), expected, "{control:?}");
        }
        for cut in 0..both.len() {
            let (wall_ns, dropped) = told(&both[..cut]);
            assert_eq!(wall_ns, stamped.filter(|_| cut >= stamp.len()), "{cut}");
            let whole = cut >= stamp.len() + HEADER + 4;
            assert_eq!(dropped, if whole { 7 } else { 0 }, "{cut}");
        }
    }

    #[test]
    fn truncated_and_non_ip_sender_addresses_are_ignored() {
        let mut v4 = (libc::AF_INET as u16).to_ne_bytes().to_vec();
        v4.extend([0x13, 0x88, 127, 0, 0, 1]);
        let mut v6 = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
        v6.extend([0x13, 0x88, 0, 0, 0, 0]);
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        v6.extend(4u32.to_ne_bytes());
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5_000, 0, 4);
        for (name, expected) in [
            (v4, SocketAddr::from(([127, 0, 0, 1], 5_000))),
            (v6, scoped.into()),
        ] {
            assert_eq!(address(&name), Some(expected));
            for cut in 0..name.len() {
                assert_eq!(address(&name[..cut]), None, "{expected}, {cut}");
            }
        }
        assert_eq!(address(&(libc::AF_UNIX as u16).to_ne_bytes()), None);
        assert_eq!(address(&[1; 28]), None);
    }
}
