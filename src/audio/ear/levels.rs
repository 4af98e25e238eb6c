//! Keeps the window levels of the last two seconds.
//!
//! In: the level of each 10 ms window (hop 5 ms), or `None` if the window was not received. Out:
//! the most recent levels, and whether any 100 ms among them reach a given level. Invariant: memory
//! is allocated once.

use crate::audio::level::power_at;
use std::collections::VecDeque;

/// Number of levels kept: two seconds.
const KEPT: usize = 400;
/// Number of windows in 100 ms.
const LOUDEST: usize = 20;

/// Levels in dBFS; NaN where nothing was received.
#[derive(Debug)]
pub(super) struct Levels(VecDeque<f32>);

impl Levels {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(KEPT))
    }

    /// Adds a window's level; `None` if the window was not received.
    pub(super) fn push(&mut self, dbfs: Option<f32>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(dbfs.unwrap_or(f32::NAN));
    }

    /// Level of the last window, if it was received.
    pub(super) fn last(&self) -> Option<f32> {
        self.0.back().copied().filter(|level| !level.is_nan())
    }

    /// Levels of the received windows among the last `windows`, oldest first.
    pub(super) fn of_last(&self, windows: usize) -> impl Iterator<Item = f32> + Clone {
        self.0
            .range(self.0.len() - windows.min(self.0.len())..)
            .copied()
            .filter(|level| !level.is_nan())
    }

    /// Number of consecutive windows, counted back from the last, that are quieter than `dbfs`.
    pub(super) fn below(&self, dbfs: f32) -> usize {
        self.0.iter().rev().take_while(|&&l| l < dbfs).count()
    }

    /// Whether any 100 ms within the last `windows` windows had a mean level of at least `dbfs`.
    pub(super) fn reach(&self, windows: usize, dbfs: f32) -> bool {
        let needed = power_at(f64::from(dbfs)) * LOUDEST as f64;
        let power = |at: usize| {
            let level = self.0[at];
            if level.is_nan() {
                0.0
            } else {
                power_at(f64::from(level))
            }
        };
        let first = self.0.len() - windows.min(self.0.len());
        let mut sum = 0.0;
        (first..self.0.len()).any(|at| {
            sum += power(at);
            if at >= first + LOUDEST {
                sum -= power(at - LOUDEST);
            }
            sum >= needed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_recent_levels_and_the_loudest_100_ms() {
        let mut levels = Levels::new();
        assert_eq!((levels.last(), levels.of_last(9).count()), (None, 0));
        (0..KEPT).for_each(|_| levels.push(Some(-80.0)));
        (0..30).for_each(|_| levels.push(Some(-40.0)));
        levels.push(None);
        (0..10).for_each(|_| levels.push(Some(-60.0)));
        assert_eq!(levels.last(), Some(-60.0));
        assert_eq!(levels.below(-50.0), 10);
        assert_eq!(levels.of_last(21).count(), 20, "one was not received");
        assert_eq!(levels.of_last(10_000).count(), KEPT - 1);
        for (windows, dbfs, reached) in [
            (41, -40.1, true),
            (41, -39.9, false),
            (31, -40.1, true),
            (21, -43.5, true),
            (21, -42.5, false),
            (10, -59.9, false),
        ] {
            assert_eq!(levels.reach(windows, dbfs), reached, "{windows} {dbfs}");
        }
    }
}
