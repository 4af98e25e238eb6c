//! The record of a run, which every report is made from.
//!
//! In: the folder of a finished or cut-off run, of this or an earlier version; or the results of a
//! run that has just ended. Out: a [`RunRecord`]. Invariants: reading back what a run wrote gives
//! the record that its own reports were made from; a run that was cut off never passes.

use super::facts::folder::{START, SUMMARY, TURNS};
use super::facts::lines::{bounded, versioned};
use super::facts::measurement::first;
use super::{
    CallOutcome, CallRecord, EVIDENCE_FOLDER, Ending, Evidence, EvidenceTurn, Generator, Journal,
    JournalRead, Ms, Outcome, Reading, ReadingsRead, RecordError, RunFacts, RunStart,
    START_VERSION, SUMMARY_VERSION, Summary, Torn, TurnCounts, TurnRecord, Wave,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file that is read at once, in bytes. A summary of hundreds of variants takes a tenth of
/// that.
const LARGEST: u64 = 16 << 20;
/// Number of turns of each kind that a page shows: the slowest, and the unanswered.
const SHOWN: usize = 10;

/// The record of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The run in figures.
    pub(crate) summary: Summary,
    /// Every ended turn, by call and turn. Turns of warm-up calls are marked; turns of sentinel
    /// calls are not included.
    pub turns: Vec<TurnRecord>,
    /// Every call, by index. Empty for folders of releases that did not keep calls.
    pub(crate) calls: Vec<CallRecord>,
    /// The scenario as it was run, without secrets.
    pub(crate) scenario: Option<String>,
    /// Index of the audio that was kept, if evidence was requested.
    pub evidence: Option<Evidence>,
    /// Waveforms of that audio, for the turns that a page shows.
    pub(crate) waves: Vec<Wave>,
    /// Readings of observed endpoints and processes, in chronological order.
    pub(crate) observed: Vec<Reading>,
    /// The parts of the journal that were torn and are left out.
    pub(crate) torn: Vec<Torn>,
    /// Why the readings are incomplete, if some of them could not be read.
    pub(crate) unread: Option<String>,
    /// Whether a page shows transcripts. They contain what people said, and pages are shared.
    pub(crate) shows_transcripts: bool,
}

impl RunRecord {
    /// Assembles a record; turns and calls may come in any order.
    pub fn new(
        summary: Summary,
        mut turns: Vec<TurnRecord>,
        mut calls: Vec<CallRecord>,
        scenario: Option<String>,
    ) -> Self {
        turns.retain(|t| !t.sentinel);
        turns.sort_by_key(|t| (t.call, t.turn));
        calls.sort_by_key(|c| c.call);
        Self {
            summary,
            turns,
            calls,
            scenario,
            evidence: None,
            waves: Vec::new(),
            observed: Vec::new(),
            torn: Vec::new(),
            unread: None,
            shows_transcripts: false,
        }
    }

