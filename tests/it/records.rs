//! Run folders after the run: of killed runs, of earlier versions, and lists of several folders.

use crate::support::reports::{Row, journal, keeps_to_its_schema};
use crate::support::{Loadgen, in_repo, poll};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files that every run folder has once its reports are made.
const FILES: [&str; 8] = [
    "calls.csv",
    "histogram.hlog",
    "junit.xml",
    "report.html",
    "summary.json",
    "summary.md",
    "turns.csv",
    "turns.jsonl",
];

/// Number of ended turns at which the calls of [`LONG`] are in progress: both are past their first
/// turn, with two more to come. At five, both calls could be over and the next two not yet started.
const MIDDLE: usize = 7;

/// A run that would outlast the test.
const LONG: &str = "\
version: 1
name: long
target: {kind: embedded, agent: {delay: 100ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}
    - {say: yes, start: {delay: 100ms}, timeout: 4s}
    - {say: yes, start: {delay: 100ms}, timeout: 4s}
load: {calls: 40, concurrency: 2}
thresholds:
  ttfa: [\"p(95)<10s\"]
";

fn rows(folder: &Path, name: &str) -> Vec<Row> {
    let mut csv = csv::Reader::from_path(folder.join(name)).expect(name);
    csv.deserialize().map(|row| row.expect(name)).collect()
}

fn summary(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("summary.json")).expect("summary.json");
    serde_json::from_str(&text).expect("JSON")
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let files = files.map(|f| f.expect("an entry").path());
    files
        .map(|f| (f.clone(), std::fs::read(&f).expect("a file")))
        .collect()
}

/// Copies a committed folder, so that reports can be written into the copy.
fn copy(name: &str, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for (path, content) in contents(&in_repo("tests/records").join(name)) {
        let file = to.join(path.file_name().expect("a name"));
        std::fs::write(file, content).expect("writable");
    }
}

/// The journal ends as after a power cut: zeros and half a line follow the synced lines.
#[test]
fn torn_journal_lines_are_left_out_and_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("run");
    copy("v1-killed", &folder);
    let whole = journal(&folder).len();
    let path = folder.join("turns.jsonl");
    let mut text = std::fs::read(&path).expect("a journal");
    let line = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    text.extend([0; 100]);
    text.extend(b"\"}\n{\"version\": 2, \"call\"");
    std::fs::write(&path, text).expect("writable");
    let report = Loadgen::new(["report"]).arg(&folder).run();
    report.assert_code(110);
    let said = &report.finished.stderr;
    let where_ = format!("turns.jsonl`, line {line}: 124 bytes were torn");
    assert!(said.contains(&where_), "{said}");
    assert_eq!(rows(&folder, "turns.csv").len(), whole);
}

