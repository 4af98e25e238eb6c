//! What a call asks its server for: the agent, its room's settings, which track is the agent.

use super::token::Dispatch;
use super::voices::AgentChoice;
use std::collections::BTreeMap;

/// What the calls of a variant ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The agent to dispatch; `None` for the server's automatic dispatch.
    pub dispatch: Option<Dispatch>,
    pub attributes: BTreeMap<String, String>,
    pub room_metadata: String,
    /// Which participant and track are the agent.
    pub choice: AgentChoice,
}
