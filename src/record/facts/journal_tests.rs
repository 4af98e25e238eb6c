//! The journal against files as runs, crashes and people leave them.

use super::super::lines::LONGEST_LINE;
use super::*;
use crate::call::Outcome;
use crate::record::fixtures::Run;
use std::fs::{self, File};

fn turns() -> Vec<TurnRecord> {
    let mut run = Run::default();
    run.good(2).bad(Outcome::Missed, None);
    run.turns
}

fn written(turns: &[TurnRecord]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for turn in turns {
        journal.append(turn).unwrap();
    }
    (dir, path)
}

#[test]
fn what_is_appended_is_read_back() {
    let turns = turns();
    let (_dir, path) = written(&turns);
    assert_eq!(
        Journal::read(&path).unwrap(),
        JournalRead { turns, torn: false }
    );
}

#[test]
fn an_empty_journal_is_a_run_without_turns() {
    let (_dir, path) = written(&[]);
    assert_eq!(
        Journal::read(&path).unwrap(),
        JournalRead {
            turns: vec![],
            torn: false
        }
    );
}

#[test]
fn a_line_is_there_as_soon_as_it_is_appended() {
    let turns = turns();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for (n, turn) in turns.iter().enumerate() {
        journal.append(turn).unwrap();
        // No flush, no close: what a killed process leaves.
        assert_eq!(Journal::read(&path).unwrap().turns.len(), n + 1);
    }
}

#[test]
fn every_torn_end_is_left_out() {
    let turns = turns();
    let (_dir, path) = written(&turns);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|&b| b == b'\n')
        .unwrap()
        + 1;
    for end in last..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let read = Journal::read(&path).unwrap();
        // A line that lacks only its newline is still a whole turn.
        let complete = end >= whole.len() - 1;
        let expected = turns.len() - usize::from(!complete);
        assert_eq!(read.turns, turns[..expected], "cut at {end}");
        assert_eq!(read.torn, !complete && end > last, "cut at {end}");
    }
}

#[test]
fn damage_by_table() {
    let turns = turns();
    let line = serde_json::to_string(&turns[0]).unwrap();
    let version = format!("\"version\":{TURN_VERSION}");
    let newer = format!("\"version\":{},\"new\":true", TURN_VERSION + 1);
    let later = line.replacen(&version, &newer, 1);
    let renamed = later.replacen("\"outcome\"", "\"result\"", 1);
    let added = line.replacen(&version, &format!("{version},\"new\":true"), 1);
    let cases: &[(&str, String, &str)] = &[
        (
            "torn in the middle",
            format!("{}\n{line}\n", &line[..40]),
            "line 1",
        ),
        ("an empty line", format!("{line}\n\n{line}\n"), "line 2"),
        ("not JSON", format!("{line}\n\u{0}\u{1}\n"), "line 2"),
        (
            "a later version",
            format!("{line}\n{later}\n"),
            "line 2: version 3",
        ),
        (
            "a later version with other fields",
            format!("{renamed}\n"),
            "line 1: version 3",
        ),
        (
            "a negative time is a time",
            line.replace("2000.0", "-2000.0") + "\n",
            "",
        ),
        (
            "a field added within the version",
            format!("{added}\n{line}\n"),
            "",
        ),
        (
            "a nonsense time",
            line.replace("2000.0", "1e300") + "\n",
            "line 1",
        ),
        (
            "a line without an end",
            "x".repeat(LONGEST_LINE as usize + 5),
            "line 1",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    for (name, text, expected) in cases {
        fs::write(&path, text).unwrap();
        match Journal::read(&path) {
            Ok(_) => assert_eq!(*expected, "", "{name}"),
            Err(error) => {
                assert!(
                    !expected.is_empty() && error.to_string().contains(expected),
                    "{name}: {error}"
                );
                assert!(!error.hint().is_empty());
            }
        }
    }
}

#[test]
fn an_existing_journal_is_not_overwritten() {
    let turns = turns();
    let (_dir, path) = written(&turns);
    assert!(matches!(
        Journal::create(&path),
        Err(RecordError::Io { .. })
    ));
    assert_eq!(Journal::read(&path).unwrap().turns.len(), turns.len());
    let missing = Journal::read(&path.with_extension("none")).unwrap_err();
    assert_eq!(missing.hint(), "check the path for a typing error");
}

#[test]
fn a_full_disk_is_an_error_with_a_hint() {
    let path = Path::new("/dev/full");
    let Ok(full) = File::options().write(true).open(path) else {
        return; // Not on this system.
    };
    let error = Lines::over(full, path).append(&turns()[0]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot append to `/dev/full`"),
        "{error}"
    );
    assert!(error.hint().contains("disk is full"), "{}", error.hint());
}

#[test]
fn syncs_at_most_once_a_second() {
    let turns = turns();
    let (_dir, path) = written(&[]);
    fs::remove_file(&path).unwrap();
    fs::remove_file(calls_beside(&path)).unwrap();
    let mut journal = Journal::create(&path).unwrap();
    let start = Instant::now();
    let after = |ms| start + Duration::from_millis(ms);
    // (now, append before?, still unsynced afterwards?)
    let steps = [
        (0, false, false),
        (10, true, false),
        (500, true, true),
        (1_009, false, true),
        (1_010, false, false),
        (5_000, false, false),
        (5_001, true, false),
    ];
    for (now, append, unsynced) in steps {
        if append {
            journal.append(&turns[0]).unwrap();
        }
        journal.tick(after(now)).unwrap();
        assert_eq!(journal.turns.unsynced, unsynced, "at {now} ms");
    }
}

#[test]
fn a_call_is_read_as_its_last_line_has_it() {
    let mut run = Run::default();
    run.good(2).bad(Outcome::Missed, None);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    assert!(
        Journal::read_calls(&path).unwrap().is_empty(),
        "folders from before there was such a file"
    );
    let mut journal = Journal::create(&path).unwrap();
    let begun = |call: &CallRecord| CallRecord {
        ended_ms: None,
        join_ms: None,
        ..call.clone()
    };
    for call in run.calls.iter().rev() {
        journal.append_call(&begun(call)).unwrap();
    }
    for call in &run.calls[..2] {
        journal.append_call(call).unwrap();
    }
    let expected = [
        run.calls[0].clone(),
        run.calls[1].clone(),
        begun(&run.calls[2]),
    ];
    assert_eq!(Journal::read_calls(&path).unwrap(), expected);
    // A torn last line leaves the call as it was before.
    let whole = fs::read(calls_beside(&path)).unwrap();
    fs::write(calls_beside(&path), &whole[..whole.len() - 9]).unwrap();
    let torn = Journal::read_calls(&path).unwrap();
    assert_eq!(torn[1], begun(&run.calls[1]));
}

/// A turn with two lines is read from the last one; turns of sentinel calls may share numbers.
#[test]
fn an_amended_turn_is_read_as_its_last_line_has_it() {
    let mut all = turns();
    let count = all.len();
    let mut amended = all[0].clone();
    amended.late_reply_ms = Some(crate::record::Ms::from_micros(10_600_000));
    let sentinel = TurnRecord {
        sentinel: true,
        ..all[0].clone()
    };
    all.extend([sentinel.clone(), amended.clone(), sentinel.clone()]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&path).unwrap();
    for turn in &all {
        journal.append(turn).unwrap();
    }
    let read = Journal::read(&path).unwrap().turns;
    assert_eq!(read.len(), count + 2);
    assert_eq!(read[0], amended, "in the place of its first line");
    assert_eq!(read[count..], [sentinel.clone(), sentinel]);
}
