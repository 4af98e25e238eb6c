//! Measures the noise floor: the level of the agent's track while nobody speaks.
//!
//! In: levels of 10 ms windows. Out: the median of the trailing second and its spread.
//! Invariants: the memory is fixed, and a window costs at most one pass over the bins.

/// Number of windows in the trailing second, at a hop of 5 ms.
const SECOND: usize = 200;
/// Number of bins of half a decibel from [`LOWEST`] up to 0 dBFS.
const BINS: usize = 201;
/// The lowest level that is distinguished, in dBFS: below the lowest bit of 16-bit audio.
pub(super) const LOWEST: f32 = -100.0;

/// A sliding median, kept as a histogram.
#[derive(Debug)]
pub(super) struct Floor {
    bins: [u16; BINS],
    recent: [u8; SECOND],
    next: usize,
    count: usize,
    median: usize,
    /// Number of windows in the bins below `median`.
    under: usize,
}

impl Floor {
    pub(super) fn new() -> Self {
        Self {
            bins: [0; BINS],
            recent: [0; SECOND],
            next: 0,
            count: 0,
            median: 0,
            under: 0,
        }
    }

    /// Adds a window's level in dBFS.
    pub(super) fn push(&mut self, dbfs: f32) {
        let bin = (((dbfs - LOWEST) * 2.0).round().max(0.0) as usize).min(BINS - 1);
        if self.count == SECOND {
            let old = usize::from(self.recent[self.next]);
            self.bins[old] -= 1;
            self.under -= usize::from(old < self.median);
        } else {
            self.count += 1;
        }
        self.recent[self.next] = bin as u8;
        self.next = (self.next + 1) % SECOND;
        self.bins[bin] += 1;
        self.under += usize::from(bin < self.median);
        let half = self.count / 2;
        while self.under > half {
            self.median -= 1;
            self.under -= usize::from(self.bins[self.median]);
        }
        while self.under + usize::from(self.bins[self.median]) <= half {
            self.under += usize::from(self.bins[self.median]);
            self.median += 1;
        }
    }

    /// Discards the history; the next windows define a new floor.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Median level in dBFS; [`LOWEST`] before the first window.
    pub(super) fn level(&self) -> f32 {
        if self.count == 0 {
            LOWEST
        } else {
            LOWEST + self.median as f32 / 2.0
        }
    }

    /// One standard deviation in dB: from the median up to the 84th percentile.
    pub(super) fn sigma(&self) -> f32 {
        self.above(84)
    }

    /// Distance of the loud windows from the median, in dB: from the median up to the 95th
    /// percentile.
    pub(super) fn peaks(&self) -> f32 {
        self.above(95)
    }

    fn above(&self, percent: usize) -> f32 {
        let wanted = self.count * percent / 100;
        let mut below = self.under;
        for (above, &bin) in self.bins[self.median..].iter().enumerate() {
            below += usize::from(bin);
            if below > wanted {
                return above as f32 / 2.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_floor_is_silent() {
        let floor = Floor::new();
        assert_eq!((floor.level(), floor.sigma()), (LOWEST, 0.0));
    }

    #[test]
    fn the_floor_follows_a_level_change_within_a_second() {
        let mut floor = Floor::new();
        for k in 0..400 {
            floor.push(if k < 200 { -80.0 } else { -40.0 });
        }
        assert_eq!(floor.level(), -40.0);
        floor.clear();
        assert_eq!(floor.level(), LOWEST);
    }

    proptest! {
        #[test]
        fn the_floor_is_the_median_of_the_last_second(levels in prop::collection::vec(-120.0..3.0f32, 1..600)) {
            let mut floor = Floor::new();
            levels.iter().for_each(|&level| floor.push(level));
            let mut last: Vec<f32> = levels.iter().rev().take(SECOND)
                .map(|l| (l.clamp(LOWEST, 0.0) * 2.0).round() / 2.0).collect();
            last.sort_by(f32::total_cmp);
            prop_assert!((floor.level() - last[last.len() / 2]).abs() <= 0.5);
            prop_assert!(floor.sigma() >= 0.0 && floor.peaks() >= floor.sigma());
        }
    }
}
