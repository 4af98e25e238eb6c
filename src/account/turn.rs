//! The account of one turn: the agent's figures, placed on the caller's clock.

use super::{SessionState, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An instant on the agent's clock, placed on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The earliest possible instant; `None` if the agent answers no requests.
    pub earliest: Option<Instant>,
    /// The latest possible instant.
    pub latest: Instant,
}

impl Placed {
    /// The middle of the interval, or `latest` if there is no `earliest`.
    pub(crate) fn likely(self) -> Instant {
        match self.earliest {
            Some(earliest) => earliest + self.width().unwrap_or_default() / 2,
            None => self.latest,
        }
    }

    /// The width of the interval; `None` if there is no `earliest`.
    pub(crate) fn width(self) -> Option<Duration> {
        Some(self.latest.saturating_duration_since(self.earliest?))
    }
}

/// The agent's figures of a turn. Names and meanings are LiveKit's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TurnAccount {
    /// The end of the caller's speech as the agent places it.
    pub stopped_speaking: Option<Placed>,
    /// When the agent detected that the caller had stopped. Set only if the agent does not report
    /// the end of speech; agents with speech-to-speech models do not report it.
    pub turn_over: Option<Placed>,
    /// When the agent began to play its reply out.
    pub started_speaking: Option<Placed>,
    pub transcription_delay: Option<Duration>,
    pub end_of_turn_delay: Option<Duration>,
    pub on_user_turn_completed_delay: Option<Duration>,
    pub llm_node_ttft: Option<Duration>,
    pub llm_node_ttfs: Option<Duration>,
    pub tts_node_ttfb: Option<Duration>,
    pub e2e_latency: Option<Duration>,
    /// When the agent requested the reply from its language model.
    pub asked: Option<Placed>,
    /// The agent's part of the critical path, in chronological order; empty if the agent does not
    /// report enough about the reply.
    pub path: Vec<(Step, Duration)>,
    /// When the first final transcript after the end of the caller's speech arrived.
    pub transcribed: Option<Instant>,
    /// The agent's transcript of the caller's turn. Empty if the agent transcribed other turns but
    /// not this one; `None` if it sends no transcripts.
    pub heard_text: Option<Arc<str>>,
    /// Text of the agent's speech in the turn, including fillers before the answer.
    pub reply_text: Option<Arc<str>>,
    /// The tool calls, in the order in which they began.
    pub tools: Vec<ToolAccount>,
    /// The agent's states, each with its start as reported by the agent.
    pub states: Vec<(SessionState, Placed)>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolAccount {
    pub name: Arc<str>,
    pub began: Placed,
    /// `None` if the end of the call is not known.
    pub ended: Option<Placed>,
    pub failed: bool,
}

impl TurnAccount {
    /// Whether the agent reported nothing about the turn.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
