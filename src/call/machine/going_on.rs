//! Which turn a call takes next, and how a call ends that nobody cut short: by its script, by the
//! caller's hanging up, or by the agent's, where a turn expects that.
//!
//! In: results of turns, the instants at which the caller hangs up. Out: the next step, results of
//! the turns that are left out. Invariant: a turn that has been left out is never taken.

use super::{Call, CallEvent, Failure, Planned};
use crate::call::course::{Ahead, Choice, Leave, ReplyMatches};
use crate::call::later;
use crate::call::turn::Turn;
use crate::call::types::TurnResult;
use crate::vocab::{Anchor, Flag, Outcome};
use std::time::{Duration, Instant};

/// The anchor of the caller's next step.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextStep {
    pub(super) anchor: Anchor,
    pub(super) silence: Duration,
    pub(super) delay: Duration,
}

impl Call {
    /// The anchor of what the caller does next; `None` if there is nothing to wait for.
    pub(super) fn next_step(&self) -> Option<NextStep> {
        match self.ahead {
            Ahead::Turn(index) => {
                let turn = &self.script.turns[index];
                Some(NextStep {
                    anchor: turn.anchor,
                    silence: turn.silence,
                    delay: turn.delay,
                })
            }
            Ahead::Leave(Leave {
                anchor,
                silence,
                delay,
            }) => Some(NextStep {
                anchor,
                silence,
                delay,
            }),
            Ahead::Choice(_) | Ahead::Nothing => None,
        }
    }

    /// Whether no further turn follows those that have begun.
    pub(super) fn is_last_turn(&self) -> bool {
        matches!(self.ahead, Ahead::Leave(_) | Ahead::Nothing)
    }

    /// When the caller hangs up, whatever is happening then.
    pub(super) fn hangs_up_at(&self) -> Option<Instant> {
        Some(later(self.call_start()?, self.path.hang_up()?))
    }

    /// Hangs up if the script says so and the next step is due; returns whether it did.
    pub(super) fn leave_if_due(&mut self, due: Instant) -> bool {
        let leaves = matches!(self.ahead, Ahead::Leave(_));
        let is_due = |planned: &mut Planned| due >= planned.at;
        let leaves = leaves && self.planned.take_if(is_due).is_some();
        if leaves {
            self.hang_up(due);
        }
        leaves
    }

    /// Ends the call because one side has hung up, as the scenario says. A turn in progress whose
    /// reply had begun keeps its figures; one that is not judged is cut off; those that had not
    /// begun are skipped.
    pub(super) fn hang_up(&mut self, now: Instant) {
        for turn in &mut self.turns {
            turn.cut_short(now);
        }
        self.collect(now);
        for turn in std::mem::take(&mut self.turns) {
            let result = turn.finish((&self.talk, &self.states), now, true);
            self.record(result);
        }
        (self.ahead, self.planned, self.choice) = (Ahead::Nothing, None, None);
        self.skip_before(self.script.turns.len());
    }

    /// The agent ended the call at `now`; returns whether a turn expected that.
    pub(super) fn was_hung_up(&mut self, now: Instant) -> bool {
        let expected = self.turns.iter_mut().any(|turn| turn.hung_up(now));
        if expected {
            self.hang_up(now);
        }
        expected
    }

    /// Whether a failure only says that the other side has ended the call, as a turn expects.
    pub(super) fn is_expected(&mut self, now: Instant, failure: &Failure) -> bool {
        matches!(failure, Failure::Ended { .. }) && self.was_hung_up(now)
    }

    /// Records what is known about the transcript of a reply, on which a branch may depend.
    pub(super) fn reply_matches(&mut self, now: Instant, known: ReplyMatches) {
        if let Some(choice) = &mut self.choice {
            choice.told(known);
            self.choose(now);
        }
    }

    /// The turn with this result is over: its branches can be decided.
    pub(super) fn turn_over(&mut self, now: Instant, result: &TurnResult, over: Instant) {
        if self.ahead == Ahead::Choice(result.turn) {
            self.choice = Some(Choice::new(result.turn, result.outcome, over));
            self.choose(now);
        }
    }

    /// Decides the branches of the last turn, if they can be decided at `now`.
    pub(super) fn choose(&mut self, now: Instant) {
        if self.choice.is_none() {
            return;
        }
        let begun = self.talk.last_began();
        let thinks = begun.is_some_and(|begun| self.states.at_work_since(begun).is_some());
        let at_work = thinks || self.talk.current().is_some();
        let Some(choice) = &mut self.choice else {
            return;
        };
        let turn = choice.turn;
        let Some(chosen) = choice.decide(self.path.branches(turn), now, at_work) else {
            return;
        };
        self.choice = None;
        self.ahead = self.path.to(turn, chosen.go);
        if chosen.untold {
            self.amend_flag(turn, Flag::NoTranscript);
        }
        let next = match self.ahead {
            Ahead::Turn(next) => next,
            _ => self.script.turns.len(),
        };
        self.skip_before(next);
    }

    /// Flags a turn that is over, and reports it again.
    pub(super) fn amend_flag(&mut self, turn: usize, flag: Flag) {
        let result = self.results.get_mut(turn).and_then(Option::as_mut);
        if let Some(result) = result
            && result.flag(flag)
        {
            let amended = CallEvent::TurnAmended(result.clone());
            self.events.push_back(amended);
        }
    }

    /// Records the turns before `index` that have no result, and are not in progress, as skipped.
    pub(super) fn skip_before(&mut self, index: usize) {
        let first = self.turns.front().map_or(index, Turn::index).min(index);
        while self.recorded < first {
            let expect = self.script.turns[self.recorded].expect;
            let skipped = TurnResult::unstarted(self.recorded, expect, Outcome::Skipped);
            self.push(skipped);
        }
    }

    /// Records the results of the turns of a failed or stopped call that had not begun: those that
    /// it would have taken if no condition of a branch held have `outcome`, the others are skipped.
    pub(super) fn never_began(&mut self, outcome: Outcome) {
        let owed = self.path.owed(self.ahead);
        while self.recorded < self.script.turns.len() {
            let index = self.recorded;
            let expect = self.script.turns[index].expect;
            let outcome = match owed[index] {
                true => outcome,
                false => Outcome::Skipped,
            };
            let mut result = TurnResult::unstarted(index, expect, outcome);
            // Only the next turn can have been planned.
            if self.ahead == Ahead::Turn(index) {
                result.planned = self.planned.take().map(|planned| planned.at);
            }
            self.push(result);
        }
        (self.ahead, self.planned, self.choice) = (Ahead::Nothing, None, None);
    }
}
