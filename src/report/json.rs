//! `summary.json`.
//!
//! In: a summary. Out: JSON, indented, with a final newline. Holds: the fields are those of
//! `docs/formats.md`, in that order.

use crate::record::Summary;

/// The content of `summary.json`.
pub fn summary(summary: &Summary) -> String {
    let mut text = serde_json::to_string_pretty(summary)
        .expect("a summary has string keys only and is written to memory");
    text.push('\n');
    text
}
