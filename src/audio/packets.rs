//! Keeps packets of the agent's audio, as received, until they are discarded.
//!
//! In: packets, each with the time for which a jitter buffer would have held it. Out: a copy of the
//! kept packets. Invariants: a ring keeps at most `PacketRing::PACKETS` and `PacketRing::BYTES`, about
//! 480 KiB (for PCM: 80 s, 8 MiB); a packet that does not fit is dropped and counted; nothing is
//! allocated once the ring has grown to its full size.

use super::{Codec, FRAME, Packet};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The stored form of a [`HeldPacket`]; the payloads of all packets are stored together.
#[derive(Debug, Clone, Copy)]
struct Head {
    arrival: Instant,
    kernel_stamp: bool,
    hold: Duration,
    stream: u32,
    sequence: u64,
    rtp_time: u32,
    level: Option<u8>,
    length: u32,
}

impl Head {
    /// `None` if the payload is longer than a head can say.
    fn of(held: &HeldPacket<'_>) -> Option<Self> {
        let packet = &held.packet;
        Some(Self {
            arrival: packet.arrival,
            kernel_stamp: packet.kernel_stamp,
            hold: held.hold,
            stream: held.stream,
            sequence: packet.sequence,
            rtp_time: packet.rtp_time,
            level: packet.level,
            length: u32::try_from(packet.payload.len()).ok()?,
        })
    }
}

/// A packet with its stream and the time for which a jitter buffer would have held it back.
#[derive(Debug, Clone, Copy)]
pub struct HeldPacket<'a> {
    /// The packet.
    pub packet: Packet<'a>,
    /// Time from the packet's arrival until the loudspeaker plays it.
    pub hold: Duration,
    /// The stream of the packet; sequence numbers and timestamps are comparable only within one.
    pub stream: u32,
}

/// Bounded queue of one caller's packets, oldest first.
#[derive(Debug)]
pub struct PacketRing {
    heads: VecDeque<Head>,
    payloads: VecDeque<u8>,
    refused: u64,
    /// Largest number of payload bytes.
    limit: usize,
}

impl PacketRing {
    /// Largest number of packets: 80 s in packets of 20 ms.
    pub(crate) const PACKETS: usize = 4_096;
    /// Largest number of payload bytes in Opus: 87 s at 24 kbit/s, 32 s at 64 kbit/s.
    pub(crate) const BYTES: usize = 256 << 10;

    /// Creates an empty ring for frames of this codec, without allocating.
    pub fn new(codec: Codec) -> Self {
        Self {
            heads: VecDeque::new(),
            payloads: VecDeque::new(),
            refused: 0,
            limit: match codec {
                Codec::Opus => Self::BYTES,
                Codec::Pcm => Self::PACKETS * FRAME * size_of::<i16>(),
            },
        }
    }

    /// Adds a packet if it fits; otherwise counts it as refused.
    pub fn push(&mut self, held: &HeldPacket<'_>) {
        let payload = held.packet.payload;
        let fits = self.payloads.len() + payload.len() <= self.limit;
        let Some(head) = Head::of(held).filter(|_| fits) else {
            self.refused += 1;
            return;
        };
        if self.heads.len() == Self::PACKETS {
            self.refused += 1;
            return;
        }
        self.heads.push_back(head);
        self.payloads.extend(payload);
    }

    /// Removes the oldest packets, up to the first that arrived at or after `instant`.
    pub fn forget_before(&mut self, instant: Instant) {
        while let Some(head) = self.heads.front().filter(|h| h.arrival < instant) {
            self.payloads.drain(..head.length as usize);
            self.heads.pop_front();
        }
    }

    /// Number of packets refused so far for lack of room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Number of payload bytes and of packets kept now.
    pub fn size(&self) -> (usize, usize) {
        (self.payloads.len(), self.heads.len())
    }

