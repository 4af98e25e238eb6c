//! Terms of a call: its policies for the agent's greeting, absence, audio and account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// How the caller handles an agent that speaks first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum GreetingPolicy {
    /// Wait for the greeting and measure it.
    Expect,
    /// Wait until the agent is silent, or at most 5 s if it does not speak.
    Ignore,
    /// Do not wait.
    None,
}

named!(pub(crate) for GreetingPolicy);

/// What happens to a call whose agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentLeft {
    /// The call continues: the agent may return, or another agent may join, within
    /// `agent_timeout`.
    #[default]
    Follow,
    /// The call fails.
    Fail,
}

/// Whether the transcripts of callers and agents are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transcripts {
    /// The transcripts are kept in the run folder.
    #[default]
    Keep,
    /// The transcripts are dropped; only their word errors are recorded.
    Drop,
}

/// Which channel of a sound file is played.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Channel {
    /// The first channel.
    Left,
    /// The second channel.
    Right,
    /// The mean of all channels.
    Mix,
}

named!(pub(crate) for Channel);

/// How much of the agent's audio is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decode {
    /// All audio.
    Always,
    /// All audio until the call's last turn has ended.
    #[default]
    Listening,
    /// Like `listening`, but without packets whose level header indicates digital silence
    /// (RFC 6464).
    Level,
}

/// Whether the agent's account of its session is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountUse {
    /// The account is read and recorded, and the agent's usage is requested.
    #[default]
    Read,
    /// The account is dropped unread, and nothing is requested from the agent.
    Ignore,
}

/// The state that an agent reports (LiveKit: the attribute `lk.agent.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// The agent is starting.
    Initializing,
    /// The agent is idle.
    Idle,
    /// The agent is listening to the caller.
    Listening,
    /// The agent is preparing a reply or waiting for a tool.
    Thinking,
    /// The agent is speaking.
    Speaking,
}
