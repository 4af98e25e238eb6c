//! `loadgen bench callers`: CPU time, memory and send lateness per caller.
//!
//! In: numbers of callers, optionally a server. Out: a table or JSON.
//! Invariants: generator, agent and server run as separate processes; the CPU time and memory of
//! each are read from the kernel while all calls are under way.

mod level;
mod measure;
mod peer;
mod table;
mod usage;

pub use level::LevelArgs;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::server::ServerArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What is measured.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What is measured.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The benches.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// CPU and memory of a caller, tick lateness, time to join
    Callers(Box<CallersArgs>),
    /// The generator of one level: a process of its own
    #[command(hide = true)]
    Level(Box<LevelArgs>),
}

/// How callers are measured.
#[derive(Debug, Args)]
pub struct CallersArgs {
    /// Callers at once, one level after the other
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "25,50,100,200,400",
          value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub calls: Vec<u32>,
    /// How long each level is looked at, once all calls have begun
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = crate::cli::parse_duration)]
    pub window: Duration,
    /// Time from the first call's start to the last one's [default: 10ms a call]
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::parse_duration)]
    pub ramp: Option<Duration>,
    /// Measure each level so many times; the table has the medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeat: u32,
    /// Process id of the server, where it runs here and is not found by its port
    #[arg(long, value_name = "PID", requires = "url")]
    pub server_pid: Option<u32>,
    /// Compare with benches/peers/pion-pairs: its folder (built with Go), or its binary
    #[arg(long, value_name = "PATH", requires = "url")]
    pub peer: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Confirm a level that is too large to be started unasked
    #[arg(long)]
    pub yes: bool,
    /// Through this server; without --url, against the embedded agent.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Measures and reports.
pub(super) fn execute(args: BenchArgs) -> Exit {
    match args.command {
        BenchCommand::Level(args) => level::execute(&args),
        BenchCommand::Callers(args) => match measure::callers(&args) {
            Ok(done) => {
                let printed = console::data([match args.json {
                    true => table::json(&done),
                    false => table::text(&done),
                }]);
                let exit = match done.levels.iter().all(|l| l.invalid.is_empty()) {
                    true => Exit::Success,
                    false => Exit::InvalidRun,
                };
                exit.or(printed)
            }
            Err(trouble) => trouble.tell(),
        },
    }
}
