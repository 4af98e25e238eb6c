//! One received packet of audio.

use std::time::Instant;

/// A received RTP packet; every layer uses this type, from the socket to the onset detector, the
/// jitter-buffer model and the evidence. Each layer passes the packet's stream separately, in its
/// own way; sequence numbers and RTP times are comparable only within one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Arrival on the monotonic clock.
    pub arrival: Instant,
    /// Whether the kernel stamped `arrival`; otherwise it is the time at which the packet was read.
    pub kernel_stamp: bool,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// Extended sequence number: it never wraps around.
    pub sequence: u64,
    /// Audio level that the sender reports, in -dBov, 0 to 127 (RFC 6464), if it reports one.
    pub level: Option<u8>,
    /// The encoded frame; empty for padding.
    pub payload: &'a [u8],
}
