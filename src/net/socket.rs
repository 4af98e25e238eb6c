//! One UDP socket a peer, with the kernel's receive stamps.
//!
//! In: datagrams to send. Out: datagrams with the wall-clock instant at which the kernel
//! received them. Holds: never blocks; a full send buffer is an error the caller counts.

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt,
};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// A datagram as read: its length, sender, and the kernel's stamp (wall clock, ns).
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// Bytes read into the buffer.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// When the kernel received it.
    pub wall_ns: Option<u64>,
}

/// A non-blocking UDP socket bound to a port of the system's choice.
#[derive(Debug)]
pub struct UdpPort {
    socket: UdpSocket,
    local: SocketAddr,
    /// Room for one SCM_TIMESTAMPNS message.
    control: Vec<u8>,
}

impl UdpPort {
    /// Binds towards `remote`: to loopback where the remote is, else to every address,
    /// announcing the one that the system's routes choose for it.
    ///
    /// # Errors
    /// The system's, such as no more file descriptors.
    pub fn towards(remote: IpAddr) -> io::Result<Self> {
        let any: IpAddr = match remote {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        // Without the option the user-space time is used, and the record says so.
        let _ = setsockopt(&socket, ReceiveTimestampns, &true);
        let port = socket.local_addr()?.port();
        let ip = if remote.is_loopback() {
            remote
        } else {
            let probe = UdpSocket::bind((any, 0))?;
            probe.connect((remote, 9))?; // discard: nothing is sent
            probe.local_addr()?.ip()
        };
        Ok(Self {
            socket,
            local: SocketAddr::new(ip, port),
            control: nix::cmsg_space!(nix::sys::time::TimeSpec),
        })
    }

    /// The address to announce.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// For the poller.
    pub fn raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when the send buffer is full.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(bytes, to)
    }

    /// Reads one datagram, `None` when there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn recv(&mut self, buf: &mut [u8]) -> io::Result<Option<Datagram>> {
        let mut iov = [IoSliceMut::new(buf)];
        let msg = match recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut iov,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(m) => m,
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let wall_ns = msg.cmsgs().ok().and_then(|mut all| {
            all.find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(t) => {
                    Some(t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
                }
                _ => None,
            })
        });
        let from = msg.address.as_ref().and_then(to_std).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "datagram without a sender")
        })?;
        Ok(Some(Datagram {
            len: msg.bytes,
            from,
            wall_ns,
        }))
    }
}

fn to_std(a: &SockaddrStorage) -> Option<SocketAddr> {
    debug_assert!(a.len() > 0);
    if let Some(v4) = a.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = a.as_sockaddr_in6()?;
    Some(SocketAddr::new(v6.ip().into(), v6.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::clock::Stamper;
    use std::time::{Duration, Instant};

    #[test]
    fn a_datagram_carries_the_kernels_stamp_not_the_time_of_reading() {
        let a = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let mut b = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        let mut buf = [0u8; 64];
        assert!(b.recv(&mut buf).expect("empty").is_none());

        // The first socket that wants stamps switches them on a moment later, kernel-wide.
        std::thread::sleep(Duration::from_millis(100));
        let mut stamper = Stamper::new();
        let before = Instant::now();
        a.send(b"hello", b.local()).expect("send");
        let after = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        stamper.begin_batch();
        let d = b.recv(&mut buf).expect("recv").expect("one datagram");
        assert_eq!((&buf[..d.len], d.from), (&b"hello"[..], a.local()));
        let stamp = stamper.arrival(d.wall_ns, Instant::now());
        assert!(stamp.kernel, "no kernel stamp on a Linux UDP socket");
        let slack = Duration::from_millis(5);
        assert!(stamp.at + slack >= before && stamp.at <= after + slack);
    }

    #[test]
    fn a_loopback_remote_is_met_on_loopback() {
        let p = UdpPort::towards(Ipv4Addr::LOCALHOST.into()).expect("bind");
        assert!(p.local().ip().is_loopback());
        assert_ne!(p.local().port(), 0);
    }
}
