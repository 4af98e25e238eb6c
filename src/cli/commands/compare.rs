//! `loadgen compare`: whether runs differ from a baseline, and by how much.
//!
//! In: run folders, baseline files or names. Out: a table or JSON, an exit code.

use crate::cli::baselines;
use crate::cli::comparing::{HowArgs, exit_of, of_records};
use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::reports::Output;
use crate::cli::trouble::Trouble;
use crate::record::RunRecord;
use crate::report::{Screen, comparison};
use clap::Args;

/// Arguments of `loadgen compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The baseline: a run folder, a baseline file, or a baseline's name
    #[arg(value_name = "BASELINE", add = completing::comparable())]
    pub baseline: String,
    /// The runs to compare with it: run folders, baseline files or names
    #[arg(value_name = "CANDIDATE", required = true, add = completing::comparable())]
    pub candidates: Vec<String>,
    /// How the runs are compared.
    #[command(flatten)]
    pub how: HowArgs,
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
    /// Show every figure, instead of one screen
    #[arg(long, conflicts_with = "json")]
    pub details: bool,
}

pub(super) fn execute(args: &CompareArgs) -> Exit {
    match compare(args) {
        Ok(exit) => exit,
        Err(trouble) => trouble.tell(),
    }
}

fn compare(args: &CompareArgs) -> Result<Exit, Trouble> {
    let baseline = baselines::read(&args.baseline)?;
    let candidates = args.candidates.iter();
    let candidates: Vec<(String, RunRecord)> = candidates
        .map(|text| Ok((text.clone(), baselines::read(text)?)))
        .collect::<Result<_, Trouble>>()?;
    let compared = of_records((&args.baseline, &baseline), &candidates, &args.how)?;
    let output = Output {
        json: args.json,
        details: args.details,
        ..Output::default()
    };
    let text = match output.screen(Screen::LINES) {
        Some(screen) => comparison::render(&compared, screen),
        None => comparison::json(&compared),
    };
    Ok(exit_of(&compared, &args.how).or(console::data([text])))
}
