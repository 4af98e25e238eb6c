//! A caller in virtual time: echo, decode modes, evidence, upstream loss.

use super::super::background::Background;
use super::*;
use crate::audio::echo::Spoken;
use crate::audio::{
    DIGITAL_SILENCE, RATE, SPURT_GAP, SoundInfo, Utterance, opus, samples_in, time_of, tone,
};
use crate::call::{
    Anchor, Expect, Flag, GreetingPolicy, OnAgentLeft, Outcome, TurnResult, TurnScript,
};
use std::time::Duration;

const FIXTURE: &[u8] = include_bytes!("../../../fixtures/order-status.wav");

const STREAM: RtpStream = RtpStream {
    track: 0,
    ssrc: 1,
    restarts: 0,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An utterance, and the same utterance encoded for sending.
fn said() -> (Utterance, EncodedUtterance) {
    let utterance = Utterance::new(FIXTURE, SoundInfo::default()).expect("speech");
    let said = EncodedUtterance {
        frames: utterance.frames.iter().map(|f| Arc::from(&**f)).collect(),
        spoken: Spoken::new(&utterance.pcm),
        speech_start: utterance.speech_start,
        speech_end: utterance.speech_end,
        segments: utterance.speech_segments().clone(),
        background: 0,
        presses: Arc::default(),
    };
    (utterance, said)
}

fn script(said: &EncodedUtterance, turns: usize) -> CallScript {
    let turn = TurnScript {
        anchor: Anchor::CallStart,
        silence: SPURT_GAP,
        delay: ms(500),
        expect: Expect::Respond,
        timeout: ms(5000),
        frames: said.frames.len(),
        speech_start: said.speech_start,
        speech_end: said.speech_end,
        segments: None,
        filler: None,
        awkward: Duration::from_secs(3),
    };
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: ms(1000),
        on_agent_left: OnAgentLeft::Fail,
        course: crate::call::Course::default(),
        turns: vec![turn; turns],
    }
}

/// Audio of the agent's track: the echo of the caller's utterance, which starts at `said_at`, and
/// the reply, a tone that starts at `reply_at`.
fn track(pcm: &[i16], said_at: Duration, echo_db: Option<f64>, reply_at: Duration) -> Vec<i16> {
    let mut track = vec![0i16; samples_in(reply_at) as usize + 2 * RATE as usize];
    if let Some(db) = echo_db {
        let gain = 10f64.powf(db / 20.0);
        let from = samples_in(said_at + ms(140)) as usize;
        for (out, x) in track[from..].iter_mut().zip(pcm) {
            *out = (f64::from(*x) * gain).round() as i16;
        }
    }
    let from = samples_in(reply_at) as usize;
    for (out, x) in track[from..].iter_mut().zip(tone(ms(1000))) {
        *out = out.saturating_add(x);
    }
    track
}

/// Plays the call in virtual time; returns its result and the number of onsets for which a second
/// opinion was requested.
fn play(echo_db: Option<f64>, reply_after: Duration) -> (CallResult, usize) {
    play_kept(echo_db, reply_after, Instant::now(), None)
}

/// Like [`play`], but begins at `start` and keeps evidence if `evidence` is given.
fn play_kept(
    echo_db: Option<f64>,
    reply_after: Duration,
    start: Instant,
    evidence: Option<Capture>,
) -> (CallResult, usize) {
    let (result, asked, _) = play_as(echo_db, reply_after, start, evidence, Decode::Always, false);
    (result, asked)
}

