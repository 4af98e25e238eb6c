//! The interface of an endpoint, a party that listens and speaks, to the media engine.

use super::grid::PERIOD;
use crate::vocab::{ConnectionFigures, Packet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An RTP stream of a track that the endpoint listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpStream {
    /// The number given to the track when the endpoint began to listen to it.
    pub(crate) track: u32,
    /// A different SSRC on the same track means that the track was republished: the sequence
    /// numbers and RTP times of the two streams are unrelated.
    pub(crate) ssrc: u32,
    /// How often this SSRC has restarted its sequence numbers; each restart is in effect a new
    /// stream.
    pub(crate) restarts: u32,
}

/// The endpoint's part of a packet to send; the connection adds the sequence number and the
/// SSRC. Its payload outlives the call that returns it, unlike that of a received [`Packet`].
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Opus payload, shared with the other peers that send the same frame.
    pub payload: Arc<[u8]>,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// First packet of a talk spurt.
    pub marker: bool,
}

/// Interval at which an endpoint is told what has been measured of its connection.
pub(super) const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// A party that listens to tracks and publishes one of its own. It handles events and reports when
/// it must next be called; it never sleeps and never blocks.
pub trait Endpoint: Send + 'static {
    /// A packet of a track arrived.
    fn audio(&mut self, now: Instant, stream: RtpStream, packet: Packet<'_>);
    /// The instant returned by [`Endpoint::poll_timeout`] has come.
    fn timeout(&mut self, now: Instant);
    /// When [`Endpoint::timeout`] should next be called, if at all.
    fn poll_timeout(&self) -> Option<Instant>;
    /// When the next packet is due; `None` while there is nothing to send.
    fn poll_send(&self) -> Option<Instant>;
    /// Returns the packet due at `due` and advances `poll_send`. `None` skips the slot.
    fn send(&mut self, due: Instant) -> Option<Outgoing>;
    /// How many sequence numbers to leave out before the packet that [`Endpoint::send`] returned
    /// last, as if as many packets had been lost; asked once for each packet.
    fn left_out(&mut self) -> u64 {
        0
    }
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
    /// What has been measured of the connection since it began; called once a second, and before
    /// each job of the session.
    fn measured(&mut self, _now: Instant, _figures: &ConnectionFigures) {}
}
