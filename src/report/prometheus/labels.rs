//! The labels of metrics, each of a bounded set of values.

use prometheus_client::encoding::EncodeLabelSet;

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// Not yet joined.
    Joining,
    /// Joined; the agent's track is not there yet.
    WaitingForAgent,
    /// Waiting for a turn's anchor or its delay.
    Waiting,
    /// An utterance is being said.
    Speaking,
    /// Said; the outcome is open.
    AwaitingReply,
    /// The reply is being listened to.
    Listening,
}

pub(super) const STATES: [CallState; 6] = [
    CallState::Joining,
    CallState::WaitingForAgent,
    CallState::Waiting,
    CallState::Speaking,
    CallState::AwaitingReply,
    CallState::Listening,
];

impl CallState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::WaitingForAgent => "waiting_for_agent",
            Self::Waiting => "waiting",
            Self::Speaking => "speaking",
            Self::AwaitingReply => "awaiting_reply",
            Self::Listening => "listening",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfVariant {
    pub(super) variant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfState {
    pub(super) variant: String,
    pub(super) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOutcome {
    pub(super) variant: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfCause {
    pub(super) variant: String,
    pub(super) cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfQuantile {
    pub(super) quantile: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfDirection {
    pub(super) direction: &'static str,
}
