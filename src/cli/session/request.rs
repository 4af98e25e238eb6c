//! The request for a session of calls.
//!
//! In: the parsed command line. Out: a [`SessionRequest`]. Invariant: nothing is resolved
//! yet; paths and names are as typed.

use crate::cli::comparing::HowArgs;
use crate::cli::live::LiveFlags;
use crate::cli::reports::Output;
use crate::cli::settings::ServerFlags;
use crate::scenario::Overrides;
use crate::stats::Decider;
use std::path::PathBuf;

/// A session of calls as requested on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionRequest {
    /// A file, or the name of a built-in scenario.
    pub scenario: String,
    /// The run folder; `None`: a new one under `reports/`.
    pub out: Option<PathBuf>,
    /// Settings that replace those of the file.
    pub overrides: Overrides,
    /// Server and credentials from the command line.
    pub server: ServerFlags,
    /// Save the run as this baseline.
    pub save_baseline: Option<String>,
    /// Compare the run with this baseline.
    pub baseline: Option<String>,
    /// How to compare the run with the baseline.
    pub how: HowArgs,
    /// Maximum number of concurrent joins, if not the default.
    pub join_concurrency: Option<usize>,
    /// The user has confirmed a large run.
    pub yes: bool,
    /// Live metrics and span export.
    pub live: LiveFlags,
    /// How the results are shown; if `quiet`, progress is not shown either.
    pub output: Output,
    /// What decides a gate whose bound lies within the confidence interval.
    pub gate_on: Decider,
}
