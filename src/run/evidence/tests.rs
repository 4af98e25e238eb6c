//! Synthetic takes, from the evidence thread to the files on disk.

use super::*;
use crate::audio::{FRAME, FRAME_TIME, Packet, opus, tone};
use crate::call::{CallResult, Expect, Outcome, TurnResult};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A turn that ended with `outcome`; its utterance begins at `start`.
fn result(turn: usize, start: Instant, outcome: Outcome, ttfa: Option<u64>) -> TurnResult {
    TurnResult {
        planned: Some(start),
        media_start: Some(start),
        speech_end: Some(start + ms(400)),
        ttfa_wire: ttfa.map(|t| ms(t - 20)),
        playout_delay: ttfa.map(|_| ms(20)),
        ttfa: ttfa.map(ms),
        ..TurnResult::unstarted(turn, Expect::Respond, outcome)
    }
}

/// A call that sends a short tone in each turn; `ends[k]` is the outcome of turn k.
fn call(desk: &Desk, index: usize, start: Instant, ends: &[(Outcome, Option<u64>)]) {
    let mut capture = desk.capture(index, Codec::Opus);
    let frames = opus::encode(&tone(ms(400))).expect("libopus");
    let frames: Vec<Arc<[u8]>> = frames.into_iter().map(Arc::from).collect();
    for (turn, (outcome, ttfa)) in ends.iter().enumerate() {
        let start = start + ms(3_000) * turn as u32;
        for (k, payload) in frames.iter().enumerate() {
            let captured = start + FRAME_TIME * k as u32;
            capture.said((turn, k), captured, ms(400), payload);
            let packet = Packet {
                arrival: captured,
                kernel_stamp: true,
                rtp_time: (k * FRAME) as u32,
                sequence: (turn * 1_000 + k) as u64,
                level: None,
                payload,
            };
            capture.heard(0, packet, ms(20));
        }
        let result = result(turn, start, *outcome, *ttfa);
        capture.ended(&result, start + ms(2_000));
    }
}

fn replied(ttfa: u64) -> (Outcome, Option<u64>) {
    (Outcome::Replied, Some(ttfa))
}

async fn kept(asked: scenario::EvidenceSelection) -> (tempfile::TempDir, EvidenceResult) {
    let run = tempfile::tempdir().expect("a folder");
    let desk = Desk::start(&run.path().join("evidence"), asked, Pulses::default()).expect("a desk");
    let start = Instant::now();
    call(&desk, 7, start + ms(1_000), &[replied(900), replied(500)]);
    let missed = (Outcome::Missed, None);
    call(
        &desk,
        2,
        start + ms(1_500),
        &[missed, replied(500), replied(700)],
    );
    call(&desk, 4, start + ms(1_500), &[(Outcome::Failed, None)]);
    let done = desk.finish(start).await.expect("a thread");
    (run, done)
}

fn names(done: &EvidenceResult) -> Vec<(&str, EvidenceReason)> {
    let turns = done.evidence.turns.iter();
    turns.map(|t| (t.file.as_str(), t.why)).collect()
}

#[tokio::test]
async fn the_selected_turns_are_written() {
    use EvidenceReason::{All, Failed, Slowest};
    let asked = scenario::EvidenceSelection {
        slowest: 2,
        failed: 1,
        all: false,
        calls: 0,
    };
    let (run, done) = kept(asked).await;
    let chosen = [
        ("turn-00002-0.wav", Failed),
        ("turn-00002-2.wav", Slowest),
        ("turn-00007-0.wav", Slowest),
    ];
    assert_eq!(names(&done), chosen);
    assert!(done.notices.is_empty(), "{:?}", done.notices);
    let read = Evidence::read(run.path()).expect("an index");
    assert_eq!(read.as_ref(), Some(&done.evidence));
    let entries = std::fs::read_dir(run.path().join("evidence")).expect("a folder");
    assert_eq!(entries.count(), 4, "three turns and the index");
    let turn = &done.evidence.turns[2];
    // The file starts half a second before the utterance.
    assert_eq!(turn.start_ms.as_f64(), 500.0);
    assert_eq!(turn.speech_end_ms.as_f64(), 900.0);
    assert_eq!(turn.length_ms.as_f64(), 2_500.0);

    let (_run, done) = kept(scenario::EvidenceSelection { all: true, ..asked }).await;
    let every = [
        ("turn-00002-0.wav", Failed),
        ("turn-00002-1.wav", All),
        ("turn-00002-2.wav", Slowest),
        ("turn-00004-0.wav", All),
        ("turn-00007-0.wav", Slowest),
        ("turn-00007-1.wav", All),
    ];
    assert_eq!(names(&done), every);
}

