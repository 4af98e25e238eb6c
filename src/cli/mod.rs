//! The command line: arguments → settings → one command → exit code.
//!
//! In: the command line, the environment, `.env`. Out: data on stdout, everything else on
//! stderr, an [`Exit`]. One file per command; commands that only read write no files.

mod after_run;
mod agent;
mod baselines;
mod bench;
mod builtin;
mod calibrate;
mod capacity;
pub mod carry_out;
mod compare;
mod conditions;
mod doors;
mod drive;
pub mod exit;
mod fixtures;
mod gates;
mod init;
mod list;
pub mod live;
mod open;
mod output;
mod overrides;
mod plan;
mod report;
mod reports;
mod run;
pub mod say;
mod schema;
pub mod secret;
mod sentinels;
mod serve;
mod server;
pub mod settings;
pub mod sources;
mod start;
mod truth;
mod validate;

pub use agent::AgentArgs;
pub use bench::{BenchArgs, BenchCommand, CallersArgs, LevelArgs};
pub use calibrate::CalibrateArgs;
pub use capacity::CapacityArgs;
pub use compare::{CompareArgs, HowArgs};
pub use exit::Exit;
pub use fixtures::{FixturesArgs, FixturesCommand, InspectArgs};
pub use init::InitArgs;
pub use list::ListArgs;
pub use open::OpenArgs;
pub use overrides::OverrideArgs;
pub use plan::PlanArgs;
pub use report::ReportArgs;
pub use run::RunArgs;
pub use schema::SchemaArgs;
pub use server::ServerArgs;
pub use validate::ValidateArgs;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    about = "Measures the true mouth-to-ear latency of voice agents, under load",
    after_help = "Try it with nothing else installed: loadgen run quickstart",
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario: callers in rooms, replies heard, a report
    Run(Box<RunArgs>),
    /// Make the reports of a run again, also of one that was killed
    Report(ReportArgs),
    /// Open the report of a run in the browser
    Open(OpenArgs),
    /// Show past runs, the newest first
    List(ListArgs),
    /// Compare runs with a baseline: differences, intervals, a verdict in one word
    Compare(CompareArgs),
    /// Check scenarios; every problem at once, with its line
    Validate(ValidateArgs),
    /// Show what a run will do, call by call
    Plan(PlanArgs),
    /// Be the reference agent: answer every call after an exact delay
    Agent(Box<AgentArgs>),
    /// Measure the error of the latency figures on this machine
    Calibrate(Box<CalibrateArgs>),
    /// Measure what a caller costs: processor time, memory, lateness
    Bench(BenchArgs),
    /// Find how many calls at once the deployment carries before a promise breaks
    Capacity(Box<CapacityArgs>),
    /// Write the example scenarios and their sounds to start from
    Init(InitArgs),
    /// Look at recordings: level, speech, pauses; write their annotations
    Fixtures(FixturesArgs),
    /// Print the JSON Schema of scenarios, or of summary.json
    Schema(SchemaArgs),
}

impl Cli {
    /// Executes the command.
    pub fn execute(self) -> Exit {
        match self.command {
            Command::Run(args) => run::execute(*args),
            Command::Report(args) => report::execute(&args),
            Command::Open(args) => open::execute(&args),
            Command::List(args) => list::execute(&args),
            Command::Compare(args) => compare::execute(&args),
            Command::Validate(args) => validate::execute(&args),
            Command::Plan(args) => plan::execute(&args),
            Command::Agent(args) => agent::execute(*args),
            Command::Calibrate(args) => calibrate::execute(*args),
            Command::Bench(args) => bench::execute(args),
            Command::Capacity(args) => capacity::execute(*args),
            Command::Init(args) => init::execute(&args),
            Command::Fixtures(args) => fixtures::execute(&args),
            Command::Schema(args) => schema::execute(&args),
        }
    }
}

/// Parses a duration on the command line.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    crate::vocab::duration::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}
