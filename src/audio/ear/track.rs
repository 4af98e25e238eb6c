//! Keeps the last second of the agent's audio on one timeline, with the packet of each sample.
//!
//! In: decoded packets, silence and concealed losses, in order. Out: samples and arrivals by
//! position. Invariants: positions only grow; memory is bounded; samples outside the audio kept
//! read as silence.

use crate::audio::{HeardAt, RATE, Segment, time_of};
use std::collections::VecDeque;
use std::time::Instant;

/// Number of samples kept: 950 ms. Noise is judged over 750 ms, an onset over the 820 ms around it,
/// and a packet holds up to 120 ms.
pub(super) const KEPT: usize = RATE as usize * 95 / 100;
/// Maximum number of packets kept: more than [`KEPT`] in packets of 5 ms.
const PACKETS: usize = 280;
/// Minimum number of packets kept: more than [`KEPT`] in packets of 20 ms, so that some packets
/// from before a pause are kept.
const PACKETS_AT_LEAST: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u64,
    end: u64,
    /// `None` for a loss, whose samples are concealment.
    arrival: Option<Instant>,
    segment: Segment,
}

/// Ring buffer of samples, with the packets that contained them.
#[derive(Debug)]
pub(super) struct Track {
    samples: Box<[i16]>,
    end: u64,
    pieces: VecDeque<Piece>,
    /// Segment of the packets still to be added.
    pub(super) segment: Segment,
}

impl Track {
    pub(super) fn new() -> Self {
        Self {
            samples: vec![0; KEPT].into_boxed_slice(),
            end: 0,
            pieces: VecDeque::with_capacity(PACKETS_AT_LEAST),
            segment: Segment::default(),
        }
    }

    /// Position after the last sample.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// First position kept.
    pub(super) fn start(&self) -> u64 {
        self.end.saturating_sub(KEPT as u64)
    }

    /// The sample at a position; silence outside the audio kept.
    pub(super) fn at(&self, position: u64) -> i16 {
        if position >= self.end || position < self.start() {
            return 0;
        }
        self.samples[position as usize % KEPT]
    }

    pub(super) fn square(&self, position: u64) -> i64 {
        let x = i64::from(self.at(position));
        x * x
    }

    /// Sum of squares over `from..to`.
    pub(super) fn energy(&self, from: u64, to: u64) -> i64 {
        let (from, to) = (from.max(self.start()), to.min(self.end));
        let length = to.saturating_sub(from) as usize;
        let begin = from as usize % KEPT;
        let first = length.min(KEPT - begin);
        let sum = |samples: &[i16]| -> i64 {
            samples
                .iter()
                .map(|&x| i64::from(i32::from(x) * i32::from(x)))
                .sum()
        };
        sum(&self.samples[begin..begin + first]) + sum(&self.samples[..length - first])
    }

    /// Appends a packet's samples, or the concealment of a loss (`arrival` is `None`).
    pub(super) fn push(&mut self, pcm: &[i16], arrival: Option<Instant>) {
        let start = self.end;
        self.append(pcm);
        let old = self.pieces.front().is_some_and(|p| p.end <= self.start());
        if self.pieces.len() == PACKETS || old && self.pieces.len() >= PACKETS_AT_LEAST {
            self.pieces.pop_front();
        }
        self.pieces.push_back(Piece {
            start,
            end: self.end,
            arrival,
            segment: self.segment,
        });
    }

    /// Appends silence, of any length, for a time in which nothing was sent.
    pub(super) fn silence(&mut self, samples: u64) {
        let written = samples.min(KEPT as u64);
        self.end += samples - written;
        for position in self.end..self.end + written {
            self.samples[position as usize % KEPT] = 0;
        }
        self.end += written;
    }

    fn append(&mut self, pcm: &[i16]) {
        for pcm in pcm.chunks(KEPT) {
            let begin = self.end as usize % KEPT;
            let (first, rest) = pcm.split_at(pcm.len().min(KEPT - begin));
            self.samples[begin..begin + first.len()].copy_from_slice(first);
            self.samples[..rest.len()].copy_from_slice(rest);
            self.end += pcm.len() as u64;
        }
    }

    /// Where a sample was received. For a position that no packet holds: the start of the next
    /// packet, or else the last sample of the previous one. `None` before the first packet.
    pub(super) fn heard_at(&self, position: u64) -> Option<HeardAt> {
        let heard = |piece: &Piece, position: u64| {
            let arrival = piece.arrival?;
            Some(HeardAt {
                arrival,
                offset: time_of(position - piece.start),
            })
        };
        let at = self.pieces.partition_point(|piece| piece.end <= position);
        let next = self
            .pieces
            .iter()
            .skip(at)
            .find(|piece| piece.arrival.is_some());
        if let Some(piece) = next {
            return heard(piece, position.max(piece.start));
        }
        let before = self
            .pieces
            .iter()
            .rev()
            .find(|piece| piece.arrival.is_some())?;
        heard(before, before.end - 1)
    }

