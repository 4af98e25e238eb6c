//! The results of a run.
//!
//! In: the journal, and the records that could not be written to it. Out: the records of every turn
//! and call. Invariant: each turn and each call appears once, in its latest version.

use super::event::RunEvent;
use crate::record::{
    CallRecord, Evidence, Generator, Journal, Reading, RecordError, SpanCounts, SteadySpan,
    TurnRecord, last_of_each,
};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Results of the sentinel calls of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentinelTurns {
    /// Sentinel calls that are over.
    pub calls: usize,
    /// Number of these calls that failed.
    pub failed: usize,
    pub turns: Vec<TurnRecord>,
}

/// Result of a run.
#[derive(Debug)]
pub struct Finished {
    /// Every turn that ended, read back from the journal.
    pub turns: Vec<TurnRecord>,
    /// Results of the sentinel calls; `None` if the run had no sentinel calls.
    pub(crate) sentinels: Option<SentinelTurns>,
    /// The instant that all instants in the records are relative to.
    pub(crate) run_start: Instant,
    /// The same instant on the wall clock.
    pub(crate) zero_at: jiff::Timestamp,
    /// Every call that started, and every planned call that did not.
    pub calls: Vec<CallRecord>,
    /// Time from the first planned instant to the end of the last call.
    pub duration: Duration,
    /// The user stopped the run.
    pub stopped: bool,
    /// Name of the gate that ended the run, if one did.
    pub(crate) aborted: Option<String>,
    /// Periods of steady load; empty if the load was steady throughout.
    pub steady: Vec<SteadySpan>,
    /// Reasons why the figures are not reliable.
    pub invalid: Vec<String>,
    /// The generator's own health.
    pub generator: Generator,
    /// Index of the audio that was kept, if the run kept evidence.
    pub(crate) evidence: Option<Evidence>,
    /// Readings of the observed endpoints and processes that could be both written and read back.
    pub(crate) observed: Vec<Reading>,
    /// What became of the agents' spans, if they were received.
    pub(crate) spans: Option<SpanCounts>,
    /// Why the journal is incomplete, if it is.
    pub journal_error: Option<RecordError>,
}

impl Finished {
    /// Merges the records of the journal with those that could not be written to it.
    pub(super) fn read_back(&mut self, journal: &Journal, tell: &mut (dyn FnMut(RunEvent) + Send)) {
        let mut unreadable = |e: RecordError| {
            tell(RunEvent::Notice(format!("the journal cannot be read: {e}")));
            self.journal_error.get_or_insert(e);
        };
        let (mut turns, mut calls) = journal.read_back().unwrap_or_else(|e| {
            unreadable(e);
            Default::default()
        });
        let observed = journal.readings();
        self.observed = observed.readings;
        if let Some(e) = observed.error {
            let notice = format!("what was observed cannot be read: {e}");
            tell(RunEvent::Notice(notice));
        }
        turns.append(&mut self.turns);
        (self.turns, turns) = last_of_each(turns).into_iter().partition(|t| !t.sentinel);
        if let Some(sentinels) = &mut self.sentinels {
            sentinels.turns = turns;
        }
        // The journal may contain a call's start without its end.
        let unwritten: HashSet<usize> = self.calls.iter().map(|c| c.call).collect();
        calls.retain(|c| !unwritten.contains(&c.call));
        self.calls.append(&mut calls);
    }
}
