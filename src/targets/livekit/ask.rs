//! A call's requirements: the agent to dispatch, the room's settings, and the choice of the agent's
//! track.

use super::token::Dispatch;
use super::voices::AgentChoice;
use crate::vocab::AccountUse;
use std::collections::BTreeMap;

/// The requirements that a variant has for its calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The agent to dispatch; `None` for the server's automatic dispatch.
    pub dispatch: Option<Dispatch>,
    pub attributes: BTreeMap<String, String>,
    pub room_metadata: String,
    /// Which participant is the agent, and which of its tracks to use.
    pub choice: AgentChoice,
    /// Whether the agent's claims about its session are read.
    pub account: AccountUse,
}
