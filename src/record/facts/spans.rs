//! A span of the agent's traces, as recorded with the turn that it began in.
//!
//! In: spans placed on the caller's clock. Out: [`SpanRecord`]s. Invariant: instants are relative to
//! the caller's end of speech, so that a span reads like a part of the latency.

use super::ms::Ms;
use crate::account::PlacedSpan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// A span of the agent's traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpanRecord {
    pub name: String,
    /// The caller's end of speech → its beginning; negative if it began before that.
    pub start_ms: Ms,
    /// The caller's end of speech → its end.
    pub end_ms: Ms,
    /// Its status is an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Some of its attributes, such as the model, under the names that the agent gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl SpanRecord {
    /// `zero`: the caller's end of speech.
    pub(super) fn new(placed: &PlacedSpan, zero: Instant) -> Self {
        let attributes = placed.span.attributes.iter();
        Self {
            name: placed.span.name.to_string(),
            start_ms: Ms::between(zero, placed.began.likely()),
            end_ms: Ms::between(zero, placed.ended.likely()),
            failed: placed.span.failed,
            attributes: attributes
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }
}
