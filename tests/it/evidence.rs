//! The audio that a run keeps, analysed independently: the WAV files must agree with the record.
//!
//! Invariant: they agree on any machine, however busy, because both come from the same timestamps.

use crate::support::{Loadgen, Reports, in_repo};
use loadgen::audio::speech_span;
use loadgen::record::{EvidenceReason, EvidenceTurn, RunRecord};
use serde_json::Value;
use std::path::Path;

/// The agent answers after 400 ms, which is too late for the last turn.
const SCENARIO: &str = "\
version: 1
name: heard
target: {kind: embedded, agent: {delay: 400ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 700ms}, timeout: 4s}
    - {say: yes, timeout: 4s}
    - {say: yes, timeout: 150ms}
load: {calls: 2, ramp: 300ms}
sentinels: off
evidence: {slowest: 3, failed: 1}
";

/// Maximum difference between a simple search of the samples and the record, in ms: the codec
/// smears a hard onset and end by a millisecond or two.
const BOUND: f64 = 5.0;

/// Both channels of a file.
fn channels(run: &Path, turn: &EvidenceTurn) -> (Vec<i16>, Vec<i16>) {
    let path = run.join("evidence").join(&turn.file);
    let mut wav = hound::WavReader::open(&path).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 48_000));
    let both: Vec<i16> = wav.samples().map(|s| s.expect("a sample")).collect();
    let side = |n| both.iter().skip(n).step_by(2).copied().collect();
    (side(0), side(1))
}

/// End of speech and onset found in the samples, in ms.
fn looked_at(left: &[i16], right: &[i16]) -> (f64, Option<f64>) {
    let ms = |sample: usize| sample as f64 / 48.0;
    let loud = right.iter().position(|x| x.unsigned_abs() > 500);
    (ms(speech_span(left).expect("speech").end), loud.map(ms))
}

fn figure(row: &Value, name: &str) -> f64 {
    row[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name}: {row}"))
}

#[test]
fn kept_audio_agrees_with_the_record() {
    let run = Loadgen::new(["run", "heard.yaml", "--out", "run", "--evidence=all"]);
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SCENARIO.replace("FIXTURES", &fixtures);
    std::fs::write(run.dir().join("heard.yaml"), text).expect("writable");
    let run = run.run();
    let folder = run.dir().join("run");
    let reports = Reports::read(&folder);
    let record = RunRecord::read(&folder).expect("a record");
    let evidence = record.evidence.expect("evidence");
    assert_eq!((evidence.turns.len(), evidence.left_out), (6, 0));
    let why = |reason| evidence.turns.iter().filter(|t| t.why == reason).count();
    // The slowest three of four replies, and one of two missed turns.
    assert_eq!(why(EvidenceReason::Slowest), 3, "{evidence:#?}");
    assert_eq!(why(EvidenceReason::Failed), 1, "{evidence:#?}");
    for turn in &evidence.turns {
        let row = reports
            .journal
            .iter()
            .find(|row| row["call"] == turn.call && row["turn"] == turn.turn);
        let row = row.expect("the turn is in the journal");
        let (left, right) = channels(&folder, turn);
        let (ended, onset) = looked_at(&left, &right);
        let end = turn.speech_end_ms.as_f64();
        assert!((ended - end).abs() < BOUND, "{ended}: {turn:?}");
        let on_clock = turn.start_ms.as_f64() + end - figure(row, "speech_end_ms");
        assert!(on_clock.abs() < 0.002, "{on_clock}: {row}");
        if row["outcome"] != "replied" {
            assert_eq!((turn.turn, turn.onset_ms), (2, None), "{row}");
            continue;
        }
        let ttfa = figure(row, "ttfa_ms");
        let heard = onset.expect("a reply") - ended;
        assert!((heard - ttfa).abs() < BOUND, "{heard} in the file: {row}");
        let indexed = turn.onset_ms.expect("an onset").as_f64() - end;
        assert!((indexed - ttfa).abs() < 0.000_5, "{indexed}: {row}");
        let wire = turn.onset_wire_ms.expect("an onset").as_f64() - end;
        assert!((wire - figure(row, "ttfa_wire_ms")).abs() < 0.002, "{row}");
    }
    let slowest = evidence
        .turns
        .iter()
        .filter(|t| t.why == EvidenceReason::All);
    let fastest = reports
        .journal
        .iter()
        .filter(|row| row["outcome"] == "replied");
    let fastest = fastest.map(|row| figure(row, "ttfa_ms")).reduce(f64::min);
    let left: Vec<_> = slowest
        .filter_map(|t| Some((t.onset_ms?, t.speech_end_ms)))
        .collect();
    let [(onset, end)] = left[..] else {
        panic!("one replied turn is not among the slowest: {evidence:#?}")
    };
    assert_eq!(
        Some(onset.as_f64() - end.as_f64()).map(|t| t.round()),
        fastest.map(f64::round)
    );
}
