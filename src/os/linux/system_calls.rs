//! System calls that no crate offers in a safe and equally fast form; the only unsafe code.
//!
//! In: borrowed descriptors and buffers. Out: plain bytes and their lengths.
//! Invariants: no pointer outlives the call that it was made for; what the kernel wrote is handed
//! on as bytes, and interpreting them is left to safe code.

#![expect(
    unsafe_code,
    reason = "nix's recvmmsg does not restore the control buffers' lengths between calls, and \
              would have to allocate for every read; nothing wraps malloc_trim"
)]

use crate::os::datagram::{BATCH, DATAGRAM};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Space for the control messages: the kernel's timestamp and its drop count, each with a header.
const CONTROL: usize = 128;
/// Space for the sender: an IPv6 address is the longest that a UDP socket has.
const NAME: usize = size_of::<libc::sockaddr_in6>();

/// Buffers for one datagram, its control messages and its sender.
#[derive(Clone)]
#[repr(align(16))]
pub(super) struct Message {
    control: [u8; CONTROL],
    bytes: [u8; DATAGRAM],
    name: [u8; NAME],
    control_length: usize,
    length: usize,
    name_length: usize,
}

impl Message {
    pub(super) const EMPTY: Self = Self {
        control: [0; CONTROL],
        bytes: [0; DATAGRAM],
        name: [0; NAME],
        control_length: 0,
        length: 0,
        name_length: 0,
    };

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The datagram's control messages: `cmsghdr`s in the kernel's layout.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[..self.control_length]
    }

    /// The datagram's sender: a `sockaddr` in the kernel's layout.
    pub(super) fn name(&self) -> &[u8] {
        &self.name[..self.name_length]
    }
}

/// Reads waiting datagrams of a socket, at most [`BATCH`] and one per message, with one system call
/// (recvmmsg) that does not wait. Returns how many messages were filled, from the first on.
///
/// # Errors
/// The operating system's error, `WouldBlock` if no datagram waits.
pub(super) fn receive(socket: BorrowedFd<'_>, messages: &mut [Message]) -> io::Result<usize> {
    let nowhere = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    let mut parts = [nowhere; BATCH];
    // SAFETY: all-zero bytes are valid for this plain C structure.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut count = 0;
    for ((message, header), part) in messages.iter_mut().zip(&mut headers).zip(&mut parts) {
        part.iov_base = message.bytes.as_mut_ptr().cast();
        part.iov_len = DATAGRAM;
        let header = &mut header.msg_hdr;
        header.msg_name = message.name.as_mut_ptr().cast();
        header.msg_namelen = NAME as libc::socklen_t;
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = message.control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL;
        count += 1;
    }
    // SAFETY: the first `count` headers point, with their true lengths, to buffers of as many
    // distinct messages and to `parts`, all of which outlive the call and are not touched during
    // it; `count` is at most BATCH. Any bytes are valid for these buffers. No timeout.
    let filled = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    let filled = usize::try_from(filled).map_err(|_| io::Error::last_os_error())?;
    for (message, header) in messages.iter_mut().zip(&headers).take(filled) {
        message.length = (header.msg_len as usize).min(DATAGRAM);
        message.control_length = header.msg_hdr.msg_controllen.min(CONTROL);
        message.name_length = (header.msg_hdr.msg_namelen as usize).min(NAME);
    }
    Ok(filled)
}

/// Returns free heap memory to the system, including that of ended threads, which the allocator
/// would otherwise keep. Does nothing where the C library is not glibc.
pub(crate) fn release_free_memory() {
    // SAFETY: malloc_trim has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    fn pair() -> (UdpSocket, UdpSocket) {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let (from, to) = (bind(), bind());
        from.connect(to.local_addr().expect("an address"))
            .expect("loopback");
        (from, to)
    }

    #[test]
    fn datagrams_of_every_length_stay_inside_their_buffers() {
        let (from, to) = pair();
        let lengths = [0, 1, DATAGRAM - 1, DATAGRAM, DATAGRAM + 1, 60_000, 7];
        for (k, length) in lengths.iter().enumerate() {
            from.send(&vec![k as u8 + 1; *length]).expect("loopback");
        }
        let mut messages = vec![Message::EMPTY; BATCH];
        assert_eq!(
            receive(to.as_fd(), &mut messages).expect("datagrams wait"),
            lengths.len()
        );
        for (k, (length, message)) in lengths.iter().zip(&messages).enumerate() {
            assert_eq!(
                message.bytes(),
                vec![k as u8 + 1; (*length).min(DATAGRAM)],
                "{length} bytes"
            );
            assert_eq!(message.control(), [0; 0], "none was requested");
        }
        assert_eq!(messages[7].bytes(), [0; 0], "the extra one is untouched");
    }

    #[test]
    fn a_read_fills_at_most_the_messages_given() {
        let (from, to) = pair();
        for k in 0..BATCH as u8 + 3 {
            from.send(&[k]).expect("loopback");
        }
        let first = |messages: &[Message]| messages[0].bytes().to_vec();
        let mut none = [];
        assert_eq!(receive(to.as_fd(), &mut none).expect("an empty request"), 0);
        let mut one = [Message::EMPTY];
        assert_eq!(receive(to.as_fd(), &mut one).expect("one waits"), 1);
        assert_eq!(first(&one), [0]);
        // More messages than one call reads.
        let mut many = vec![Message::EMPTY; BATCH * 2];
        assert_eq!(receive(to.as_fd(), &mut many).expect("more wait"), BATCH);
        assert_eq!(first(&many), [1]);
        assert_eq!(receive(to.as_fd(), &mut many).expect("two are left"), 2);
        assert_eq!(first(&many), [BATCH as u8 + 1]);
        let empty = receive(to.as_fd(), &mut many).expect_err("none is left");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn message_lengths_are_reset_before_each_read() {
        use nix::sys::socket::{setsockopt, sockopt};
        let v6 = UdpSocket::bind("[::1]:0");
        let (from, to) = pair();
        let mut messages = [Message::EMPTY];
        from.send(b"without a stamp").expect("loopback");
        receive(to.as_fd(), &mut messages).expect("one waits");
        assert_eq!(messages[0].name().len(), size_of::<libc::sockaddr_in>());
        setsockopt(&to, sockopt::ReceiveTimestampns, &true).expect("Linux");
        from.send(b"with one").expect("loopback");
        receive(to.as_fd(), &mut messages).expect("one waits");
        assert!(messages[0].control().len() >= 32, "header and timespec");
        let Ok(v6) = v6 else {
            return; // a machine without IPv6
        };
        let at = v6.local_addr().expect("an address");
        v6.send_to(b"x", at).expect("loopback");
        receive(v6.as_fd(), &mut messages).expect("one waits");
        assert_eq!(messages[0].name().len(), NAME);
        assert_eq!(messages[0].control(), [0; 0]);
    }
}
