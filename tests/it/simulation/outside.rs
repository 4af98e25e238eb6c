//! Checks that a run's events, its files and its exit code agree with each other.
//!
//! In: a run with its events, files and exit code. Out: every disagreement. Invariant: the expected
//! exit code comes from docs/ARCHITECTURE.md ("Exit codes"), not from the code that chooses it.

use super::{Case, facts};
use crate::in_process::Observed;
use loadgen::cli::Exit;
use loadgen::record::{
    CallOutcome, CallRecord, GateOn, GateVerdict, Journal, Outcome, RunRecord, Summary, Threshold,
    TurnRecord,
};
use loadgen::run::{Finished, RunEvent};
use loadgen::scenario::Scenario;
use loadgen::stats::{Aggregate, Decider, Gate, Inequality};
use std::collections::BTreeMap;

/// A run, its events, its files and its exit code.
pub(super) struct Seen {
    pub(super) run: Finished,
    /// The last record that was shown for each turn, by call and turn.
    pub(super) shown: BTreeMap<(usize, usize), TurnRecord>,
    /// The last record that was shown for each call that is over.
    pub(super) shown_calls: BTreeMap<usize, CallRecord>,
    /// The turns that are in the journal.
    pub(super) journal: Result<Vec<TurnRecord>, String>,
    /// The record that `loadgen report` would read if the run had been killed.
    pub(super) record: Result<RunRecord, String>,
    /// Whether the run reports that its journal failed.
    pub(super) says_lost: bool,
    /// Whether the disk failed.
    pub(super) disk_failed: bool,
    pub(super) code: u8,
}

/// The gate of a case. Its bound is a millisecond, which no latency meets, or an hour, which nearly
/// all latencies meet.
pub(super) fn gate(bound_ms: f64) -> Threshold {
    Threshold {
        metric: "ttfa".to_owned(),
        variant: None,
        expression: format!("max<{bound_ms}ms"),
        gate: Gate {
            aggregate: Aggregate::Max,
            comparison: Inequality::Lt,
            bound: bound_ms,
        },
        on: GateOn::All,
        decider: Decider::default(),
    }
}

fn summary(case: &Case, scenario: &Scenario, run: &Finished) -> Summary {
    let gates: Vec<Threshold> = case.gate_ms.map(gate).into_iter().collect();
    Summary::build(&facts(scenario, run), &run.calls, &run.turns, &gates)
}

impl Seen {
    pub(super) fn of(case: &Case, scenario: &Scenario, observed: Observed) -> Self {
        let Observed {
            finished: run,
            events,
            synced,
            folder,
        } = observed;
        let (mut shown, mut shown_calls) = (BTreeMap::new(), BTreeMap::new());
        for event in events {
            match event {
                RunEvent::TurnEnded(turn) | RunEvent::TurnAmended(turn) => {
                    shown.insert((turn.call, turn.turn), *turn);
                }
                RunEvent::CallEnded(call)
                | RunEvent::CallDropped(call)
                | RunEvent::CallNotRun(call) => {
                    shown_calls.insert(call.call, *call);
                }
                _ => {}
            }
        }
        let says_lost = run.journal_error.is_some() || synced.is_err();
        let status = summary(case, scenario, &run).verdict.status;
        let journal = Journal::read(&folder.path().join("turns.jsonl"));
        Self {
            shown,
            shown_calls,
            journal: journal.map(|read| read.turns).map_err(|e| e.to_string()),
            record: RunRecord::read(folder.path()).map_err(|e| e.to_string()),
            says_lost,
            disk_failed: case.disk.as_ref().is_some_and(|disk| disk.fired() > 0),
            code: Exit::of_run(status, says_lost).code(),
            run,
        }
    }
}

/// The exit code that the documentation specifies.
fn promised(case: &Case, scenario: &Scenario, seen: &Seen) -> u8 {
    let calls = &seen.run.calls;
    let completed = |c: &CallRecord| c.outcome == Some(CallOutcome::Completed);
    let reached = |c: &CallRecord| c.agent_present_ms.is_some() || c.agent_audible_ms.is_some();
    let heard = |t: &TurnRecord| {
        matches!(
            t.outcome,
            Outcome::Replied | Outcome::Missed | Outcome::Early
        )
    };
    if seen.says_lost {
        return 1;
    }
    if seen.run.stopped {
        return 105;
    }
    if !calls.iter().any(reached) && !seen.run.turns.iter().any(heard) {
        return 1;
    }
    let ended = |t: &TurnRecord| heard(t) || t.outcome == Outcome::Failed;
    if !seen.run.turns.iter().any(ended) {
        return 110; // The callers hung up before any turn could be judged.
    }
    if case.gate_ms.is_none() {
        return match calls.iter().any(completed) {
            true => 0,
            false => 1,
        };
    }
    match summary(case, scenario, &seen.run).verdict.gates[0].verdict {
        GateVerdict::Failed => 99,
        GateVerdict::Undecided => 110,
        GateVerdict::Passed => 0,
    }
}

/// Every disagreement between a run's records, events, files and exit code.
pub(super) fn findings(case: &Case, scenario: &Scenario, seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    let place = |t: &TurnRecord| (t.call, t.turn);
    let kept: BTreeMap<_, _> = seen.run.turns.iter().map(|t| (place(t), t)).collect();
    let written = match &seen.journal {
        Ok(turns) => turns.iter().map(|t| (place(t), t)).collect(),
        Err(e) => {
            check(false, format!("the journal cannot be read: {e}"));
            BTreeMap::new()
        }
    };
    for (at, turn) in &seen.shown {
        let last = |of: &BTreeMap<_, &TurnRecord>| of.get(at) == Some(&turn);
        check(
            last(&kept),
            format!("{at:?} is not in the records as shown"),
        );
        check(
            last(&written) || seen.says_lost,
            format!("{at:?} is not in the journal as shown, and the run does not report it"),
        );
    }
    for at in kept.keys() {
        check(seen.shown.contains_key(at), format!("{at:?} was not shown"));
    }
    for (call, shown) in &seen.shown_calls {
        check(
            seen.run.calls.contains(shown),
            format!("call {call} is not in the records as shown"),
        );
    }
    check(
        seen.says_lost == seen.disk_failed,
        format!(
            "the disk failed: {}, the run reports it: {}",
            seen.disk_failed, seen.says_lost
        ),
    );
    match &seen.record {
        Err(e) => check(false, format!("no report can be made from the folder: {e}")),
        Ok(record) => {
            let read: BTreeMap<_, _> = record.turns.iter().map(|t| (place(t), t)).collect();
            check(read == written, "a report has different turns".to_owned());
            check(
                !record.is_complete(),
                "a run without a summary counts as complete".to_owned(),
            );
        }
    }
    let promised = promised(case, scenario, seen);
    check(
        seen.code == promised,
        format!("exit code {} instead of {promised}", seen.code),
    );
    found
}
