//! Restores the order of packets that arrived out of order.
//!
//! In: packets with their extended sequence numbers. Out: the same packets in ascending order,
//! each with the number of packets lost before it. Invariants: each sequence number is output at
//! most once; at most [`WINDOW`] packets are held; buffers are reused once allocated.

use std::time::{Duration, Instant};

/// Number of packets held back for a missing one before it counts as lost.
pub(super) const WINDOW: usize = 3;
/// A missing packet counts as lost once a later one has been held back for this long.
pub(super) const PATIENCE: Duration = Duration::from_millis(60);
/// A larger jump of the sequence number means a new stream, not a loss.
const NEW_STREAM: u64 = 1000;
/// Initial capacity of a packet buffer; larger packets make it grow.
const PACKET_ROOM: usize = 512;

/// A packet that is held back.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) sequence: u64,
    pub(super) rtp_time: u32,
    pub(super) arrival: Instant,
    pub(super) payload: Vec<u8>,
}

/// What to do with a packet that has just arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Process the packet now, then drain [`Reorder::take`]. `lost`: number of packets lost before
    /// it.
    Now { lost: u64 },
    /// The first packet of a stream, or the first after a jump: discard earlier state.
    NewStream,
    /// The packet arrived early and has been copied. Drain [`Reorder::take`] next.
    Kept,
    /// The packet is a duplicate, or arrived too late.
    Drop,
}

/// The packets that arrived early, and the next sequence number expected.
#[derive(Debug)]
pub(super) struct Reorder {
    next: Option<u64>,
    held: Vec<Slot>,
    free: Vec<Vec<u8>>,
}

impl Reorder {
    pub(super) fn new() -> Self {
        Self {
            next: None,
            held: Vec::with_capacity(WINDOW + 1),
            free: Vec::with_capacity(WINDOW + 1),
        }
    }

    /// Decides what to do with a packet; an early one is copied.
    pub(super) fn offer(
        &mut self,
        sequence: u64,
        rtp_time: u32,
        arrival: Instant,
        payload: &[u8],
    ) -> Order {
        let Some(next) = self.next else {
            self.next = Some(sequence.wrapping_add(1));
            return Order::NewStream;
        };
        if sequence.abs_diff(next) > NEW_STREAM {
            self.next = Some(sequence.wrapping_add(1));
            while let Some(slot) = self.held.pop() {
                self.free.push(slot.payload);
            }
            return Order::NewStream;
        }
        if sequence == next {
            self.next = Some(next.wrapping_add(1));
            return Order::Now { lost: 0 };
        }
        if sequence < next || self.held.iter().any(|slot| slot.sequence == sequence) {
            return Order::Drop;
        }
        // Buffers are allocated on first use: most streams arrive in order.
        let room = || Vec::with_capacity(PACKET_ROOM);
        let mut copy = self.free.pop().unwrap_or_else(room);
        copy.clear();
        copy.extend_from_slice(payload);
        self.held.push(Slot {
            sequence,
            rtp_time,
            arrival,
            payload: copy,
        });
        Order::Kept
    }

    /// Takes the next packet that no longer has to wait, with the number of packets lost before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Slot, u64)> {
        let next = self.next?;
        let first = (0..self.held.len()).min_by_key(|&i| self.held[i].sequence)?;
        let lost = self.held[first].sequence - next;
        let given_up = self.held.len() >= WINDOW || self.deadline().is_some_and(|at| at <= now);
        if lost > 0 && !given_up {
            return None;
        }
        let slot = self.held.swap_remove(first);
        self.next = Some(slot.sequence.wrapping_add(1));
        Some((slot, lost))
    }

    /// Returns the buffer of a taken packet for reuse.
    pub(super) fn give_back(&mut self, slot: Slot) {
        self.free.push(slot.payload);
    }

    /// When the missing packet will count as lost; `None` if no packet is held back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held
            .iter()
            .map(|slot| slot.arrival)
            .min()
            .map(|at| at + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sequence numbers in the order of output, each with the number of losses before it.
    fn order(sequences: &[u64]) -> Vec<(u64, u64)> {
        let start = Instant::now();
        let (mut reorder, mut out, mut most) = (Reorder::new(), Vec::new(), 0);
        for (k, &sequence) in sequences.iter().enumerate() {
            let now = start + Duration::from_millis(20) * k as u32;
            match reorder.offer(sequence, 0, now, &[1]) {
                Order::Now { lost } => out.push((sequence, lost)),
                Order::NewStream => out.push((sequence, 0)),
                Order::Kept | Order::Drop => {}
            }
            most = most.max(reorder.held.len());
            while let Some((slot, lost)) = reorder.take(now) {
                out.push((slot.sequence, lost));
                reorder.give_back(slot);
            }
        }
        let end = start + Duration::from_secs(3600);
        while let Some((slot, lost)) = reorder.take(end) {
            out.push((slot.sequence, lost));
            reorder.give_back(slot);
        }
        assert_eq!(reorder.free.len(), most, "all buffers are given back");
        assert!(most <= WINDOW, "{most} held");
        out
    }

    #[test]
    fn packets_are_reordered_and_losses_counted() {
        type Case<'a> = (&'a str, &'a [u64], &'a [(u64, u64)]);
        let cases: [Case<'_>; 6] = [
            ("in order", &[5, 6, 7], &[(5, 0), (6, 0), (7, 0)]),
            (
                "two swapped",
                &[5, 7, 6, 8],
                &[(5, 0), (6, 0), (7, 0), (8, 0)],
            ),
            (
                "one lost",
                &[5, 7, 8, 9, 10],
                &[(5, 0), (7, 1), (8, 0), (9, 0), (10, 0)],
            ),
            (
                "too late",
                &[5, 7, 8, 9, 6],
                &[(5, 0), (7, 1), (8, 0), (9, 0)],
            ),
            (
                "duplicates",
                &[5, 5, 6, 6, 8, 8, 7],
                &[(5, 0), (6, 0), (7, 0), (8, 0)],
            ),
            (
                "a new stream",
                &[5, 6, 90_000, 90_001],
                &[(5, 0), (6, 0), (90_000, 0), (90_001, 0)],
            ),
        ];
        for (name, sequences, expected) in cases {
            assert_eq!(order(sequences), expected, "{name}");
        }
    }

    #[test]
    fn a_missing_packet_counts_as_lost_after_its_deadline() {
        let start = Instant::now();
        let mut reorder = Reorder::new();
        reorder.offer(1, 0, start, &[]);
        assert_eq!(reorder.offer(3, 0, start, &[1]), Order::Kept);
        assert!(
            reorder
                .take(start + PATIENCE - Duration::from_millis(1))
                .is_none()
        );
        assert_eq!(reorder.deadline(), Some(start + PATIENCE));
        assert!(
            reorder
                .take(start + PATIENCE)
                .is_some_and(|(slot, lost)| slot.sequence == 3 && lost == 1)
        );
    }

    proptest! {
        #[test]
        fn output_is_ascending_and_counts_every_gap(sequences in prop::collection::vec(100u64..140, 1..80)) {
            let out = order(&sequences);
            for pair in out.windows(2) {
                prop_assert_eq!(pair[1].0, pair[0].0 + 1 + pair[1].1, "{:?}", out);
            }
        }
    }
}
