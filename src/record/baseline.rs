//! A baseline: a run in one file, which later runs are compared with.
//!
//! In: a [`RunRecord`]. Out: a file, and the record read back from it. Invariants: the file is
//! either whole or absent; it contains every measured turn, since permutation tests exchange calls
//! between runs and need more than averages.

use super::facts::folder::write_durably;
use super::facts::lines::{io_error, versioned};
use super::{CallRecord, RecordError, RunRecord, Summary, TurnRecord};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Version of a baseline file. Fields may be added within a version.
pub(crate) const BASELINE_VERSION: u32 = 2;
/// Largest file that is read, in bytes; 100,000 turns take about a tenth of it.
const LARGEST: u64 = 1 << 30;

/// A run in one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Version of the format; [`BASELINE_VERSION`] in new files.
    pub version: u32,
    pub summary: Summary,
    /// The scenario as it was run, without secrets.
    pub scenario: Option<String>,
    /// Every measured call.
    pub calls: Vec<CallRecord>,
    /// Every measured turn.
    pub turns: Vec<TurnRecord>,
}

/// Removes the transcripts: they contain what people said, and a baseline may be committed.
fn without_transcripts(turn: &TurnRecord) -> TurnRecord {
    let mut turn = turn.clone();
    if let Some(agent) = &mut turn.agent {
        agent.heard_text = None;
        agent.reply_text = None;
    }
    turn
}

impl Baseline {
    /// The baseline of a run, without its warm-up calls.
    pub(crate) fn of(record: &RunRecord) -> Self {
        let calls = record.calls.iter().filter(|c| !c.warmup);
        let turns = record.turns.iter().filter(|t| t.is_measured());
        Self {
            version: BASELINE_VERSION,
            summary: record.summary.clone(),
            scenario: record.scenario.clone(),
            calls: calls.cloned().collect(),
            turns: turns.map(without_transcripts).collect(),
        }
    }

    /// Converts the baseline back into a run record.
    pub(crate) fn into_record(self) -> RunRecord {
        RunRecord::new(self.summary, self.turns, self.calls, self.scenario)
    }

    /// Writes the file atomically, replacing any existing one; creates its folder.
    ///
    /// # Errors
    /// [`RecordError::Io`]; an existing file is then unchanged.
    pub(crate) fn write(&self, path: &Path) -> Result<(), RecordError> {
        let mut text = String::new();
        // One line per call and per turn, so that a committed baseline is readable.
        text.push_str(&self.to_lines());
        write_durably(path, text.as_bytes()).map_err(|e| io_error("write", path, e))
    }

    fn to_lines(&self) -> String {
        let json = |value: serde_json::Result<String>| {
            value.expect("serializing string keys to memory cannot fail")
        };
        let list = |rows: Vec<String>| match rows.is_empty() {
            true => "[]".to_owned(),
            false => format!("[\n{}\n]", rows.join(",\n")),
        };
        let calls = self.calls.iter().map(|c| json(serde_json::to_string(c)));
        let turns = self.turns.iter().map(|t| json(serde_json::to_string(t)));
        format!(
            "{{\n\"version\":{},\n\"summary\":{},\n\"scenario\":{},\n\"calls\":{},\n\"turns\":{}\n}}\n",
            self.version,
            json(serde_json::to_string(&self.summary)),
            json(serde_json::to_string(&self.scenario)),
            list(calls.collect()),
            list(turns.collect()),
        )
    }

    /// Reads a baseline file.
    ///
    /// # Errors
    /// [`RecordError::Io`], [`RecordError::Corrupt`], [`RecordError::Newer`].
    pub(crate) fn read(path: &Path) -> Result<Self, RecordError> {
        let read = versioned(path, BASELINE_VERSION, LARGEST)?;
        let none = || io_error("open", path, io::ErrorKind::NotFound.into());
        read.ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Run, facts};
    use super::super::{AgentAccount, Ending, RunRecord};
    use super::*;
    use std::fs;

    fn record() -> RunRecord {
        let mut run = Run {
            warmup: true,
            ..Run::default()
        };
        run.good(1).warmup = false;
        run.good(2);
        let summary = Summary::build(&facts(2, Ending::Finished), &run.calls, &run.turns, &[]);
        RunRecord::new(summary, run.turns, run.calls, Some("version: 1\n".into()))
    }

    #[test]
    fn a_baseline_has_no_transcripts() {
        let mut record = record();
        let turn = record.turns.last_mut().expect("turns");
        turn.agent = Some(AgentAccount {
            heard_text: Some("my secret order".into()),
            reply_text: Some("your secret order".into()),
            reply_matches: Some(true),
            ..AgentAccount::default()
        });
        let text = Baseline::of(&record).to_lines();
        assert!(!text.contains("secret") && text.contains("reply_matches"));
    }

    #[test]
    fn a_baseline_round_trips_without_warmup_calls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/main.json");
        let baseline = Baseline::of(&record());
        assert_eq!((baseline.calls.len(), baseline.turns.len()), (2, 6));
        baseline.write(&path).unwrap();
        baseline.write(&path).unwrap();
        assert_eq!(Baseline::read(&path).unwrap(), baseline);
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no temporary file is left");
        let kept = baseline.into_record();
        assert_eq!(kept.summary, record().summary);
        assert!(kept.calls.iter().all(|c| !c.warmup));
    }

    #[test]
    fn files_that_are_not_baselines_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.json");
        assert!(matches!(Baseline::read(&path), Err(RecordError::Io { .. })));
        let whole = Baseline::of(&record()).to_lines();
        for (name, text) in [
            ("empty", String::new()),
            ("cut off", whole[..whole.len() / 2].to_owned()),
            ("another file", "{\"version\":2}".to_owned()),
        ] {
            fs::write(&path, text).unwrap();
            let found = Baseline::read(&path);
            assert!(
                matches!(found, Err(RecordError::Corrupt { .. })),
                "{name}: {found:?}"
            );
        }
        fs::write(&path, whole.replacen("\"version\":2", "\"version\":3", 1)).unwrap();
        assert!(matches!(
            Baseline::read(&path),
            Err(RecordError::Newer { .. })
        ));
    }
}
