//! Adds the condition of its reply to each turn.
//!
//! In: turns as they end, the instants at which the next ones begin. Out: the turns with the
//! condition of their replies. Invariants: what the agent says after the next turn has begun is
//! left out; a turn is amended at most once, when the next one begins.

use super::hearing::Hearing;
use crate::audio::ReplyWindow;
use crate::call::TurnResult;
use crate::vocab::ReplyCondition;
use std::time::Instant;

/// The conditions of a call's replies.
#[derive(Debug, Default)]
pub(super) struct ReplyAudio {
    /// Of each turn that has ended.
    kept: Vec<Option<ReplyCondition>>,
    last: Option<TurnResult>,
    /// Start of the turn in progress, or of the last one.
    latest: Option<Instant>,
}

impl ReplyAudio {
    /// Adds the condition of the reply to a turn that ended, or that is amended.
    pub(super) fn ended(&mut self, hearing: &mut Hearing, turn: &mut TurnResult, now: Instant) {
        if self.last.as_ref().is_some_and(|last| last.turn > turn.turn) {
            // The audio of an earlier turn may be forgotten by now.
            turn.reply_audio = self.kept.get(turn.turn).copied().flatten();
            return;
        }
        self.judge(hearing, turn, now);
        self.last = Some(turn.clone());
    }

    /// The next turn begins at `start`. Returns the last turn if its condition has changed since it
    /// ended.
    pub(super) fn turn_begins(
        &mut self,
        hearing: &mut Hearing,
        start: Instant,
    ) -> Option<TurnResult> {
        self.latest = Some(start);
        let mut last = self.last.take()?;
        let before = last.reply_audio;
        self.judge(hearing, &mut last, start);
        let changed = (last.reply_audio != before).then(|| last.clone());
        self.last = Some(last);
        changed
    }

    fn judge(&mut self, hearing: &mut Hearing, turn: &mut TurnResult, now: Instant) {
        let (Some(from), Some(speech_end)) = (turn.media_start, turn.speech_end) else {
            return;
        };
        let window = ReplyWindow {
            from,
            speech_end,
            until: self.latest.filter(|next| *next > from),
        };
        turn.reply_audio = hearing.reply(turn.stream, &window, now);
        if self.kept.len() <= turn.turn {
            self.kept.resize(turn.turn + 1, None);
        }
        self.kept[turn.turn] = turn.reply_audio;
    }
}