#[test]
fn the_report_of_a_killed_run_has_every_turn_that_had_ended() {
    let run = Loadgen::new(["run", "long.yaml", "--out", "run", "--quiet"]);
    let fixtures = in_repo("fixtures").display().to_string();
    std::fs::write(
        run.dir().join("long.yaml"),
        LONG.replace("FIXTURES", &fixtures),
    )
    .expect("writable");
    let run = run.spawn();
    let folder = run.dir().join("run");
    let some = poll(Duration::from_secs(60), || {
        Some(journal(&folder).len()).filter(|turns| *turns >= MIDDLE)
    });
    let ended = some.expect("enough turns");
    run.send_signal(libc::SIGKILL);
    let killed = run.finish();
    assert_eq!(killed.finished.code, None, "{:?}", killed.finished);
    assert!(!folder.join("summary.json").exists());

    let folder = killed.dir().join("run");
    let report = Loadgen::new(["report"]).arg(&folder).run();
    report.assert_code(110);
    let table = &report.finished.stdout;
    assert!(
        table.starts_with("INVALID") && table.contains("the run is incomplete"),
        "{table}"
    );

    let turns = rows(&folder, "turns.csv");
    assert!(turns.len() >= ended, "{} of {ended}", turns.len());
    assert_eq!(turns.len(), journal(&folder).len());
    let calls = rows(&folder, "calls.csv");
    let of_calls: usize = calls
        .iter()
        .flat_map(|c| {
            [
                "turns_replied",
                "turns_missed",
                "turns_early",
                "turns_failed",
            ]
            .map(|n| &c[n])
        })
        .map(|n| n.parse::<usize>().expect("a count"))
        .sum();
    assert_eq!(of_calls, turns.len());
    let cut_off = calls.iter().filter(|c| c["outcome"] == "cut_off").count();
    assert!((1..=2).contains(&cut_off), "{calls:?}");

    let summary = summary(&folder);
    keeps_to_its_schema(&summary);
    assert_eq!(summary["run"]["complete"], false);
    assert_eq!(summary["verdict"]["status"], "invalid");
    assert_eq!(summary["verdict"]["gates"][0]["verdict"], "undecided");
    assert_eq!(summary["calls"]["planned"], 40);
    assert_eq!(summary["calls"]["started"], calls.len());
    assert_eq!(summary["calls"]["cut_off"], cut_off);
    assert_eq!(summary["calls"]["failed"], 0);
    assert_eq!(summary["calls"]["not_run"], 40 - calls.len());
    let outcomes = &summary["outcomes"];
    assert_eq!(outcomes["failed"], 0, "{outcomes}");
    let count = |name: &str| outcomes[name].as_u64().expect("a count") as usize;
    assert_eq!(count("cut_off") + count("not_run") + turns.len(), 3 * 40);
    let text = std::fs::read_to_string(folder.join("run.json")).expect("run.json");
    let start: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(start["zero_at"], summary["run"]["zero_at"]);
    let instant = |name: &str| -> jiff::Timestamp {
        start[name].as_str().expect(name).parse().expect("RFC 3339")
    };
    assert!(instant("zero_at") >= instant("started_at"), "{text}");
    for file in FILES {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn every_report_can_still_be_made_from_version_1_folders() {
    // Some of these folders were written before calls were recorded.
    for (name, complete) in [
        ("v1", true),
        ("v1-killed", false),
        ("v1-turns-only", true),
        ("v1-turns-only-killed", false),
    ] {
        let run = Loadgen::new(["report", "run", "--quiet"]);
        let folder = run.dir().join("run");
        copy(name, &folder);
        let before = contents(&folder);
        let run = run.run();
        run.assert_code(if complete { 0 } else { 110 });
        for file in FILES {
            assert!(folder.join(file).is_file(), "{name}: {file}");
        }
        let after = contents(&folder);
        for (path, content) in before {
            // CSV rows may have gained columns since then.
            if path
                .extension()
                .is_none_or(|e| e == "jsonl" || e == "json" || e == "yaml")
            {
                assert_eq!(after[&path], content, "{name}: {}", path.display());
            }
        }
        let turns = rows(&folder, "turns.csv");
        assert_eq!(turns.len(), journal(&folder).len(), "{name}");
        let replied = turns.iter().filter(|t| t["outcome"] == "replied").count();
        let summary = summary(&folder);
        assert_eq!(summary["outcomes"]["replied"], replied, "{name}");
        assert!(replied > 3, "{name}");
    }
}

#[test]
fn past_runs_are_listed_newest_first_despite_a_broken_one() {
    let list = Loadgen::new(["list", "--json"]);
    let reports = list.dir().join("reports");
    std::fs::create_dir(&reports).expect("a folder");
    for name in ["v1", "v1-killed", "v1-turns-only"] {
        copy(name, &reports.join(name));
    }
    std::fs::create_dir(reports.join("something-else")).expect("a folder");
    copy("v1", &reports.join("broken"));
    std::fs::write(reports.join("broken/summary.json"), "{").expect("writable");
    let list = list.run();
    list.assert_code(0);
    assert!(
        list.finished
            .stderr
            .contains("`reports/broken/summary.json`, line 1")
    );
    let runs: Vec<Value> = serde_json::from_str(&list.finished.stdout).expect("an array");
    let started: Vec<&str> = runs
        .iter()
        .filter_map(|r| r["started_at"].as_str())
        .collect();
    assert_eq!(started.len(), 3, "{runs:?}");
    assert!(started.is_sorted_by(|a, b| a >= b), "{started:?}");
    let complete = |folder: &str| {
        let found = runs.iter().find(|r| r["folder"] == folder);
        found.expect(folder)["complete"].clone()
    };
    assert_eq!(complete("reports/v1"), true);
    assert_eq!(complete("reports/v1-killed"), false);

    let none = Loadgen::new(["list"]).run();
    none.assert_code(2);
    assert!(none.finished.stderr.contains("hint: give the folder"));
}

#[test]
fn paths_without_a_run_are_errors_with_a_hint() {
    let report = Loadgen::new(["report", "."]).run();
    report.assert_code(1);
    let err = &report.finished.stderr;
    assert!(
        err.contains("`.` is not a run folder\n  hint: give a folder"),
        "{err}"
    );
    let format = Loadgen::new(["report", ".", "--format", "csv,pdf"]).run();
    format.assert_code(2);
}

#[test]
fn open_shows_the_report_with_xdg_open() {
    let open = Loadgen::new(["open", "run"]);
    copy("v1", &open.dir().join("run"));
    let desktop = open.dir().join("bin");
    std::fs::create_dir(&desktop).expect("a folder");
    let none = open.dir().join("none");
    std::fs::create_dir(&none).expect("a folder");
    let launcher = desktop.join("xdg-open");
    std::fs::write(&launcher, "#!/bin/sh\necho \"$1\" > opened\n").expect("writable");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&launcher, executable).expect("a mode");
    let open = open.env("PATH", &desktop).run();
    open.assert_code(0);
    let opened = std::fs::read_to_string(open.dir().join("opened")).expect("the report was opened");
    let report = open.dir().join("run/report.html");
    assert_eq!(
        Path::new(opened.trim_end()),
        report.canonicalize().expect("made")
    );

    let alone = Loadgen::new(["open"]).arg(open.dir().join("run"));
    let alone = alone.env("PATH", &none).run();
    alone.assert_code(1);
    let err = &alone.finished.stderr;
    assert!(err.contains("hint: open the file above yourself"), "{err}");
    assert!(alone.finished.stdout.contains("report.html"));
}

#[test]
fn open_remakes_the_report_of_an_unfinished_run() {
    for (name, stays) in [("v1", true), ("v1-killed", false)] {
        let open = Loadgen::new(["open", "run"]);
        let folder = open.dir().join("run");
        copy(name, &folder);
        std::fs::write(folder.join("report.html"), "old").expect("writable");
        // There is no program to open the report with.
        let path = open.dir().join("none");
        let run = open.env("PATH", &path).run();
        run.assert_code(1);
        let shown = std::fs::read(folder.join("report.html")).expect("readable");
        assert_eq!(shown == b"old", stays, "{name}");
    }
}
