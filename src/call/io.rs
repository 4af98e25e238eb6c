//! The inputs and outputs of a call's state machine.

use super::AgentState;
use super::course::ReplyMatches;
use super::types::{Failure, StreamId, TurnResult};
use crate::audio::{Heard, Packet};
use std::time::Instant;

/// An event that the call reacts to.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The caller has joined and media is flowing.
    Joined,
    /// An agent is in the room.
    AgentPresent,
    /// An audio track of the agent is subscribed.
    AgentAudible,
    /// The agent reported its state.
    AgentState(AgentState),
    /// The last agent left the room.
    AgentLeft,
    /// A packet of the agent's audio; passed in before the events that were detected in it.
    Packet(StreamId, Packet<'a>),
    /// The detector of a stream reported an event.
    Heard(StreamId, Heard),
    /// The track of a stream was unpublished, or its participant left.
    TakenAway(StreamId),
    /// The detector of a stream will report no more events.
    Abandoned(StreamId),
    /// The audio of a stream turned out not to be the agent's voice.
    NotAgent(StreamId),
    /// The text of a turn was sent. After [`Say::Text`] either this or [`Input::Failed`] must
    /// follow: until then the turn is not judged.
    TextSent {
        /// Index of the turn in the call.
        turn: usize,
        /// When its last packet was sent.
        at: Instant,
    },
    /// Part of the text of the agent's reply arrived.
    ReplyText(ReplyText),
    /// Part of a turn's utterance did not reach the other side.
    UtteranceLost(usize),
    /// What is known of the transcript of a reply, on which a branch depends. Branches wait for it
    /// for a bounded time.
    ReplyMatches(ReplyMatches),
    /// The call cannot continue.
    Failed(Failure),
    /// The instant of [`Call::poll_timeout`](super::Call::poll_timeout) has come, and everything
    /// that had arrived by then has been passed in.
    Timeout,
}

/// The beginning or the end of a stream of the agent's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyText {
    /// Number of the stream, unique in the call.
    pub stream: u64,
    /// When the stream was opened.
    pub opened: Instant,
    /// When this part arrived.
    pub at: Instant,
    /// Which part it is.
    pub part: TextPart,
}

/// A part of a stream of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart {
    /// The first piece that is not empty.
    First,
    /// The stream was closed.
    End,
}

/// What to send in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// A frame of silence.
    Silence,
    /// Frame `frame` of the utterance of turn `turn`.
    Utterance {
        /// Index of the turn in the call.
        turn: usize,
        /// Index of the frame in the utterance.
        frame: usize,
    },
    /// A frame of silence, and the text of turn `turn`.
    Text {
        /// Index of the turn in the call.
        turn: usize,
    },
}

/// A change in the call that is reported to observers.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// The call entered another phase; it starts in [`Phase::Joining`].
    Phase(Phase),
    /// A turn ended. Reported exactly once per turn, including failed turns, but not for turns that
    /// [`Call::finish`](super::Call::finish) itself cuts short: only its result contains those.
    TurnEnded(TurnResult),
    /// The result of a turn that had already ended has changed, for example because a late reply
    /// arrived. Replaces the result reported before.
    TurnAmended(TurnResult),
}

/// Phase of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not yet joined.
    Joining,
    /// Joined; no agent is in the room yet.
    WaitingForAgent,
    /// Waiting for the next turn's anchor or its delay.
    Waiting,
    /// The caller is sending an utterance.
    Speaking,
    /// The utterance has been sent; the turn has not been judged yet.
    AwaitingReply,
    /// The caller is listening to the reply.
    Listening,
    /// All turns have ended.
    Done,
    /// The call failed.
    Failed,
}
