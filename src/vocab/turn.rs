//! Terms of a turn: when it starts, what it expects, how it ended, doubts about its figures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The event after which the delay of a turn begins.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Anchor {
    /// Media flows, and an agent is in the room.
    CallStart,
    /// The agent's first words have ended.
    Greeting,
    /// The agent began to speak.
    AgentSpeechStart,
    /// The agent's last audible sample, followed by `silence`.
    AgentSpeechEnd,
    /// The agent is silent and its state is `listening` again, even after a tool call. For an
    /// agent that reports no state, the same as `agent_speech_end`.
    AgentTurnEnd,
    /// The previous turn's reply has ended or timed out.
    PreviousTurn,
}

/// The reaction to an utterance that is expected of the agent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Expect {
    /// A reply.
    Respond,
    /// The agent is speaking, and stops.
    Stop,
    /// The agent is speaking, stops, and then replies.
    StopAndRespond,
    /// The agent continues as if the caller had said nothing.
    Ignore,
    /// A reply in text, to a text.
    RespondText,
    /// The agent says nothing, from the turn's start until its timeout.
    Silence,
    /// The agent ends the call.
    HangUp,
}

/// How a turn ended. Every planned turn has exactly one outcome.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The agent did what the turn expects.
    Replied,
    /// Nothing audible (or no stop) before the timeout.
    Missed,
    /// The agent was audible before the end of speech.
    Early,
    /// The call failed before the turn could end.
    Failed,
    /// The turn was under way when the run was stopped, or when the caller hung up.
    CutOff,
    /// The run was stopped before the turn began.
    NotRun,
    /// The scenario left the turn out of this call: a branch jumped over it, a loop had fewer
    /// passes, or the call had been hung up.
    Skipped,
}

/// How reliable an onset is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    /// At least 20 dB between the reply and the noise floor.
    High,
    /// Less than 20 dB: which sample is the first audible one is ambiguous.
    Low,
}

/// A doubt about a turn's figures; it never changes the outcome.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Flag {
    /// The last speech packet left more than 2 ms after it was due; a text, more than 50 ms.
    LateSend,
    /// The onset is less than 20 dB above the noise floor.
    LowConfidence,
    /// Packet loss may have affected the onset.
    TouchedByLoss,
    /// The previous turn missed its reply, so this reply may be a late answer to that turn.
    AfterMissed,
    /// The reply had not ended when the caller stopped listening.
    ReplyUnfinished,
    /// The anchor event never occurred; the turn started at its time limit.
    AnchorTimeout,
    /// The arrival was stamped in user space, not by the kernel.
    UserSpaceStamp,
    /// The second opinion detects no voice (or not the tone that the scenario declares).
    NotSpeech,
    /// The second opinion places the onset more than 60 ms earlier or later.
    OnsetDisputed,
    /// Neither audio nor the agent's state shows whether the agent stopped and answered, or
    /// continued after a pause.
    SpurtAmbiguous,
    /// The agent was silent when the caller's interruption began.
    NothingToStop,
    /// The agent's packets stopped in the middle of the reply.
    ReplyCutOff,
    /// The agent was heard on a different track than before.
    TrackChanged,
    /// The agent left during the turn, and returned.
    AfterAgentLeft,
    /// Part of the caller's utterance was lost upstream.
    UtteranceLost,
    /// The network was slow or lost much of the audio during the turn.
    PoorNetwork,
    /// A branch needed the transcript of the reply, and none had arrived in time.
    NoTranscript,
}

impl Expect {
    /// Whether the turn expects a reply and so has a `ttfa`.
    pub(crate) fn asks_for_reply(self) -> bool {
        matches!(self, Self::Respond | Self::StopAndRespond)
    }

    /// Whether the turn asks for a reply in text and so has a `text_ttft`.
    pub(crate) fn asks_for_text(self) -> bool {
        self == Self::RespondText
    }

    /// Whether the agent should end the call, so that the turn has a `hang_up`.
    pub(crate) fn asks_for_hang_up(self) -> bool {
        self == Self::HangUp
    }

    /// Whether the caller may say nothing at all in the turn.
    pub(crate) fn may_be_unspoken(self) -> bool {
        matches!(self, Self::Silence | Self::HangUp)
    }

    /// Whether the turn interrupts the agent and so has a `stop`.
    pub(crate) fn asks_for_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopAndRespond)
    }
}

impl Outcome {
    /// Whether the turn took place and ended by itself: such turns are what rates, quantiles and
    /// gates count.
    pub(crate) fn has_ended(self) -> bool {
        !matches!(self, Self::CutOff | Self::NotRun | Self::Skipped)
    }
}

named!(pub(crate) for Anchor, Expect, Outcome, Confidence, Flag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_and_name_agree() {
        fn check<T: Copy + Serialize>(all: &[T], name: impl Fn(T) -> &'static str) {
            for word in all {
                let written = serde_json::to_value(word).expect("every variant serializes");
                assert_eq!(written, name(*word));
            }
        }
        check(Anchor::ALL, Anchor::name);
        check(Expect::ALL, Expect::name);
        check(Outcome::ALL, Outcome::name);
        check(Confidence::ALL, Confidence::name);
        check(Flag::ALL, Flag::name);
    }
}