/// Like [`play_kept`], in the given decode mode; also returns how many packets were marked as
/// digital silence, and whether the caller used the audio levels of packets. `waits`: packets stay
/// in the socket for as long as `CallerEnd::patience` allows, and are read before the caller's
/// timers fire.
fn play_as(
    echo_db: Option<f64>,
    reply_after: Duration,
    start: Instant,
    evidence: Option<Capture>,
    decode: Decode,
    waits: bool,
) -> (CallResult, usize, (usize, bool)) {
    let (utterance, said) = said();
    let silence = Arc::from(opus::silence_frame().expect("libopus"));
    let (mut end, mut events) = CallerEnd::new(
        script(&said, 1),
        start,
        vec![said.clone()],
        (silence, Codec::Opus),
    )
    .expect("libopus");
    assert!(end.evidence.is_none(), "evidence is kept only if requested");
    end.keep(evidence);
    let (levels, mut silent) = (Arc::new(AtomicBool::new(false)), 0);
    end.decodes(decode, levels.clone());
    end.joined(start, start + FRAME_TIME);
    end.agent_track(start, 0, "agent/voice".into());
    // The caller sends the first frame that starts at least 500 ms after both sides were connected.
    let said_at = ms(500);
    let reply_at = said_at + said.speech_end + reply_after;
    let heard = track(&utterance.pcm, said_at, echo_db, reply_at);
    let (mut waiting, mut read_next) = (vec![], start);
    let packets = opus::encode(&heard).expect("libopus");
    for (k, payload) in packets.iter().enumerate() {
        let now = start + FRAME_TIME * (k as u32 + 1);
        end.send(now);
        end.sent(now, now, 0);
        let input = heard.get(k * FRAME..).unwrap_or_default();
        let loud = input.iter().take(FRAME).any(|x| *x != 0);
        let level = if loud { 30 } else { DIGITAL_SILENCE };
        silent += usize::from(!loud);
        let packet = Packet {
            // Captured without a delay: the packet begins with the codec's look-ahead.
            arrival: now.checked_sub(FRAME_TIME).expect("an earlier instant"),
            rtp_time: (k as u32).wrapping_mul(FRAME as u32),
            sequence: k as u64,
            level: Some(level),
            payload,
            kernel_stamp: true,
        };
        waiting.push(packet);
        let due = end.poll_timeout().is_some_and(|at| at <= now);
        if !waits || read_next <= now || due {
            waiting
                .drain(..)
                .for_each(|packet| end.audio(now, STREAM, packet));
            read_next = now + end.patience(now);
        }
        if !waits || end.poll_timeout().is_some_and(|at| at <= now) {
            end.timeout(now);
        }
    }
    let now = start + FRAME_TIME * heard.len().div_ceil(FRAME) as u32;
    waiting
        .drain(..)
        .for_each(|packet| end.audio(now, STREAM, packet));
    let mut asked = 0;
    while let Ok(event) = events.try_recv() {
        asked += usize::from(matches!(event, EndEvent::Onset(..)));
    }
    let now = start + time_of(heard.len() as u64);
    let result = end.finish(now).expect("a result");
    (result, asked, (silent, levels.load(Relaxed)))
}

#[test]
fn skipping_the_decoder_does_not_change_onsets() {
    for (echo_db, reply_after) in [(None, 300), (None, 1_200), (Some(-20.0), 900)] {
        let play = |decode| {
            play_as(
                echo_db,
                ms(reply_after),
                Instant::now(),
                None,
                decode,
                false,
            )
        };
        let (always, _, _) = play(Decode::Always);
        let turn = &always.turns[0];
        assert_eq!(turn.outcome, Outcome::Replied, "{reply_after} ms");
        let (default, _, (_, noticed)) = play(Decode::default());
        assert!(!noticed);
        let figures = |r: &CallResult| {
            let turn = &r.turns[0];
            let offset = turn.onset.map(|onset| onset.at.offset);
            (turn.outcome, turn.ttfa_wire, turn.ttfa, offset, r.echoes)
        };
        assert_eq!(figures(&default), figures(&always), "{reply_after} ms");
        let (level, _, (silent, noticed)) = play(Decode::Level);
        assert!(silent > 50 && noticed, "{silent} packets of silence");
        let wire = |r: &CallResult| r.turns[0].ttfa_wire.expect("a latency");
        let off = wire(&level).abs_diff(wire(&always));
        assert!(
            off <= Duration::from_micros(100),
            "{reply_after} ms: {off:?}"
        );
        assert_eq!(level.turns[0].outcome, turn.outcome);
    }
}

