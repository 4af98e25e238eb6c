//! Finds sudden changes of the level inside a talk spurt.
//!
//! In: the energies of loud hops. Out: the position of a change, and the change in dB. Invariants:
//! pauses do not count; a change is found once; memory is fixed.

use crate::audio::ear::burst::HOP;

/// Loud hops that form a block: 100 ms of sound.
const BLOCK: u32 = 20;
/// Blocks on either side of a change: 500 ms of sound.
const SIDE: usize = 5;
/// The level has changed if the sides differ by this much, in dB …
const CHANGE_DB: f64 = 13.0;

/// The blocks of the current talk spurt.
#[derive(Debug, Default)]
pub(super) struct Steps {
    energy: i64,
    hops: u32,
    /// Mean energy of each block's hops, and the block's end; the oldest first.
    blocks: [(f64, u64); 2 * SIDE],
    count: usize,
}

impl Steps {
    /// Forgets the blocks: the talk spurt is over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a loud hop that ends at `end`.
    pub(super) fn hop(&mut self, end: u64, energy: i64) -> Option<(u64, f32)> {
        self.energy += energy;
        self.hops += 1;
        if self.hops < BLOCK {
            return None;
        }
        self.blocks.rotate_left(1);
        self.blocks[2 * SIDE - 1] = (self.energy as f64 / f64::from(BLOCK), end);
        (self.energy, self.hops) = (0, 0);
        self.count = self.count.saturating_add(1);
        if self.count < 2 * SIDE {
            return None;
        }
        let sum = |part: &[(f64, u64)]| part.iter().map(|b| b.0).sum::<f64>().max(1.0);
        let (before, after) = self.blocks.split_at(SIDE);
        let change = 10.0 * (sum(after) / sum(before)).log10();
        if change.abs() < CHANGE_DB {
            return None;
        }
        let at = before[SIDE - 1].1.saturating_sub(HOP);
        self.count = SIDE;
        Some((at, change as f32))
    }
}
