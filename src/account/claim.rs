//! The claims of an agent, independent of how they were sent.

use super::usage::ModelUsage;
use std::sync::Arc;
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
    /// The caller's turn is over, with the delays of detecting that.
    UserTurn(UserTurn),
    /// Something that the agent said, with the delays before it began.
    Reply(Reply),
    /// A final transcript of the caller's words.
    Transcript(Arc<str>),
    /// The words of a reply; agents send them whether or not they describe their session.
    ReplyTranscript(Arc<str>),
    /// Tools have begun or ended.
    Tools(Vec<ToolEvent>),
    /// The agent's state has changed.
    State(SessionState),
    /// The caller has stopped speaking. Some agents date this back to where they place the end of
    /// speech, others to when they noticed it.
    CallerStopped,
    /// What the session has used since its beginning, by model.
    Usage(Vec<ModelUsage>),
    /// Nothing that a turn needs; its times still relate the two clocks.
    Other,
}

/// The caller's turn as the agent heard it (LiveKit's names).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UserTurn {
    /// What the agent understood.
    pub text: Option<Arc<str>>,
    /// Where the agent places the beginning of the caller's speech.
    pub started_speaking: Option<AgentTime>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// What the agent said, up to an interruption.
    pub text: Option<Arc<str>>,
    /// When the agent asked its language model for the reply.
    pub asked: Option<AgentTime>,
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

/// What is known about a tool call; several events may be about the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolEvent {
    /// Id of the call.
    pub id: Arc<str>,
    /// Name of the tool, if the event contains it.
    pub name: Option<Arc<str>>,
    /// When it began.
    pub began: Option<AgentTime>,
    /// When it ended.
    pub ended: Option<AgentTime>,
    /// It ended with an error.
    pub failed: bool,
}

/// What the agent is doing (LiveKit's names).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SessionState {
    Initializing,
    Idle,
    Listening,
    Thinking,
    Speaking,
}

impl SessionState {
    /// The state's name in files.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}
