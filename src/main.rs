//! Parse the command line → carry out one command → exit code.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::cli::Cli::parse().execute().into()
}
