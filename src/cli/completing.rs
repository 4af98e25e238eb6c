//! Completion candidates for arguments: scenarios, run folders, baselines, names.
//!
//! In: the argument as typed so far. Out: candidates. Invariant: nothing is written, and unreadable
//! files and folders are left out.

use super::{baselines, builtin};
use crate::record::{DEFAULT_PARENT, RunFolder};
use crate::report::explain;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _,
};
use std::ffi::OsStr;
use std::path::Path;

/// The environment variable that a shell's completion script sets to request candidates.
pub(super) const VARIABLE: &str = "LOADGEN_COMPLETE";
/// Maximum number of past runs that are offered by their path.
const RUNS: usize = 50;

/// Scenarios: those that come with loadgen, and YAML files.
pub(super) fn scenarios() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let names = beginning(current, builtin::names().map(str::to_owned));
        let help = |c: CompletionCandidate| c.help(Some("comes with loadgen".into()));
        let mut found: Vec<CompletionCandidate> = names.map(help).collect();
        found.extend(files(current, &["yaml", "yml"]));
        found
    })
}

/// Run folders, including the latest ones under `reports/`.
pub(super) fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(folders)
}

/// Everything that a run can be compared with: baselines by name, run folders, baseline files.
pub(super) fn comparable() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found: Vec<_> = beginning(current, baselines::names().into_iter()).collect();
        found.extend(folders(current));
        found.extend(json_files(current));
        found
    })
}

/// Names of baselines, and baseline files.
pub(super) fn baselines() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found: Vec<_> = beginning(current, baselines::names().into_iter()).collect();
        found.extend(files(current, &["json"]));
        found
    })
}

/// Names that `loadgen explain` accepts.
pub(super) fn explained() -> ArgValueCandidates {
    ArgValueCandidates::new(|| explain::names().map(CompletionCandidate::from).collect())
}

/// Words of a closed set.
pub(super) fn words(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        words
            .iter()
            .copied()
            .map(CompletionCandidate::from)
            .collect()
    })
}

/// The names that begin with `current`.
fn beginning(
    current: &OsStr,
    names: impl Iterator<Item = String>,
) -> impl Iterator<Item = CompletionCandidate> {
    // Names are UTF-8, so other input matches none.
    let begun = current.to_str().map(str::to_owned);
    let names = names.filter(move |name| begun.as_ref().is_some_and(|b| name.starts_with(b)));
    names.map(CompletionCandidate::from)
}

/// Files with one of these extensions, and folders that may contain some.
fn files(current: &OsStr, extensions: &'static [&'static str]) -> Vec<CompletionCandidate> {
    let wanted = |path: &Path| {
        let extension = path.extension().and_then(OsStr::to_str);
        extension.is_some_and(|e| extensions.contains(&e)) && path.is_file()
    };
    PathCompleter::any().filter(wanted).complete(current)
}

/// JSON files, without folders, which [`folders`] already offers.
fn json_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = files(current, &["json"]);
    found.retain(|c| !c.get_value().to_string_lossy().ends_with('/'));
    found
}

fn folders(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_run = |path: &Path| path.is_dir() && RunFolder::open(path).is_ok();
    let mut found = Vec::new();
    // Past runs are offered while the name of their parent folder is being typed.
    let begun = current.to_str().filter(|current| !current.contains('/'));
    if begun.is_some_and(|begun| DEFAULT_PARENT.starts_with(begun)) {
        let entries = std::fs::read_dir(DEFAULT_PARENT);
        let paths = entries.into_iter().flatten().flatten().map(|e| e.path());
        let mut paths: Vec<String> = paths
            .filter_map(|p| p.to_str().map(str::to_owned))
            .collect();
        // Names begin with the time: newest first. `is_run` reads the folder, so it runs last.
        paths.sort_unstable_by(|a, b| b.cmp(a));
        let runs = paths.into_iter().filter(|path| is_run(Path::new(path)));
        found.extend(runs.take(RUNS).map(CompletionCandidate::from));
    }
    found.extend(PathCompleter::any().filter(is_run).complete(current));
    found
}
