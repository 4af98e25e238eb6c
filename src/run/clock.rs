//! The clocks of a run.
//!
//! In: the runtime's monotonic clock, the wall clock or a substitute. Out: the current time.
//! Invariant: all instants of a run come from the runtime's clock, so that a test that pauses it
//! executes the whole run in virtual time.

pub(super) use crate::targets::{now, until};
use jiff::Timestamp;
use std::time::Instant;

/// Source of a run's wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The system's wall clock.
    #[default]
    System,
    /// A fixed start time, so that two runs of one plan have the same records. The runtime's clock
    /// is paused, so nothing may run outside the runtime.
    Virtual(Timestamp),
}

/// How many times both clocks are read. The pair of readings that lie closest together is used,
/// because the thread may be preempted between two readings.
const READINGS: usize = 5;

/// The origin of a run's time axis, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeOrigin {
    /// The instant that all instants in the records are relative to.
    pub at: Instant,
    /// The same instant on the wall clock.
    pub wall: Timestamp,
}

impl Clock {
    /// Reads both clocks, as close together as this machine's scheduling allows.
    pub(super) fn zero(self) -> TimeOrigin {
        match self {
            Self::System => closest(),
            Self::Virtual(wall) => TimeOrigin { at: now(), wall },
        }
    }
}

fn closest() -> TimeOrigin {
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
    TimeOrigin { at, wall }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_read_at_the_same_moment() {
        let (before, wall_before) = (Instant::now(), Timestamp::now());
        let zero = Clock::System.zero();
        let (after, wall_after) = (Instant::now(), Timestamp::now());
        assert!((before..=after).contains(&zero.at));
        assert!((wall_before..=wall_after).contains(&zero.wall));
    }
}
