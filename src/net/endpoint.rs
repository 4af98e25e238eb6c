//! What the engine asks of those who listen and speak.

use super::grid::PERIOD;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One received packet of a track that is listened to.
#[derive(Debug, Clone, Copy)]
pub struct AudioPacket<'a> {
    /// The number that was given to the track when listening to it began.
    pub track: u32,
    /// The RTP stream. Another one in the same track means that the track was published anew:
    /// sequence numbers and times of the two have nothing to do with each other.
    pub ssrc: u32,
    /// Arrival on the monotonic clock.
    pub arrival: Instant,
    /// The arrival is the kernel's stamp, not the time of reading.
    pub kernel_stamp: bool,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// Extended RTP sequence number.
    pub sequence: u64,
    /// How loud the sender says it is, in -dBov, 0 to 127 (RFC 6464); `None`: it does not say.
    pub level: Option<u8>,
    /// Opus payload; empty for padding.
    pub payload: &'a [u8],
}

/// One packet to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Opus payload, shared with the other peers that send the same frame.
    pub payload: Arc<[u8]>,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// First packet of a talk spurt.
    pub marker: bool,
}

/// A party that listens to tracks and speaks on one of its own. Eats events and says when it
/// next wants to be called; it never sleeps, and never blocks.
pub trait Endpoint: Send + 'static {
    /// A packet arrived.
    fn audio(&mut self, now: Instant, packet: AudioPacket<'_>);
    /// The instant of [`Endpoint::poll_timeout`] has come.
    fn timeout(&mut self, now: Instant);
    /// When [`Endpoint::timeout`] is next wanted.
    fn poll_timeout(&self) -> Option<Instant>;
    /// When the next packet is due; `None` while there is nothing to send.
    fn poll_send(&self) -> Option<Instant>;
    /// The packet that is due at `due`; moves `poll_send` on. `None` skips the slot.
    fn send(&mut self, due: Instant) -> Option<Outgoing>;
    /// How long what arrives may wait in the socket, where many peers share a thread. The arrival
    /// is the kernel's stamp, so that it says nothing about the packet, only when something can
    /// come of it.
    fn patience(&self, _now: Instant) -> Duration {
        PERIOD
    }
    /// The packet due at `due` went to the kernel at `actual`.
    fn sent(&mut self, due: Instant, actual: Instant);
}
