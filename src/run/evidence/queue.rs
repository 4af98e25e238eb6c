//! The queue from the media threads to the evidence thread.
//!
//! In: the audio of ended turns, and of calls in pieces. Out: the same audio, in order. Invariant:
//! offering audio never blocks; a take that does not fit is counted.

use super::piece::Piece;
use super::take::Take;
use crate::record::Evidence;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;
use tokio::sync::oneshot;

/// Capacity of the queue in takes and in bytes, enough for about two thousand typical turns.
pub(super) const QUEUE: usize = 4_096;
pub(super) const QUEUE_BYTES: usize = 64 << 20;

/// What the evidence thread receives.
#[derive(Debug)]
pub(super) enum Message {
    Take(Box<Take>),
    Piece(Box<Piece>),
    Finish(Instant, oneshot::Sender<EvidenceResult>),
}

/// Result of a run's evidence: the index, and notices to the user.
#[derive(Debug)]
pub(in crate::run) struct EvidenceResult {
    pub evidence: Evidence,
    pub notices: Vec<String>,
}

/// The sending end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub takes: SyncSender<Message>,
    /// Number of bytes waiting in the queue.
    pub waiting: Arc<AtomicUsize>,
    /// Number of turns that did not fit.
    pub lost: Arc<AtomicUsize>,
    /// Number of calls whose end did not fit.
    pub lost_calls: Arc<AtomicUsize>,
}

/// A queue for this many messages, and its sending end.
pub(super) fn queue(room: usize) -> (Sink, Receiver<Message>) {
    let (takes, inbox) = sync_channel(room);
    let sink = Sink {
        takes,
        waiting: Arc::default(),
        lost: Arc::default(),
        lost_calls: Arc::default(),
    };
    (sink, inbox)
}

impl Sink {
    /// Queues a take, or counts it as lost if the queue is full.
    pub(super) fn offer(&self, take: Take) {
        if !self.queue(take.weight(), Message::Take(Box::new(take))) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Queues a piece of a call; returns whether it fits. A call whose last piece does not fit is
    /// counted as lost.
    pub(super) fn pass(&self, piece: Piece) -> bool {
        let is_last = piece.end.is_some();
        let fits = self.queue(piece.weight(), Message::Piece(Box::new(piece)));
        if is_last && !fits {
            self.lost_calls.fetch_add(1, Relaxed);
        }
        fits
    }

    fn queue(&self, bytes: usize, message: Message) -> bool {
        let fits = self.waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE_BYTES;
        let queued = fits && self.takes.try_send(message).is_ok();
        if !queued {
            self.waiting.fetch_sub(bytes, Relaxed);
        }
        queued
    }
}
