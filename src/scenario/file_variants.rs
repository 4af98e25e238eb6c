//! `variants` as written.
//!
//! In: JSON that the schema let through. Out: these types, as in `file.rs`.

use super::file::{AgentFile, NAME_PATTERN};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One configuration of the agent under test.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantFile {
    /// Name in reports.
    #[schemars(required, regex(pattern = NAME_PATTERN))]
    pub(super) name: Option<String>,
    /// Agent to dispatch. Default: the target's.
    #[schemars(length(min = 1))]
    pub(super) agent_name: Option<String>,
    /// Metadata of the dispatch. Default: the target's.
    #[schemars(length(max = 65536))]
    pub(super) metadata: Option<String>,
    /// Attributes of the caller, beside the target's.
    pub(super) attributes: Option<BTreeMap<String, Option<String>>>,
    /// Address of another LiveKit server. Default: the target's.
    pub(super) url: Option<String>,
    /// API key of that server. Default: the target's.
    pub(super) api_key: Option<String>,
    /// API secret of that server. Default: the target's; better left in the environment.
    pub(super) api_secret: Option<String>,
    /// Settings of the embedded agent that differ from the target's.
    pub(super) agent: Option<AgentFile>,
}
