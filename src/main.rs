//! Parse the command line → carry out one command → exit code.

use clap::Parser;
use loadgen::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let completed = Cli::complete();
    completed.unwrap_or_else(|| Cli::parse().execute()).into()
}
