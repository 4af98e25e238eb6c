//! `loadgen schema`: the JSON Schema of scenarios, on stdout.

use super::exit::Exit;
use super::output;

/// Prints the schema.
pub(super) fn execute() -> Exit {
    output::data([crate::scenario::schema_text()])
}
