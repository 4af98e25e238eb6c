//! `network`, `health` and `warmup` as written; see `file.rs`.
//!
//! In: JSON that passed the schema. Out: these types. Invariant: unknown keys are rejected.

use super::file::DurationText;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// A share as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct PercentText(pub(super) String);

impl JsonSchema for PercentText {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{1,3}(\\.[0-9]{1,6})?%$",
            "description": "A share from `0%` to `100%`, such as `2.5%`."
        })
    }
}

/// What happens to packets on the way from the agent to the callers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    /// Share of the agent's packets that the callers lose, as `5%`. Default: 0%.
    pub(super) loss: Option<PercentText>,
    /// Mean number of packets lost in a row. Default: each packet is lost for itself.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub(super) burst: Option<f64>,
}

/// Bounds of the generator's own health; past them a run is invalid.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthFile {
    /// Most that one packet in a hundred may leave after it was due. Default: 5ms.
    pub(super) tick_lateness: Option<DurationText>,
    /// Most datagrams that the kernel may drop for want of room in our sockets. Default: 0.
    pub(super) own_drops: Option<u64>,
}

/// Calls before the measured ones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmupFile {
    /// How many. Default: 0.
    #[schemars(range(max = 10_000))]
    pub(super) calls: Option<u32>,
}