    /// Reads the folder of a run. If it has no summary of a finished run, the summary is rebuilt
    /// from the journal and marked as incomplete. No figure uses readings: those that cannot be
    /// read are left out, and `unread` gives the reason.
    ///
    /// # Errors
    /// [`RecordError::NoRun`], [`RecordError::Corrupt`], [`RecordError::Newer`],
    /// [`RecordError::Io`].
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let record = Self::read_figures(folder)?;
        let ReadingsRead {
            readings,
            torn,
            error,
        } = Journal::read_readings(&folder.join(TURNS));
        let mut record = record.with_observed(readings).with_waves(folder);
        record.torn.extend(torn);
        record.unread = error.map(|e| format!("{e}; readings from there on are left out"));
        Ok(record)
    }

    /// Like [`Self::read`], but without readings and waveforms, which only a page shows.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_figures(folder: &Path) -> Result<Self, RecordError> {
        let summary: Option<Summary> = versioned(&folder.join(SUMMARY), SUMMARY_VERSION, LARGEST)?;
        let journal = folder.join(TURNS);
        if summary.is_none() && !journal.is_file() {
            let path = folder.to_owned();
            return Err(RecordError::NoRun { path });
        }
        let JournalRead { turns, torn } = match journal.is_file() {
            true => Journal::read(&journal)?,
            false => JournalRead::default(),
        };
        let (mut calls, torn_calls) = Journal::read_calls(&journal)?;
        let scenario = bounded(&folder.join("scenario.yaml"), LARGEST)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let summary = match summary.filter(|s| s.run.complete) {
            Some(summary) => summary,
            None => {
                let start = started(folder)?.unwrap_or_else(|| unknown_start(folder));
                cut_off(&mut calls, &turns);
                rebuild(&start, &calls, &turns)
            }
        };
        Ok(Self {
            evidence: Evidence::read(folder)?,
            torn: torn.into_iter().chain(torn_calls).collect(),
            ..Self::new(summary, turns, calls, scenario)
        })
    }

    /// Reads only the summary if the run is finished; otherwise rebuilds it as [`Self::read`] does.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_summary(folder: &Path) -> Result<Summary, RecordError> {
        let summary: Option<Summary> = versioned(&folder.join(SUMMARY), SUMMARY_VERSION, LARGEST)?;
        match summary.filter(|s| s.run.complete) {
            Some(summary) => Ok(summary),
            None => Ok(Self::read_figures(folder)?.summary),
        }
    }

    /// Whether the run reached its end, so that its record is complete.
    pub fn is_complete(&self) -> bool {
        self.summary.run.complete
    }

    /// Adds readings, which may come in any order.
    pub(crate) fn with_observed(mut self, mut observed: Vec<Reading>) -> Self {
        observed.sort_by_key(|reading| reading.at_ms);
        self.observed = observed;
        self
    }

    /// Reads the waveforms of the turns that a page shows.
    pub(crate) fn with_waves(mut self, folder: &Path) -> Self {
        let shown = self.slowest().into_iter().chain(self.unanswered());
        let kept = shown.filter_map(|t| self.evidence_of(t));
        let folder = folder.join(EVIDENCE_FOLDER);
        self.waves = kept.filter_map(|e| Wave::read(&folder, e)).collect();
        self
    }

    /// The measured turns with the longest `ttfa`, the longest first.
    pub(crate) fn slowest(&self) -> Vec<&TurnRecord> {
        let mut turns: Vec<_> =
            self.asked(|t| t.outcome == Outcome::Replied && t.ttfa_ms.is_some());
        turns.sort_by_key(|t| (std::cmp::Reverse(t.ttfa_ms), t.call, t.turn));
        turns.truncate(SHOWN);
        turns
    }

    /// The first measured turns whose audio is kept and that were missed, answered early or failed.
    pub(crate) fn unanswered(&self) -> Vec<&TurnRecord> {
        let mut turns =
            self.asked(|t| t.outcome != Outcome::Replied && self.evidence_of(t).is_some());
        turns.truncate(SHOWN);
        turns
    }

    /// The kept audio of a turn, if there is any.
    pub(crate) fn evidence_of(&self, turn: &TurnRecord) -> Option<&EvidenceTurn> {
        let kept = &self.evidence.as_ref()?.turns;
        kept.iter()
            .find(|e| (e.call, e.turn) == (turn.call, turn.turn))
    }

    fn asked(&self, which: impl Fn(&TurnRecord) -> bool) -> Vec<&TurnRecord> {
        let asked = |t: &&TurnRecord| t.counts() && t.expect.asks_for_reply();
        self.turns
            .iter()
            .filter(asked)
            .filter(|t| which(t))
            .collect()
    }
}

/// The content of `run.json`; `None` if the file does not exist, or is empty because the run was
/// killed after claiming the folder with it but before writing to it.
fn started(folder: &Path) -> Result<Option<RunStart>, RecordError> {
    let path = folder.join(START);
    match path.metadata().is_ok_and(|file| file.len() == 0) {
        true => Ok(None),
        false => versioned(&path, START_VERSION, LARGEST),
    }
}

