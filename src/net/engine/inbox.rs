//! A media thread's inbox, through which sessions send it commands, and the keys of its peers.
//!
//! In: commands from any thread. Out: the same commands on the media thread, in order.
//! Invariants: taking commands holds the lock only for a swap of pointers; a closed inbox drops
//! the commands pushed to it, which ends their senders' wait. The inbox's length is bounded by its
//! users: a session awaits each reply before it sends another request.

use crate::net::peer::Peer;
use crate::os::Waker;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A peer's key on its thread.
pub(super) type PeerKey = u32;
pub(super) type PeerJob<E> = Box<dyn FnOnce(&mut Peer<E>, Instant) + Send>;

pub(super) enum PeerCommand<E> {
    Add(PeerKey, Box<Peer<E>>),
    With(PeerKey, PeerJob<E>),
    Remove(PeerKey),
}

pub(super) struct Inbox<E> {
    /// `None` once the thread has ended: commands are dropped, which ends their senders' wait.
    queue: Mutex<Option<Vec<PeerCommand<E>>>>,
    pub waker: Waker,
    pub stop: AtomicBool,
}

impl<E> Inbox<E> {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            queue: Mutex::new(Some(Vec::new())),
            waker,
            stop: AtomicBool::new(false),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<Vec<PeerCommand<E>>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, command: PeerCommand<E>) {
        if let Some(queue) = self.queue().as_mut() {
            queue.push(command);
        }
        self.waker.wake();
    }

    pub(super) fn take(&self) -> Vec<PeerCommand<E>> {
        self.queue()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Accepts no more commands and drops those not yet run.
    fn close(&self) {
        let left = self.queue().take();
        drop(left);
    }
}

/// Closes an inbox when its thread ends, including by a panic.
pub(super) struct Closing<'a, E>(pub &'a Inbox<E>);

impl<E> Drop for Closing<'_, E> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Hashes keys, which are consecutive numbers, with one multiplication.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

pub(super) type KeyHash = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0 << 8 | u64::from(b);
        }
    }

    fn write_u32(&mut self, key: u32) {
        // The hash table takes its tag from the upper bits.
        self.0 = u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
