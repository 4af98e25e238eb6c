//! `loadgen bench callers`: CPU time, memory and send lateness per caller.
//!
//! In: numbers of callers, optionally a server. Out: a table or JSON.
//! Invariants: generator, agent and server run as separate processes; the CPU time and memory of
//! each are read from the kernel while all calls are under way.

mod args;
mod level;
mod measure;
mod pairs;
mod peer;
mod table;

pub(crate) use args::CallersArgs;
pub(crate) use level::LevelArgs;

use crate::cli::console;
use crate::cli::exit::Exit;
use clap::{Args, Subcommand};

/// Arguments of `loadgen bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The benchmark to run, with its own arguments.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// Subcommands of `loadgen bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// CPU and memory per caller, send lateness, time to join
    Callers(Box<CallersArgs>),
    /// Run the generator of one level, in a process of its own
    #[command(hide = true)]
    Level(Box<LevelArgs>),
}

/// Runs the benchmark and prints its results.
pub(super) fn execute(args: BenchArgs) -> Exit {
    match args.command {
        BenchCommand::Level(args) => level::execute(&args),
        BenchCommand::Callers(args) => match measure::callers(&args) {
            Ok(done) => {
                let printed = console::data([match args.json {
                    true => table::json(&done),
                    false => table::text(&done),
                }]);
                let exit = match done.levels.iter().all(|l| l.came.invalid.is_empty()) {
                    true => Exit::Success,
                    false => Exit::InvalidRun,
                };
                exit.or(printed)
            }
            Err(trouble) => trouble.tell(),
        },
    }
}
