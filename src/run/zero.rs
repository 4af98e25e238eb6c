//! The zero of a run's instants, on the monotonic clock and on the wall clock.
//!
//! In: both clocks. Out: one moment on each. Invariant: the two readings lie as close together as
//! this machine's scheduling allows, so that a run can be aligned with other logs.

use jiff::Timestamp;
use std::time::Instant;

/// Number of reading pairs, of which the closest is used: a thread may lose its core between the
/// two clocks.
const READINGS: usize = 5;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zero {
    /// The instant that all instants in the records are relative to.
    pub at: Instant,
    /// The same instant on the wall clock.
    pub wall: Timestamp,
}

impl Zero {
    pub(super) fn now() -> Self {
        let reading = || {
            let before = Instant::now();
            let wall = Timestamp::now();
            let apart = before.elapsed();
            (apart, before + apart / 2, wall)
        };
        let mut closest = reading();
        for _ in 1..READINGS {
            let next = reading();
            if next.0 < closest.0 {
                closest = next;
            }
        }
        let (_, at, wall) = closest;
        Self { at, wall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_read_at_one_moment() {
        let (before, wall_before) = (Instant::now(), Timestamp::now());
        let zero = Zero::now();
        let (after, wall_after) = (Instant::now(), Timestamp::now());
        assert!((before..=after).contains(&zero.at));
        assert!((wall_before..=wall_after).contains(&zero.wall));
    }
}
