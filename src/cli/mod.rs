//! The command line: arguments → settings → one command → exit code.
//!
//! In: the command line, the environment, `.env`. Out: data on stdout, everything else on
//! stderr, an [`Exit`]. Invariants: commands are in `commands`, one file each, and the code that
//! runs a session of calls is in `session`; commands that only inspect or print write no files.

mod baselines;
mod builtin;
mod calibration;
pub(crate) mod commands;
mod comparing;
mod completing;
mod console;
pub(crate) mod dotenv;
mod duration;
pub(crate) mod exit;
pub(crate) mod live;
mod number;
mod overrides;
mod reports;
mod runtime;
mod server;
pub(crate) mod session;
pub(crate) mod settings;
mod signals;
pub(crate) mod sources;
mod starter;
pub(crate) mod trouble;

pub use exit::Exit;

pub(crate) use commands::Command;

use clap::{CommandFactory as _, Parser};
use clap_complete::CompleteEnv;

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
    /// The command to execute.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Answers a shell's request for completions; `None` if the shell made no such request.
    pub fn complete() -> Option<Exit> {
        let folder = std::env::current_dir().ok();
        let completed = CompleteEnv::with_factory(Self::command)
            .var(completing::VARIABLE)
            .try_complete(std::env::args_os(), folder.as_deref());
        match completed {
            Ok(false) => None,
            Ok(true) => Some(Exit::Success),
            Err(e) => {
                console::say(e.to_string().trim_end());
                Some(Exit::Usage)
            }
        }
    }

    /// Executes the command.
    pub fn execute(self) -> Exit {
        self.command.execute(Self::command)
    }
}
