//! `loadgen schema`: the JSON Schema of scenarios or summaries, on stdout.

use crate::cli::console;
use crate::cli::exit::Exit;
use clap::{Args, ValueEnum};

/// Arguments of `loadgen schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// What the schema describes
    #[arg(value_name = "FILE", value_enum, default_value = "scenario")]
    pub of: Schema,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schema {
    /// Scenarios
    Scenario,
    /// summary.json
    Summary,
}

/// Prints the schema.
pub(super) fn execute(args: &SchemaArgs) -> Exit {
    console::data([match args.of {
        Schema::Scenario => crate::scenario::schema_text(),
        Schema::Summary => crate::report::json::summary_schema(),
    }])
}
