//! The claims of an agent, independent of how they were sent.

use std::time::{Duration, Instant};

/// An instant on the agent's clock, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentTime(pub i64);

/// A message in which the agent says something about its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Identity of the agent that makes it: each has a clock of its own.
    pub agent: Box<str>,
    /// When it arrived at the caller.
    pub arrival: Instant,
    /// When the agent sent it, by the agent's clock, if it says so.
    pub sent: Option<AgentTime>,
    /// When the caller sent the request that this answers.
    pub requested: Option<Instant>,
    /// What it says.
    pub kind: ClaimKind,
}

/// What a claim says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    /// The caller's turn is over, and what it took to notice that.
    UserTurn(UserTurn),
    /// The agent has said something, and what it took to begin.
    Reply(Reply),
    /// A final transcript of the caller's words.
    Transcript,
    /// Nothing that a turn needs; its times still relate the two clocks.
    Other,
}

/// The caller's turn as the agent heard it (LiveKit's names).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UserTurn {
    /// Where the agent's voice activity detection places the end of the caller's speech.
    pub stopped_speaking: Option<AgentTime>,
    /// `stopped_speaking` → final transcript.
    pub transcription_delay: Option<Duration>,
    /// `stopped_speaking` → the decision that the caller's turn is over.
    pub end_of_turn_delay: Option<Duration>,
    /// Length of the application's hook between that decision and the language model.
    pub on_user_turn_completed_delay: Option<Duration>,
}

/// A reply of the agent (LiveKit's names).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// When the agent began to play its reply out.
    pub started_speaking: Option<AgentTime>,
    /// Request to the language model → its first token.
    pub llm_node_ttft: Option<Duration>,
    /// Request to the language model → its first sentence.
    pub llm_node_ttfs: Option<Duration>,
    /// First text given to speech synthesis → its first audio.
    pub tts_node_ttfb: Option<Duration>,
    /// The caller's `stopped_speaking` → `started_speaking`.
    pub e2e_latency: Option<Duration>,
}
