//! An untrusted journal.
//!
//! In: `turns.jsonl`, a line `---`, `calls.jsonl`. Properties: records survive writing and reading
//! unchanged; a torn last line does not affect the lines before it.

use super::planted::planted;
use super::scratch;
use crate::record::{CallRecord, Journal, JournalRead, Outcome, TurnRecord};
use std::path::Path;

/// Separator between the two files.
const BETWEEN: &[u8] = b"\n---\n";

pub(super) fn run(bytes: &[u8]) {
    let at = bytes
        .windows(BETWEEN.len())
        .position(|part| part == BETWEEN);
    let (turns, calls) = match at {
        // The line break belongs to the turns file.
        Some(at) => (&bytes[..=at], &bytes[at + BETWEEN.len()..]),
        None => (bytes, &[][..]),
    };
    let folder = scratch::empty("journal");
    let path = folder.join("turns.jsonl");
    scratch::write(&path, turns);
    scratch::write(&folder.join("calls.jsonl"), calls);
    let read = Journal::read(&path);
    let read_calls = Journal::read_calls(&path);
    for error in [read.as_ref().err(), read_calls.as_ref().err()] {
        let text = error.map(|e| e.to_string() + e.hint());
        assert!(text.is_none_or(|text| !text.is_empty()));
    }
    let (Ok(read), Ok((calls, _))) = (read, read_calls) else {
        return;
    };
    assert!(calls.is_sorted_by(|a, b| a.call < b.call));
    if !turns.ends_with(b"\n") && !turns.is_empty() {
        without_its_last_line(&path, turns, &read);
    }
    again(&read.turns, &calls);
    let named = |t: &TurnRecord| t.outcome == Outcome::Replied && !is_usual(&t.room);
    planted([read.torn.is_some(), read.turns.iter().any(named)]);
}

/// Writes the records and reads them back.
fn again(turns: &[TurnRecord], calls: &[CallRecord]) {
    let path = scratch::empty("again").join("turns.jsonl");
    let mut journal = Journal::create(&path).expect("a new file");
    for turn in turns {
        journal.append(turn).expect("writable");
    }
    for call in calls {
        journal.append_call(call).expect("writable");
    }
    let (turns_again, calls_again) = journal.read_back().expect("our own journal");
    assert_eq!(turns_again, turns);
    assert_eq!(calls_again, calls);
}

/// Reads the turns again, without the last line, which is unterminated.
fn without_its_last_line(path: &Path, turns: &[u8], read: &JournalRead) {
    let whole = turns
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    scratch::write(path, &turns[..whole]);
    let kept = Journal::read(path).expect("the lines before it were read");
    assert!(kept.torn.is_none() || read.torn.is_some());
    // The last line is torn if it adds to the torn bytes; a hole may also have torn an earlier
    // line.
    let torn = |read: &JournalRead| read.torn.as_ref().map_or(0, |torn| torn.bytes);
    if torn(read) > torn(&kept) {
        assert_eq!(kept.turns, read.turns);
    }
}

/// Whether a name has the form of the names that this program generates.
fn is_usual(name: &str) -> bool {
    let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.chars().all(usual)
}