    /// Copies everything that is kept.
    pub(crate) fn copied(&self) -> Packets {
        let (front, back) = self.payloads.as_slices();
        Packets {
            heads: self.heads.iter().copied().collect(),
            payloads: [front, back].concat(),
        }
    }
}

/// A copy of packets in the order of their arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packets {
    heads: Vec<Head>,
    payloads: Vec<u8>,
}

impl Packets {
    /// Room for as many packets as `other` has.
    pub(crate) fn like(other: &Self) -> Self {
        Self {
            heads: Vec::with_capacity(other.heads.len()),
            payloads: Vec::with_capacity(other.payloads.len()),
        }
    }

    /// Adds a packet; one whose length no datagram has is ignored.
    pub(crate) fn push(&mut self, held: &HeldPacket<'_>) {
        if let Some(head) = Head::of(held) {
            self.heads.push(head);
            self.payloads.extend_from_slice(held.packet.payload);
        }
    }

    /// Frees memory that is allocated but not used.
    pub(crate) fn shrink(&mut self) {
        self.heads.shrink_to_fit();
        self.payloads.shrink_to_fit();
    }

    /// Approximate memory use in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.payloads.len() + self.heads.len() * size_of::<Head>()
    }

    /// Iterates over the packets, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = HeldPacket<'_>> + Clone {
        let mut rest = self.payloads.as_slice();
        self.heads.iter().map(move |head| {
            let (payload, after) = rest.split_at(head.length as usize);
            rest = after;
            HeldPacket {
                packet: Packet {
                    arrival: head.arrival,
                    kernel_stamp: head.kernel_stamp,
                    rtp_time: head.rtp_time,
                    sequence: head.sequence,
                    level: head.level,
                    payload,
                },
                hold: head.hold,
                stream: head.stream,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(start: Instant, n: u64, payload: &[u8]) -> HeldPacket<'_> {
        HeldPacket {
            packet: Packet {
                arrival: start + Duration::from_millis(20) * n as u32,
                kernel_stamp: n.is_multiple_of(2),
                rtp_time: n as u32 * 960,
                sequence: n,
                level: Some(n as u8).filter(|level| *level < 128),
                payload,
            },
            hold: Duration::from_millis(n),
            stream: n as u32 % 3,
        }
    }

    #[test]
    fn kept_packets_are_returned_unchanged() {
        let start = Instant::now();
        let mut ring = PacketRing::new(Codec::Opus);
        for n in 0..1_000u64 {
            let payload = vec![n as u8; n as usize % 7];
            ring.push(&packet(start, n, &payload));
            if n % 100 == 99 {
                ring.forget_before(start + Duration::from_millis(20) * (n as u32 - 50));
            }
        }
        let copy = ring.copied();
        let kept: Vec<u64> = copy.iter().map(|h| h.packet.sequence).collect();
        assert_eq!(kept, (949..1_000).collect::<Vec<_>>());
        for held in copy.iter() {
            let n = held.packet.sequence;
            let payload = vec![n as u8; n as usize % 7];
            let pushed = packet(start, n, &payload);
            assert_eq!(held.packet, pushed.packet);
            assert_eq!((held.hold, held.stream), (pushed.hold, pushed.stream));
        }
        assert_eq!(ring.refused(), 0);
    }

    #[test]
    fn the_ring_is_bounded_by_bytes_and_by_packets() {
        let start = Instant::now();
        for payload in [&[7u8; 1_200][..], &[7; 3]] {
            let mut ring = PacketRing::new(Codec::Opus);
            for n in 0..10_000 {
                ring.push(&packet(start, n, payload));
            }
            let (bytes, packets) = ring.size();
            assert!(bytes <= PacketRing::BYTES && packets <= PacketRing::PACKETS);
            assert_eq!(ring.refused(), 10_000 - packets as u64);
            assert_eq!(
                ring.copied().iter().next().map(|h| h.packet.sequence),
                Some(0)
            );
        }
    }
}
