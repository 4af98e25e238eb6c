//! Terms of a call: how it handles its agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// How the caller deals with an agent that speaks first.
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
    /// Wait for it and measure it.
    Expect,
    /// Wait until the agent is silent; at most 5 s if it says nothing.
    Ignore,
    /// Do not wait.
    None,
}

named!(pub(crate) for GreetingPolicy);

/// What happens to a call whose agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentLeft {
    /// The call goes on: the agent may come back, or another one may join, within
    /// `agent_timeout`.
    #[default]
    Follow,
    /// The call fails.
    Fail,
}

/// What is done with the texts of what callers and agents said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transcripts {
    /// They are kept in the run folder.
    #[default]
    Keep,
    /// They are not kept; their word errors are.
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
    /// All of it.
    Always,
    /// All until the call's last turn has ended.
    #[default]
    Listening,
    /// As `listening`, but without packets whose level header says digital silence (RFC 6464).
    Level,
}

/// What happens to what the agent says about its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountUse {
    /// It is read and recorded, and the agent is asked for its usage.
    #[default]
    Read,
    /// It is dropped unread, and the agent is asked nothing.
    Ignore,
}

/// The state that an agent reports (LiveKit: the attribute `lk.agent.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// It is starting.
    Initializing,
    /// It is idle.
    Idle,
    /// It is listening to the caller.
    Listening,
    /// It is preparing an answer or waiting for a tool.
    Thinking,
    /// It is speaking.
    Speaking,
}
