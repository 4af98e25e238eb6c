//! The two paths that a connection's packets can take: through str0m at the start of their stream,
//! and around str0m afterwards.
//!
//! In: the other side's datagrams, packets to send. Out: received packets and reports, datagrams to
//! send. Invariants: a received packet is the same whichever path it took; a path has no socket:
//! the [`Transport`](super::Transport) that owns both paths chooses one for each packet, and sends.

mod direct;
mod via_str0m;

pub(super) use direct::DirectPath;
pub(super) use via_str0m::{RELIABLE, Str0mPath, TransportEvent};

use super::clock::Stamp;
use super::endpoint::Outgoing;
use crate::os::Datagram;
use crate::vocab::Packet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::media::Mid;

/// A path for packets in both directions.
pub(super) trait MediaPath {
    /// Handles a datagram that was read at `now` and arrived at `stamp`. The payload of a packet
    /// is written into `room`.
    fn receive<'r>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        stamp: Stamp,
        room: &'r mut [u8],
    ) -> Received<'r>;

    /// Writes the next packet of our stream into `room` as a datagram; returns the datagram's
    /// length and destination. `None` if nothing can be sent.
    fn packetize(
        &mut self,
        sequence: u64,
        packet: &Outgoing,
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)>;
}

/// The result of handling a received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received<'r> {
    /// A packet of an audio stream.
    Packet {
        /// The media section of its stream.
        section: Option<Mid>,
        ssrc: u32,
        /// How often the stream has restarted its sequence numbers.
        restarts: u32,
        packet: Packet<'r>,
    },
    /// An authentic packet without a negotiated section or payload type; dropped.
    Unplaced,
    /// A report, with what it says about our stream, if anything.
    Report(Option<StreamReport>),
    /// Anything else from the other side: connectivity checks, the handshake, data.
    Other,
    /// A packet that has arrived before; dropped.
    Repeated,
    /// A packet so old that it is unknown whether it has arrived before; dropped.
    Behind,
    /// A datagram that the other side did not send; dropped.
    Unauthenticated,
}

/// What the other side reports about our stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamReport {
    pub(super) ssrc: u32,
    /// Packets up to the newest one that the report covers, from the stream's beginning.
    pub(super) expected: u64,
    /// Of these, packets that the other side did not receive.
    pub(super) lost: u64,
    /// Packets that the reports before did not count as lost.
    pub(super) loss: Option<ReportedLoss>,
    /// Interarrival jitter.
    pub(super) jitter: Duration,
    /// The round trip of our last report and this one, if no report before gave it.
    pub(super) round_trip: Option<Duration>,
}

/// Packets of our stream that did not reach the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReportedLoss {
    /// First and last sequence number of the range that contains the lost packets.
    pub(super) among: (u64, u64),
    /// How many packets were lost.
    pub(super) count: u64,
}

/// The parameters that the descriptions give for the audio in a media section.
#[derive(Debug, Clone)]
pub(super) struct Negotiated {
    pub(super) mid: Mid,
    pub(super) payload_types: Vec<u8>,
    /// Id of the header extension with the audio level, if there is one.
    pub(super) level: Option<u8>,
}

#[cfg(test)]
mod tests;
