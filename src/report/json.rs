//! `summary.json`.
//!
//! In: a summary. Out: JSON, indented, with a final newline. Holds: the fields are those of
//! `docs/formats.md`, in that order.

use crate::record::Summary;
use serde::Serialize;

/// The content of `summary.json`.
pub fn summary(summary: &Summary) -> String {
    pretty(summary)
}

/// The JSON Schema of `summary.json`: 2020-12, what this version writes.
pub fn summary_schema() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    pretty(&settings.into_generator().into_root_schema_for::<Summary>())
}

/// Indented, with a final newline.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value)
        .expect("our own types have string keys only, and it is written to memory");
    text.push('\n');
    text
}
