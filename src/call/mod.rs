//! Sans-IO state machines of a call: they time the caller's turns and judge the agent's replies.
//!
//! Pure: no clock, no socket; instants are arguments. A [`Call`] takes [`Input`]s, returns the
//! audio for each slot and the instant of its next timeout. `talk` tracks the agent's speech,
//! `states` the state that the agent reports; `course` decides which turn follows, `anchor` when it
//! may start, `sending`
//! which frame is due, `turn` how the turn ended, `stopping` when the agent yielded, `text` how far
//! the reply to a text has come; `late`
//! recognises late replies, `playout` models the delay of a jitter buffer; `floor` measures who
//! speaks when, `view` what a turn shows of it (`conversation`).

mod anchor;
mod conversation;
mod course;
mod floor;
mod io;
mod late;
mod machine;
mod playout;
mod sending;
mod span;
mod states;
mod stopping;
mod talk;
mod text;
mod turn;
mod types;
mod view;

pub use course::{Course, Leave, ReplyMatches, TurnCourse};
pub use io::{CallEvent, Input, Phase, ReplyText, Say, TextPart};
pub use machine::Call;
pub use playout::MODEL;
pub use types::{CallResult, CallScript, Failure, TargetFailure, TurnResult, TurnScript};

pub(crate) use conversation::{Conversation, Spurt};
pub(crate) use floor::{Floor, Silences};
pub(crate) use types::{Readings, SecondOpinion, StreamId};

/// Parts of a [`TurnResult`], re-exported so that its users need no other module.
pub use crate::audio::{HeardAt, Onset, Segment};
pub use crate::vocab::{
    AgentState, Anchor, Branch, Confidence, Expect, Flag, Go, GreetingPolicy, OnAgentLeft, Outcome,
    When,
};

use std::time::{Duration, Instant};

/// Upper limit of every wait, so that adding it to an instant never overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// `instant` + `wait`, at most a day later.
fn later(instant: Instant, wait: Duration) -> Instant {
    instant + wait.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
