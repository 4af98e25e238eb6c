//! `loadgen validate`: checks scenarios with their sounds; variables may be unset.

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::cli::sources::{ScenarioSource, note_unset, warn_of_doubts};
use crate::cli::trouble::Trouble;
use crate::scenario::{Extent, Scenario, Unset};
use crate::vocab::duration;
use crate::vocab::number::counted;
use clap::Args;

/// Arguments of `loadgen validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Scenario files, or scenarios that come with loadgen
    #[arg(value_name = "SCENARIO", required = true, add = completing::scenarios())]
    pub scenarios: Vec<String>,
}

/// Checks every file; returns the most severe exit code.
pub(super) fn execute(args: &ValidateArgs) -> Exit {
    let env = match Environment::load() {
        Ok(env) => env,
        Err(trouble) => return trouble.tell(),
    };
    let validate = |path: &String| validate(path, &env).unwrap_or_else(|trouble| trouble.tell());
    args.scenarios
        .iter()
        .map(validate)
        .fold(Exit::Success, Exit::or)
}

fn validate(path: &str, env: &Environment) -> Result<Exit, Trouble> {
    let source = ScenarioSource::open(path)?;
    let scenario = source.check(&|name| env.get(name), Unset::Absent)?;
    note_unset(&scenario, path);
    warn_of_doubts(&scenario, path);
    Ok(console::data([format!(
        "{path}: valid: {}\n",
        describe(&scenario)
    )]))
}

fn describe(scenario: &Scenario) -> String {
    let calls = match scenario.load.extent {
        Extent::Calls(calls) => counted(calls.into(), "call"),
        Extent::Duration(time) => format!("calls for {}", duration::format(time)),
    };
    let turns = counted(scenario.call.turns.len() as u64, "turn");
    let utterances = counted(scenario.utterances.len() as u64, "utterance");
    format!("{calls}, {turns} each, {utterances}")
}
