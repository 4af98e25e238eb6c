//! Compares the reference agent's truth file with a run's turns.
//!
//! In: the file and the turns. Out: errors of `ttfa_wire` in ms. Invariants: a turn without a
//! figure has no error; rooms in which the agent did not answer every turn are skipped, since the
//! agent numbers turns by counting its answers.

use super::errors::{Error, Errors};
use super::support::reports::Row;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// True `ttfa_wire` in ms, by room and turn.
pub type Truth = HashMap<(String, u64), f64>;

/// Reads a truth file.
pub fn read(path: &Path) -> Truth {
    let text = std::fs::read_to_string(path).expect("a truth file");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line of truth");
        if line["event"] != "reply" {
            return None;
        }
        let number = |name: &str| line[name].as_f64().expect("a number");
        let ns = |name: &str| line[name].as_i64().expect("an instant");
        let packet = ns("reply_packet_ns") - ns("speech_end_ns");
        let room = line["room"].as_str().expect("a room").to_owned();
        let turn = line["turn"].as_u64().expect("a turn");
        let delay = packet as f64 / 1e6 + number("onset_offset_ms");
        Some(((room, turn), delay))
    };
    text.lines().filter_map(line).collect()
}

/// The errors of the turns that have a figure; `flag` is the flag to look for.
pub fn errors(turns: &[Row], truth: &Truth, flag: &str) -> Errors {
    let whole = |room: &str| {
        let asked = turns.iter().filter(|row| row["room"] == room).count();
        asked == truth.keys().filter(|(r, _)| r == room).count()
    };
    let mut rooms: HashMap<&str, bool> = HashMap::new();
    for row in turns {
        let room = row["room"].as_str();
        rooms.entry(room).or_insert_with(|| whole(room));
    }
    let error = |row: &Row| {
        if !rooms[row["room"].as_str()] {
            return None;
        }
        let measured: f64 = row["ttfa_wire_ms"].parse().ok()?;
        let turn: u64 = row["turn"].parse().ok()?;
        let ms = measured - truth.get(&(row["room"].clone(), turn))?;
        let flagged = row["flags"].split(' ').any(|f| f == flag);
        Some(Error { ms, flagged })
    };
    Errors(turns.iter().filter_map(error).collect())
}
