//! Tells a call what is known of the transcript of a reply on which a branch depends.
//!
//! In: the turn that has ended, what the agents of the call have said. Out: which branches'
//! patterns match. Invariant: the same knowledge is told once.

use super::call_claims::CallClaims;
use crate::call::{Outcome, ReplyMatches, TurnResult};
use crate::scenario::TurnConfig;

/// The branches of a call that wait for a transcript.
#[derive(Debug, Default)]
pub(super) struct CallBranches {
    /// The last turn, if its branches depend on its reply.
    turn: Option<TurnResult>,
    told: Option<ReplyMatches>,
}

impl CallBranches {
    /// Notes a turn that has ended. `turns`: the turns of the scenario.
    pub(super) fn ended(&mut self, turn: &TurnResult, turns: &[TurnConfig]) {
        let replied = matches!(turn.outcome, Outcome::Replied | Outcome::Early);
        let next = turns.get(turn.turn).map_or(&[][..], |turn| &turn.next);
        let depends = replied && next.iter().any(|next| next.pattern.is_some());
        self.turn = depends.then(|| turn.clone());
        self.told = None;
    }

    /// What is known of the reply's transcript, if that is news.
    pub(super) fn news(
        &mut self,
        claims: &CallClaims,
        turns: &[TurnConfig],
    ) -> Option<ReplyMatches> {
        let turn = self.turn.as_ref()?;
        let (text, complete) = claims.reply_so_far(turn)?;
        let next = turns.get(turn.turn)?.next.iter();
        let pattern = next.map(|next| next.pattern.as_ref());
        let matches = pattern.map(|pattern| pattern.is_some_and(|p| p.matches(&text)));
        let known = ReplyMatches {
            turn: turn.turn,
            matches: matches.collect(),
            complete,
        };
        if self.told.as_ref() == Some(&known) {
            return None;
        }
        self.told = Some(known.clone());
        Some(known)
    }
}
