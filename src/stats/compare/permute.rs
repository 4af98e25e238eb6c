//! The permutation test: exchanges calls at random between two arms.
//!
//! In: for each call and test, the sum of its scores and their number. Out: for each test, how
//! often the arms' mean scores differ by as much by chance. Invariants: exact if calls are
//! exchangeable (within blocks, if there are any); every test sees the same permutations.

use super::comparison::SampleOrigin;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// Number of permutations of a comparison with few tests; see [`permutations`].
const USUAL: u32 = 20_000;
/// Maximum number of permutations, even if more would be needed for the number of tests.
const MOST: u32 = 1_000_000;
/// A test ends once this many permutations have been as extreme as the observed difference: the
/// relative error of its p is then about a tenth (Besag & Clifford, *Biometrika* 78, 1991).
pub(super) const ENOUGH: u32 = 100;

/// Which arm a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Baseline,
    Candidate,
}

/// Number of permutations. The smallest p that n permutations can yield, 1/n, must be small enough
/// after Holm's correction for `tests` tests.
pub(super) fn permutations(tests: usize, level: f64) -> u32 {
    let wanted = 2.0 * tests as f64 / (1.0 - level);
    (wanted.round().min(f64::from(MOST)) as u32).max(USUAL)
}

/// Number of calls that are exchanged with each other: of the baseline, of the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchanged(pub(super) [usize; 2]);

/// The calls that a test exchanges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Design {
    /// Whether calls are exchanged within blocks; otherwise there is one block with all calls.
    pub(super) paired: bool,
    pub(super) blocks: Vec<Exchanged>,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tested {
    /// Mean score of the candidate − mean score of the baseline.
    pub(super) by: f64,
    /// Two-sided p-value: how often so large a difference arises by chance.
    pub(super) p: f64,
    /// The calls that the test exchanged.
    pub(super) design: Design,
}

/// A call of one of the two arms.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    side: Side,
    block: Option<u64>,
    /// For each test: the sum of the call's scores and their number.
    scores: Vec<(f64, f64)>,
}

/// The scores of all calls in all tests.
#[derive(Debug, Clone, Default)]
pub(super) struct Scores {
    tests: usize,
    calls: BTreeMap<(Side, usize), Call>,
}

impl Scores {
    /// Adds a test with the score of every value. A call is identified by its side and number.
    pub(super) fn add(&mut self, scores: impl IntoIterator<Item = (Side, SampleOrigin, f64)>) {
        let test = self.tests;
        self.tests += 1;
        for (side, place, score) in scores {
            let call = self.calls.entry((side, place.call)).or_insert(Call {
                side,
                block: place.block,
                scores: Vec::new(),
            });
            call.scores.resize(test + 1, (0.0, 0.0));
            if let Some((sum, count)) = call.scores.last_mut() {
                *sum += score;
                *count += 1.0;
            }
        }
    }

    /// Runs every test, two-sided, in the order of [`Scores::add`], with at most `most`
    /// permutations.
    pub(super) fn permute(self, seed: u64, most: u32) -> Vec<Tested> {
        let table = Table::new(self);
        let mut order: Vec<u32> = (0..table.calls as u32).collect();
        let observed = table.differences(&table.candidates(&order));
        let mut as_extreme = vec![0_u32; table.tests];
        let mut p: Vec<Option<f64>> = vec![None; table.tests];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut chosen = Vec::new();
        for nth in 1..=most {
            table.shuffle(&mut order, &mut rng);
            table.candidates_into(&order, &mut chosen);
            let found = table.differences(&chosen);
            for test in 0..table.tests {
                // Sums of the same numbers in a different order differ by rounding.
                let rounding = 1e-9 * observed[test].abs();
                if p[test].is_none() && found[test].abs() >= observed[test].abs() - rounding {
                    as_extreme[test] += 1;
                    if as_extreme[test] == ENOUGH {
                        p[test] = Some(f64::from(ENOUGH) / f64::from(nth));
                    }
                }
            }
            if p.iter().all(Option::is_some) {
                break;
            }
        }
        let last = |count: u32| f64::from(count + 1) / f64::from(most + 1);
        let tested = p.into_iter().zip(as_extreme).zip(observed);
        tested
            .enumerate()
            .map(|(test, ((p, count), by))| Tested {
                by,
                p: p.unwrap_or(last(count)),
                design: table.design(test),
            })
            .collect()
    }
}

