//! An untrusted run folder, and every report that is rendered from it.
//!
//! In: files, each after a line `=== NAME`. Properties: a record that can be read can be rendered
//! in every format, and rendering it again gives the same result; each format's own parser accepts
//! the result; no text escapes from its field. The length of an input determines what is made of
//! the record, because making everything takes most of the time.

use super::planted::planted;
use super::scratch;
use crate::record::{Baseline, EVIDENCE_FOLDER, RunRecord, Status, Summary};
use crate::report::list::{self, PastRun};
use crate::report::{File, Format, Screen, Style, console};
use hdrhistogram::serialization::interval_log::IntervalLogIterator;
use std::path::Path;

/// The files that a run folder may contain.
const FILES: [&str; 9] = [
    "summary.json",
    "run.json",
    "turns.jsonl",
    "calls.jsonl",
    "observed.jsonl",
    "scenario.yaml",
    "evidence/index.json",
    "evidence/turn-00000-0.wav",
    "evidence/call-00000.wav",
];
/// Start of the line that precedes a file.
const HEAD: &[u8] = b"=== ";

pub(super) fn run(bytes: &[u8]) {
    let folder = scratch::empty("run");
    std::fs::create_dir(folder.join(EVIDENCE_FOLDER)).expect("our own folder");
    unpack(bytes, &folder);
    let record = RunRecord::read(&folder);
    let summary = RunRecord::read_summary(&folder);
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            return;
        }
    };
    // A finished run's summary is read on its own; the summary of any other run is rebuilt from the
    // record.
    assert_eq!(summary.as_ref().ok(), Some(&record.summary));
    let passes = record.summary.verdict.status == Status::Passed;
    assert!(record.is_complete() || !passes, "an unfinished run passes");
    let formats = Format::ALL.len();
    match bytes.len() % (formats + 3) {
        0 => shown(&record),
        1 => listed(&record),
        2 => kept(&record, &folder),
        other => rendered(&record, Format::ALL[other - 3]),
    }
    planted([record.turns.iter().any(|turn| turn.call > 99)]);
}

/// Writes the files of an input into the folder.
fn unpack(bytes: &[u8], folder: &Path) {
    let mut file: Option<(&str, Vec<u8>)> = None;
    let write = |file: Option<(&str, Vec<u8>)>| {
        if let Some((name, content)) = file {
            scratch::write(&folder.join(name), &content);
        }
    };
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let name = line.strip_prefix(HEAD).map(<[u8]>::trim_ascii_end);
        let name = name.and_then(|name| FILES.iter().find(|known| known.as_bytes() == name));
        match (name, &mut file) {
            (Some(name), file) => write(file.replace((name, Vec::new()))),
            (None, Some((_, content))) => content.extend(line),
            (None, None) => {}
        }
    }
    write(file);
}

fn rendered(record: &RunRecord, format: Format) {
    let files: Vec<File> = format.files(record);
    assert_eq!(files, format.files(record), "rendered twice");
    for file in &files {
        is_readable(file, record);
    }
}

fn is_readable(file: &File, record: &RunRecord) {
    let text = || std::str::from_utf8(&file.bytes).expect("UTF-8");
    match file.name {
        "summary.json" => {
            let again: Summary = serde_json::from_str(text()).expect("our own summary");
            assert_eq!(again, record.summary);
        }
        "turns.csv" => assert_eq!(rows(text()), record.turns.len()),
        "calls.csv" => assert_eq!(rows(text()), record.calls.len()),
        "junit.xml" => {
            let allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
            assert!(text().chars().all(allowed));
            quick_junit::Report::deserialize_from_str(text()).expect("JUnit");
        }
        "histogram.hlog" => {
            assert!(IntervalLogIterator::new(&file.bytes).all(|entry| entry.is_ok()));
        }
        "report.html" => is_harmless(text()),
        _ => assert_eq!(text().matches("<script").count(), 0, "{}", file.name),
    }
}

/// The number of rows of a table. Each row must have as many cells as the header.
fn rows(csv: &str) -> usize {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader.records().map(|row| row.expect("as many cells"));
    rows.map(|row| {
        let acts = |cell: &str| cell.starts_with(['=', '@']);
        assert!(!row.iter().any(acts), "a formula: {row:?}");
    })
    .count()
}

/// Checks that the page contains no scripts other than its own.
fn is_harmless(page: &str) {
    let lower = page.to_ascii_lowercase();
    let begun = lower.matches("<script").count();
    assert_eq!(begun, lower.matches("</script>").count());
    assert!(begun <= 2, "{begun} scripts");
    for tag in ["<iframe", "<object", "<embed", "<base", "<link"] {
        assert!(!lower.contains(tag), "{tag}");
    }
    let tags = lower
        .split('<')
        .skip(1)
        .map(|t| t.split('>').next().unwrap_or(t));
    for tag in tags {
        let quoted = tag.split('"').step_by(2);
        let handler = quoted
            .clone()
            .any(|part| part.contains(" onerror=") || part.contains(" onload="));
        assert!(!handler, "{tag}");
        assert!(!tag.contains("href=\"javascript:"), "{tag}");
    }
}

/// What `loadgen list` shows of the run.
fn listed(record: &RunRecord) {
    let past = PastRun {
        folder: "folder".to_owned(),
        summary: record.summary.clone(),
    };
    let table = list::table(std::slice::from_ref(&past), Style::Plain);
    assert_eq!(table.lines().count(), 2, "{table}");
    is_plain(&table);
    let parsed = serde_json::from_str::<serde_json::Value>(&list::to_json(&[past]));
    assert!(parsed.is_ok());
}

/// What a run and `loadgen report` show on the screen.
fn shown(record: &RunRecord) {
    let screen = Screen::default();
    is_plain(&console::brief(&record.summary, screen, None));
    is_plain(&console::details(&record.summary, screen, None));
}

fn is_plain(text: &str) {
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(control), "{text:?}");
}

/// Saves a record as a baseline and reads it back.
fn kept(record: &RunRecord, folder: &Path) {
    let baseline = Baseline::of(record);
    let path = folder.join("baseline.json");
    baseline.write(&path).expect("writable");
    let again = Baseline::read(&path).expect("our own baseline");
    assert_eq!(again.into_record(), baseline.into_record());
}
