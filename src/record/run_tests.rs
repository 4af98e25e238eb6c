//! Reads run folders as finished runs, crashes and earlier versions leave them.

use super::super::fixtures::{Run, facts, kept};
use super::super::{EVIDENCE_VERSION, EvidenceFolder, RunFolder, Status};
use super::*;
use crate::call::{Failure, Outcome};
use std::fs;
use tempfile::TempDir;

fn start() -> RunStart {
    RunStart {
        version: START_VERSION,
        name: "quickstart".into(),
        seed: 7,
        target: "embedded".into(),
        started_at: "2026-01-31T12:00:00Z".into(),
        zero_at: Some("2026-01-31T12:00:02.350014Z".into()),
        measurement_version: super::super::MEASUREMENT_VERSION,
        loadgen_version: "0.1.0".into(),
        playout_model: "neteq-dm-1".into(),
        planned_calls: Some(9),
        turns_per_call: 3,
        network: None,
        prices: None,
        gates: vec![super::super::PlannedGate {
            metric: "ttfa".into(),
            variant: None,
            on: crate::record::GateOn::All,
            expression: "p(95)<1500ms".into(),
        }],
    }
}

fn made() -> Run {
    let mut run = Run::default();
    run.good(3)
        .bad(Outcome::Failed, Some(Failure::AgentLeft))
        .bad(Outcome::Missed, None);
    run
}

/// The folder of a run that wrote its journal but no summary.
fn cut(run: &Run, start: Option<&RunStart>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(&dir.path().join(TURNS)).unwrap();
    for turn in run.turns.iter().rev() {
        journal.append(turn).unwrap();
    }
    for call in &run.calls {
        journal.append_call(call).unwrap();
    }
    if let Some(start) = start {
        fs::write(dir.path().join("run.json"), start.to_json()).unwrap();
    }
    dir
}

#[test]
fn a_finished_run_is_read_as_it_was_written() {
    let run = made();
    let dir = cut(&run, Some(&start()));
    let summary = Summary::build(&facts(5, Ending::Finished), &run.calls, &run.turns, &[]);
    let record = RunRecord::new(summary, run.turns, run.calls, Some("name: ü\n".into()));
    let json = serde_json::to_vec(&record.summary).unwrap();
    fs::write(dir.path().join(SUMMARY), json).unwrap();
    fs::write(dir.path().join("scenario.yaml"), "name: ü\n").unwrap();
    assert_eq!(RunRecord::read(dir.path()).unwrap(), record);
    assert!(record.is_complete());
}

