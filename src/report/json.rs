//! `summary.json`.
//!
//! In: a summary. Out: indented JSON with a final newline. Invariant: the fields are those of
//! `docs/formats.md`, in the same order.

use crate::record::Summary;
use serde::Serialize;

/// Renders `summary.json`.
pub(crate) fn summary(summary: &Summary) -> String {
    pretty(summary)
}

/// The JSON Schema (draft 2020-12) of the `summary.json` that this version writes.
pub fn summary_schema() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    pretty(&settings.into_generator().into_root_schema_for::<Summary>())
}

/// Serializes a value as indented JSON with a final newline.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value)
        .expect("our own types have only string keys, and are written to memory");
    text.push('\n');
    text
}