#[test]
fn queueing_in_the_socket_does_not_change_results() {
    let start = Instant::now();
    for (echo_db, reply_after) in [(None, 300), (None, 1_203), (Some(-20.0), 900)] {
        let play = |waits| {
            let reply_after = ms(reply_after);
            let (result, asked, _) =
                play_as(echo_db, reply_after, start, None, Decode::Always, waits);
            (format!("{result:?}"), asked)
        };
        assert_eq!(play(true), play(false), "{reply_after} ms");
    }
}

#[test]
fn packets_wait_at_most_one_frame_when_an_anchor_is_near() {
    let (_, said) = said();
    let now = Instant::now();
    for (anchor, patience) in [
        (Anchor::AgentSpeechStart, FRAME_TIME),
        (Anchor::AgentSpeechEnd, UNHURRIED),
    ] {
        let mut script = script(&said, 1);
        script.turns[0].anchor = anchor;
        let silence = Arc::from(opus::silence_frame().expect("libopus"));
        let (mut end, _events) =
            CallerEnd::new(script, now, vec![said.clone()], (silence, Codec::Opus))
                .expect("libopus");
        end.joined(now, now);
        end.agent_track(now, 0, "agent/voice".into());
        assert_eq!(end.patience(now), patience, "{anchor:?}");
        let soon = end.poll_timeout().expect("the anchor's bound") - ms(150);
        assert_eq!(
            end.patience(soon),
            FRAME_TIME,
            "{anchor:?}, its bound is near"
        );
    }
}

#[test]
fn callers_own_echo_is_not_an_early_reply() {
    for db in [-20.0, -30.0] {
        for reply_after in [400, 900] {
            let (result, asked) = play(Some(db), ms(reply_after));
            let turn = &result.turns[0];
            assert_eq!(turn.outcome, Outcome::Replied, "{db} dB, {reply_after} ms");
            assert!(result.echoes > 0, "{db} dB: no echo was detected");
            let wire = turn.ttfa_wire.expect("a latency");
            let off = wire.abs_diff(ms(reply_after));
            assert!(off < ms(12), "{db} dB: {wire:?} for {reply_after} ms");
            assert_eq!(asked, 1, "only the reply needs a second opinion");
        }
    }
}

#[test]
fn no_talk_spurt_is_dismissed_without_echo() {
    let (result, asked) = play(None, ms(600));
    assert_eq!((result.echoes, asked), (0, 1));
    assert_eq!(result.turns[0].outcome, Outcome::Replied);
}

#[tokio::test]
async fn the_recorded_reply_starts_ttfa_after_the_end_of_speech() {
    use crate::run::Pulses;
    use crate::run::evidence::Desk;
    let run = tempfile::tempdir().expect("a folder");
    let folder = run.path().join("evidence");
    let desk = Desk::start(
        &folder,
        crate::scenario::EvidenceSelection::default(),
        Pulses::default(),
    )
    .expect("a desk");
    let start = Instant::now();
    for (call, reply_after) in [400, 900, 1_333].into_iter().enumerate() {
        let evidence = Some(desk.capture(call, Codec::Opus));
        let (result, _) = play_kept(None, ms(reply_after), start, evidence);
        let turn = &result.turns[0];
        assert_eq!(turn.outcome, Outcome::Replied);
        // No packet is lost and arrivals are evenly spaced, so the target delay converges to one
        // frame.
        assert!(turn.playout_delay >= Some(ms(20)), "{turn:?}");
    }
    let done = desk.finish(start).await.expect("a thread").evidence;
    assert_eq!(done.turns.len(), 3);
    for (turn, reply_after) in done.turns.iter().zip([400.0, 900.0, 1_333.0]) {
        let mut wav = hound::WavReader::open(folder.join(&turn.file)).expect("a WAV file");
        let both: Vec<i16> = wav.samples().map(|s| s.expect("a sample")).collect();
        let left: Vec<i16> = both.iter().step_by(2).copied().collect();
        let right = both.iter().skip(1).step_by(2);
        let ended = crate::audio::speech_span(&left).expect("speech").end as f64 / 48.0;
        let onset = right.clone().position(|x| x.unsigned_abs() > 500);
        let onset = onset.expect("a reply") as f64 / 48.0;
        let known = turn.onset_ms.expect("an onset").as_f64();
        assert!(
            (ended - turn.speech_end_ms.as_f64()).abs() < 3.0,
            "{ended} {turn:?}"
        );
        assert!((onset - known).abs() < 2.0, "{onset} {turn:?}");
        let wire = turn.onset_wire_ms.expect("an onset").as_f64();
        let ttfa_wire = wire - turn.speech_end_ms.as_f64();
        assert!((ttfa_wire - reply_after).abs() < 12.0, "{ttfa_wire}");
    }
}

