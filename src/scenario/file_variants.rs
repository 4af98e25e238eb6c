//! `variants` and `matrix` as written.
//!
//! In: JSON that passed the schema. Out: these types, as in `file.rs`.

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
    /// Metadata of the room, as everybody in it sees it. Default: the target's.
    #[schemars(length(max = 65536))]
    pub(super) room_metadata: Option<String>,
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

/// Lists of values, by name.
pub(super) type MatrixFile = BTreeMap<String, Option<AxisFile>>;

/// The values of one list.
///
/// `untagged` is harmless, as for what a turn says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum AxisFile {
    /// Values that are their own names.
    List(#[schemars(length(min = 1, max = 100))] Vec<Option<ValueFile>>),
    /// Values by name.
    Named(#[schemars(length(min = 1, max = 100))] BTreeMap<String, Option<ValueFile>>),
}

/// What stands in the place of a reference.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ValueFile {
    /// As it is.
    Text(String),
    /// As in JSON.
    Number(serde_json::Number),
    /// `true` or `false`.
    Flag(bool),
}

impl ValueFile {
    /// The text that replaces a reference.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}