#[tokio::test]
async fn evidence_memory_is_bounded() {
    let run = tempfile::tempdir().expect("a folder");
    let asked = scenario::EvidenceSelection::default();
    let desk = Desk::start(&run.path().join("evidence"), asked, Pulses::default()).expect("a desk");
    let mut capture = desk.capture(0, Codec::Opus);
    let payload: Arc<[u8]> = Arc::from(vec![7u8; 160]);
    let start = Instant::now();
    let packet = |k: u64| Packet {
        arrival: start + FRAME_TIME * k as u32,
        kernel_stamp: true,
        rtp_time: (k as u32).wrapping_mul(FRAME as u32),
        sequence: k,
        level: None,
        payload: &payload,
    };
    // An hour of silence: only the last three seconds are kept.
    for k in 0..180_000 {
        capture.heard(0, packet(k), ms(20));
    }
    assert!(capture.size().1 <= 151, "{:?}", capture.size());
    // A turn that lasts an hour, in which both sides speak.
    for k in 180_000..360_000 {
        let captured = start + FRAME_TIME * k as u32;
        capture.said((0, (k - 180_000) as usize), captured, ms(3_000), &payload);
        capture.heard(0, packet(k), ms(20));
    }
    let (bytes, packets, said) = capture.size();
    assert!(bytes <= 256 << 10 && packets <= 4_096 && said <= 3_200);
    let begun = start + FRAME_TIME * 180_000;
    let end = start + FRAME_TIME * 360_000;
    capture.ended(&result(0, begun, Outcome::Missed, None), end);
    drop(capture);
    let done = desk.finish(start).await.expect("a thread");
    let turn = &done.evidence.turns[0];
    assert!(
        turn.cut,
        "the entry is marked as cut because the ring was full"
    );
    assert_eq!(turn.length_ms.as_f64(), 60_000.0);
}

#[tokio::test]
async fn evidence_over_the_size_limit_is_left_out_with_a_notice() {
    let run = tempfile::tempdir().expect("a folder");
    let folder = EvidenceFolder::create(&run.path().join("evidence")).expect("a new folder");
    let (sink, _inbox) = queue(1);
    let asked = scenario::EvidenceSelection::default();
    let mut writer = Writer::new(asked, folder, &sink, Arc::default(), Pulses::default());
    (writer.room, writer.reserved) = (600_000, 200_000);
    let start = Instant::now();
    let take = |call| Take {
        call,
        turn: 0,
        codec: Codec::Opus,
        class: super::super::take::Class::Other,
        window: crate::audio::replay::Window {
            start,
            length: 48_000,
        },
        speech_end: start,
        onset: None,
        packets: Default::default(),
        said: Vec::new(),
        cut: false,
    };
    for call in 0..3 {
        // One second of audio takes 192,044 bytes; some bytes are reserved for later turns.
        assert!(
            writer.notice.lock().expect("not poisoned").is_none(),
            "{call}"
        );
        writer.write(take(call), EvidenceReason::All);
    }
    let told = writer.notice.lock().expect("not poisoned").take();
    assert!(told.is_some_and(|t| t.contains("only the slowest and the failed")));
    writer.write(take(9), EvidenceReason::Slowest);
    let done = writer.close(start);
    let calls: Vec<usize> = done.evidence.turns.iter().map(|t| t.call).collect();
    assert_eq!((calls, done.evidence.left_out), (vec![0, 1, 9], 1));
    assert!(done.notices[0].contains("turns left out of the evidence: 1;"));
}

