//! The commands: one file each, with its arguments and its execution.
//!
//! In: parsed arguments. Out: data on stdout, everything else on stderr, an [`Exit`]. Invariant:
//! no command uses another one; code that several of them share is in `cli` or in `cli/session`.

mod agent;
mod bench;
mod calibrate;
mod capacity;
mod compare;
mod completions;
mod doctor;
mod explain;
mod fixtures;
mod init;
mod list;
mod man;
mod open;
mod plan;
mod report;
mod run;
mod schema;
mod validate;

pub(crate) use agent::AgentArgs;
pub(crate) use bench::BenchArgs;
pub(crate) use calibrate::CalibrateArgs;
pub(crate) use capacity::CapacityArgs;
pub(crate) use compare::CompareArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use fixtures::FixturesArgs;
pub(crate) use init::InitArgs;
pub(crate) use list::ListArgs;
pub(crate) use man::ManArgs;
pub(crate) use open::OpenArgs;
pub(crate) use plan::PlanArgs;
pub(crate) use report::ReportArgs;
pub(crate) use run::RunArgs;
pub(crate) use schema::SchemaArgs;
pub(crate) use validate::ValidateArgs;

use super::exit::Exit;
use clap::Subcommand;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario: make the calls, measure the replies, write reports
    Run(Box<RunArgs>),
    /// Generate the reports of a run again, even if it was killed
    Report(ReportArgs),
    /// Open the report of a run in the browser
    Open(OpenArgs),
    /// Show past runs, newest first
    List(ListArgs),
    /// Compare runs with a baseline: differences, intervals, a verdict in one word
    Compare(CompareArgs),
    /// Explain what a metric, a term or a doubt in a report means
    Explain(ExplainArgs),
    /// Check scenarios and report every problem at once, with its line
    Validate(ValidateArgs),
    /// Show what a run will do, call by call
    Plan(PlanArgs),
    /// Check everything that a run needs: server, token, network, agent, this machine
    Doctor(Box<DoctorArgs>),
    /// Run the reference agent: answer every call after an exact delay
    Agent(Box<AgentArgs>),
    /// Measure the error of the latency figures on this machine
    Calibrate(Box<CalibrateArgs>),
    /// Measure what a caller costs: processor time, memory, lateness
    Bench(BenchArgs),
    /// Find how many concurrent calls the deployment sustains within an SLO
    Capacity(Box<CapacityArgs>),
    /// Write a scenario for your agent, the examples and their sounds to start from
    Init(InitArgs),
    /// Inspect recordings: level, speech, pauses; write their annotations
    Fixtures(FixturesArgs),
    /// Print the JSON Schema of scenarios, or of summary.json
    Schema(SchemaArgs),
    /// Print a shell's completion script for loadgen
    Completions(CompletionsArgs),
    /// Write the manual, a page for each command
    Man(ManArgs),
}

impl Command {
    /// Executes the command. `whole`: the definition of the command line.
    pub(super) fn execute(self, whole: fn() -> clap::Command) -> Exit {
        match self {
            Command::Run(args) => run::execute(*args),
            Command::Report(args) => report::execute(&args),
            Command::Open(args) => open::execute(&args),
            Command::List(args) => list::execute(&args),
            Command::Compare(args) => compare::execute(&args),
            Command::Explain(args) => explain::execute(&args),
            Command::Validate(args) => validate::execute(&args),
            Command::Plan(args) => plan::execute(&args),
            Command::Doctor(args) => doctor::execute(*args),
            Command::Agent(args) => agent::execute(*args),
            Command::Calibrate(args) => calibrate::execute(*args),
            Command::Bench(args) => bench::execute(args),
            Command::Capacity(args) => capacity::execute(*args),
            Command::Init(args) => init::execute(&args),
            Command::Fixtures(args) => fixtures::execute(&args),
            Command::Schema(args) => schema::execute(&args),
            Command::Completions(args) => completions::execute(&args),
            Command::Man(args) => man::execute(&args, whole()),
        }
    }
}
