//! The instants of a turn, and the part of the call that belongs to that turn.
//!
//! In: the instants of a turn and of the next one. Out: which instants lie within the turn.
//! Invariant: the windows of successive turns do not overlap.

use std::time::{Duration, Instant};

/// The instants of a turn to which claims are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnTimes {
    /// Index of the turn in its call.
    pub turn: usize,
    /// When the caller began to play its utterance.
    pub media_start: Instant,
    /// When the caller stopped speaking.
    pub speech_end: Instant,
    /// When the reply became audible on the wire, or when its text began; `None` if there was no
    /// reply.
    pub onset: Option<Instant>,
}

/// A part of the call, from `from` up to but not including `to`. `to` is `None` while the part has
/// not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub from: Instant,
    pub to: Option<Instant>,
}

impl Window {
    /// The window from the start of the turn's utterance to the start of the next utterance.
    pub(super) fn of_turn(turn: &TurnTimes, next: Option<&TurnTimes>) -> Self {
        Self {
            from: turn.media_start,
            to: next.map(|next| next.media_start),
        }
    }

    pub(super) fn contains(&self, at: Instant) -> bool {
        at >= self.from && self.to.is_none_or(|to| at < to)
    }
}

/// The time between two instants, in whichever order.
pub(super) fn abs_diff(a: Instant, b: Instant) -> Duration {
    a.max(b).duration_since(a.min(b))
}
