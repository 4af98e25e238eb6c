//! Sans-IO state machines of a call: when to speak, what was heard, what came of it.
//!
//! Pure: no clock, no socket; instants come in as arguments. A [`Call`] eats [`Input`]s,
//! says what goes into each send slot, and tells when it wants to be woken. `talk` knows what
//! the agent is saying, `states` what it says it is doing, `anchor` when a turn may begin, `turn`
//! what came of it, `stopping` when the agent yielded, `late` which missed reply came after all,
//! `playout` what a jitter buffer would have added, `absence` why there was no agent.

mod absence;
mod anchor;
mod io;
mod late;
mod machine;
mod playout;
mod states;
mod stopping;
mod talk;
mod turn;
mod types;

pub use absence::Absence;
pub use io::{CallEvent, Input, PacketArrival, Phase, Say};
pub use machine::Call;
pub use playout::{Held, MODEL, PlayoutModel};
pub use types::{
    CallResult, CallScript, Failure, Readings, SecondOpinion, StreamId, TurnResult, TurnScript,
};

/// Part of a [`TurnResult`]: who reads results needs no other room for it.
pub use crate::audio::{HeardAt, Onset, Segment};
pub use crate::vocab::{
    AgentState, Anchor, Confidence, Expect, Flag, GreetingPolicy, OnAgentLeft, Outcome,
};

use std::time::{Duration, Instant};

/// No wait is longer than a day, so that no sum of instants overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// `instant` + `wait`, at most a day later.
fn later(instant: Instant, wait: Duration) -> Instant {
    instant + wait.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
