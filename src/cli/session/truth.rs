//! Describes the reference agents that commands start, and reads the ground truth of their turns.
//!
//! In: the agent's delay, a file. Out: how to start the agent; its ground truth.
//! Invariant: a turn is matched to the truth by room and end of speech, on one monotonic clock, so
//! that a turn that the agent did not answer does not shift the others.

use crate::cli::exit::Exit;
use crate::cli::settings;
use crate::cli::trouble::Trouble;
use crate::net::monotonic_ns;
use crate::record::TurnRecord;
use crate::targets::OwnAgent;
use crate::vocab::duration;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Maximum difference between the caller's and the agent's timestamps of the same end of speech;
/// timestamps of different turns are further apart.
const NEAR: Duration = Duration::from_millis(500);
/// Length of the agent's reply, a short tone.
pub(crate) const REPLY: Duration = Duration::from_millis(300);

/// Path of this program, for starting another process of it.
pub(crate) fn this_program() -> Result<PathBuf, Trouble> {
    std::env::current_exe().map_err(|e| {
        let message = format!("cannot find this program: {e}");
        Trouble::new(Exit::Error, message, "run it by its full path")
    })
}

/// A reference agent that answers calibration chirps after `delay` and writes its ground truth
/// to `file`; its name is `prefix` followed by a random id.
pub(crate) fn own_agent(prefix: &str, delay: Duration, file: &Path) -> Result<OwnAgent, Trouble> {
    let mut arguments = vec![
        format!("--delay={}", duration::format(delay)),
        format!("--reply-length={}", duration::format(REPLY)),
        // The truth file already describes every turn.
        "--session=off".to_owned(),
    ];
    arguments.extend(truth_arguments(file));
    Ok(OwnAgent {
        program: this_program()?,
        arguments,
        name: format!("{prefix}-{}", settings::random_id()),
    })
}

/// Arguments that make an agent listen for chirps and write its ground truth.
pub(crate) fn truth_arguments(file: &Path) -> Vec<String> {
    vec![
        "--hear=chirp".to_owned(),
        format!("--truth={}", file.display()),
    ]
}

/// The fields of a line of the truth file that are used here.
#[derive(Debug, Deserialize)]
struct Line {
    room: String,
    speech_end_ns: u64,
    reply_packet_ns: u64,
    onset_offset_ms: f64,
}

/// The agent's ground truth, by room.
#[derive(Debug, Default)]
pub(crate) struct Truth(HashMap<String, Vec<Line>>);

impl Truth {
    /// Reads a truth file; incomplete lines are skipped.
    pub(crate) fn read(path: &Path) -> Result<Self, Trouble> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let message = format!("cannot read the reference agent's ground truth: {e}");
            let hint = "try running `loadgen agent --truth FILE` by hand with the same server";
            Trouble::new(Exit::Error, message, hint)
        })?;
        let mut rooms: HashMap<String, Vec<Line>> = HashMap::new();
        for line in text.lines() {
            if let Ok(line) = serde_json::from_str::<Line>(line) {
                rooms.entry(line.room.clone()).or_default().push(line);
            }
        }
        Ok(Self(rooms))
    }

    /// The true `ttfa_wire` in ms of a turn whose instants are relative to `run_start`.
    pub(crate) fn wire_ms(&self, turn: &TurnRecord, run_start: Instant) -> Option<f64> {
        let since = Duration::from_micros(u64::try_from(turn.speech_end_ms?.micros()).ok()?);
        let end = monotonic_ns(run_start + since);
        let lines = self.0.get(&turn.room)?.iter();
        let nearest = lines.min_by_key(|l| l.speech_end_ns.abs_diff(end))?;
        let near = u128::from(nearest.speech_end_ns.abs_diff(end)) < NEAR.as_nanos();
        near.then(|| true_wire_ms(nearest))
    }
}

fn true_wire_ms(line: &Line) -> f64 {
    let packet = line.reply_packet_ns as i64 - line.speech_end_ns as i64;
    packet as f64 / 1e6 + line.onset_offset_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ms;
    use crate::record::TurnContext;
    use crate::record::fixtures::{MODEL, ms, replied};

    #[test]
    fn truth_is_matched_by_room_and_end_of_speech() {
        let start = Instant::now();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("truth.jsonl");
        let line = |after_ms: u64, wire: f64| {
            let end = monotonic_ns(start) + after_ms * 1_000_000;
            let reply = end + (wire * 1e6) as u64 - 6_500_000;
            format!(
                r#"{{"room":"r","turn":7,"last_speech_packet_ns":1,"speech_end_ns":{end},"reply_packet_ns":{reply},"onset_offset_ms":6.5,"delay_ms":400.0}}"#
            )
        };
        let text = [line(1_000, 400.0), line(3_002, 410.0), "torn".to_owned()].join("\n");
        std::fs::write(&path, text).expect("a writable folder");
        let truth = Truth::read(&path)
            .map_err(|t| format!("{t:?}"))
            .expect("a readable truth file");
        let context = TurnContext {
            call: 0,
            room: "r",
            utterance: "chirp",
            kind: crate::vocab::UtteranceKind::Speech,
            variant: "default",
            block: None,
            warmup: false,
            playout_model: MODEL,
            failure: None,
        };
        let turn = |end_ms: i64| TurnRecord {
            speech_end_ms: Some(Ms::from_micros(end_ms * 1_000)),
            ..TurnRecord::new(&context, &replied(start, 0, ms(400), ms(20)), start)
        };
        for (end, wire) in [
            (1_000, Some(400.0)),
            (3_000, Some(410.0)),
            (2_000, None),
            (9_000, None),
        ] {
            let found = truth.wire_ms(&turn(end), start);
            let right = match (found, wire) {
                (Some(found), Some(wire)) => (found - wire).abs() < 1e-3,
                (found, wire) => found.is_none() && wire.is_none(),
            };
            assert!(right, "{end}: {found:?}, not {wire:?}");
        }
        let elsewhere = TurnRecord {
            room: "s".into(),
            ..turn(1_000)
        };
        assert_eq!(truth.wire_ms(&elsewhere, start), None);
        assert!(Truth::read(&dir.path().join("none")).is_err());
    }
}
