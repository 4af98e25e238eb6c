//! Sends the description of a call that the reference agent is in.
//!
//! In: what happens in the call. Out: messages on the data channel. Invariant: what the channel does
//! not take waits, within the bounds of [`SessionStream`].

use super::brain::AgentEnd;
use super::moment::Moment;
use super::session_stream::SessionStream;
use crate::net::PeerHandle;
use std::time::Instant;
use tokio::sync::mpsc;

/// Maximum number of moments that wait to be described.
const QUEUE: usize = 64;

/// Describes one call.
pub(super) struct Teller {
    stream: SessionStream,
    sender: mpsc::Sender<Moment>,
    moments: mpsc::Receiver<Moment>,
}

impl Teller {
    /// Describes a call that has not begun yet. `identity`: the agent's own; `label`: what stands
    /// for its words in transcripts.
    pub(super) fn new(identity: String, label: String) -> Self {
        let (sender, moments) = mpsc::channel(QUEUE);
        Self {
            stream: SessionStream::new(Instant::now(), identity, label),
            sender,
            moments,
        }
    }

    /// The call begins; returns where to send what happens in it.
    pub(super) fn begin(&mut self) -> mpsc::Sender<Moment> {
        self.stream.begin(Instant::now());
        self.sender.clone()
    }

    /// What the call is described with.
    pub(super) fn stream(&mut self) -> &mut SessionStream {
        &mut self.stream
    }

    /// Describes what happens or is due next. Cancel safe.
    pub(super) async fn next(&mut self) {
        let due = self.stream.poll_timeout();
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(moment) = self.moments.recv() => self.stream.happened(moment),
            () = timer => self.stream.timeout(Instant::now()),
        }
    }

    /// Sends what is to be said.
    pub(super) async fn send(&mut self, peer: &PeerHandle<AgentEnd>) {
        let mut packets = self.stream.take_packets();
        if packets.is_empty() {
            return;
        }
        let sent = peer.with(move |peer, _| {
            while packets.front().is_some_and(|p| peer.send_message(p)) {
                packets.pop_front();
            }
            packets
        });
        // If the engine is gone, the session ends too.
        if let Ok(unsent) = sent.await {
            self.stream.keep(unsent);
        }
    }
}
