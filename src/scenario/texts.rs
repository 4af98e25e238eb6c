//! Durations and shares as a scenario writes them.
//!
//! In: text that the schema accepts. Out: the same text; the checks parse it.

use crate::vocab::duration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// Pattern of a share in percent.
pub(super) const PERCENT_PATTERN: &str = r"^[0-9]{1,3}(\.[0-9]{1,6})?%$";

/// A duration as text; see [`duration::parse`].
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct DurationText(pub(super) String);

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": duration::PATTERN,
            "description": "A duration such as `250ms`, `2.5s`, `1m30s` or `1h`."
        })
    }
}

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
            "pattern": PERCENT_PATTERN,
            "description": "A share from `0%` to `100%`, such as `2.5%`."
        })
    }
}
