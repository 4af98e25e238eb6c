//! The command line: arguments → settings → one command → exit code.
//!
//! In: the command line, the environment, `.env`. Out: data on stdout, everything else on
//! stderr, an [`Exit`]. Invariants: commands are in `commands`, one file each, and what a session of
//! calls needs is in `session`; commands that only read write no files.

mod baselines;
mod builtin;
mod calibration;
pub mod commands;
mod comparing;
mod console;
pub(crate) mod dotenv;
mod duration;
pub mod exit;
pub mod live;
mod number;
mod overrides;
mod reports;
mod runtime;
mod server;
pub mod session;
pub mod settings;
mod signals;
pub mod sources;
pub mod trouble;

pub use commands::Command;
pub use comparing::HowArgs;
pub use exit::Exit;
pub use overrides::OverrideArgs;
pub use server::ServerArgs;

use clap::Parser;

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

impl Cli {
    /// Executes the command.
    pub fn execute(self) -> Exit {
        self.command.execute()
    }
}