#[test]
fn disk_space_is_reserved_for_selected_turns_and_calls() {
    let asked = |slowest, failed| scenario::EvidenceSelection {
        slowest,
        failed,
        all: true,
        calls: 0,
    };
    // One minute of audio takes 11,520,044 bytes.
    let calls = scenario::EvidenceSelection {
        calls: 5,
        ..asked(1, 0)
    };
    for (asked, room, left) in [
        (asked(0, 0), EVIDENCE_BYTES, 0),
        // Five minutes of a call take 19,200,044 bytes.
        (calls, EVIDENCE_BYTES, 11_520_044 + 5 * 19_200_044),
        (asked(10, 10), EVIDENCE_BYTES, 20 * 11_520_044),
        (asked(100, 100), EVIDENCE_BYTES, EVIDENCE_BYTES / 2),
    ] {
        assert_eq!(reserved(asked, room), left, "{asked:?}");
    }
}

#[test]
fn a_full_queue_drops_takes_without_blocking() {
    let (sink, inbox) = queue(2);
    let desk = Desk {
        asked: scenario::EvidenceSelection::default(),
        sink,
        notice: Arc::default(),
    };
    let start = Instant::now();
    call(&desk, 0, start, &[replied(500), replied(500), replied(500)]);
    assert_eq!(desk.sink.lost.load(Relaxed), 1);
    assert_eq!(inbox.try_iter().count(), 2);
    let heavy = super::super::queue::QUEUE_BYTES - desk.sink.waiting.load(Relaxed);
    desk.sink.waiting.fetch_add(heavy, Relaxed);
    call(&desk, 0, start, &[replied(500)]);
    assert_eq!(desk.sink.lost.load(Relaxed), 2, "bytes count too");
}

/// A call of `seconds`, in which the caller's frames and the agent's packets are tones, and which
/// has the turns in `ends`, one every three seconds.
fn whole_call(
    desk: &Desk,
    index: usize,
    start: Instant,
    seconds: u32,
    ends: &[(Outcome, Option<u64>)],
) {
    let mut capture = desk.capture(index, Codec::Opus);
    let frames = opus::encode(&tone(ms(1_000))).expect("libopus");
    let frames: Vec<Arc<[u8]>> = frames.into_iter().map(Arc::from).collect();
    for k in 0..50 * seconds {
        let captured = start + FRAME_TIME * k;
        let payload = &frames[k as usize % 50];
        capture.sent(captured, payload);
        let packet = Packet {
            arrival: captured,
            kernel_stamp: true,
            rtp_time: k.wrapping_mul(FRAME as u32),
            sequence: u64::from(k),
            level: None,
            payload,
        };
        capture.heard(0, packet, ms(20));
    }
    let turns = ends.iter().enumerate().map(|(turn, (outcome, ttfa))| {
        let begins = start + ms(3_000) * turn as u32 + ms(500);
        result(turn, begins, *outcome, *ttfa)
    });
    let result = CallResult {
        turns: turns.collect(),
        ..CallResult::default()
    };
    capture.finished(&result, start + Duration::from_secs(seconds.into()));
}