#[tokio::test]
async fn the_recorded_call_has_each_onset_ttfa_after_the_end_of_speech() {
    use crate::run::Pulses;
    use crate::run::evidence::Desk;
    let run = tempfile::tempdir().expect("a folder");
    let folder = run.path().join("evidence");
    let asked = crate::scenario::EvidenceSelection {
        slowest: 0,
        failed: 0,
        all: false,
        calls: 3,
    };
    let desk = Desk::start(&folder, asked, Pulses::default()).expect("a desk");
    let start = Instant::now();
    let mut results = Vec::new();
    for (call, reply_after) in [1_333, 900, 400].into_iter().enumerate() {
        let evidence = Some(desk.capture(call, Codec::Opus));
        let (result, _) = play_kept(None, ms(reply_after), start, evidence);
        results.push(result);
    }
    let done = desk.finish(start).await.expect("a thread").evidence;
    assert_eq!((done.calls.len(), done.turns.len()), (3, 0));
    for (call, result) in done.calls.iter().zip(&results) {
        let turn = &result.turns[0];
        let mut wav = hound::WavReader::open(folder.join(&call.file)).expect("a WAV file");
        let both: Vec<i16> = wav.samples().map(|s| s.expect("a sample")).collect();
        let ms_of = |sample: usize| (sample / 2) as f64 / 16.0;
        let loud = |side: usize| {
            let loud = both.iter().enumerate().skip(side).step_by(2);
            loud.filter(|(_, x)| x.unsigned_abs() > 500)
        };
        let [place] = &call.turns[..] else {
            panic!("one turn: {call:?}");
        };
        let onset = loud(1).next().map(|(nth, _)| ms_of(nth)).expect("a reply");
        let known = place.onset_ms.expect("an onset").as_f64();
        assert!((onset - known).abs() < 2.0, "{onset} {place:?}");
        let ended = loud(0)
            .next_back()
            .map(|(nth, _)| ms_of(nth))
            .expect("speech");
        let known_end = place.speech_end_ms.as_f64();
        // The last loud sample is a little earlier than the end by level.
        assert!(
            (known_end - 40.0..known_end + 3.0).contains(&ended),
            "{ended} {place:?}"
        );
        let ttfa = turn.ttfa.expect("a latency").as_secs_f64() * 1e3;
        assert!((known - known_end - ttfa).abs() < 0.002, "{ttfa} {place:?}");
    }
}

#[test]
fn upstream_loss_flags_only_the_turn_whose_packets_were_lost() {
    let (_, said) = said();
    // The flags of both turns if packets in this range are lost; the first utterance begins with
    // packet 25.
    let flagged = |among: (u64, u64)| {
        let silence = Arc::from(opus::silence_frame().expect("libopus"));
        let says = vec![said.clone(), said.clone()];
        let start = Instant::now();
        let made = CallerEnd::new(script(&said, 2), start, says, (silence, Codec::Opus));
        let (mut end, _events) = made.expect("libopus");
        end.joined(start, start + FRAME_TIME);
        end.agent_track(start, 0, "agent/voice".into());
        let mut now = start;
        let frames = 25 + said.frames.len() as u64 + 10;
        for sequence in 0..frames {
            now += FRAME_TIME;
            assert!(end.send(now).is_some());
            end.sent(now, now, 65_500 + sequence);
        }
        end.lost(now, (65_500 + among.0, 65_500 + among.1));
        let result = end.finish(now).expect("a result");
        let lost = |turn: &TurnResult| turn.flags.contains(&Flag::UtteranceLost);
        result.turns.iter().map(lost).collect::<Vec<_>>()
    };
    let last = 24 + said.frames.len() as u64;
    for (among, first) in [
        ((0, 24), false),
        ((0, 25), true),
        ((30, 31), true),
        ((last, last + 5), true),
        ((last + 1, last + 5), false),
    ] {
        assert_eq!(flagged(among), [first, false], "{among:?} of {last}");
    }
}

