//! The words of a turn's record: what was expected, how it ended, doubts about its figures.
//!
//! In: the words of [`crate::call`]. Out: the same as they stand in files. Invariant: `name()` is
//! what serde writes (a test).

use crate::call::{Confidence, Expect, Flag, Outcome};
use serde::{Deserialize, Serialize};

/// What the caller expected of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnExpect {
    /// A reply.
    Respond,
    /// That the agent, speaking, stops.
    Stop,
    /// That the agent, speaking, stops and then answers.
    StopAndRespond,
    /// That the agent carries on.
    Ignore,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The agent did what the turn expects.
    Replied,
    /// Nothing before the timeout.
    Missed,
    /// The agent was audible before the end of speech.
    Early,
    /// The call failed before the turn could end.
    Failed,
    /// The turn was under way when the run was stopped.
    CutOff,
    /// The run was stopped before the turn began.
    NotRun,
}

/// How far the onset can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// At least 20 dB over the noise floor.
    High,
    /// Less.
    Low,
}

/// A doubt about a turn's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnFlag {
    /// The last speech packet left more than 2 ms late.
    LateSend,
    /// The onset is less than 20 dB over the noise floor.
    LowConfidence,
    /// Lost audio touches the onset.
    TouchedByLoss,
    /// The turn before was missed: this may be its late answer.
    AfterMissed,
    /// The reply had not ended when the caller stopped listening.
    ReplyUnfinished,
    /// The anchor never came.
    AnchorTimeout,
    /// Arrival was stamped in user space, not by the kernel.
    UserSpaceStamp,
    /// The second opinion hears no voice (or not the tone that the scenario declares).
    NotSpeech,
    /// The second opinion hears the reply begin more than 60 ms earlier or later.
    OnsetDisputed,
    /// Neither audio nor state tell whether the agent stopped and answered, or talked on.
    SpurtAmbiguous,
    /// The agent was silent when the caller's interruption began.
    NothingToStop,
    /// The reply broke off in mid-word and the agent fell silent.
    ReplyCutOff,
    /// Another track of the agent's was heard for the first time during the turn.
    TrackChanged,
    /// The agent left and came back during the turn.
    AfterAgentLeft,
}

impl TurnExpect {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::Respond,
        Self::Stop,
        Self::StopAndRespond,
        Self::Ignore,
    ];

    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Stop => "stop",
            Self::StopAndRespond => "stop_and_respond",
            Self::Ignore => "ignore",
        }
    }

    /// Whether the turn asks for a reply and so has a `ttfa`.
    pub fn asks_for_reply(self) -> bool {
        matches!(self, Self::Respond | Self::StopAndRespond)
    }

    /// Whether the turn interrupts the agent and so has a `stop`.
    pub fn asks_for_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopAndRespond)
    }
}

impl TurnOutcome {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Replied,
        Self::Missed,
        Self::Early,
        Self::Failed,
        Self::CutOff,
        Self::NotRun,
    ];

    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Missed => "missed",
            Self::Early => "early",
            Self::Failed => "failed",
            Self::CutOff => "cut_off",
            Self::NotRun => "not_run",
        }
    }

    /// Whether the turn came to an end of its own. What the end of the run cut off did not.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::CutOff | Self::NotRun)
    }
}

impl Trust {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

impl TurnFlag {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::LateSend,
        Self::LowConfidence,
        Self::TouchedByLoss,
        Self::AfterMissed,
        Self::ReplyUnfinished,
        Self::AnchorTimeout,
        Self::UserSpaceStamp,
        Self::NotSpeech,
        Self::OnsetDisputed,
        Self::SpurtAmbiguous,
        Self::NothingToStop,
        Self::ReplyCutOff,
        Self::TrackChanged,
        Self::AfterAgentLeft,
    ];

    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::LateSend => "late_send",
            Self::LowConfidence => "low_confidence",
            Self::TouchedByLoss => "touched_by_loss",
            Self::AfterMissed => "after_missed",
            Self::ReplyUnfinished => "reply_unfinished",
            Self::AnchorTimeout => "anchor_timeout",
            Self::UserSpaceStamp => "user_space_stamp",
            Self::NotSpeech => "not_speech",
            Self::OnsetDisputed => "onset_disputed",
            Self::SpurtAmbiguous => "spurt_ambiguous",
            Self::NothingToStop => "nothing_to_stop",
            Self::ReplyCutOff => "reply_cut_off",
            Self::TrackChanged => "track_changed",
            Self::AfterAgentLeft => "after_agent_left",
        }
    }
}

impl From<Expect> for TurnExpect {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Respond => Self::Respond,
            Expect::Stop => Self::Stop,
            Expect::StopAndRespond => Self::StopAndRespond,
            Expect::Ignore => Self::Ignore,
        }
    }
}

impl From<&Outcome> for TurnOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Replied => Self::Replied,
            Outcome::Missed => Self::Missed,
            Outcome::Early => Self::Early,
            Outcome::Failed => Self::Failed,
            Outcome::CutOff => Self::CutOff,
            Outcome::NotRun => Self::NotRun,
        }
    }
}

impl From<Confidence> for Trust {
    fn from(confidence: Confidence) -> Self {
        match confidence {
            Confidence::High => Self::High,
            Confidence::Low => Self::Low,
        }
    }
}

impl From<Flag> for TurnFlag {
    fn from(flag: Flag) -> Self {
        match flag {
            Flag::LateSend => Self::LateSend,
            Flag::LowConfidence => Self::LowConfidence,
            Flag::TouchedByLoss => Self::TouchedByLoss,
            Flag::AfterMissed => Self::AfterMissed,
            Flag::ReplyUnfinished => Self::ReplyUnfinished,
            Flag::AnchorTimeout => Self::AnchorTimeout,
            Flag::UserSpaceStamp => Self::UserSpaceStamp,
            Flag::NotSpeech => Self::NotSpeech,
            Flag::OnsetDisputed => Self::OnsetDisputed,
            Flag::SpurtAmbiguous => Self::SpurtAmbiguous,
            Flag::NothingToStop => Self::NothingToStop,
            Flag::ReplyCutOff => Self::ReplyCutOff,
            Flag::TrackChanged => Self::TrackChanged,
            Flag::AfterAgentLeft => Self::AfterAgentLeft,
        }
    }
}
