//! Estimates the most likely position of an onset next to lost audio.
//!
//! In: the packets played, with their sizes; an onset detected after a loss. Out: a position
//! inside the interval in which the onset may lie. Invariants: the position is never after the
//! detected onset and never before the loss; memory is allocated once.

use crate::audio::{Codec, FRAME};
use std::collections::VecDeque;

/// Number of packets kept: more than the second between an onset and the decision about it.
const KEPT: usize = 96;
/// Number of packets examined on either side of a loss to find the packet sizes of silence and
/// speech.
const SIDE: usize = 10;
/// A side with fewer packets than this is not used.
const FEWEST: usize = 3;

/// The packets played most recently.
#[derive(Debug)]
pub(super) struct Losses {
    /// Position of each packet's first sample, and its size in bytes.
    played: VecDeque<(u64, usize)>,
    /// How far the codec's output lags its input, in samples.
    lookahead: u64,
}

impl Losses {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            lookahead: codec.lookahead() as u64,
            played: VecDeque::with_capacity(KEPT),
        }
    }

    /// Adds a packet whose audio begins at `start`.
    pub(super) fn packet(&mut self, start: u64, bytes: usize) {
        if self.played.len() == KEPT {
            self.played.pop_front();
        }
        self.played.push_back((start, bytes));
    }

    /// Estimates the position of an onset detected at `onset`, after a loss that began at `from`.
    ///
    /// The size of the first packet after the loss shows whether the reply had already begun. The
    /// packet's decoded audio does not, because the loss leaves the decoder in the wrong state. If
    /// the reply had begun, the onset lies between the start of the loss and the latest sample at
    /// which the reply can have begun in that packet; the midpoint is the best estimate.
    pub(super) fn place(&self, onset: u64, from: u64) -> u64 {
        let next = self.played.partition_point(|(start, _)| *start < from);
        let Some(&(end, bytes)) = self.played.get(next) else {
            return onset;
        };
        let latest = onset.min(end + self.lookahead);
        if onset < end || latest <= from || !self.was_under_way(next, bytes, onset - end) {
            return onset;
        }
        from + (latest - from) / 2
    }

    fn was_under_way(&self, next: usize, bytes: usize, after: u64) -> bool {
        let before = self.played.range(next.saturating_sub(SIDE)..next);
        let behind = self.played.range((next + 1).min(self.played.len())..);
        let quiet = median(before.map(|(_, bytes)| *bytes));
        let reply = median(behind.take(SIDE).map(|(_, bytes)| *bytes));
        match quiet.zip(reply) {
            Some((quiet, reply)) if 5 * quiet <= 4 * reply => {
                2 * bytes >= quiet + reply && after < 2 * FRAME as u64
            }
            // The sizes are inconclusive: too few packets, a constant bit rate, or noise that takes
            // as many bytes as speech.
            _ => after < FRAME as u64,
        }
    }
}

fn median(sizes: impl Iterator<Item = usize>) -> Option<usize> {
    let mut sorted = [0; SIDE];
    let mut count = 0;
    for size in sizes.take(SIDE) {
        sorted[count] = size;
        count += 1;
    }
    let sorted = &mut sorted[..count];
    sorted.sort_unstable();
    (count >= FEWEST).then(|| sorted[count / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of these sizes, 20 ms each; `None` is a lost packet.
    fn played(sizes: &[Option<usize>]) -> Losses {
        let mut losses = Losses::new(Codec::Opus);
        for (k, bytes) in sizes.iter().enumerate() {
            if let Some(bytes) = bytes {
                losses.packet((k * FRAME) as u64, *bytes);
            }
        }
        losses
    }

    #[test]
    fn next_packet_size_decides_whether_the_onset_was_lost() {
        const Q: Option<usize> = Some(5);
        const H: Option<usize> = Some(30);
        const R: Option<usize> = Some(60);
        let at = |ms: f64| (ms * 48.0) as u64;
        for (name, sizes, heard, place) in [
            (
                "onset in the loss",
                [Q, Q, Q, Q, None, None, R, R, R, R],
                131.0,
                103.25,
            ),
            (
                "onset in the loss, detected late",
                [Q, Q, Q, Q, None, None, R, R, R, R],
                141.0,
                103.25,
            ),
            (
                "onset right after the loss",
                [Q, Q, Q, Q, None, None, R, R, R, R],
                120.0,
                100.0,
            ),
            (
                "onset a packet after the loss",
                [Q, Q, Q, Q, None, None, Q, R, R, R],
                144.0,
                144.0,
            ),
            (
                "onset long after the loss",
                [Q, Q, Q, Q, None, None, R, R, R, R],
                170.0,
                170.0,
            ),
            (
                "constant rate, onset right after the loss",
                [R, R, R, R, None, None, R, R, R, R],
                122.0,
                101.0,
            ),
            (
                "constant rate, onset a packet later",
                [R, R, R, R, None, None, R, R, R, R],
                144.0,
                144.0,
            ),
            (
                "silence takes half as many bytes as speech",
                [H, H, H, H, None, None, R, R, R, R],
                141.0,
                103.25,
            ),
            (
                "no packets after the loss",
                [Q, Q, Q, Q, None, None, None, None, None, None],
                100.0,
                100.0,
            ),
        ] {
            let got = played(&sizes).place(at(heard), at(80.0));
            assert_eq!(got, at(place), "{name}");
        }
    }

    #[test]
    fn too_few_packets_are_inconclusive_and_old_packets_are_dropped() {
        let losses = played(&[Some(5), None, Some(60)]);
        let at = 2 * FRAME as u64 + 100;
        assert_eq!(losses.place(at, FRAME as u64), (FRAME as u64 + at) / 2);
        let many = played(&[Some(5); 5 * KEPT]);
        assert_eq!(many.played.len(), KEPT);
        assert_eq!(Losses::new(Codec::Opus).place(7, 3), 7);
    }
}
