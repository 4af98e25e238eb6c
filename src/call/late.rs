//! Recognises a reply that arrives after its turn was judged as missed.
//!
//! In: the turn that missed its reply, and later onsets. Out: that turn, with the delay of the
//! late reply.
//! Invariant: an onset counts as a late reply only if it comes before the next turn's utterance
//! starts, or if the agent's state shows that it was already thinking before then.

use super::TurnResult;
use super::states::States;
use std::time::Instant;

/// The last turn, if it missed its reply; the reply may still arrive.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) turn: TurnResult,
    pub(super) deadline: Instant,
}

impl Owed {
    /// The turn with its late reply, if `onset` is the onset of that reply. `next`: media start of
    /// the next turn, if that turn has started.
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
