//! Selects the calls that are kept whole, while the run is in progress.
//!
//! In: the pieces of all calls, in any order among calls. Out: the selected recordings. Invariants:
//! at most the requested number of ended calls is kept, and at most so many bytes of all calls; the
//! selection depends only on the calls: ties go to the lower call index. A call that does not fit
//! is dropped, and counted if it would have been selected.

use super::piece::{CallEnd, Piece};
use super::recording::Recording;
use crate::record::Ms;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum memory use of all recordings, in bytes: about nine hours of calls.
pub(super) const CALLS_BYTES: usize = 256 << 20;

/// Place of a call in the selection, the worst call first: by the number of its missed, early and
/// failed turns, then by its longest `ttfa`.
type Rank = (Reverse<usize>, Reverse<Option<Ms>>, usize);

fn rank(call: usize, end: &CallEnd) -> Rank {
    (Reverse(end.failed), Reverse(end.slowest()), call)
}

/// The recordings so far.
#[derive(Debug)]
pub(super) struct Calls {
    wanted: usize,
    /// Number of bytes that may still be kept.
    room: usize,
    /// Calls in progress.
    open: BTreeMap<usize, Vec<Piece>>,
    /// Calls in progress that did not fit.
    dropped: BTreeSet<usize>,
    /// The worst calls that have ended.
    kept: BTreeMap<Rank, Recording>,
    /// The worst calls that have ended and did not fit.
    missing: BTreeSet<Rank>,
}

impl Calls {
    pub(super) fn new(wanted: u32, room: usize) -> Self {
        Self {
            wanted: wanted as usize,
            room,
            open: BTreeMap::new(),
            dropped: BTreeSet::new(),
            kept: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Adds a piece. Returns `true` if its call had to be dropped for it.
    pub(super) fn add(&mut self, mut piece: Piece) -> bool {
        let (call, end) = (piece.call, piece.end.take());
        piece.packets.shrink();
        piece.sent.shrink_to_fit();
        let weight = piece.weight();
        let mut is_dropped = false;
        if self.dropped.contains(&call) {
            drop(piece);
        } else if weight > self.room {
            is_dropped = true;
            self.dropped.insert(call);
            let freed = self.open.remove(&call).unwrap_or_default();
            self.room += freed.iter().map(Piece::weight).sum::<usize>();
        } else {
            self.room -= weight;
            self.open.entry(call).or_default().push(piece);
        }
        if let Some(end) = end {
            self.ended(call, end);
        }
        is_dropped
    }

    fn ended(&mut self, call: usize, end: CallEnd) {
        let rank = rank(call, &end);
        if self.dropped.remove(&call) {
            self.missing.insert(rank);
            if self.missing.len() > self.wanted {
                self.missing.pop_last();
            }
            return;
        }
        let pieces = self.open.remove(&call).unwrap_or_default();
        let weight: usize = pieces.iter().map(Piece::weight).sum();
        let Some(recording) = Recording::new(pieces, end) else {
            self.room += weight;
            return;
        };
        self.kept.insert(rank, recording);
        if self.kept.len() > self.wanted
            && let Some((_, better)) = self.kept.pop_last()
        {
            self.room += better.weight();
        }
    }

    /// The selected calls, the worst first, and how many would have been selected but did not fit.
    pub(super) fn chosen(self) -> (Vec<Recording>, usize) {
        let mut ranks: Vec<&Rank> = self.kept.keys().chain(&self.missing).collect();
        ranks.sort_unstable();
        ranks.truncate(self.wanted);
        let missing = ranks.iter().filter(|rank| self.missing.contains(rank));
        let missing = missing.count();
        (self.kept.into_values().collect(), missing)
    }

    /// Number of bytes that may still be kept.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.room
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
