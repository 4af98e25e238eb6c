//! The log of what a simulated network did to each datagram.
//!
//! In: the passage of each datagram. Out: batches of entries for the thread that writes them.
//! Invariants: a media thread never waits for the writer; entries that do not fit are counted.

use super::link::{Kind, Passage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// Entries handed over together.
const TOGETHER: usize = 256;

/// What happened to one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) down: bool,
    pub(crate) connection: u16,
    pub(crate) kind: Kind,
    /// SSRC, sequence number and RTP time of media.
    pub(crate) rtp: Option<(u32, u16, u32)>,
    pub(crate) bytes: u16,
    /// When it entered the network: arrived from the server, or was sent by the caller.
    pub(crate) entered: Instant,
    pub(crate) passage: Passage,
}

impl LogEntry {
    /// SSRC, sequence number and RTP time of an RTP datagram.
    pub(super) fn rtp(bytes: &[u8]) -> Option<(u32, u16, u32)> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let sequence = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
        Some((word(8)?, sequence, word(4)?))
    }
}

/// A batch of entries about the call in one room.
pub(crate) type LogBatch = (Arc<str>, Vec<LogEntry>);

/// Where the entries of one call go.
#[derive(Debug, Clone)]
pub(crate) struct LogSink {
    room: Arc<str>,
    sender: SyncSender<LogBatch>,
    lost: Arc<AtomicU64>,
}

impl LogSink {
    /// Entries about the call in `room` go to `sender`; those that do not fit are added to `lost`.
    pub(crate) fn new(room: Arc<str>, sender: SyncSender<LogBatch>, lost: Arc<AtomicU64>) -> Self {
        Self { room, sender, lost }
    }
}

/// Collects the entries of one connection.
#[derive(Debug)]
pub(super) struct Log {
    sink: LogSink,
    entries: Vec<LogEntry>,
}

impl Log {
    pub(super) fn new(sink: LogSink) -> Self {
        Self {
            sink,
            entries: Vec::with_capacity(TOGETHER),
        }
    }

    pub(super) fn add(&mut self, entry: LogEntry) {
        self.entries.push(entry);
        if self.entries.len() == TOGETHER {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let entries = std::mem::replace(&mut self.entries, Vec::with_capacity(TOGETHER));
        let count = entries.len() as u64;
        if self
            .sink
            .sender
            .try_send((self.sink.room.clone(), entries))
            .is_err()
        {
            self.sink.lost.fetch_add(count, Relaxed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            self.hand_over();
        }
    }
}
