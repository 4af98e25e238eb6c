//! Reads journals as finished runs, crashes and manual edits leave them.

use super::super::lines::LONGEST_LINE;
use super::*;
use crate::call::Outcome;
use crate::record::Ms;
use crate::record::fixtures::Run;
use std::fs::{self, File};
use std::io::Write;
use std::sync::{Arc, Mutex};

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
fn appended_turns_are_read_back() {
    let turns = turns();
    let (_dir, path) = written(&turns);
    assert_eq!(
        Journal::read(&path).unwrap(),
        JournalRead { turns, torn: None }
    );
}

#[test]
fn an_empty_journal_is_a_run_without_turns() {
    let (_dir, path) = written(&[]);
    assert_eq!(
        Journal::read(&path).unwrap(),
        JournalRead {
            turns: vec![],
            torn: None
        }
    );
}

#[test]
fn appended_lines_are_written_immediately() {
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
fn a_torn_last_line_is_left_out() {
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
        let torn = (!complete && end > last).then(|| Torn {
            path: path.clone(),
            line: turns.len(),
            bytes: (end - last) as u64,
        });
        assert_eq!(read.torn, torn, "cut at {end}");
    }
}

#[test]
fn damaged_journals_are_errors_or_torn() {
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
        (
            "not JSON in the middle",
            format!("{line}\n{{]\n{line}\n"),
            "line 2",
        ),
        // As after a power cut.
        ("not JSON at the end", format!("{line}\n{{]\n\n[\n"), ""),
        ("a hole", format!("{line}\n\0\0\0}}\n{line}\n"), ""),
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
            "a negative time",
            line.replace("2000.0", "-2000.0") + "\n",
            "",
        ),
        (
            "a field added within the version",
            format!("{added}\n{line}\n"),
            "",
        ),
        (
            "a time out of range",
            line.replace("2000.0", "1e300") + "\n" + &line,
            "line 1",
        ),
        (
            "a line that is too long",
            "x".repeat(LONGEST_LINE as usize + 5) + "\n" + &line,
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
    assert_eq!(missing.hint(), "check the path for a typo");
}