/// A range of calls that are exchanged with each other; the first `candidates` of them belong to
/// the candidate.
#[derive(Debug, Clone, Copy)]
struct Block {
    begin: usize,
    end: usize,
    candidates: usize,
}

/// The scores, laid out for fast summation: calls sorted by block, candidates first.
struct Table {
    tests: usize,
    calls: usize,
    /// Whether calls are exchanged within blocks.
    paired: bool,
    /// By call, then by test: sum and number of scores.
    scores: Vec<(f64, f64)>,
    /// By test, over all calls.
    total: Vec<(f64, f64)>,
    blocks: Vec<Block>,
}

impl Table {
    fn new(scores: Scores) -> Self {
        let tests = scores.tests;
        let mut calls: Vec<Call> = scores.calls.into_values().collect();
        let has_blocks = |side| {
            calls
                .iter()
                .filter(|c| c.side == side)
                .all(|c| c.block.is_some())
        };
        let paired = has_blocks(Side::Baseline) && has_blocks(Side::Candidate);
        if !paired {
            calls.iter_mut().for_each(|c| c.block = None);
        }
        calls.sort_by_key(|c| (c.block, c.side == Side::Baseline));
        let blocks = calls.chunk_by(|a, b| a.block == b.block);
        let blocks = blocks.scan(0, |begin, block| {
            let from = *begin;
            *begin += block.len();
            Some(Block {
                begin: from,
                end: *begin,
                candidates: block.iter().filter(|c| c.side == Side::Candidate).count(),
            })
        });
        let blocks = blocks.collect();
        calls
            .iter_mut()
            .for_each(|c| c.scores.resize(tests, (0.0, 0.0)));
        let of_test = |test: usize| {
            let sum =
                |all: (f64, f64), c: &Call| (all.0 + c.scores[test].0, all.1 + c.scores[test].1);
            calls.iter().fold((0.0, 0.0), sum)
        };
        Self {
            tests,
            paired,
            calls: calls.len(),
            total: (0..tests).map(of_test).collect(),
            scores: calls
                .iter()
                .flat_map(|c| c.scores.iter().copied())
                .collect(),
            blocks,
        }
    }

    /// The number of calls that have values in a test, by block and arm.
    fn design(&self, test: usize) -> Design {
        let has_values = |call: &usize| self.scores[call * self.tests + test].1 > 0.0;
        let count = |calls: std::ops::Range<usize>| calls.filter(has_values).count();
        let blocks = self.blocks.iter().map(|block| {
            let middle = block.begin + block.candidates;
            Exchanged([count(middle..block.end), count(block.begin..middle)])
        });
        Design {
            paired: self.paired,
            blocks: blocks.collect(),
        }
    }

    /// Moves randomly chosen calls to the front of each block: a partial Fisher–Yates shuffle.
    fn shuffle(&self, order: &mut [u32], rng: &mut ChaCha8Rng) {
        for block in &self.blocks {
            for i in block.begin..block.begin + block.candidates {
                let left = (block.end - i) as u64;
                // The high half of the product: uniform to one in 2⁵⁰ for any number of calls.
                let step = ((u128::from(rng.next_u64()) * u128::from(left)) >> 64) as usize;
                order.swap(i, i + step);
            }
        }
    }

    fn candidates(&self, order: &[u32]) -> Vec<u32> {
        let mut chosen = Vec::new();
        self.candidates_into(order, &mut chosen);
        chosen
    }

    fn candidates_into(&self, order: &[u32], chosen: &mut Vec<u32>) {
        chosen.clear();
        for block in &self.blocks {
            chosen.extend(&order[block.begin..block.begin + block.candidates]);
        }
    }

    /// By test: mean score of the chosen calls − mean score of the others.
    fn differences(&self, chosen: &[u32]) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.tests];
        for &call in chosen {
            let begin = call as usize * self.tests;
            let scores = &self.scores[begin..begin + self.tests];
            for (sum, score) in sums.iter_mut().zip(scores) {
                sum.0 += score.0;
                sum.1 += score.1;
            }
        }
        let mean = |(sum, count): (f64, f64)| if count > 0.0 { sum / count } else { 0.0 };
        sums.iter()
            .zip(&self.total)
            .map(|(chosen, all)| mean(*chosen) - mean((all.0 - chosen.0, all.1 - chosen.1)))
            .collect()
    }
}