/// Stands in for `run.json` if it is missing; earlier versions did not write one.
fn unknown_start(folder: &Path) -> RunStart {
    let name = folder.file_name().unwrap_or_default();
    RunStart {
        version: START_VERSION,
        name: name.to_string_lossy().into_owned(),
        seed: 0,
        target: "unknown".to_owned(),
        started_at: "unknown".to_owned(),
        zero_at: None,
        loadgen_version: "unknown".to_owned(),
        measurement_version: first(),
        playout_model: "unknown".to_owned(),
        planned_calls: None,
        turns_per_call: 0,
        network: None,
        prices: None,
        gates: Vec::new(),
    }
}

/// Marks calls that were in progress as cut off and counts their turns that had ended. The journal
/// does not show whether the next turn had started: that turn counts as cut off, without a wait,
/// and those after it as not run.
fn cut_off(calls: &mut [CallRecord], turns: &[TurnRecord]) {
    let mut ended: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for turn in turns.iter().filter(|t| !t.sentinel) {
        ended.entry(turn.call).or_default().push(turn.outcome);
    }
    let under_way = |c: &&mut CallRecord| c.started_ms.is_some() && c.ended_ms.is_none();
    for call in calls.iter_mut().filter(under_way) {
        let outcomes = ended.remove(&call.call).unwrap_or_default();
        let planned = call.turns.planned;
        // The turns are counted, not listed: the file may give any number of them.
        let left = planned.saturating_sub(outcomes.len());
        call.turns = TurnCounts::of(planned, outcomes);
        if left > 0 {
            call.turns.cut_off += 1;
            call.turns.not_run += left - 1;
        }
        call.outcome = Some(CallOutcome::CutOff);
    }
}

/// The summary of a run that was cut off. Its gates are not judged: the turns that had not ended
/// are missing, and it is not known which ones.
fn rebuild(start: &RunStart, calls: &[CallRecord], turns: &[TurnRecord]) -> Summary {
    let of_run = || turns.iter().filter(|t| !t.sentinel && !t.warmup);
    let begun = calls.iter().filter(|c| !c.warmup).count();
    let planned_calls = start.planned_calls.unwrap_or(begun);
    let planned_turns = planned_calls
        .saturating_mul(start.turns_per_call)
        .max(of_run().count());
    let facts = RunFacts {
        name: &start.name,
        seed: start.seed,
        target: &start.target,
        started_at: &start.started_at,
        zero_at: start.zero_at.as_deref(),
        measurement_version: start.measurement_version,
        duration: last_sign(calls, turns).duration().unwrap_or_default(),
        loadgen_version: &start.loadgen_version,
        planned_calls,
        planned_turns,
        ending: Ending::Cut,
        invalid: Vec::new(),
        generator: Generator::default(),
        steady: Vec::new(),
        network: start.network.clone(),
        sentinels: None,
    };
    let built = Summary::build(&facts, calls, turns, &[]);
    let mut summary = built.priced(start.prices.as_ref(), calls);
    let undecided = start
        .gates
        .iter()
        .map(|g| g.undecided("the run is incomplete"));
    summary.verdict.gates = undecided.collect();
    summary
}

/// The last instant recorded in the journal.
fn last_sign(calls: &[CallRecord], turns: &[TurnRecord]) -> Ms {
    let of_turns = turns.iter().filter_map(|t| {
        let reply = t
            .speech_end_ms
            .zip(t.ttfa_wire_ms)
            .map(|(end, wire)| end + wire);
        t.reply_end_ms
            .or(reply)
            .or(t.speech_end_ms)
            .or(t.started_ms)
    });
    let of_calls = calls.iter().filter_map(|c| c.ended_ms.or(c.started_ms));
    of_turns.chain(of_calls).max().unwrap_or_default()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
