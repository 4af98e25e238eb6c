//! What the media engine requires of an endpoint: a party that listens and speaks.

use super::grid::PERIOD;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One received packet of a track that the endpoint listens to.
#[derive(Debug, Clone, Copy)]
pub struct AudioPacket<'a> {
    /// The number given to the track when the endpoint began to listen to it.
    pub track: u32,
    /// The RTP stream. A different SSRC on the same track means that the track was republished:
    /// the sequence numbers and RTP times of the two streams are unrelated.
    pub ssrc: u32,
    /// How often this SSRC has started its sequence numbers anew; each time is as good as another
    /// stream.
    pub restarts: u32,
    /// Arrival on the monotonic clock.
    pub arrival: Instant,
    /// Whether `arrival` is the kernel's timestamp rather than the time of reading.
    pub kernel_stamp: bool,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// Extended RTP sequence number.
    pub sequence: u64,
    /// Audio level reported by the sender, in -dBov, 0 to 127 (RFC 6464); `None` if there is none.
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

/// A party that listens to tracks and publishes one of its own. It handles events and says when
/// it next wants to be called; it never sleeps and never blocks.
pub trait Endpoint: Send + 'static {
    /// A packet arrived.
    fn audio(&mut self, now: Instant, packet: AudioPacket<'_>);
    /// The instant returned by [`Endpoint::poll_timeout`] has come.
    fn timeout(&mut self, now: Instant);
    /// When [`Endpoint::timeout`] should next be called, if at all.
    fn poll_timeout(&self) -> Option<Instant>;
    /// When the next packet is due; `None` while there is nothing to send.
    fn poll_send(&self) -> Option<Instant>;
    /// Returns the packet due at `due` and advances `poll_send`. `None` skips the slot.
    fn send(&mut self, due: Instant) -> Option<Outgoing>;
    /// How long received packets may wait in the socket when many peers share a thread. Arrivals
    /// are kernel timestamps, so waiting does not change them; it only delays the reaction.
    fn patience(&self, _now: Instant) -> Duration {
        PERIOD
    }
    /// The packet due at `due` was handed to the kernel at `actual`, with this extended sequence
    /// number.
    fn sent(&mut self, due: Instant, actual: Instant, sequence: u64);
    /// The other side reported that it did not receive some of the packets with sequence numbers
    /// from `among.0` to `among.1`.
    fn lost(&mut self, _now: Instant, _among: (u64, u64)) {}
}
