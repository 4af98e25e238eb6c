//! The files of a run folder, as a reader of docs/formats.md would read them.
//!
//! In: the folder. Out: the summary, checked against its schema; the turns, the journal.
//! Invariant: a missing or broken report causes a panic with the report's name.

use super::Finished;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One row of `turns.csv`: column → text.
pub type Row = BTreeMap<String, String>;

/// The reports of one run.
#[derive(Debug)]
pub struct Reports {
    folder: PathBuf,
    /// `summary.json`.
    pub summary: Value,
    /// `turns.csv`.
    pub turns: Vec<Row>,
    /// `turns.jsonl`, without the turns of sentinel calls.
    pub journal: Vec<Value>,
    /// The turns of sentinel calls in `turns.jsonl`.
    pub sentinels: Vec<Value>,
}

impl Reports {
    /// Reads a finished run's folder.
    #[track_caller]
    pub fn read(folder: &Path) -> Self {
        let text = |name: &str| {
            std::fs::read_to_string(folder.join(name))
                .unwrap_or_else(|e| panic!("{name} of {}: {e}", folder.display()))
        };
        let mut csv = csv::Reader::from_path(folder.join("turns.csv")).expect("turns.csv");
        let rows = csv.deserialize::<Row>();
        let summary = serde_json::from_str(&text("summary.json")).expect("summary.json is JSON");
        keeps_to_its_schema(&summary);
        let sentinels = lines(folder).into_iter().filter(is_sentinel).collect();
        Self {
            folder: folder.to_owned(),
            summary,
            turns: rows.map(|row| row.expect("a row of turns.csv")).collect(),
            journal: journal(folder),
            sentinels,
        }
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A figure of the summary, such as `/metrics/ttfa/p50_ms`.
    #[track_caller]
    pub fn number(&self, pointer: &str) -> f64 {
        let value = self.summary.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("no figure at {pointer} in {:#}", self.summary))
    }

    /// A count of the summary.
    #[track_caller]
    pub fn count(&self, pointer: &str) -> u64 {
        let value = self.summary.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no count at {pointer} in {:#}", self.summary))
    }

    /// All rooms in which calls were made.
    pub fn rooms(&self) -> BTreeSet<String> {
        self.turns.iter().map(|row| row["room"].clone()).collect()
    }

    /// The common prefix of this run's room names: everything up to the call.
    #[track_caller]
    pub fn room_prefix(&self) -> String {
        let rooms = self.rooms();
        prefix(rooms.first().expect("a run has rooms")).to_owned()
    }

    /// Panics unless every planned turn was answered and the exit code is 0, or 110 as in
    /// [`assert_answered`](Self::assert_answered).
    #[track_caller]
    pub fn assert_good(&self, finished: &Finished) {
        self.assert_answered(finished, 0);
    }

    /// Panics unless every planned turn was answered and the run ended with this exit code. Also
    /// accepts 110, which is correct on a machine so busy that the generator was late; accepts no
    /// other code and, unless gates are to fail (99), no other reason.
    #[track_caller]
    pub fn assert_answered(&self, finished: &Finished, code: i32) {
        let reasons = self.summary["verdict"]["reasons"].as_array();
        let reasons: Vec<&str> = reasons
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let slow = ["the generator was too slow", "the generator's signalling"];
        let ours = |r: &&str| slow.iter().any(|own| r.starts_with(own));
        let of_a_gate = |r: &&str| code == 99 && r.starts_with("gate ");
        let busy = reasons.iter().any(ours) && reasons.iter().all(|r| ours(r) || of_a_gate(r));
        finished.assert_code(if busy { 110 } else { code });
        assert_eq!(self.count("/calls/failed"), 0, "{:#}", self.summary);
        assert_eq!(
            self.count("/outcomes/replied"),
            self.count("/outcomes/planned"),
            "{:#}",
            self.summary
        );
    }
}

/// Panics unless a summary satisfies docs/summary.schema.json.
#[track_caller]
pub fn keeps_to_its_schema(summary: &Value) {
    let path = super::in_repo("docs/summary.schema.json");
    let schema = std::fs::read_to_string(path).expect("the committed schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(summary)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn is_sentinel(line: &Value) -> bool {
    line["sentinel"] == true
}

/// The turns in a run's journal without those of sentinel calls, in the order in which they ended;
/// only the last version of a turn that was amended. Empty if there is no journal.
pub fn journal(folder: &Path) -> Vec<Value> {
    let mut turns: Vec<Value> = Vec::new();
    let lines = lines(folder).into_iter();
    for line in lines.filter(|line| !is_sentinel(line)) {
        let of = |turn: &Value| (turn["call"].clone(), turn["turn"].clone());
        match turns.iter_mut().find(|known| of(known) == of(&line)) {
            Some(known) => *known = line,
            None => turns.push(line),
        }
    }
    turns
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("turns.jsonl")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    lines
        .map(|l| serde_json::from_str(l).expect("a journal line is JSON"))
        .collect()
}

/// `loadgen-0123456789-` of `loadgen-0123456789-c00001`.
pub fn prefix(room: &str) -> &str {
    let end = room.rfind('-').expect("a room's name ends with its call");
    &room[..=end]
}

/// The median; the higher of the two middle values if the number of values is even.
#[track_caller]
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The path of the only run folder under `reports/` of a working directory.
#[track_caller]
pub fn only_run(dir: &Path) -> PathBuf {
    let runs = runs(dir);
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// All run folders under `reports/` of a working directory.
pub fn runs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("reports"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
