//! Computes how many calls a comparison needs before it can be conclusive at all.
//!
//! In: the number of calls of each arm in each block, and the number of tests. Out: the smallest
//! corrected p that this many calls can reach, whatever their values, and how many calls could
//! reach the level.
//! Invariant: the p of a permutation test is limited by the number of arrangements, so that two
//! completely separated arms are inconclusive below the number given here and conclusive at it.

use super::comparison::Needed;
use super::permute::{Design, ENOUGH, Exchanged};

/// Upper limit of the search for a number of calls or blocks.
const MOST: usize = 1_000_000;

impl Exchanged {
    /// Logarithm of the number of ways to assign the calls to the arms.
    fn ln_ways(self) -> f64 {
        let [a, b] = self.0;
        let few = a.min(b);
        let steps = (1..=few).map(|k| ((a + b - few + k) as f64 / k as f64).ln());
        steps.sum()
    }
}

impl Design {
    /// The number of calls needed for a level of 1 − `alpha` after a correction for `tests` tests;
    /// `None` if there are enough calls, or if more calls like these would never be enough.
    pub(super) fn needed(&self, tests: f64, alpha: f64) -> Option<Needed> {
        let ln_best = |ln_ways: f64| std::f64::consts::LN_2 + tests.max(1.0).ln() - ln_ways;
        let ln_ways: f64 = self.blocks.iter().map(|b| b.ln_ways()).sum();
        let best_p = ln_best(ln_ways).exp().min(1.0);
        if best_p <= alpha || ln_ways <= 0.0 {
            return None;
        }
        // The test estimates p with a relative standard error of a tenth: allow for three.
        let margin = (1.0 + 3.0 / f64::from(ENOUGH).sqrt()).ln();
        let enough = |ln_ways: f64| ln_best(ln_ways) + margin <= alpha.ln();
        let sum = |arm: usize| self.blocks.iter().map(|b| b.0[arm]).sum::<usize>();
        let have = [sum(0), sum(1)];
        let scaled = |n: usize, by: f64| (n as f64 * by).ceil() as usize;
        if self.paired {
            // Blocks in which both arms have calls; additional blocks are assumed to be similar.
            let full = self.blocks.iter().filter(|b| b.ln_ways() > 0.0).count();
            let each = ln_ways / full as f64;
            let wanted = (full..MOST).find(|n| enough(each * *n as f64))?;
            let by = wanted as f64 / full as f64;
            return Some(Needed {
                best_p,
                have,
                calls: have.map(|n| scaled(n, by)),
                blocks: Some([full, wanted]),
            });
        }
        // More calls in the same proportion.
        let (total, [a, b]) = (have[0] + have[1], have);
        let grown = (total..MOST).map(|n| n as f64 / total as f64);
        let mut grown = grown.map(|by| [scaled(a, by), scaled(b, by)]);
        let calls = grown.find(|arms| enough(Exchanged(*arms).ln_ways()))?;
        Some(Needed {
            best_p,
            have,
            calls,
            blocks: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(n: usize, arms: [usize; 2]) -> Design {
        Design {
            paired: true,
            blocks: vec![Exchanged(arms); n],
        }
    }

    fn alone(arms: [usize; 2]) -> Design {
        Design {
            paired: false,
            blocks: vec![Exchanged(arms)],
        }
    }

    #[test]
    fn needed_calls_and_blocks_match_the_exact_count() {
        // With b blocks of one call per arm, the best p is 2 in 2^b.
        for (name, design, tests, best_p, blocks, calls) in [
            (
                "six blocks, two tests",
                blocks(6, [1, 1]),
                2.0,
                0.0625,
                Some([6, 7]),
                [7, 7],
            ),
            (
                "six blocks, four variants",
                blocks(6, [1, 1]),
                12.0,
                0.375,
                Some([6, 10]),
                [10, 10],
            ),
            (
                "two calls a block and arm",
                blocks(2, [2, 2]),
                2.0,
                4.0 / 36.0,
                Some([2, 3]),
                [6, 6],
            ),
            ("three calls an arm", alone([3, 3]), 1.0, 0.1, None, [4, 4]),
            ("one call and many", alone([1, 9]), 1.0, 0.2, None, [2, 10]),
        ] {
            let found = design.needed(tests, 0.05).expect(name);
            assert!((found.best_p - best_p).abs() < 1e-9, "{name}: {found:?}");
            assert_eq!((found.blocks, found.calls), (blocks, calls), "{name}");
        }
        assert_eq!(blocks(7, [1, 1]).needed(2.0, 0.05), None, "enough");
        assert_eq!(alone([4, 4]).needed(1.0, 0.05), None, "2 of 70");
        assert_eq!(alone([0, 5]).needed(1.0, 0.05), None, "nothing to exchange");
        assert_eq!(Design::default().needed(1.0, 0.05), None);
    }

    #[test]
    fn the_number_of_exchanges_is_the_binomial_coefficient() {
        for (arms, ways) in [([1, 1], 2.0), ([2, 2], 6.0), ([3, 5], 56.0), ([0, 4], 1.0)] {
            let found = Exchanged(arms).ln_ways().exp();
            assert!((found - ways).abs() < 1e-9, "{arms:?}: {found}");
        }
    }
}
