//! Metric labels, each with a bounded set of values.

use prometheus_client::encoding::EncodeLabelSet;

/// State of a call in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallState {
    /// Not yet joined.
    Joining,
    /// Joined, but the agent has no track yet.
    WaitingForAgent,
    /// Waiting for a turn's anchor or its delay.
    Waiting,
    /// The caller is speaking an utterance.
    Speaking,
    /// The utterance is over; the outcome of the turn is not yet known.
    AwaitingReply,
    /// The caller is listening to the reply.
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