    /// Where a sample was received, without moving it later: for a position that no packet holds,
    /// the last sample of the packet before it.
    pub(super) fn heard_by(&self, position: u64) -> Option<HeardAt> {
        let at = self.pieces.partition_point(|piece| piece.start <= position);
        let before = self
            .pieces
            .iter()
            .take(at)
            .rev()
            .find(|piece| piece.arrival.is_some());
        let piece = match before {
            Some(piece) => piece,
            None => return self.heard_at(position),
        };
        let offset = time_of(position.min(piece.end - 1) - piece.start);
        piece.arrival.map(|arrival| HeardAt { arrival, offset })
    }

    /// The segment at the packet that holds a sample, or at the next packet.
    pub(super) fn segment_at(&self, position: u64) -> Segment {
        let at = self.pieces.partition_point(|piece| piece.end <= position);
        let mut next = self.pieces.iter().skip(at);
        next.find(|piece| piece.arrival.is_some())
            .map_or(self.segment, |piece| piece.segment)
    }

    /// How many samples of `from..to` were lost.
    pub(super) fn lost_within(&self, from: u64, to: u64) -> u64 {
        let at = self.pieces.partition_point(|piece| piece.end <= from);
        let inside = self.pieces.iter().skip(at).take_while(|p| p.start < to);
        inside
            .filter(|piece| piece.arrival.is_none())
            .map(|piece| piece.end.min(to) - piece.start.max(from))
            .sum()
    }

    /// If `position` lies in lost audio: where the packet after it starts.
    pub(super) fn after_loss(&self, position: u64) -> Option<u64> {
        let at = self.pieces.partition_point(|piece| piece.end <= position);
        let inside = self
            .pieces
            .get(at)
            .filter(|p| p.start <= position && p.arrival.is_none())?;
        let next = self
            .pieces
            .iter()
            .skip(at)
            .find(|piece| piece.arrival.is_some());
        Some(next.map_or(inside.end, |piece| piece.start))
    }

    /// The start of the lost audio that ends at most `near` samples before `position`.
    pub(super) fn lost_before(&self, position: u64, near: u64) -> Option<u64> {
        let at = self.pieces.partition_point(|piece| piece.start < position);
        let mut lost: Option<u64> = None;
        for piece in self.pieces.iter().take(at).rev() {
            let reach = lost.unwrap_or(position);
            match (piece.arrival, lost) {
                (None, None) if piece.end + near >= reach => lost = Some(piece.start),
                (None, Some(_)) if piece.end == reach => lost = Some(piece.start),
                (Some(_), None) if piece.start + near >= position => {}
                _ => break,
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn samples_and_their_arrivals_can_be_looked_up() {
        let t0 = Instant::now();
        let ms = |n: u64| Duration::from_millis(n);
        let mut track = Track::new();
        assert_eq!(track.heard_at(0), None);
        track.push(&[1; 960], Some(t0));
        track.silence(480);
        track.push(&[2; 960], None);
        track.push(&[3; 480], Some(t0 + ms(50)));
        assert_eq!(track.end(), 2880);
        for (position, value) in [(0, 1), (959, 1), (960, 0), (1440, 2), (2400, 3), (2880, 0)] {
            assert_eq!(track.at(position), value, "{position}");
        }
        let after = HeardAt {
            arrival: t0 + ms(50),
            offset: Duration::ZERO,
        };
        let last = HeardAt {
            arrival: t0,
            offset: time_of(959),
        };
        assert_eq!(
            track.heard_at(48),
            Some(HeardAt {
                arrival: t0,
                offset: ms(1)
            })
        );
        assert_eq!(
            track.heard_at(1000),
            Some(after),
            "in a gap: the next packet"
        );
        assert_eq!(
            track.heard_at(1500),
            Some(after),
            "in a loss: the next packet"
        );
        assert_eq!(
            track.heard_by(1500),
            Some(last),
            "in a loss: the last one before"
        );
        assert_eq!(track.heard_by(1000), Some(last));
        assert_eq!(track.after_loss(1500), Some(2400));
        for (from, to, lost) in [(0, 1440, 0), (1000, 1540, 100), (1500, 2880, 900)] {
            assert_eq!(track.lost_within(from, to), lost, "{from}..{to}");
        }
        assert_eq!(track.after_loss(2400), None);
        assert_eq!(track.lost_before(2400, 0), Some(1440));
        assert_eq!(track.lost_before(2800, 400), Some(1440));
        assert_eq!(track.lost_before(2801, 400), None);
        assert_eq!(track.energy(2390, 2402), 10 * 4 + 2 * 9);
    }

    #[test]
    fn a_gap_longer_than_the_ring_leaves_silence() {
        let mut track = Track::new();
        track.push(&[9; 2000], Some(Instant::now()));
        track.silence(10_000_000);
        assert_eq!(track.end(), 10_002_000);
        assert_eq!(track.energy(track.start(), track.end()), 0);
    }
}
