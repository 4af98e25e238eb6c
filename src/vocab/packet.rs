//! One received packet of audio.

use std::time::Instant;

/// A received RTP packet: the one type for it, from the socket to the ear, the jitter buffer's
/// model and the evidence. Each layer passes the stream that it belongs to separately, in its own
/// way; sequence numbers and RTP times are comparable only within one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Arrival on the monotonic clock.
    pub arrival: Instant,
    /// Whether the kernel stamped `arrival`; otherwise it is the time of reading.
    pub kernel_stamp: bool,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// Extended sequence number: it never wraps around.
    pub sequence: u64,
    /// Audio level that the sender gives, in -dBov, 0 to 127 (RFC 6464); `None` if there is none.
    pub level: Option<u8>,
    /// The frame, as its codec has it; empty for padding.
    pub payload: &'a [u8],
}
