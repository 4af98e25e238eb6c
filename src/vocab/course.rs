//! How a call goes on after a turn: with which turn, or by hanging up.

use super::Outcome;

/// A row of a turn's table of branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// The condition.
    pub when: When,
    /// What the caller does if the condition holds.
    pub go: Go,
}

/// The condition of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Holds always.
    Always,
    /// The turn has this outcome.
    Outcome(Outcome),
    /// The transcript of the turn's reply matches the branch's pattern.
    ReplyMatches,
}

/// What the caller does after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// Takes the turn with this index next; a later one.
    Turn(usize),
    /// Hangs up.
    HangUp,
}