#[tokio::test]
async fn the_worst_calls_are_written_as_a_whole() {
    use EvidenceReason::{All, Failed, Slowest};
    let run = tempfile::tempdir().expect("a folder");
    let path = run.path().join("evidence");
    let asked = scenario::EvidenceSelection {
        slowest: 0,
        failed: 0,
        all: false,
        calls: 3,
    };
    let desk = Desk::start(&path, asked, Pulses::default()).expect("a desk");
    let start = Instant::now();
    whole_call(&desk, 4, start + ms(1_000), 12, &[]);
    whole_call(&desk, 1, start, 6, &[replied(500), (Outcome::Missed, None)]);
    whole_call(&desk, 2, start, 61, &[replied(400), replied(800)]);
    // A turn that a stop cut off is no reason to keep a call.
    whole_call(&desk, 3, start, 6, &[replied(300), (Outcome::CutOff, None)]);
    let done = desk.finish(start).await.expect("a thread");
    assert!(done.notices.is_empty(), "{:?}", done.notices);
    let calls = &done.evidence.calls;
    let names: Vec<_> = calls.iter().map(|c| (c.file.as_str(), c.why)).collect();
    let expected = [
        ("call-00001.wav", Failed),
        ("call-00002.wav", Slowest),
        ("call-00003.wav", Slowest),
    ];
    assert_eq!(names, expected);
    let entries = std::fs::read_dir(&path).expect("a folder").count();
    assert_eq!(entries, 4, "three calls and the index");
    assert_eq!(
        Evidence::read(run.path()).expect("an index"),
        Some(done.evidence.clone())
    );
    for (call, seconds) in calls.iter().zip([6, 61, 6]) {
        let wav = hound::WavReader::open(path.join(&call.file)).expect("a WAV file");
        assert_eq!(
            (wav.duration(), call.sample_rate),
            (seconds * 16_000, 16_000)
        );
        assert_eq!(call.length_ms.as_f64(), f64::from(seconds) * 1e3);
        let samples: Vec<i16> = wav.into_samples().map(|s| s.expect("a sample")).collect();
        for side in 0..2 {
            // Both sides are loud in every fifth of a second but the first.
            let side: Vec<i16> = samples.iter().skip(side).step_by(2).copied().collect();
            let loud = |part: &[i16]| part.iter().any(|x| x.unsigned_abs() > 1_000);
            assert!(side.chunks(3_200).skip(1).all(loud), "{}", call.file);
        }
    }
    let places = |nth: usize| &calls[nth].turns;
    assert_eq!((places(0).len(), places(1).len()), (2, 2));
    let second = &places(1)[1];
    assert_eq!((second.turn, second.started_ms.as_f64()), (1, 3_500.0));
    assert_eq!(second.speech_end_ms.as_f64(), 3_900.0);
    let (_run, done) = {
        let run = tempfile::tempdir().expect("a folder");
        let desk = Desk::start(&run.path().join("evidence"), asked, Pulses::default());
        let desk = desk.expect("a desk");
        whole_call(&desk, 4, start + ms(1_000), 2, &[]);
        (run, desk.finish(start).await.expect("a thread"))
    };
    let call = &done.evidence.calls[0];
    assert_eq!((call.why, call.start_ms.as_f64()), (All, 1_000.0));
}

#[tokio::test]
async fn calls_that_do_not_fit_on_disk_are_counted() {
    let run = tempfile::tempdir().expect("a folder");
    let folder = EvidenceFolder::create(&run.path().join("evidence")).expect("a new folder");
    let (to, inbox) = queue(QUEUE);
    let asked = scenario::EvidenceSelection {
        calls: 4,
        ..scenario::EvidenceSelection::default()
    };
    // Two seconds at 16 kHz take 128,044 bytes.
    let mut writer = Writer::new(asked, folder, &to, Arc::default(), Pulses::default());
    writer.room = 300_000;
    let desk = Desk {
        asked,
        sink: to,
        notice: Arc::default(),
    };
    let start = Instant::now();
    for call in 0..4 {
        whole_call(&desk, call, start, 2, &[]);
    }
    let (answer, done) = oneshot::channel();
    let finish = Message::Finish(start, answer);
    desk.sink.takes.send(finish).expect("there is room");
    writer.work(&inbox);
    let done = done.await.expect("an answer");
    let files: Vec<&str> = done.evidence.calls.iter().map(|c| &*c.file).collect();
    assert_eq!(files, ["call-00000.wav", "call-00001.wav"]);
    assert_eq!(done.evidence.calls_left_out, 2);
    assert!(done.notices[0].contains("calls left out of the evidence: 2;"));
}