#[test]
fn a_text_that_cannot_be_passed_on_fails_the_call() {
    let (_, said) = said();
    for takes_events in [true, false] {
        let mut script = script(&said, 1);
        script.turns[0] = TurnScript {
            expect: Expect::RespondText,
            frames: 0,
            speech_start: Duration::ZERO,
            speech_end: Duration::ZERO,
            ..script.turns[0].clone()
        };
        let silence = Arc::from(opus::silence_frame().expect("libopus"));
        let start = Instant::now();
        let made = CallerEnd::new(script, start, vec![said.clone()], (silence, Codec::Opus));
        let (mut end, mut events) = made.expect("libopus");
        if !takes_events {
            events.close();
        }
        end.joined(start, start + FRAME_TIME);
        end.agent_present(start);
        let mut now = start;
        for _ in 0..30 {
            now += FRAME_TIME;
            end.send(now);
        }
        let texts = std::iter::from_fn(|| events.try_recv().ok());
        let texts = texts.filter(|event| matches!(event, EndEvent::Text(0)));
        assert_eq!(texts.count(), usize::from(takes_events));
        let failure = end.finish(now).expect("a result").failure;
        let failed = matches!(failure, Some(Failure::Generator { .. }));
        assert_eq!(failed, !takes_events, "{failure:?}");
    }
}

#[test]
fn keys_and_background_go_with_the_frames() {
    let (_, mut said) = said();
    said.presses = [(1, '1'), (4, '#')].into();
    let noise: Arc<[Arc<[u8]>]> = (0..5u8).map(|n| Arc::from([n])).collect();
    let (script, start) = (script(&said, 1), Instant::now());
    let silence = Arc::from(opus::silence_frame().expect("libopus"));
    let frames = said.frames.clone();
    let made = CallerEnd::new(script, start, vec![said], (silence, Codec::Opus));
    let (mut end, mut events) = made.expect("libopus");
    end.amid(Background::noise(noise).expect("five frames"));
    end.joined(start, start + FRAME_TIME);
    end.agent_present(start);
    let (mut pressed, mut sent) = (Vec::new(), Vec::new());
    for slot in 1..=25 + frames.len() as u32 + 5 {
        let packet = end.send(start + FRAME_TIME * slot).expect("a frame");
        sent.push(packet.payload);
        while let Ok(event) = events.try_recv() {
            if let EndEvent::Key(key) = event {
                pressed.push((sent.len(), key));
            }
        }
    }
    let first = sent.iter().position(|p| *p == frames[0]).expect("said");
    assert_eq!(sent[first..first + frames.len()], *frames);
    assert_eq!(pressed, [(first + 2, '1'), (first + 5, '#')]);
    // Before and after it, the noise goes on, without a frame of the time between.
    let numbers = |sent: &[Arc<[u8]>]| sent.iter().map(|p| p[0]).collect::<Vec<_>>();
    let before: Vec<u8> = (0..first).map(|n| (n % 5) as u8).collect();
    assert_eq!(numbers(&sent[..first]), before);
    let from = frames.len() % 5;
    let after: Vec<u8> = (0..5).map(|n| ((from + n) % 5) as u8).collect();
    assert_eq!(numbers(&sent[first + frames.len()..][..5]), after);
}
