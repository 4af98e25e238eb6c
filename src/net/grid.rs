//! The schedule of outgoing packets: every 20 ms, each peer at its own phase.
//!
//! In: an instant. Out: the next send slot.
//! Invariant: slots stay on the grid; a missed slot does not shift the later ones.

use std::time::{Duration, Instant};

/// The send period; phases lie within it.
pub(super) const PERIOD: Duration = Duration::from_millis(20);

/// A peer's send slots: 20 ms apart, at the peer's own phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub epoch: Instant,
    pub phase: Duration,
}

impl Grid {
    /// The first slot at or after `now`.
    pub(super) fn slot_from(&self, now: Instant) -> Instant {
        let zero = self.epoch + self.phase;
        let since = now.saturating_duration_since(zero).as_nanos() as u64;
        let period = PERIOD.as_nanos() as u64;
        zero + Duration::from_nanos(since.div_ceil(period) * period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_on_the_grid_and_never_before_now() {
        let epoch = Instant::now();
        let g = Grid {
            epoch,
            phase: Duration::from_millis(7),
        };
        let ms = Duration::from_millis;
        for (now, slot) in [(0, 7), (7, 7), (8, 27), (27, 27), (1_000, 1_007)] {
            assert_eq!(
                g.slot_from(epoch + ms(now)),
                epoch + ms(slot),
                "at {now} ms"
            );
        }
    }
}
