//! The random decisions of one call, besides the delays.
//!
//! In: a seed, a call's number. Out: decisions. Invariant: the same seed and call number give the
//! same decisions, and those of one kind do not depend on how many of another were made.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Added to the seed, once for each kind of decision, so that no kind shares the stream of the
/// delays: the odd number nearest to 2^64 divided by the golden ratio.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A kind of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whether to ignore an interruption.
    Ignore,
    /// Whether to speak again after an interruption that asked for nothing.
    Resume,
    /// Whether to begin anew then.
    Restart,
    /// Whether to take a long pause for the end of the turn.
    Early,
    /// Whether to say a filler first.
    Filler,
    /// Which fault the reply has.
    Fault,
    /// Whether to stay silent.
    Silent,
    /// Whether to publish the track again.
    Republish,
}

const KINDS: usize = Decision::Republish as usize + 1;

/// The decisions of one call.
#[derive(Debug, Clone)]
pub(super) struct Dice([ChaCha8Rng; KINDS]);

impl Dice {
    pub(super) fn new(seed: u64, call: u64) -> Self {
        Self(std::array::from_fn(|kind| {
            let seed = seed.wrapping_add(STRIDE.wrapping_mul(kind as u64 + 1));
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(call);
            random
        }))
    }

    /// A number from 0 up to but not including 1.
    pub(super) fn number(&mut self, decision: Decision) -> f64 {
        self.0[decision as usize].random()
    }

    /// Decides for a share of the cases.
    pub(super) fn is_in(&mut self, decision: Decision, share: f64) -> bool {
        self.number(decision) < share
    }

    /// One of `count` things; `count` is at least 1.
    pub(super) fn pick(&mut self, decision: Decision, count: usize) -> usize {
        let picked = self.number(decision) * count as f64;
        (picked as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_reproducible_and_independent_of_each_other() {
        let drawn = |call, others: usize| {
            let mut dice = Dice::new(7, call);
            (0..2_000)
                .map(|_| {
                    (0..others).for_each(|_| _ = dice.number(Decision::Fault));
                    dice.is_in(Decision::Ignore, 0.25)
                })
                .collect::<Vec<bool>>()
        };
        assert_eq!(drawn(3, 0), drawn(3, 2));
        assert_ne!(drawn(3, 0), drawn(4, 0));
        let share = drawn(3, 0).iter().filter(|ignored| **ignored).count();
        assert!((430..570).contains(&share), "{share} of 2000");
        let mut dice = Dice::new(7, 0);
        assert!(!dice.is_in(Decision::Silent, 0.0) && dice.is_in(Decision::Silent, 1.0));
        assert!((0..100).all(|_| dice.pick(Decision::Fault, 3) < 3));
    }
}
