//! The audio that a run keeps, analysed independently: the WAV files must agree with the record.
//!
//! Invariant: they agree on any machine, however busy, because both come from the same timestamps.

use crate::support::{Loadgen, Reports, Run, in_repo};
use loadgen::audio::speech_span;
use loadgen::record::{EvidenceCall, EvidenceReason, EvidenceTurn, RunRecord};
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

/// Both channels of a turn's file.
fn channels(run: &Path, turn: &EvidenceTurn) -> (Vec<i16>, Vec<i16>) {
    sides(run, &turn.file, 48_000)
}

/// Both channels of a file.
fn sides(run: &Path, file: &str, rate: u32) -> (Vec<i16>, Vec<i16>) {
    let mut wav = hound::WavReader::open(run.join("evidence").join(file)).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, rate));
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

/// Runs the scenario with some of its lines replaced; returns the run's folder and its program.
fn recorded(changes: &[(&str, &str)]) -> Run {
    let run = Loadgen::new(["run", "heard.yaml", "--out", "run", "--evidence=calls"]);
    let fixtures = in_repo("fixtures").display().to_string();
    let mut text = SCENARIO.replace("FIXTURES", &fixtures);
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(run.dir().join("heard.yaml"), text).expect("writable");
    run.run()
}

/// When the speech in a piece of a recording at 16 kHz ends, in ms from its start.
fn speech_end(piece: &[i16]) -> f64 {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut wav = hound::WavWriter::new(&mut file, spec).expect("a header");
    piece
        .iter()
        .for_each(|sample| wav.write_sample(*sample).expect("memory"));
    wav.finalize().expect("memory");
    let pcm = loadgen::audio::decode(file.get_ref(), Some("wav")).expect("a WAV file");
    speech_span(&pcm).expect("speech").end as f64 / 48.0
}

/// Each turn is where the index says, in the file and in the journal.
fn turns_are_in_place(call: &EvidenceCall, left: &[i16], right: &[i16], journal: &[Value]) {
    let sample = |ms: f64| (ms * 16.0).round() as usize;
    let mut replies = 0;
    for (nth, place) in call.turns.iter().enumerate() {
        let row = journal
            .iter()
            .find(|row| row["call"] == call.call && row["turn"] == place.turn);
        let row = row.expect("the turn is in the journal");
        let (from, end) = (place.started_ms.as_f64(), place.speech_end_ms.as_f64());
        let said = &left[sample(from)..(sample(end) + 3_200).min(left.len())];
        let ended = from + speech_end(said);
        assert!((ended - end).abs() < BOUND, "{ended}: {place:?}");
        let on_clock = call.start_ms.as_f64() + end - figure(row, "speech_end_ms");
        assert!(on_clock.abs() < 0.002, "{on_clock}: {row}");
        let next = call
            .turns
            .get(nth + 1)
            .map_or(f64::INFINITY, |t| t.started_ms.as_f64());
        let heard = &right[sample(end)..right.len().min(sample(next.min(1e6)))];
        let onset = heard.iter().position(|x| x.unsigned_abs() > 500);
        let Some(known) = place.onset_ms else {
            assert_eq!(row["outcome"], "missed", "{row}");
            continue;
        };
        replies += 1;
        let onset = end + onset.expect("a reply") as f64 / 16.0;
        assert!((onset - known.as_f64()).abs() < BOUND, "{onset}: {place:?}");
        let indexed = known.as_f64() - end - figure(row, "ttfa_ms");
        assert!(indexed.abs() < 0.000_5, "{indexed}: {row}");
    }
    assert_eq!((call.turns.len(), replies), (3, 2), "{call:#?}");
}

#[test]
fn whole_calls_agree_with_the_record() {
    let run = recorded(&[("slowest: 3, failed: 1", "slowest: 0, failed: 0, calls: 2")]);
    let folder = run.dir().join("run");
    let record = RunRecord::read(&folder).expect("a record");
    let evidence = record.evidence.expect("evidence");
    let kept = (evidence.calls.len(), evidence.turns.len());
    assert_eq!((kept, evidence.calls_left_out), ((2, 0), 0));
    let journal = Reports::read(&folder).journal;
    let made = std::fs::read_to_string(folder.join("calls.jsonl")).expect("a journal");
    let made: Vec<Value> = made
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for call in &evidence.calls {
        assert_eq!(call.why, EvidenceReason::Failed, "its last turn was missed");
        let (left, right) = sides(&folder, &call.file, call.sample_rate);
        let length = left.len() as f64 / 16.0;
        assert!((length - call.length_ms.as_f64()).abs() < 0.1, "{length}");
        // From the first frame sent to the hanging up.
        let made = made
            .iter()
            .find(|made| made["call"] == call.call && made["ended_ms"].is_number());
        let made = made.expect("the call is in the journal");
        let ended = figure(made, "ended_ms") - (call.start_ms.as_f64() + length);
        assert!((0.0..2_000.0).contains(&ended), "{ended}: {made}");
        let joined = figure(made, "started_ms") + figure(made, "join_ms");
        let started = call.start_ms.as_f64() - joined;
        assert!((-100.0..1_000.0).contains(&started), "{started}: {made}");
        turns_are_in_place(call, &left, &right, &journal);
    }
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    for call in &evidence.calls {
        assert!(page.contains(&format!("src=\"evidence/{}\"", call.file)));
    }
}

#[test]
fn a_whole_call_has_its_background_throughout() {
    let run = recorded(&[
        ("slowest: 3, failed: 1", "slowest: 1, failed: 0, calls: 1"),
        (
            "  greeting: none",
            "  background: {kind: pink, level: -50dBFS}\n  greeting: none",
        ),
    ]);
    let folder = run.dir().join("run");
    let evidence = RunRecord::read(&folder).expect("a record").evidence;
    let evidence = evidence.expect("evidence");
    assert_eq!((evidence.calls.len(), evidence.turns.len()), (1, 1));
    let (left, _) = sides(&folder, &evidence.calls[0].file, 16_000);
    assert!(left.len() > 4 * 16_000, "{}", left.len());
    for (nth, fifth) in left.chunks_exact(3_200).enumerate() {
        let square = fifth.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let level = 20.0 * ((square / 3_200.0).sqrt() / 32_768.0).log10();
        assert!(
            level > -58.0,
            "{level:.1} dBFS after {nth} fifths of a second"
        );
    }
}
