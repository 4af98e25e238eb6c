//! Sends the description of the reference agent's call to the room.
//!
//! In: events of the call. Out: messages on the data channel. Invariant: messages that the channel
//! does not accept are queued, within the bounds of [`SessionStream`].

use super::brain::AgentEnd;
use super::moment::Moment;
use super::session_stream::SessionStream;
use crate::net::PeerHandle;
use std::time::Instant;
use tokio::sync::mpsc;

/// Maximum number of events that may be queued for their description.
const QUEUE: usize = 64;

/// Describes one call to the room.
pub(super) struct Teller {
    stream: SessionStream,
    sender: mpsc::Sender<Moment>,
    moments: mpsc::Receiver<Moment>,
}

impl Teller {
    /// Describes a call that has not begun yet. `identity`: the agent's own identity; `label`:
    /// placeholder for the agent's words in transcripts.
    pub(super) fn new(identity: String, label: String) -> Self {
        let (sender, moments) = mpsc::channel(QUEUE);
        Self {
            stream: SessionStream::new(Instant::now(), identity, label),
            sender,
            moments,
        }
    }

    /// Begins the description at the start of the call; returns the sender for the call's events.
    pub(super) fn begin(&mut self) -> mpsc::Sender<Moment> {
        self.stream.begin(Instant::now());
        self.sender.clone()
    }

    /// The stream that describes the call.
    pub(super) fn stream(&mut self) -> &mut SessionStream {
        &mut self.stream
    }

    /// Waits for the next event or deadline and processes it. Cancel safe.
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

    /// Sends the queued packets.
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
        // If the engine no longer runs, the session ends too.
        if let Ok(unsent) = sent.await {
            self.stream.keep(unsent);
        }
    }
}
