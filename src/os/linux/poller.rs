//! Waits for sockets, commands and timers in one call (epoll).
//!
//! In: file descriptors with keys, a deadline. Out: the keys that are readable.
//! Invariant: wakes within the kernel's timer slack of the deadline, not at the next millisecond,
//! unlike `epoll_wait`.

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::prctl;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// Key of the waker; no socket has it.
const WAKER: u64 = u64::MAX;
/// Maximum readable descriptors reported per wait.
const BATCH: usize = 256;

/// Timer slack of a media thread.
const SLACK_NS: u64 = 5_000;

/// Wakes a poller from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<EventFd>);

impl Waker {
    /// Makes the next (or current) wait return at once.
    pub(crate) fn wake(&self) {
        // Fails only when the counter is full, and then the poller is awake anyway.
        let _ = self.0.write(1);
    }
}

/// An epoll instance with a waker.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    wake: Arc<EventFd>,
    events: Vec<EpollEvent>,
    ready: usize,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// The operating system's error, for example when file descriptors run out.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = Arc::new(EventFd::from_value_and_flags(
            0,
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        Ok(Self {
            epoll,
            wake,
            events: vec![EpollEvent::empty(); BATCH],
            ready: 0,
        })
    }

    /// Sets the timer slack of this thread to [`SLACK_NS`], so that its sleeps end within
    /// microseconds of their deadline; the kernel's default is 50 µs.
    pub(crate) fn sharpen() {
        // An error leaves the default.
        let _ = prctl::set_timerslack(SLACK_NS);
    }

    /// A handle that wakes this poller.
    pub(crate) fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// Watches a socket until it is closed, edge-triggered: an arrival is reported once, not for as
    /// long as the data waits. `key` must be below `u64::MAX`.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        debug_assert_ne!(key, WAKER);
        Ok(self.epoll.add(
            fd,
            EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, key),
        )?)
    }

    /// Turns notifications of a watched socket on or off. Turning them on reports data that arrived
    /// in the meantime.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn tell(&self, fd: BorrowedFd<'_>, key: u64, whether: bool) -> io::Result<()> {
        let flags = match whether {
            true => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
            false => EpollFlags::empty(),
        };
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags, key))?)
    }

    /// Waits until something is readable, the waker is used, or `limit` has passed.
    pub(crate) fn wait(&mut self, limit: Duration) {
        self.ready = match limit.is_zero() || self.becomes_ready(limit) {
            true => {
                let ready = self.epoll.wait(&mut self.events, EpollTimeout::ZERO);
                ready.unwrap_or(0) // interrupted
            }
            false => 0,
        };
        for e in &self.events[..self.ready] {
            if e.data() == WAKER {
                let _ = self.wake.read();
            }
        }
    }

    /// Waits until there is an event or `limit` has passed; returns whether there is one. An epoll
    /// instance is readable while it has events, and `ppoll` takes nanoseconds.
    fn becomes_ready(&self, limit: Duration) -> bool {
        let mut epoll = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut epoll, Some(limit.into()), None).is_ok_and(|ready| ready > 0)
    }

    /// Keys of the sockets that the last wait found readable.
    pub(crate) fn readable(&self) -> impl Iterator<Item = u64> + '_ {
        self.events[..self.ready]
            .iter()
            .map(EpollEvent::data)
            .filter(|k| *k != WAKER)
    }
}
