//! Evidence is read back as it was written; unsafe entries and damaged indexes are rejected.

use super::*;

fn turn(file: &str) -> EvidenceTurn {
    EvidenceTurn {
        file: file.to_owned(),
        call: 3,
        turn: 0,
        why: EvidenceReason::Slowest,
        sample_rate: 48_000,
        start_ms: Ms::from_micros(1_250_500),
        length_ms: Ms::from_micros(8_000_000),
        speech_end_ms: Ms::from_micros(3_416_042),
        onset_ms: Some(Ms::from_micros(3_836_100)),
        onset_wire_ms: Some(Ms::from_micros(3_816_100)),
        cut: false,
    }
}

fn call(file: &str) -> EvidenceCall {
    EvidenceCall {
        file: file.to_owned(),
        call: 12,
        why: EvidenceReason::Failed,
        sample_rate: 16_000,
        start_ms: Ms::from_micros(1_250_500),
        length_ms: Ms::from_micros(8_000_000),
        turns: vec![EvidencePlace {
            turn: 0,
            started_ms: Ms::from_micros(1_000_000),
            speech_end_ms: Ms::from_micros(3_416_042),
            onset_ms: None,
            onset_wire_ms: None,
        }],
        cut: false,
    }
}

#[test]
fn audio_written_in_parts_is_one_file_or_none() {
    let run = tempfile::tempdir().expect("a temporary folder");
    let path = run.path().join(EVIDENCE_FOLDER);
    let folder = EvidenceFolder::create(&path).expect("the folder is new");
    let name = EvidenceFolder::call_name(12);
    assert_eq!(name, "call-00012.wav");
    let broken = folder.audio_in_parts(&name, 16_000, || -> io::Result<Option<[Vec<i16>; 2]>> {
        Err(io::Error::other("no more"))
    });
    assert!(broken.is_err_and(|e| e.to_string().contains(&name)));
    assert!(
        !path.join(&name).exists(),
        "a partly written file is removed"
    );
    let mut parts = vec![[vec![1, 2], vec![-1, -2]], [vec![3], vec![]]].into_iter();
    let written = folder.audio_in_parts(&name, 16_000, || Ok(parts.next()));
    written.expect("the audio is written");
    let mut wav = hound::WavReader::open(path.join(&name)).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 16_000));
    let samples: Vec<i16> = wav.samples().map(|s| s.expect("a sample")).collect();
    assert_eq!(samples, [1, -1, 2, -2, 3, 0]);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| path.metadata().expect("it exists").permissions().mode() & 0o777;
    assert_eq!((mode(&path.join(&name)), mode(&path)), (0o600, 0o700));
}

#[test]
fn the_largest_index_of_calls_is_readable() {
    let run = tempfile::tempdir().expect("a temporary folder");
    let folder = EvidenceFolder::create(&run.path().join(EVIDENCE_FOLDER)).expect("new");
    let place = EvidencePlace {
        turn: 123_456,
        onset_ms: Some(Ms::from_micros(12_345_678_901)),
        onset_wire_ms: Some(Ms::from_micros(12_345_678_901)),
        ..call("").turns[0].clone()
    };
    let mut largest = call("call-00012.wav");
    largest.turns = vec![place; 500];
    let evidence = Evidence {
        version: EVIDENCE_VERSION,
        measurement_version: crate::record::MEASUREMENT_VERSION,
        turns: vec![turn("turn-00003-0.wav"); 5_000],
        left_out: 2,
        calls: vec![largest; 100],
        calls_left_out: 1,
    };
    folder.index(&evidence).expect("the index is written");
    let read = Evidence::read(run.path()).expect("the index is readable");
    assert_eq!(read, Some(evidence));
}

