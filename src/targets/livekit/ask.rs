//! What a call requests from its server: the agent, the room's settings, and which track is the
//! agent's.

use super::token::Dispatch;
use super::voices::AgentChoice;
use std::collections::BTreeMap;

/// What the calls of a variant request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The agent to dispatch; `None` for the server's automatic dispatch.
    pub dispatch: Option<Dispatch>,
    pub attributes: BTreeMap<String, String>,
    pub room_metadata: String,
    /// Which participant is the agent, and which of its tracks to use.
    pub choice: AgentChoice,
}
