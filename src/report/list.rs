//! Lists past runs, one per line.
//!
//! In: folders and summaries in display order. Out: a table with one line per run, or JSON.
//! Invariant: names from outside cannot control the terminal.

use super::figures::possibly_infinite;
use super::text::clean;
use super::{Style, json};
use crate::record::{Ms, Status, Summary};
use serde::Serialize;

/// Maximum length of a displayed folder or start time, in characters.
const LONGEST: usize = 60;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastRun {
    pub folder: String,
    pub summary: Summary,
}

/// A run as it appears in the JSON.
#[derive(Serialize)]
struct Entry<'a> {
    folder: &'a str,
    name: &'a str,
    started_at: &'a str,
    complete: bool,
    status: Status,
    /// p95 of all turns, as gates use it; null if `ttfa_p95_infinite` or if there are no turns.
    ttfa_p95_ms: Option<Ms>,
    ttfa_p95_infinite: bool,
    turns: usize,
    calls: usize,
    failed_calls: usize,
}

/// Renders the runs as one JSON array with a final newline.
pub(crate) fn to_json(runs: &[PastRun]) -> String {
    let entries: Vec<Entry<'_>> = runs.iter().map(entry).collect();
    json::pretty(&entries)
}

fn entry(run: &PastRun) -> Entry<'_> {
    let summary = &run.summary;
    let all = &summary.metrics.all_turns;
    Entry {
        folder: &run.folder,
        name: &summary.run.name,
        started_at: &summary.run.started_at,
        complete: summary.run.complete,
        status: summary.verdict.status,
        ttfa_p95_ms: all.p95_ms,
        ttfa_p95_infinite: all.p95_ms.is_none() && all.count > 0,
        turns: summary.outcomes.ended(),
        calls: summary.calls.started,
        failed_calls: summary.calls.failed,
    }
}

/// Renders the table; empty if there are no runs.
pub(crate) fn table(runs: &[PastRun], style: Style) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let head = format!(
        "{:<12}{:<22}{:>11}{:>8}{:>8}  folder",
        "verdict", "started", "ttfa p95", "calls", "turns"
    );
    let lines = runs.iter().map(|run| line(run, style));
    let lines = [style.head(&head)].into_iter().chain(lines);
    lines.map(|line| line + "\n").collect()
}

fn line(run: &PastRun, style: Style) -> String {
    let summary = &run.summary;
    let word = match (summary.run.complete, summary.verdict.status) {
        (false, _) => style.doubtful("incomplete  "),
        (_, Status::Passed) => style.good("passed      "),
        (_, Status::Unasked) => style.head("no gates    "),
        (_, Status::Failed) => style.bad("failed      "),
        (_, Status::Invalid) => style.doubtful("invalid     "),
        (_, Status::Stopped) => style.doubtful("stopped     "),
        (_, Status::Error) => style.bad("error       "),
    };
    let all = &summary.metrics.all_turns;
    // Whole seconds are precise enough to identify a run.
    let started = clean(&summary.run.started_at, LONGEST);
    let started = match started.split_once('.') {
        Some((seconds, rest)) if rest.ends_with('Z') => format!("{seconds}Z"),
        _ => started,
    };
    format!(
        "{word}{started:<22}{:>11}{:>8}{:>8}  {}",
        possibly_infinite(all.p95_ms, all),
        summary.calls.started,
        summary.outcomes.ended(),
        clean(&run.folder, LONGEST),
    )
}