#[test]
fn a_run_that_was_cut_off_is_rebuilt_and_never_passes() {
    let mut run = made();
    let last = run.calls.last_mut().unwrap();
    (last.ended_ms, last.outcome) = (None, None);
    run.turns.pop();
    run.turns[1].sentinel = true;
    let dir = cut(&run, Some(&start()));
    let record = RunRecord::read(dir.path()).unwrap();
    assert!(!record.is_complete());
    assert_eq!(record.turns.len(), 13, "every turn but the sentinel's");
    let keys: Vec<_> = record.turns.iter().map(|t| (t.call, t.turn)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    let cut_off = &record.calls[4];
    assert_eq!(
        (cut_off.outcome, &cut_off.failure),
        (Some(CallOutcome::CutOff), &None)
    );
    let counts = TurnCounts {
        planned: 3,
        missed: 2,
        cut_off: 1,
        ..TurnCounts::default()
    };
    assert_eq!(cut_off.turns, counts);
    let summary = &record.summary;
    assert_eq!(summary.verdict.status, Status::Invalid);
    assert!(summary.verdict.reasons[0].starts_with("the run is incomplete"));
    assert_eq!(
        summary.verdict.gates[0].verdict,
        crate::record::GateVerdict::Undecided
    );
    let calls = summary.calls;
    assert_eq!((calls.planned, calls.started, calls.not_run), (9, 5, 4));
    assert_eq!((calls.completed, calls.failed, calls.cut_off), (3, 1, 1));
    let turns = summary.outcomes;
    assert_eq!((turns.planned, turns.ended()), (27, 13));
    // One turn has no record, since this test marked its record as a sentinel's.
    assert_eq!((turns.cut_off, turns.not_run), (1, 13));
    assert!(summary.run.duration_ms > Ms::default());
    // A summary that is marked as incomplete is rebuilt again.
    let json = serde_json::to_vec(summary).unwrap();
    fs::write(dir.path().join(SUMMARY), json).unwrap();
    assert_eq!(RunRecord::read(dir.path()).unwrap(), record);
}

#[test]
fn a_run_cut_off_before_any_agent_joined_is_invalid() {
    let mut run = Run::default();
    run.bad(Outcome::Failed, None);
    run.turns.clear();
    (run.calls[0].ended_ms, run.calls[0].outcome) = (None, None);
    let dir = cut(&run, Some(&start()));
    let verdict = RunRecord::read(dir.path()).unwrap().summary.verdict;
    assert_eq!(verdict.status, Status::Invalid, "{verdict:?}");
}

#[test]
fn a_cut_off_run_without_a_start_file_is_readable() {
    let run = made();
    let dir = cut(&run, None);
    fs::remove_file(dir.path().join("calls.jsonl")).unwrap();
    let record = RunRecord::read(dir.path()).unwrap();
    assert!(record.calls.is_empty() && !record.is_complete());
    assert_eq!(record.summary.outcomes.planned, 15);
    assert_eq!(record.summary.outcomes.ended(), 15);
}

#[test]
fn missing_and_damaged_runs_are_errors() {
    let empty = tempfile::tempdir().unwrap();
    assert!(RunFolder::open(empty.path()).is_err());
    let cases = [
        ("summary.json", "{", "line 1"),
        ("summary.json", "{\"version\": 3}", "version 3"),
        ("run.json", "[]", "line 1"),
        ("calls.jsonl", "{}\n", "line 1"),
        ("turns.jsonl", "x\n", "line 1"),
    ];
    for (name, content, expected) in cases {
        let dir = cut(&made(), Some(&start()));
        // The damage comes before whole lines: at the end of a journal, it would count as torn.
        let rest = match name.ends_with(".jsonl") {
            true => fs::read_to_string(dir.path().join(name)).unwrap(),
            false => String::new(),
        };
        fs::write(dir.path().join(name), format!("{content}{rest}")).unwrap();
        let error = RunRecord::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let error = RunRecord::read(empty.path()).unwrap_err();
    assert!(matches!(error, RecordError::NoRun { .. }), "{error}");
    let dir = cut(&made(), None);
    let large = fs::File::create(dir.path().join("scenario.yaml")).unwrap();
    large.set_len(LARGEST + 1).unwrap();
    let error = RunRecord::read(dir.path()).unwrap_err();
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
}

/// No verdict depends on what was observed, so a damaged `observed.jsonl` does not make a run
/// unreadable.
#[test]
fn readings_that_cannot_be_read_are_left_out() {
    let good = "{\"version\":1,\"at_ms\":1.0,\"name\":\"worker\",\"gauges\":{\"g\":1.0}}\n";
    for damage in ["{\"version\":2}\n", "{]\n"] {
        let dir = cut(&made(), Some(&start()));
        let whole = RunRecord::read(dir.path()).unwrap();
        assert_eq!(whole.unread, None);
        let observed = format!("{good}{damage}{good}");
        fs::write(dir.path().join("observed.jsonl"), observed).unwrap();
        let record = RunRecord::read(dir.path()).unwrap();
        assert_eq!(record.observed.len(), 1, "those before the damage are kept");
        let unread = record.unread.clone().expect("a warning");
        assert!(unread.contains("observed.jsonl`, line 2: "), "{unread}");
        assert_eq!(record.turns, whole.turns);
        assert_eq!(record.summary, whole.summary);
        // Where only figures are needed, the file is not read.
        assert_eq!(RunRecord::read_figures(dir.path()).unwrap(), whole);
    }
}

/// A run whose last call was never answered, with the audio of the turns in `kept`.
fn with_audio_of(kept: Vec<EvidenceTurn>) -> RunRecord {
    let mut run = Run::default();
    run.good(5).bad(Outcome::Missed, None);
    let summary = Summary::build(&facts(6, Ending::Finished), &run.calls, &run.turns, &[]);
    let evidence = Evidence {
        version: EVIDENCE_VERSION,
        measurement_version: super::super::MEASUREMENT_VERSION,
        turns: kept,
        left_out: 0,
        calls: Vec::new(),
        calls_left_out: 0,
    };
    RunRecord {
        evidence: Some(evidence),
        ..RunRecord::new(summary, run.turns, run.calls, None)
    }
}

#[test]
fn the_slowest_and_the_unanswered_turns_with_audio_are_listed() {
    let record = with_audio_of(vec![kept(5, 1), kept(0, 0)]);
    let slowest = record.slowest();
    assert_eq!(slowest.len(), SHOWN);
    assert!(slowest.is_sorted_by_key(|t| std::cmp::Reverse(t.ttfa_ms)));
    let unanswered: Vec<_> = record
        .unanswered()
        .iter()
        .map(|t| (t.call, t.turn))
        .collect();
    assert_eq!(unanswered, [(5, 1)], "only turns whose audio was kept");
}

#[test]
fn audio_that_cannot_be_read_has_no_waveform() {
    let run = tempfile::tempdir().unwrap();
    let path = run.path().join(EVIDENCE_FOLDER);
    let folder = EvidenceFolder::create(&path).unwrap();
    folder
        .audio(&EvidenceFolder::name(5, 0), 48_000, &[1; 960], &[1; 960])
        .unwrap();
    fs::write(path.join(EvidenceFolder::name(5, 1)), b"RIFF?").unwrap();
    // The second file is not audio, the third does not exist.
    let kept = vec![kept(5, 0), kept(5, 1), kept(5, 2)];
    let record = with_audio_of(kept).with_waves(run.path());
    let waves: Vec<_> = record.waves.iter().map(|w| (w.call, w.turn)).collect();
    assert_eq!(waves, [(5, 0)]);
}

#[test]
fn turn_counts_beyond_the_bound_are_corrupt() {
    let mut run = made();
    run.calls[0].ended_ms = None;
    let dir = cut(&run, Some(&start()));
    let path = dir.path().join("calls.jsonl");
    let calls = fs::read_to_string(&path).unwrap();
    let with = |planned: &str| calls.replacen("\"planned\":3", planned, 1);
    // Large, but still a valid count: the turns that were left out are not listed.
    fs::write(&path, with("\"planned\":1000000000000")).unwrap();
    let record = RunRecord::read(dir.path()).unwrap();
    assert_eq!(record.calls[0].turns.planned, 1_000_000_000_000);
    assert!(record.calls[0].turns.not_run > 999_999_999_000);
    for planned in [
        "\"planned\":1000000000001",
        "\"planned\":18446744073709551615",
    ] {
        fs::write(&path, with(planned)).unwrap();
        let read = RunRecord::read(dir.path());
        assert!(
            matches!(read, Err(RecordError::Corrupt { line: 1, .. })),
            "{read:?}"
        );
    }
    // A seed may be any number.
    let start = RunStart {
        seed: u64::MAX,
        ..start()
    };
    fs::write(&path, calls).unwrap();
    fs::write(dir.path().join("run.json"), start.to_json()).unwrap();
    let record = RunRecord::read(dir.path()).unwrap();
    assert_eq!(record.summary.run.seed, u64::MAX);
}
