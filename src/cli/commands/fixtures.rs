//! `loadgen fixtures`: measures recordings, and makes them from texts.
//!
//! In: arguments. Out: an exit code.

mod inspect;
mod make;

use crate::cli::exit::Exit;
use clap::{Args, Subcommand};
use inspect::InspectArgs;
use make::MakeArgs;

/// Arguments of `loadgen fixtures`.
#[derive(Debug, Args)]
pub(crate) struct FixturesArgs {
    /// What to do with the recordings.
    #[command(subcommand)]
    pub command: FixturesCommand,
}

/// Subcommands of `loadgen fixtures`.
#[derive(Debug, Subcommand)]
pub(crate) enum FixturesCommand {
    /// Print level, start and end of speech, pauses and trailing silence
    Inspect(InspectArgs),
    /// Speak a text with a voice program, and write the recording with its annotation
    Make(MakeArgs),
}

pub(super) fn execute(args: &FixturesArgs) -> Exit {
    match &args.command {
        FixturesCommand::Inspect(args) => inspect::execute(args),
        FixturesCommand::Make(args) => make::execute(args),
    }
}
