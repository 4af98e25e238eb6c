//! Reads the truth file of a reference agent.
//!
//! In: the file. Out: its lines, by the room that they are about, in the order of the file.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The lines of a truth file, by room.
pub fn truth_by_room(path: &Path) -> BTreeMap<String, Vec<Value>> {
    let text = std::fs::read_to_string(path).expect("a truth file");
    let mut rooms: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("json");
        let room = line["room"].as_str().expect("a room").to_owned();
        rooms.entry(room).or_default().push(line);
    }
    rooms
}
