//! An agent's claims about its session, independent of the transport.

use super::usage::ModelUsage;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An instant on the agent's clock, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentTime(pub i64);

/// A message in which the agent reports something about its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Identity of the agent that makes the claim: each agent has its own clock.
    pub agent: Box<str>,
    /// When the claim arrived at the caller.
    pub arrival: Instant,
    /// When the agent sent the claim, by the agent's clock, if the claim contains that.
    pub sent: Option<AgentTime>,
    /// When the caller sent the request that this claim answers; `None` if it answers none.
    pub requested: Option<Instant>,
    /// The content of the claim.
    pub kind: ClaimKind,
}

/// The content of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    /// The caller's turn is over. Contains the delays with which the agent detected that.
    UserTurn(UserTurn),
    /// A reply of the agent, with the delays before it began.
    Reply(Reply),
    /// A final transcript of the caller's words.
    Transcript(Arc<str>),
    /// The transcript of a reply. Agents send these transcripts even if they do not describe their
    /// session.
    ReplyTranscript(Arc<str>),
    /// Tools have begun or ended.
    Tools(Vec<ToolEvent>),
    /// The agent's state has changed.
    State(SessionState),
    /// The caller has stopped speaking. Some agents stamp this with the end of speech as they place
    /// it, others with the instant at which they detected it.
    CallerStopped,
    /// Usage since the beginning of the session, by model.
    Usage(Vec<ModelUsage>),
    /// Nothing that concerns a turn; the claim's times still relate the two clocks.
    Other,
}

/// The caller's turn as the agent detected it (LiveKit's names).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UserTurn {
    /// The agent's transcript of the turn.
    pub text: Option<Arc<str>>,
    /// Where the agent places the beginning of the caller's speech.
    pub started_speaking: Option<AgentTime>,
    /// Where the agent's voice activity detection places the end of the caller's speech.
    pub stopped_speaking: Option<AgentTime>,
    /// `stopped_speaking` → final transcript.
    pub transcription_delay: Option<Duration>,
    /// `stopped_speaking` → the decision that the caller's turn is over.
    pub end_of_turn_delay: Option<Duration>,
    /// Duration of the application's hook, which runs between that decision and the request to the
    /// language model.
    pub on_user_turn_completed_delay: Option<Duration>,
}

/// A reply of the agent (LiveKit's names).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Text of the reply, up to an interruption.
    pub text: Option<Arc<str>>,
    /// When the agent requested the reply from its language model.
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

/// An event of a tool call; several events may belong to the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolEvent {
    /// Id of the call.
    pub id: Arc<str>,
    /// Name of the tool, if the event contains it.
    pub name: Option<Arc<str>>,
    /// When the call began.
    pub began: Option<AgentTime>,
    /// When the call ended.
    pub ended: Option<AgentTime>,
    /// Whether the call ended with an error.
    pub failed: bool,
}

/// State of the agent's session (LiveKit's names).
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
