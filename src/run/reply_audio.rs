//! Adds the condition of its reply to each turn, and how the reply was resumed.
//!
//! In: turns as they end, the instants at which the next ones begin. Out: the turns with what was
//! heard of their replies. Invariants: what the agent says after the next turn has begun is left
//! out; a turn is amended at most once, when the next one begins.

use super::hearing::Hearing;
use crate::audio::{ReplyWindow, Resumption};
use crate::call::TurnResult;
use crate::vocab::{Expect, ReplyCondition, Resumed};
use std::time::Instant;

/// What was heard of the reply in one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Kept {
    audio: Option<ReplyCondition>,
    resumed: Option<Resumed>,
}

impl Kept {
    fn of(turn: &TurnResult) -> Self {
        Self {
            audio: turn.reply_audio,
            resumed: turn.resumed,
        }
    }

    fn put(self, turn: &mut TurnResult) {
        (turn.reply_audio, turn.resumed) = (self.audio, self.resumed);
    }
}

/// What was heard of a call's replies.
#[derive(Debug, Default)]
pub(super) struct ReplyAudio {
    /// Of each turn that has ended.
    kept: Vec<Kept>,
    last: Option<TurnResult>,
    /// Start of the turn in progress, or of the last one.
    latest: Option<Instant>,
    /// Start of the last turn that asked for something: what the agent said since then is its
    /// reply, which the agent may resume.
    asked: Option<Instant>,
}

impl ReplyAudio {
    /// Adds what was heard of the reply to a turn that ended, or that is amended.
    pub(super) fn ended(&mut self, hearing: &mut Hearing, turn: &mut TurnResult, now: Instant) {
        if self.last.as_ref().is_some_and(|last| last.turn > turn.turn) {
            // The audio of an earlier turn may be forgotten by now.
            self.kept
                .get(turn.turn)
                .copied()
                .unwrap_or_default()
                .put(turn);
            return;
        }
        self.judge(hearing, turn, now);
        self.last = Some(turn.clone());
    }

    /// The next turn begins at `start`. Returns the last turn if what was heard of its reply has
    /// changed since it ended.
    pub(super) fn turn_begins(
        &mut self,
        hearing: &mut Hearing,
        start: Instant,
    ) -> Option<TurnResult> {
        self.latest = Some(start);
        let mut last = self.last.take()?;
        let before = Kept::of(&last);
        self.judge(hearing, &mut last, start);
        let changed = (Kept::of(&last) != before).then(|| last.clone());
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
        if turn.expect == Expect::Ignore {
            turn.resumed = turn.resumed_at.and_then(|at| {
                let from = self.asked;
                hearing.resumed(turn.stream, &Resumption { from, at })
            });
        } else {
            self.asked = Some(from);
        }
        if self.kept.len() <= turn.turn {
            self.kept.resize(turn.turn + 1, Kept::default());
        }
        self.kept[turn.turn] = Kept::of(turn);
    }
}
