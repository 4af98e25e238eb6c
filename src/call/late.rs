//! A missed reply that comes all the same.
//!
//! In: the turn that missed it, later onsets. Out: the turn with how late its reply came.
//! Invariant: an onset is a late reply only before the next turn began to speak, or where the
//! agent says that it was thinking of it before then.

use super::TurnResult;
use super::states::States;
use std::time::Instant;

/// A reply that is owed: the last turn missed it.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) turn: TurnResult,
    pub(super) deadline: Instant,
}

impl Owed {
    /// The turn with its late reply, if that is what begins at `onset`. `next`: when the next
    /// turn began to speak, if it has.
    pub(super) fn comes(
        &self,
        onset: Instant,
        next: Option<Instant>,
        states: &States,
    ) -> Option<TurnResult> {
        let thought_of = |next: Instant| states.thinking_before(onset).is_some_and(|t| t < next);
        let after = onset > self.deadline;
        if !after || next.is_some_and(|next| onset >= next && !thought_of(next)) {
            return None;
        }
        Some(TurnResult {
            late_reply: Some(onset.checked_duration_since(self.turn.speech_end?)?),
            ..self.turn.clone()
        })
    }
}
