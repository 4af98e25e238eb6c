//! The UDP socket of a transport, with the kernel's receive timestamps.
//!
//! In: datagrams to send. Out: datagrams with the wall-clock time at which the kernel received
//! them. Invariants: never blocks; a full send buffer is an error, which is counted elsewhere.

use crate::os::{Batch, request_stamps};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};

/// A non-blocking UDP socket bound to a port that the operating system chose.
#[derive(Debug)]
pub(super) struct UdpPort {
    socket: UdpSocket,
    local: SocketAddr,
    /// The one address that the socket is connected to, once media flows.
    connected: Option<SocketAddr>,
    /// The remote address of the latest media packets (sent, or received and authenticated), and
    /// how many in a row had this address.
    steady: Option<(SocketAddr, u32)>,
}

/// Number of consecutive packets from and to one address before the socket is connected to it: a
/// second's worth.
const STEADY: u32 = 100;

impl UdpPort {
    /// Binds a socket for exchanging datagrams with `remote`: on loopback if `remote` is a loopback
    /// address, else on every address. The address to announce is then the one that the system's
    /// routing table selects for `remote`.
    ///
    /// # Errors
    /// The operating system's error, for example when file descriptors run out.
    pub(super) fn towards(remote: IpAddr) -> io::Result<Self> {
        let any: IpAddr = match remote {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        request_stamps(&socket);
        let port = socket.local_addr()?.port();
        let ip = if remote.is_loopback() {
            remote
        } else {
            let probe = UdpSocket::bind((any, 0))?;
            probe.connect((remote, 9))?; // the discard port; nothing is sent
            probe.local_addr()?.ip()
        };
        Ok(Self {
            socket,
            local: SocketAddr::new(ip, port),
            connected: None,
            steady: None,
        })
    }

    /// The address to announce to the other side.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// File descriptor of the socket, for the poller.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Records that a media packet goes to this address, or that an authenticated one came from it.
    /// Once more than [`STEADY`] packets in a row have had one address, the socket is connected to
    /// that address.
    pub(super) fn meets(&mut self, address: SocketAddr) {
        if self.is_connected() {
            return;
        }
        self.steady = match self.steady {
            Some((known, n)) if known == address && n >= STEADY => {
                self.connect(address);
                None
            }
            Some((known, n)) if known == address => Some((known, n + 1)),
            _ => Some((address, 1)),
        };
    }

    /// Connects the socket to one address, so that the kernel looks the route up once instead of
    /// for every packet. Datagrams from other addresses are no longer received.
    fn connect(&mut self, to: SocketAddr) {
        // If the kernel refuses, the socket stays unconnected.
        self.connected = self.socket.connect(to).is_ok().then_some(to);
    }

    /// The address with which media is exchanged, as far as it is known.
    pub(super) fn media_address(&self) -> Option<SocketAddr> {
        self.connected.or(self.steady.map(|(address, _)| address))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// The operating system's error; `WouldBlock` when the send buffer is full. A refused
    /// connection is not an error here: ICE detects that the other side is gone.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let sent = match self.connected {
            Some(known) if known == to => self.socket.send(bytes),
            _ => self.socket.send_to(bytes, to),
        };
        match sent {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(bytes.len()),
            sent => sent,
        }
    }

    /// Reads waiting datagrams into `batch` and returns their number. A number below the batch's
    /// capacity means that no datagram is left.
    ///
    /// # Errors
    /// The operating system's error.
    pub(super) fn recv(&self, batch: &mut Batch) -> io::Result<usize> {
        match batch.fill(self.descriptor()) {
            // An ICMP error caused by a datagram that we sent; datagrams may still be waiting.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => batch.fill(self.descriptor()),
            filled => filled,
        }
    }
}

/// Whether a datagram is RTP (RFC 7983, and RFC 5761 for distinguishing it from RTCP).
pub(super) fn is_rtp(bytes: &[u8]) -> bool {
    matches!(bytes, [128..=191, kind, ..] if !(192..=223).contains(kind))
}

pub(super) fn is_rtp_or_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [128..=191, _, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock::Stamper;
    use std::time::{Duration, Instant};

    #[test]
    fn a_datagram_is_stamped_by_the_kernel_not_when_it_is_read() {
        let a = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let b = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let mut batch = Batch::new();
        assert_eq!(b.recv(&mut batch).expect("empty"), 0);

        // The first socket that requests timestamps enables them kernel-wide, a moment later.
        std::thread::sleep(Duration::from_millis(100));
        let mut stamper = Stamper::new();
        let before = Instant::now();
        a.send(b"hello", b.local()).expect("send");
        let after = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        stamper.begin_batch();
        assert_eq!(b.recv(&mut batch).expect("recv"), 1);
        let d = batch.get(0).expect("one datagram");
        assert_eq!((d.bytes, d.from), (&b"hello"[..], a.local()));
        let stamp = stamper.arrival(d.wall_ns, Instant::now());
        assert!(stamp.kernel, "no kernel stamp on a UDP socket");
        let slack = Duration::from_millis(5);
        assert!(stamp.at + slack >= before && stamp.at <= after + slack);
    }

    #[test]
    fn a_connected_port_receives_only_from_its_peer_and_tolerates_a_closed_one() {
        let here = || UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let (mut a, b, stranger) = (here(), here(), here());
        a.connect(b.local());
        assert!(a.is_connected());
        let mut batch = Batch::new();
        stranger.send(b"who?", a.local()).expect("send");
        assert_eq!(
            a.recv(&mut batch).expect("recv"),
            0,
            "other senders are ignored"
        );
        b.send(b"hello", a.local()).expect("send");
        // On some systems a datagram arrives on loopback a moment later.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(a.recv(&mut batch).expect("recv"), 1);
        let to = b.local();
        drop(b);
        for _ in 0..5 {
            assert_eq!(
                a.send(b"gone?", to)
                    .expect("a refused connection is no error"),
                5
            );
            assert_eq!(
                a.recv(&mut batch)
                    .expect("a refused connection is no error"),
                0
            );
        }
    }

    #[test]
    fn a_port_is_connected_once_all_its_media_have_one_address() {
        let mut port = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let met = |port: &mut UdpPort, whom, times| {
            (0..times).for_each(|_| port.meets(address(whom)));
            port.is_connected()
        };
        // A packet from another address restarts the count.
        assert!(!met(&mut port, 5_000, STEADY));
        assert!(!met(&mut port, 5_001, 1));
        assert!(!met(&mut port, 5_000, STEADY));
        assert!(met(&mut port, 5_000, 1));
        met(&mut port, 5_001, 2 * STEADY);
        assert_eq!(port.connected, Some(address(5_000)), "permanently");
    }

    #[test]
    fn loopback_remotes_are_bound_on_loopback() {
        let p = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        assert!(p.local().ip().is_loopback());
        assert_ne!(p.local().port(), 0);
    }
}
