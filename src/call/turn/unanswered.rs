//! Turns that expect no reply and no stop: the agent should stay silent, or end the call.
//!
//! In: the agent's speech, the agent's leaving. Out: the turn's outcome. Invariant: what counts is
//! what was audible between the turn's start and its deadline, both included.

use super::{Part, SPURT_BOUND, Turn};
use crate::audio::SPURT_GAP;
use crate::call::playout::Held;
use crate::call::talk::{Stretch, Talk};
use crate::call::{Expect, Outcome, later};
use std::time::Instant;

impl Turn {
    /// Whether the turn expects silence and the agent has not spoken.
    fn expects_silence(&self) -> bool {
        self.script.expect == Expect::Silence && self.floor == Part::Open
    }

    /// Judges a turn that expects silence by speech that begins during the turn. The caller then
    /// listens to it. Speech that had begun before is judged by its end.
    pub(super) fn silence_broken(&mut self, stretch: &Stretch, held: Option<Held>) {
        let Some(onset) = stretch.onset.filter(|_| self.expects_silence()) else {
            return;
        };
        let began = onset.at.wire();
        if began > self.deadline {
            self.close_floor(Outcome::Replied, self.deadline);
        } else if began >= self.media_start {
            self.take(&onset, held);
            self.result.stream = Some(stretch.stream);
            self.spoke(began);
        }
    }

    /// Judges a turn that expects silence by the end of a stretch of speech.
    pub(super) fn silence_ended(&mut self, stretch: &Stretch, talk: &Talk) {
        let heard = stretch.onset.is_some() && stretch.began() <= self.deadline;
        let during = stretch
            .end
            .is_some_and(|end| end.wire() >= self.media_start);
        if !self.expects_silence() || !heard || !during {
            return;
        }
        self.spoke(self.media_start);
        if let Some(last) = talk.fell_silent() {
            self.reply_ended(last, SPURT_GAP);
        }
    }

    /// The agent broke the silence at `at`.
    fn spoke(&mut self, at: Instant) {
        self.result.outcome = Outcome::Missed;
        self.floor = Part::Listening {
            until: later(at, SPURT_BOUND),
        };
        if self.superseded {
            self.leave_reply(at);
        }
    }

    /// Judges at the deadline a turn that expects neither a stop nor that the agent carries on;
    /// returns false for any other turn.
    pub(super) fn decide_unanswered(&mut self, talk: &Talk) -> bool {
        let speaks =
            |stretch: &&Stretch| stretch.onset.is_some_and(|o| o.at.wire() <= self.deadline);
        match self.script.expect {
            Expect::Silence if talk.current().filter(speaks).is_some() => {
                self.spoke(self.media_start)
            }
            Expect::Silence => self.close_floor(Outcome::Replied, self.deadline),
            Expect::HangUp => self.close_floor(Outcome::Missed, self.deadline),
            _ => return false,
        }
        true
    }

    /// Whether the turn's floor is judged by something else than where the agent stops.
    pub(super) fn ignores_stops(&self) -> bool {
        self.script.expect.may_be_unspoken()
    }

    /// The agent ended the call at `at`. If the turn expects that, and it came in time, the turn is
    /// over and true is returned.
    pub(in crate::call) fn hung_up(&mut self, at: Instant) -> bool {
        let awaited = self.script.expect == Expect::HangUp && self.floor == Part::Open;
        if !awaited || at > self.deadline {
            return false;
        }
        match at.checked_duration_since(self.speech_end) {
            Some(after) => {
                self.result.hang_up = Some(after);
                self.result.outcome = Outcome::Replied;
            }
            None => {
                self.result.early_by = self.speech_end.checked_duration_since(at);
                self.result.outcome = Outcome::Early;
            }
        }
        // Nobody hears the rest of the utterance.
        self.sending.stop();
        self.floor = Part::Over { at };
        true
    }
}
