//! Datagrams that are on their way through a simulated network.
//!
//! In: datagrams and the moments at which they arrive. Out: those that have arrived, in the order
//! of their arrivals. Invariant: at most [`MOST`] are held; others are refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Instant;

/// Maximum number of datagrams held: ten seconds of everything that a call sends.
const MOST: usize = 4_096;

/// A datagram that has not arrived yet.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::net) struct HeldDatagram {
    pub due: Instant,
    /// Keeps the order of datagrams that arrive at the same moment.
    order: u64,
    /// Where it comes from, or where it goes.
    pub address: SocketAddr,
    /// The kernel stamped its real arrival.
    pub kernel: bool,
    pub bytes: Box<[u8]>,
}

/// Datagrams on their way in one direction.
#[derive(Debug, Default)]
pub(in crate::net) struct Held {
    heap: BinaryHeap<Reverse<HeldDatagram>>,
    order: u64,
}

impl Held {
    /// Holds a datagram; false if there are too many.
    pub(in crate::net) fn push(
        &mut self,
        due: Instant,
        address: SocketAddr,
        kernel: bool,
        bytes: &[u8],
    ) -> bool {
        if self.heap.len() >= MOST {
            return false;
        }
        self.order += 1;
        self.heap.push(Reverse(HeldDatagram {
            due,
            order: self.order,
            address,
            kernel,
            bytes: bytes.into(),
        }));
        true
    }

    /// When the next one arrives.
    pub(in crate::net) fn due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(next)| next.due)
    }

    /// The next one that has arrived by `now`.
    pub(in crate::net) fn pop(&mut self, now: Instant) -> Option<HeldDatagram> {
        self.due().filter(|due| *due <= now)?;
        self.heap.pop().map(|Reverse(next)| next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn from() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5_000))
    }

    #[test]
    fn datagrams_come_out_by_their_arrival_then_in_the_order_in_which_they_entered() {
        let mut held = Held::default();
        let zero = Instant::now();
        let ms = |ms| zero + Duration::from_millis(ms);
        for (at, byte) in [(30, 1), (10, 2), (30, 3), (20, 4), (50, 5)] {
            assert!(held.push(ms(at), from(), true, &[byte]));
        }
        assert_eq!(held.due(), Some(ms(10)));
        let mut out = Vec::new();
        while let Some(next) = held.pop(ms(40)) {
            out.push(next.bytes[0]);
        }
        assert_eq!(out, [2, 4, 1, 3]);
        assert_eq!(held.due(), Some(ms(50)));
    }

    #[test]
    fn a_flood_is_refused() {
        let mut held = Held::default();
        let zero = Instant::now();
        assert!((0..MOST).all(|_| held.push(zero, from(), true, &[0])));
        assert!(!held.push(zero, from(), true, &[0]));
        assert!(held.pop(zero).is_some());
        assert!(held.push(zero, from(), true, &[0]));
    }
}
