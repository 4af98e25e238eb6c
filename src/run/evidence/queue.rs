//! The queue from the media threads to the evidence thread.
//!
//! In: the audio of ended turns. Out: the same audio, in order. Invariant: offering a take never
//! blocks; a take that does not fit is counted.

use super::take::Take;
use crate::record::Evidence;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::Instant;
use tokio::sync::oneshot;

/// Capacity of the queue in takes and in bytes, enough for about two thousand typical turns.
pub(super) const QUEUE: usize = 4_096;
pub(super) const QUEUE_BYTES: usize = 64 << 20;

/// What the evidence thread receives.
#[derive(Debug)]
pub(super) enum Message {
    Take(Box<Take>),
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
    pub lost: Arc<AtomicUsize>,
}

impl Sink {
    /// Queues a take, or counts it as lost if the queue is full.
    pub(super) fn offer(&self, take: Take) {
        let bytes = take.weight();
        let fits = self.waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE_BYTES;
        if !fits || self.takes.try_send(Message::Take(Box::new(take))).is_err() {
            self.waiting.fetch_sub(bytes, Relaxed);
            self.lost.fetch_add(1, Relaxed);
        }
    }
}
