//! What goes into a call's state machine and what comes out of it.

use super::AgentState;
use super::types::{Failure, StreamId, TurnResult};
use crate::audio::Heard;
use std::time::Instant;

/// A packet of the agent's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketArrival {
    /// When it arrived, on the caller's clock.
    pub arrival: Instant,
    /// Its RTP timestamp (48 kHz).
    pub rtp_time: u32,
    /// Whether `arrival` is the kernel's stamp.
    pub kernel_stamp: bool,
}

/// Something that happened to the call.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Signalling joined and media flowing.
    Joined,
    /// An agent is in the room.
    AgentPresent,
    /// An audio track of the agent's is subscribed.
    AgentAudible,
    /// What the agent says it is doing.
    AgentState(AgentState),
    /// The last agent left the room.
    AgentLeft,
    /// A packet of the agent's audio; given before what the stream's ear makes of it.
    Packet(StreamId, PacketArrival),
    /// A stream's ear noticed something.
    Heard(StreamId, Heard),
    /// The track of a stream was unpublished, or its participant left.
    TakenAway(StreamId),
    /// A stream is no longer listened to.
    Abandoned(StreamId),
    /// What was heard of a stream is not the agent's voice.
    NotAgent(StreamId),
    /// The call cannot go on.
    Failed(Failure),
    /// The instant of [`Call::poll_timeout`](super::Call::poll_timeout) is here, and what had arrived by then was given.
    Timeout,
}

/// What goes into a send slot.
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
}

/// Something worth telling of the call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// The call came into another phase (it begins in [`Phase::Joining`]).
    Phase(Phase),
    /// A turn ended. Exactly once for each turn, failed ones included; only turns that
    /// [`Call::finish`](super::Call::finish) itself cuts short are in its result alone.
    TurnEnded(TurnResult),
    /// More became known of a turn that had ended, such as its late reply: replaces what was
    /// told of it.
    TurnAmended(TurnResult),
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not yet joined.
    Joining,
    /// Joined; the agent's track is not there yet.
    WaitingForAgent,
    /// Waiting for the next turn's anchor or its delay.
    Waiting,
    /// An utterance is being said.
    Speaking,
    /// Said; its outcome is open.
    AwaitingReply,
    /// The reply is being listened to.
    Listening,
    /// All turns ended.
    Done,
    /// The call failed.
    Failed,
}
