//! Selects the turns whose audio is kept, while the run is in progress.
//!
//! In: turns in any order. Out: turns that are not selected, or no longer selected. Invariants: at
//! most the requested number is kept. The selection depends only on the turns, not on the order in
//! which they ended: ties go to the lower call index, then to the lower turn index.

use super::take::{Class, Take};
use crate::record::{EvidenceReason, Ms};
use crate::scenario::EvidenceSelection;
use std::cmp::Reverse;
use std::collections::BTreeMap;

type Key = (usize, usize);

/// The turns kept so far.
#[derive(Debug)]
pub(super) struct Selection {
    asked: EvidenceSelection,
    slowest: BTreeMap<(Reverse<Ms>, Key), Take>,
    failed: BTreeMap<Key, Take>,
}

impl Selection {
    pub(super) fn new(asked: EvidenceSelection) -> Self {
        Self {
            asked,
            slowest: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Adds a turn; returns the turn that is not kept: the added turn, or one that it displaced.
    pub(super) fn offer(&mut self, take: Take) -> Option<Take> {
        let key = take.key();
        match take.class {
            Class::Replied(ttfa) => {
                self.slowest.insert((Reverse(ttfa), key), take);
                let over = self.slowest.len() > self.asked.slowest as usize;
                over.then(|| self.slowest.pop_last().map(|(_, take)| take))?
            }
            Class::Failed => {
                self.failed.insert(key, take);
                let over = self.failed.len() > self.asked.failed as usize;
                over.then(|| self.failed.pop_last().map(|(_, take)| take))?
            }
            Class::Other => Some(take),
        }
    }

    /// The selected turns, with slowest and failed ones alternating, so that some of both are kept
    /// if not all of them fit.
    pub(super) fn chosen(self) -> impl Iterator<Item = (Take, EvidenceReason)> {
        let mut slowest = self.slowest.into_values();
        let mut failed = self.failed.into_values();
        let of_each = move || {
            let slow = slowest.next().map(|take| (take, EvidenceReason::Slowest));
            let fail = failed.next().map(|take| (take, EvidenceReason::Failed));
            (slow.is_some() || fail.is_some()).then_some([slow, fail])
        };
        std::iter::from_fn(of_each).flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::packets::Packets;
    use crate::audio::replay::Window;
    use std::time::Instant;

    fn take(call: usize, turn: usize, class: Class) -> Take {
        let start = Instant::now();
        Take {
            call,
            turn,
            codec: crate::audio::Codec::Opus,
            class,
            window: Window { start, length: 10 },
            speech_end: start,
            onset: None,
            packets: Packets::default(),
            said: Vec::new(),
            cut: false,
        }
    }

    fn replied(call: usize, turn: usize, ms: i64) -> Take {
        take(call, turn, Class::Replied(Ms::from_micros(1_000 * ms)))
    }

    /// Keys of the turns selected from `takes`, and the number of turns that were rejected.
    fn chosen(asked: (u32, u32), takes: Vec<Take>) -> (Vec<Key>, usize) {
        let mut selection = Selection::new(EvidenceSelection {
            slowest: asked.0,
            failed: asked.1,
            all: false,
            calls: 0,
        });
        let back = takes.into_iter().filter_map(|t| selection.offer(t)).count();
        (selection.chosen().map(|(t, _)| t.key()).collect(), back)
    }

    #[test]
    fn the_slowest_and_the_first_failed_turns_are_kept_in_any_order() {
        let takes = || {
            vec![
                replied(0, 0, 400),
                replied(0, 1, 900),
                replied(1, 0, 700),
                replied(2, 1, 700),
                replied(2, 0, 700),
                take(5, 0, Class::Failed),
                take(4, 1, Class::Failed),
                take(4, 0, Class::Failed),
                take(9, 9, Class::Other),
            ]
        };
        let expected = vec![(0, 1), (4, 0), (1, 0), (4, 1), (2, 0)];
        for turned in 0..9 {
            let mut order = takes();
            order.rotate_left(turned);
            assert_eq!(chosen((3, 2), order), (expected.clone(), 4), "{turned}");
            let mut back = takes();
            back.rotate_left(turned);
            back.reverse();
            assert_eq!(chosen((3, 2), back), (expected.clone(), 4), "{turned}");
        }
        assert_eq!(chosen((0, 0), takes()), (Vec::new(), 9));
        assert_eq!(chosen((10, 10), takes()).0.len(), 8);
    }
}
