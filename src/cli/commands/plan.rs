//! `loadgen plan`: shows what a run will do, call by call; variables may be unset.

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::overrides::OverrideArgs;
use crate::cli::settings::Environment;
use crate::cli::sources::{ScenarioSource, note_unset, warn_of_doubts};
use crate::cli::trouble::Trouble;
use crate::plan::{Plan, json_line, summary};
use crate::scenario::Unset;
use clap::Args;

/// Arguments of `loadgen plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Scenario file, or a scenario that comes with loadgen
    #[arg(value_name = "SCENARIO", add = completing::scenarios())]
    pub scenario: String,
    /// Print one line of JSON for each call, or for each expected call if the load lasts for a
    /// duration
    #[arg(long)]
    pub json: bool,
    /// Overrides of the scenario's values.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Prints the plan.
pub(super) fn execute(args: &PlanArgs) -> Exit {
    show(args).unwrap_or_else(|trouble| trouble.tell())
}

fn show(args: &PlanArgs) -> Result<Exit, Trouble> {
    let env = Environment::load()?;
    let source = ScenarioSource::open(&args.scenario)?;
    let scenario = source.check(&|name| env.get(name), Unset::Absent)?;
    let overrides = args.overrides.overrides(None);
    let scenario = overrides
        .apply(&scenario)
        .map_err(|e| Trouble::new(Exit::Usage, e.to_string(), e.hint()))?;
    note_unset(&scenario, &args.scenario);
    warn_of_doubts(&scenario, &args.scenario);
    let plan = Plan::new(&scenario);
    if !args.json {
        return Ok(console::data([summary(&scenario, &plan)]));
    }
    if plan.duration().is_some() {
        console::note("the load lasts for a duration; this is the expected number of calls");
    }
    let count = usize::try_from(plan.estimate().calls).unwrap_or(usize::MAX);
    let calls = plan.calls().take(count);
    Ok(console::data(
        calls.map(|call| json_line(&scenario, &call) + "\n"),
    ))
}