#[test]
fn a_full_disk_is_an_error_with_a_hint() {
    let path = Path::new("/dev/full");
    let Ok(full) = File::options().write(true).open(path) else {
        return; // This system has no `/dev/full`.
    };
    let error = LineFile::over(Box::new(full), path)
        .append(&turns()[0])
        .unwrap_err();
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
fn the_last_line_of_a_call_wins() {
    let mut run = Run::default();
    run.good(2).bad(Outcome::Missed, None);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    assert!(
        Journal::read_calls(&path).unwrap().0.is_empty(),
        "folders from before this file existed"
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
    assert_eq!(
        Journal::read_calls(&path).unwrap(),
        (expected.to_vec(), None)
    );
    // A torn last line leaves the call as it was before.
    let whole = fs::read(calls_beside(&path)).unwrap();
    fs::write(calls_beside(&path), &whole[..whole.len() - 9]).unwrap();
    let (calls, torn) = Journal::read_calls(&path).unwrap();
    assert_eq!(torn.map(|t| t.line), Some(5));
    assert_eq!(calls[1], begun(&run.calls[1]));
}

/// A turn with two lines is read from the last one; turns of sentinel calls may have the same
/// indices.
#[test]
fn the_last_line_of_an_amended_turn_wins() {
    let mut all = turns();
    let count = all.len();
    let mut amended = all[0].clone();
    amended.late_reply_ms = Some(Ms::from_micros(10_600_000));
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

/// A file that records how much of it is on the disk.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<Mutex<WatchedFile>>);

#[derive(Debug, Clone, Default)]
struct WatchedFile {
    written: Vec<u8>,
    synced: usize,
    /// Writes fail in the middle, and what was written cannot be removed.
    fails: bool,
}

impl Watched {
    fn now(&self) -> WatchedFile {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap();
        if file.fails {
            file.written.extend(&bytes[..bytes.len() / 2]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for Watched {
    fn sync(&mut self) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        file.synced = file.written.len();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut file = self.0.lock().unwrap();
        if file.fails {
            return Err(io::ErrorKind::Other.into());
        }
        file.written.truncate(length as usize);
        Ok(())
    }
}

/// A journal over two watched files, for turns and for calls; it is read back from `path`.
fn watched(path: &Path) -> (Journal, Watched, Watched) {
    let (turns, calls) = (Watched::default(), Watched::default());
    let open = |at: &Path| -> io::Result<Box<dyn Storage>> {
        let file = if at == path { &turns } else { &calls };
        Ok(Box::new(file.clone()))
    };
    let journal = Journal::create_on(path, &open).unwrap();
    (journal, turns, calls)
}

/// The possible contents of a file after a power cut: everything that was synced, then part of the
/// rest, alone or followed by zeros or other bytes, or the rest with a hole where data had not been
/// written yet.
fn after_a_power_cut(file: &WatchedFile) -> Vec<Vec<u8>> {
    let (synced, rest) = file.written.split_at(file.synced);
    let other = b"\n{\"x\":9,\xff\n}";
    let garbage: Vec<u8> = (0..rest.len())
        .map(|k| other[(k * 7 + rest.len()) % other.len()])
        .collect();
    let cuts = [0, 1, rest.len() / 3, rest.len() / 2, rest.len()];
    let mut images = Vec::new();
    for cut in cuts {
        let cut = cut.min(rest.len());
        images.push([synced, &rest[..cut]].concat());
        images.push([synced, &rest[..cut], &vec![0; rest.len() - cut]].concat());
        images.push([synced, &rest[..cut], &garbage[cut..]].concat());
        images.push([synced, &vec![0; cut], &rest[cut..]].concat());
    }
    images
}

/// After a power cut at any moment, every synced turn and call (everything older than a second) is
/// read back, no other turn or call is, and torn parts are reported.
#[test]
fn synced_lines_survive_a_power_cut() {
    let mut run = Run::default();
    for k in 0..12 {
        match k % 3 {
            0 => run.bad(Outcome::Missed, None),
            _ => run.good(1),
        };
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    let (mut journal, turns, calls) = watched(&path);
    let start = Instant::now();
    let mut torn_seen = 0;
    for (k, (turn, call)) in run.turns.iter().zip(&run.calls).enumerate() {
        let now = start + Duration::from_millis(300) * k as u32;
        journal.append(turn).unwrap();
        journal.append_call(call).unwrap();
        if k % 4 != 3 {
            journal.tick(now).unwrap();
        }
        let (turns, calls) = (turns.now(), calls.now());
        let lines = |file: &WatchedFile| {
            let synced = &file.written[..file.synced];
            synced.iter().filter(|b| **b == b'\n').count()
        };
        assert!(
            lines(&turns) + 6 > k && lines(&calls) == lines(&turns),
            "at line {k}, {} and {} are synced",
            lines(&turns),
            lines(&calls)
        );
        for (of_turns, of_calls) in after_a_power_cut(&turns)
            .iter()
            .zip(after_a_power_cut(&calls))
        {
            fs::write(&path, of_turns).unwrap();
            fs::write(calls_beside(&path), &of_calls).unwrap();
            let read = Journal::read(&path).unwrap_or_else(|e| panic!("at line {k}: {e}"));
            let (read_calls, torn_calls) = Journal::read_calls(&path).unwrap();
            let synced = lines(&turns);
            assert_eq!(read.turns[..synced], run.turns[..synced], "at line {k}");
            assert_eq!(read_calls[..synced], run.calls[..synced], "at line {k}");
            assert!(read.turns[synced..].iter().all(|t| run.turns.contains(t)));
            assert!(read_calls[synced..].iter().all(|c| run.calls.contains(c)));
            // Each byte belongs to a turn or is reported.
            let whole: usize = read.turns.iter().map(|t| line_of(t).len()).sum();
            let lost = read.torn.map_or(0, |torn| torn.bytes as usize);
            let ends = usize::from(of_turns.last().is_some_and(|b| *b != b'\n') && lost == 0);
            assert_eq!(whole + lost, of_turns.len() + ends, "at line {k}");
            torn_seen += usize::from(lost > 0) + usize::from(torn_calls.is_some());
        }
    }
    assert!(torn_seen > 100, "only {torn_seen} images were torn");
}

fn line_of(turn: &TurnRecord) -> String {
    serde_json::to_string(turn).unwrap() + "\n"
}

/// Nothing is written after half a line that cannot be removed, since a line there would be
/// unreadable.
#[test]
fn nothing_is_appended_after_a_torn_line() {
    let turns = turns();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.jsonl");
    let (mut journal, disk, _calls) = watched(&path);
    journal.append(&turns[0]).unwrap();
    disk.0.lock().unwrap().fails = true;
    journal.append(&turns[1]).unwrap_err();
    journal.append(&turns[1]).unwrap_err();
    fs::write(&path, disk.now().written).unwrap();
    let read = Journal::read(&path).unwrap();
    assert_eq!(read.turns, turns[..1]);
    let torn = read.torn.expect("half a line is torn").to_string();
    assert!(torn.contains("turns.jsonl`, line 2: "), "{torn}");
    // The disk has room again.
    disk.0.lock().unwrap().fails = false;
    journal.append(&turns[2]).unwrap();
    fs::write(&path, disk.now().written).unwrap();
    let read = Journal::read(&path).unwrap();
    assert_eq!(read.turns, [turns[0].clone(), turns[2].clone()]);
    assert_eq!(read.torn, None);
}

#[test]
fn the_file_of_readings_is_created_with_the_first_reading() {
    let dir = tempfile::tempdir().expect("dir");
    let turns = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&turns).expect("journal");
    journal.sync().expect("a disk");
    assert_eq!(journal.readings().readings, []);
    let file = dir.path().join("observed.jsonl");
    assert!(!file.exists());
    let good = Reading {
        gauges: [("g".to_owned(), 0.5)].into(),
        counters: [("c_total".to_owned(), 3.0)].into(),
        ..Reading::new("worker", Ms::from_micros(1_000_500))
    };
    let gap = Reading {
        gap: Some("no connection".to_owned()),
        ..Reading::new("worker", Ms::from_micros(2_000_000))
    };
    journal.append_reading(&good).expect("a disk");
    journal.append_reading(&gap).expect("a disk");
    journal.sync().expect("a disk");
    let text = fs::read_to_string(&file).expect("the file");
    let expected = "{\"version\":1,\"at_ms\":1000.5,\"name\":\"worker\",\"gauges\":{\"g\":0.5},\"counters\":{\"c_total\":3.0}}\n\
        {\"version\":1,\"at_ms\":2000.0,\"name\":\"worker\",\"gap\":\"no connection\"}\n";
    assert_eq!(text, expected);
    assert_eq!(journal.readings().readings, [good.clone(), gap]);

    // A kill can tear the last line. A line that cannot be read is left out, and so is everything
    // after it.
    for (name, content, kept, torn, error) in [
        ("torn", text[..text.len() - 9].to_owned(), 1, Some(2), ""),
        (
            "newer",
            text.replace("on\":1", "on\":2"),
            0,
            None,
            "version 2",
        ),
        (
            "a newer line",
            format!("{text}{{\"version\":2}}\n{text}"),
            2,
            None,
            "line 3",
        ),
        (
            "a line that is not a reading",
            format!("{text}{{]\n{text}"),
            2,
            None,
            "line 3",
        ),
    ] {
        fs::write(&file, content).expect("writable");
        let read = Journal::read_readings(&turns);
        assert_eq!(read.readings.len(), kept, "{name}");
        assert!(read.readings.first().is_none_or(|first| *first == good));
        assert_eq!(read.torn.map(|t| t.line), torn, "{name}");
        let found = read.error.map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(found.is_empty(), error.is_empty(), "{name}: {found}");
        assert!(found.contains(error), "{name}: {found}");
    }
}

/// If readings cannot be synced, the next append of a reading returns the error; turns are not
/// affected.
#[test]
fn unsynced_readings_do_not_affect_turns() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&path).expect("journal");
    journal.observed = Some(LineFile::over(Box::new(BrokenDisk), &path));
    let reading = Reading::new("worker", Ms::default());
    journal.append_reading(&reading).expect("a disk");
    journal.append(&turns()[0]).expect("a disk");
    journal.sync().expect("the turns are on the disk");
    let error = journal.append_reading(&reading).unwrap_err();
    assert!(error.to_string().contains("cannot sync"), "{error}");
}

/// A disk that accepts writes but fails to sync them.
#[derive(Debug)]
struct BrokenDisk;

impl Write for BrokenDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for BrokenDisk {
    fn sync(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
