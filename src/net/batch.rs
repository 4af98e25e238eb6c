//! Receives several datagrams of one socket with one system call (recvmmsg).
//!
//! In: a socket. Out: datagrams with their sender, the kernel's receive timestamp and drop count.
//! Invariants: buffers are allocated once per thread and shared by all of its sockets; a read
//! never blocks.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;

/// Maximum datagrams per read. A caller receives one packet every 20 ms and its socket is read
/// every 100 ms; more than that is a backlog.
pub(super) const BATCH: usize = 8;
/// Largest datagram accepted: the Ethernet MTU plus headroom.
pub(super) const DATAGRAM: usize = 2_048;
/// Space for the control messages: the kernel's timestamp and its drop count, each with a header.
const CONTROL: usize = 128;

/// A datagram as read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) from: SocketAddr,
    /// Kernel receive timestamp: wall clock, in nanoseconds.
    pub(super) wall_ns: Option<u64>,
    /// Running count of datagrams that the kernel dropped because this socket's buffer was full.
    pub(super) dropped: u32,
}

#[repr(C, align(16))]
struct Slot {
    control: [u8; CONTROL],
    bytes: [u8; DATAGRAM],
    name: libc::sockaddr_storage,
}

/// Receive buffers for one recvmmsg call.
pub(super) struct Batch {
    slots: Box<[Slot]>,
    headers: [libc::mmsghdr; BATCH],
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all-zero bytes are valid for these plain C structures and byte arrays.
        let (slot, header) = unsafe {
            (
                || MaybeUninit::<Slot>::zeroed().assume_init(),
                MaybeUninit::<libc::mmsghdr>::zeroed().assume_init(),
            )
        };
        Self {
            slots: (0..BATCH).map(|_| slot()).collect(),
            headers: [header; BATCH],
        }
    }

    /// Reads up to [`BATCH`] waiting datagrams; fewer than that mean that the socket is now empty.
    ///
    /// # Errors
    /// The operating system's error; an empty socket is not an error.
    pub(super) fn fill(&mut self, fd: RawFd) -> io::Result<usize> {
        let mut iov = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: DATAGRAM,
        }; BATCH];
        for ((slot, header), iov) in self.slots.iter_mut().zip(&mut self.headers).zip(&mut iov) {
            iov.iov_base = slot.bytes.as_mut_ptr().cast();
            let h = &mut header.msg_hdr;
            h.msg_name = (&raw mut slot.name).cast();
            h.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            h.msg_iov = iov;
            h.msg_iovlen = 1;
            h.msg_control = slot.control.as_mut_ptr().cast();
            h.msg_controllen = CONTROL;
        }
        // SAFETY: every header points to buffers of this object (and to `iov`) that outlive
        // the call, with their true lengths; the timeout is absent.
        let n = unsafe {
            libc::recvmmsg(
                fd,
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(n) {
            Ok(n) => Ok(n),
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
                e => Err(e),
            },
        }
    }

    /// Datagram `index` of the last [`Batch::fill`]; `None` if it has no usable sender address.
    pub(super) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let (slot, header) = (self.slots.get(index)?, self.headers.get(index)?);
        let length = (header.msg_len as usize).min(DATAGRAM);
        let (wall_ns, dropped) = told(&header.msg_hdr);
        Some(Datagram {
            bytes: &slot.bytes[..length],
            from: address(&slot.name)?,
            wall_ns,
            dropped,
        })
    }
}

/// Reads a datagram's control messages: the kernel's receive timestamp and its drop count.
fn told(header: &libc::msghdr) -> (Option<u64>, u32) {
    let (mut stamp, mut dropped) = (None, 0);
    // SAFETY: the kernel filled the header; its control buffer is alive and has the length that
    // the header states; the CMSG macros stay inside that buffer.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(m) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            if m.cmsg_level == libc::SOL_SOCKET && m.cmsg_type == libc::SCM_TIMESTAMPNS {
                let t = data.cast::<libc::timespec>().read_unaligned();
                stamp = Some(t.tv_sec.max(0) as u64 * 1_000_000_000 + t.tv_nsec.max(0) as u64);
            } else if m.cmsg_level == libc::SOL_SOCKET && m.cmsg_type == libc::SO_RXQ_OVFL {
                dropped = data.cast::<u32>().read_unaligned();
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (stamp, dropped)
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let at: *const libc::sockaddr_storage = name;
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote an address of this family; the storage is large enough.
            let v4 = unsafe { at.cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { at.cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

// SAFETY: each `fill` resets all pointers in the headers. Afterwards only the pointers to the
// control buffers are read; they point into the heap allocation of `slots`, which stays in place
// when the batch moves.
unsafe impl Send for Batch {}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn queued_datagrams_are_read_in_batches() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(to) = UdpSocket::bind(bind) else {
                continue; // a machine without IPv6
            };
            let from = UdpSocket::bind(bind).expect("bind");
            let mut batch = Batch::new();
            assert_eq!(batch.fill(to.as_raw_fd()).expect("empty"), 0);
            let at = to.local_addr().expect("address");
            for k in 0..BATCH as u8 + 2 {
                from.send_to(&vec![k; 1 + usize::from(k)], at)
                    .expect("send");
            }
            assert_eq!(batch.fill(to.as_raw_fd()).expect("read"), BATCH);
            for k in 0..BATCH {
                let d = batch.get(k).expect("a datagram");
                assert_eq!(d.bytes, vec![k as u8; 1 + k]);
                assert_eq!(d.from, from.local_addr().expect("address"));
            }
            assert_eq!(batch.fill(to.as_raw_fd()).expect("read"), 2);
        }
    }

    #[test]
    fn a_full_socket_tells_how_much_it_dropped() {
        use nix::sys::socket::{
            setsockopt,
            sockopt::{RcvBuf, RxqOvfl},
        };
        let to = UdpSocket::bind("127.0.0.1:0").expect("bind");
        setsockopt(&to, RcvBuf, &4_096).expect("option");
        setsockopt(&to, RxqOvfl, &1).expect("option");
        let from = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let at = to.local_addr().expect("address");
        for _ in 0..200 {
            from.send_to(&[0; 1_000], at).expect("send");
        }
        let mut batch = Batch::new();
        while batch.fill(to.as_raw_fd()).expect("read") == BATCH {}
        // The kernel reports its drop count with the next datagram that it can queue.
        from.send_to(&[1], at).expect("send");
        assert_eq!(batch.fill(to.as_raw_fd()).expect("read"), 1);
        assert!(batch.get(0).expect("a datagram").dropped > 100);
    }
}
