//! The course of a call: which turn follows, when the caller hangs up, which turns are left out.
//!
//! In: the script, the result of a turn, what is known of its reply's transcript. Out: the next
//! step of the call. Pure. Invariant: every step leads forwards, so a call takes each turn at most
//! once.

use super::{Anchor, Outcome};
use crate::vocab::{Branch, Go, When};
use std::time::{Duration, Instant};

/// How long after the end of a turn a branch waits for the transcript of its reply. An agent that
/// goes on to think or to speak has this long again, up to [`AT_WORK`].
const TRANSCRIPT: Duration = Duration::from_secs(2);
/// Longest wait for an agent that goes on to think or to speak.
const AT_WORK: Duration = Duration::from_secs(60);

/// Which turns a call takes, and when the caller hangs up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// When the caller hangs up, from the start of the call, whatever is happening then.
    pub hang_up: Option<Duration>,
    /// How the call goes on after each turn; after a turn without an entry, the next one follows.
    pub turns: Vec<TurnCourse>,
}

/// How a call goes on after a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TurnCourse {
    /// This call leaves the turn out.
    pub left_out: bool,
    /// The first branch whose condition holds; without one, the next turn in order follows.
    pub next: Vec<Branch>,
    /// When the caller hangs up after this turn, if it does.
    pub leave: Option<Leave>,
}

/// When the caller hangs up after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// The event to wait for; [`Anchor::PreviousTurn`]: this turn is over.
    pub anchor: Anchor,
    /// The silence that [`Anchor::AgentSpeechEnd`] waits for.
    pub silence: Duration,
    /// Pause after the anchor.
    pub delay: Duration,
}

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// It takes the turn with this index.
    Turn(usize),
    /// It hangs up, as the course of the turn that began last says.
    Leave(Leave),
    /// The result of the turn with this index decides.
    Choice(usize),
    /// Nothing: the turn that began last is the last one.
    Nothing,
}

/// What is known about the transcript of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyMatches {
    /// Index of the turn in the call.
    pub turn: usize,
    /// For each of its branches, whether the transcript so far matches its pattern; false for a
    /// branch that has none.
    pub matches: Vec<bool>,
    /// Whether the agent has described the whole reply, so that nothing more will follow.
    pub complete: bool,
}

/// A turn that is over and whose branches have yet to be decided.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) turn: usize,
    outcome: Outcome,
    /// When the wait for the transcript ends.
    pub(super) until: Instant,
    /// When it ends even if the agent is still at work.
    limit: Instant,
    known: Option<ReplyMatches>,
}

/// The decision of a [`Choice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The branch that is taken; `None`: the next turn in order follows.
    pub(super) go: Option<Go>,
    /// Whether a transcript was needed and none had arrived.
    pub(super) untold: bool,
}

impl Choice {
    pub(super) fn new(turn: usize, outcome: Outcome, over: Instant) -> Self {
        Self {
            turn,
            outcome,
            until: super::later(over, TRANSCRIPT),
            limit: super::later(over, AT_WORK),
            known: None,
        }
    }

    /// Records what is known about the reply's transcript.
    pub(super) fn told(&mut self, known: ReplyMatches) {
        if known.turn == self.turn {
            self.known = Some(known);
        }
    }

    /// The decision at `now`; `None` if it has to wait for the transcript. `at_work`: whether the
    /// agent is still thinking or speaking, so that what it has said is not all of its reply.
    pub(super) fn decide(
        &mut self,
        branches: &[Branch],
        now: Instant,
        at_work: bool,
    ) -> Option<Chosen> {
        if at_work && now >= self.until && now < self.limit {
            self.until = super::later(now, TRANSCRIPT).min(self.limit);
        }
        let replied = matches!(self.outcome, Outcome::Replied | Outcome::Early);
        let mut untold = false;
        for (index, branch) in branches.iter().enumerate() {
            let holds = match branch.when {
                When::Always => true,
                When::Outcome(outcome) => outcome == self.outcome,
                When::ReplyMatches if !replied => false,
                When::ReplyMatches => {
                    let known = self.known.as_ref();
                    let matches = known.is_some_and(|k| k.matches.get(index) == Some(&true));
                    let final_ = known.is_some_and(|k| k.complete && !at_work) || now >= self.until;
                    if !matches && !final_ {
                        return None;
                    }
                    untold |= known.is_none();
                    matches
                }
            };
            if holds {
                let go = Some(branch.go);
                return Some(Chosen { go, untold });
            }
        }
        Some(Chosen { go: None, untold })
    }
}

/// The course of a call of so many turns.
#[derive(Debug, Clone)]
pub(super) struct Path {
    course: Course,
    turns: usize,
}

impl Path {
    pub(super) fn new(course: Course, turns: usize) -> Self {
        Self { course, turns }
    }

    fn of(&self, turn: usize) -> Option<&TurnCourse> {
        self.course.turns.get(turn)
    }

    /// When the caller hangs up, from the start of the call.
    pub(super) fn hang_up(&self) -> Option<Duration> {
        self.course.hang_up
    }

    pub(super) fn branches(&self, turn: usize) -> &[Branch] {
        self.of(turn).map_or(&[], |course| &course.next)
    }

    /// The caller's first step.
    pub(super) fn first(&self) -> Ahead {
        self.from(0)
    }

    /// What follows the turn with this index, once it has begun.
    pub(super) fn after(&self, turn: usize) -> Ahead {
        match self.of(turn) {
            Some(TurnCourse {
                leave: Some(leave), ..
            }) => Ahead::Leave(*leave),
            Some(course) if !course.next.is_empty() => Ahead::Choice(turn),
            _ => self.from(turn + 1),
        }
    }

    /// The first turn from `index` on that the call does not leave out.
    fn from(&self, index: usize) -> Ahead {
        let left_out = |at: usize| self.of(at).is_some_and(|course| course.left_out);
        let next = (index..self.turns).find(|at| !left_out(*at));
        next.map_or(Ahead::Nothing, Ahead::Turn)
    }

    /// Where the decision of a turn's branches leads.
    pub(super) fn to(&self, turn: usize, go: Option<Go>) -> Ahead {
        match go {
            None => self.from(turn + 1),
            Some(Go::Turn(to)) => self.from(to.max(turn + 1)),
            Some(Go::HangUp) => Ahead::Nothing,
        }
    }

    /// The turns that would follow if no condition of a branch held: for each turn, whether it is
    /// one of them. A call that ends too soon owes these turns.
    pub(super) fn owed(&self, mut ahead: Ahead) -> Vec<bool> {
        let mut owed = vec![false; self.turns];
        loop {
            ahead = match ahead {
                Ahead::Turn(turn) => {
                    owed[turn] = true;
                    self.after(turn)
                }
                Ahead::Choice(turn) => {
                    let mut branches = self.branches(turn).iter();
                    let always = branches.find(|branch| branch.when == When::Always);
                    self.to(turn, always.map(|branch| branch.go))
                }
                Ahead::Leave(_) | Ahead::Nothing => return owed,
            };
        }
    }
}
