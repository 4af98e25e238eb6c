//! Counts of turns and calls by outcome, in the same words in every report for people.
//!
//! In: a summary. Out: sentences without a full stop. Invariant: `cut off` and `not run` are
//! shown only if at least one of the two counts is above zero, `skipped` only if its own is.

use super::figures::figure;
use super::text::grouped;
use crate::record::{CallCounts, Summary, TurnCounts};

/// `9 planned: 7 replied, 1 missed, 0 early, 1 failed`.
pub(super) fn turns(turns: &TurnCounts) -> String {
    let mut text = format!(
        "{} planned: {} replied, {} missed, {} early, {} failed",
        turns.planned, turns.replied, turns.missed, turns.early, turns.failed
    );
    text += &cut_off(turns.cut_off, turns.not_run);
    if turns.skipped > 0 {
        text += &format!(", {} skipped", turns.skipped);
    }
    text
}

/// `3 planned: 3 started, 2 completed, 1 failed, 0 dropped`.
pub(super) fn calls(calls: &CallCounts) -> String {
    let mut text = format!(
        "{} planned: {} started, {} completed, {} failed, {} dropped",
        calls.planned, calls.started, calls.completed, calls.failed, calls.dropped
    );
    text += &cut_off(calls.cut_off, calls.not_run);
    text
}

fn cut_off(cut_off: usize, not_run: usize) -> String {
    match (cut_off, not_run) {
        (0, 0) => String::new(),
        _ => format!(", {cut_off} cut off, {not_run} not run"),
    }
}

/// Remarks on turns that were cut off and on replies that came after the timeout.
pub(super) fn remarks(summary: &Summary) -> Vec<String> {
    let mut remarks: Vec<String> = cut_short(summary).into_iter().collect();
    match summary.late_replies {
        0 => {}
        1 => remarks.push("1 missed reply came after the turn's timeout".to_owned()),
        n => remarks.push(format!(
            "{} missed replies came after the turn's timeout",
            grouped(n as u64)
        )),
    }
    remarks
}

/// How long the callers had waited in turns that were cut off.
pub(super) fn cut_short(summary: &Summary) -> Option<String> {
    let wait = figure(Some(summary.longest_wait_ms?));
    Some(format!(
        "cut off: the longest wait for a reply so far was {wait} ms"
    ))
}
