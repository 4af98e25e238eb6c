//! Waits for sockets, commands and timers in one call (mio: epoll or kqueue).
//!
//! In: file descriptors with keys, a deadline. Out: the keys that are readable.
//! Invariant: wakes as soon after the deadline as the system's timers allow. On Linux, mio waits in
//! whole milliseconds, so the poller sleeps for the remaining fraction.

use super::threads;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Key of the waker; no socket has it.
const WAKER: Token = Token(usize::MAX);
/// Maximum readable descriptors reported per wait.
const BATCH: usize = 256;
/// The unit to which mio rounds its waits up.
const STEP: Duration = Duration::from_millis(1);
/// Whether mio rounds up: epoll takes milliseconds, kqueue nanoseconds.
const ROUNDS_UP: bool = cfg!(target_os = "linux");

/// Wakes a poller from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Makes the next (or current) wait return at once; within a millisecond on Linux.
    pub(crate) fn wake(&self) {
        // Fails only when the system has no room for one more event, and then the poller is awake.
        let _ = self.0.wake();
    }
}

/// An event queue with a waker.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    waker: Waker,
    events: Events,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// The operating system's error, for example when file descriptors run out.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        Ok(Self {
            poll,
            waker: Waker(Arc::new(waker)),
            events: Events::with_capacity(BATCH),
        })
    }

    /// Leaves this thread's timers as precise as they are.
    pub(crate) fn sharpen() {}

    /// A handle that wakes this poller.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Watches a socket until it is closed, edge-triggered: an arrival is reported once, not for as
    /// long as the data waits. `key` must be below `u64::MAX`.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let key = usize::try_from(key).map_or(WAKER, Token);
        debug_assert_ne!(key, WAKER);
        let fd = fd.as_raw_fd();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), key, Interest::READABLE)
    }

    /// Turns notifications of a watched socket on or off; they must be in the opposite state.
    /// Turning them on reports data that arrived in the meantime.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn tell(&self, fd: BorrowedFd<'_>, key: u64, whether: bool) -> io::Result<()> {
        match whether {
            true => self.watch(fd, key),
            false => {
                let fd = fd.as_raw_fd();
                self.poll.registry().deregister(&mut SourceFd(&fd))
            }
        }
    }

    /// Waits until something is readable, the waker is used, or `limit` has passed.
    pub(crate) fn wait(&mut self, limit: Duration) {
        threads::note_times();
        if !ROUNDS_UP {
            return self.poll(limit);
        }
        let until = Instant::now() + limit;
        let rest = Duration::from_nanos(u64::from(limit.subsec_nanos() % 1_000_000));
        self.poll(limit - rest);
        if self.events.is_empty() && !rest.is_zero() {
            // After an interrupted wait, more than the fraction is left. Sleep for no more than the
            // fraction, because a sleep cannot be woken early.
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(STEP));
            self.poll(Duration::ZERO);
        }
    }

    fn poll(&mut self, limit: Duration) {
        // Fails if a signal interrupts it; then there are no events.
        let _ = self.poll.poll(&mut self.events, Some(limit));
    }

    /// Keys of the sockets that the last wait found readable.
    pub(crate) fn readable(&self) -> impl Iterator<Item = u64> + '_ {
        let keys = self.events.iter().map(|event| event.token());
        keys.filter(|key| *key != WAKER).map(|key| key.0 as u64)
    }
}
