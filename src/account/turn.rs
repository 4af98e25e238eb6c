//! The account of one turn.

use super::{SessionState, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An instant on the agent's clock, placed on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The earliest instant that it can be; `None` if the agent answers no requests.
    pub earliest: Option<Instant>,
    /// The latest instant that it can be.
    pub latest: Instant,
}

impl Placed {
    /// The middle of the interval, or its end if it has no beginning.
    pub(crate) fn likely(self) -> Instant {
        match self.earliest {
            Some(earliest) => earliest + self.width().unwrap_or_default() / 2,
            None => self.latest,
        }
    }

    /// The width of the interval.
    pub(crate) fn width(self) -> Option<Duration> {
        Some(self.latest.saturating_duration_since(self.earliest?))
    }
}

/// What the agent says about a turn. Names and meanings are LiveKit's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TurnAccount {
    /// Where the agent places the end of the caller's speech.
    pub stopped_speaking: Option<Placed>,
    /// When the agent noticed that the caller had stopped; only if it does not say where it places
    /// the end of speech, as with speech-to-speech models.
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
    /// When the agent asked its language model for the reply.
    pub asked: Option<Placed>,
    /// The agent's part of the critical path, in chronological order; empty if the agent does not
    /// report enough about the reply.
    pub path: Vec<(Step, Duration)>,
    /// When the first final transcript after the end of the caller's speech arrived.
    pub transcribed: Option<Instant>,
    /// What the agent understood. Empty if it understood nothing in this turn but something in
    /// another one; `None` if it sends no transcripts.
    pub heard_text: Option<Arc<str>>,
    /// What the agent said, with fillers and other talk before the answer.
    pub reply_text: Option<Arc<str>>,
    /// The tool calls, in the order in which they began.
    pub tools: Vec<ToolAccount>,
    /// The agent's states, each with when the agent says that it began.
    pub states: Vec<(SessionState, Placed)>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolAccount {
    pub name: Arc<str>,
    pub began: Placed,
    /// `None` if its end is not known.
    pub ended: Option<Placed>,
    pub failed: bool,
}

impl TurnAccount {
    /// Whether the agent said anything about the turn.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