#[test]
fn evidence_audio_and_index_round_trip() {
    let run = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(
        Evidence::read(run.path()).expect("a run may have no evidence"),
        None
    );
    let folder =
        EvidenceFolder::create(&run.path().join(EVIDENCE_FOLDER)).expect("the folder is new");
    let name = EvidenceFolder::name(3, 0);
    assert_eq!(name, "turn-00003-0.wav");
    folder
        .audio(&name, 48_000, &[1, 2, 3], &[-1, -2])
        .expect("the audio is written");
    let path = run.path().join(EVIDENCE_FOLDER).join(&name);
    let mut wav = hound::WavReader::open(&path).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 48_000));
    let samples: Vec<i16> = wav.samples().map(|s| s.expect("a sample")).collect();
    assert_eq!(samples, [1, -1, 2, -2, 3, 0], "caller left, agent right");
    let length = std::fs::metadata(&path).expect("the file exists").len();
    assert_eq!(length, wav_bytes(3));

    let evidence = Evidence {
        version: EVIDENCE_VERSION,
        measurement_version: crate::record::MEASUREMENT_VERSION,
        turns: vec![turn(&name)],
        left_out: 2,
        calls: vec![call("call-00012.wav")],
        calls_left_out: 1,
    };
    folder.index(&evidence).expect("the index is written");
    let read = Evidence::read(run.path()).expect("the index is readable");
    assert_eq!(read, Some(evidence));
    let again = folder.audio(&name, 48_000, &[], &[]);
    assert!(again.is_err(), "an existing file is not overwritten");
    let kept = std::fs::metadata(&path).expect("the first one is still there");
    assert_eq!(kept.len(), wav_bytes(3));
}

#[test]
fn an_evidence_index_of_version_1_is_readable() {
    // An index as version 1 wrote it, which later releases must still read.
    let text = r#"{"version": 1, "unknown": true, "turns": [
        {"file": "turn-00003-0.wav", "call": 3, "turn": 0, "why": "slowest", "sample_rate": 48000,
         "start_ms": 1250.5, "length_ms": 8000.0, "speech_end_ms": 3416.042,
         "onset_ms": 3836.1, "onset_wire_ms": 3816.1},
        {"file": "../turns.csv", "call": 1, "turn": 0, "why": "failed", "sample_rate": 48000,
         "start_ms": 0.0, "length_ms": 1.0, "speech_end_ms": 1.0, "onset_ms": null,
         "onset_wire_ms": null}],
        "calls": [{"file": "call-00012.wav", "call": 12, "why": "failed", "sample_rate": 16000,
         "start_ms": 1250.5, "length_ms": 8000.0,
         "turns": [{"turn": 0, "started_ms": 1000.0, "speech_end_ms": 3416.042,
                    "onset_ms": null, "onset_wire_ms": null}]},
         {"file": "call-../../1.wav", "call": 1, "why": "all", "sample_rate": 16000,
          "start_ms": 0.0, "length_ms": 1.0, "turns": []},
         {"file": "turn-00001-1.wav", "call": 1, "why": "all", "sample_rate": 16000,
          "start_ms": 0.0, "length_ms": 1.0, "turns": []}]}"#;
    let run = tempfile::tempdir().expect("a temporary folder");
    let folder = run.path().join(EVIDENCE_FOLDER);
    std::fs::create_dir(&folder).expect("the folder is new");
    let put = |text: &str| std::fs::write(folder.join("index.json"), text).expect("writable");
    put(text);
    let read = Evidence::read(run.path()).expect("a readable index");
    let read = read.expect("an index");
    assert_eq!(
        read.turns,
        [turn("turn-00003-0.wav")],
        "a file outside the folder is left out"
    );
    assert_eq!(read.calls, [call("call-00012.wav")]);
    assert_eq!(read.calls_left_out, 0);
    put(&text.replace("\"version\": 1", "\"version\": 2"));
    let newer = Evidence::read(run.path()).expect_err("a later version");
    assert!(
        matches!(newer, RecordError::Newer { found: 2, .. }),
        "{newer}"
    );
    put("{}");
    let broken = Evidence::read(run.path()).expect_err("an index without fields");
    assert!(matches!(broken, RecordError::Corrupt { .. }), "{broken}");
    let long = text.replacen(' ', &" ".repeat(LARGEST_INDEX as usize), 1);
    put(&long);
    let larger = Evidence::read(run.path()).expect_err("an index that is too large");
    let RecordError::Io { source, .. } = larger else {
        panic!("{larger}");
    };
    assert_eq!(source.to_string(), "larger than 16 MiB");
}
