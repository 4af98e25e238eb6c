//! Check 8: distinguishing agents that stop and answer from agents that keep talking.
//!
//! In: synthetic speech whose pauses, cuts and onsets are known; the caller's ear and state
//! machine in virtual time. Out: the errors of `stop` and `ttfa_wire`, and the flagged turns.
//! Invariant: a turn's figures are judged only if it is not flagged `spurt_ambiguous`.

use crate::listen::coded;
use crate::noises::Seed;
use crate::signals::{VOICE_DBFS, Voice, body, cuts, ms, rms, rms_at, voices};
use crate::{in_parallel, quantile, size};
use loadgen::audio::{Ear, FRAME, FRAME_TIME, OPUS_LOOKAHEAD, Packet, SPURT_GAP};
use loadgen::call::{
    AgentState, Anchor, Call, CallScript, Expect, Flag, GreetingPolicy, Input, OnAgentLeft,
    Outcome, TurnResult, TurnScript,
};
use std::time::{Duration, Instant};

/// Earliest capture of the interruption's first sample, in ms after the start of the call.
const INTERRUPTS: usize = 2_500;
/// When the interruption's speech begins and ends, in ms after its first sample.
const SPEECH: (usize, usize) = (60, 1_260);
/// Maximum error of a figure, in ms.
const BOUND: f64 = 30.0;

/// An agent's audio and the states that the agent reports.
struct Said {
    pcm: Vec<i16>,
    /// If the agent stopped: the sample after its last one, and the first sample of the answer.
    stopped: Option<(usize, usize)>,
    /// The states that the agent reports, each with its sample.
    states: Vec<(usize, AgentState)>,
}

/// A sentence: a voice from its first to its last audible sample.
fn sentence<'a>(voices: &'a [Voice], seed: &mut Seed) -> &'a [i16] {
    let voice = &voices[seed.below(voices.len())];
    &voice.pcm[voice.start..voice.end]
}

/// Speech for nine seconds or more; `pause` returns the samples of each pause between sentences.
fn talk(voices: &[Voice], seed: &mut Seed, pause: impl Fn(&mut Seed) -> usize) -> Vec<i16> {
    let mut pcm = vec![0; ms(500)];
    while pcm.len() < ms(9_500) {
        pcm.extend(sentence(voices, seed));
        let pause = pause(seed);
        pcm.extend(vec![0; pause]);
    }
    pcm
}

/// An agent that is interrupted, stops mid-word and answers after `pause` samples.
fn stops(voices: &[Voice], seed: &mut Seed, pause: usize) -> Said {
    let mut pcm = talk(voices, seed, |_| ms(60));
    let from = ms(INTERRUPTS + SPEECH.0);
    let mut at = from + ms(300) + seed.below(ms(900));
    // The last 20 ms are loud, so that the last sample is audible by construction.
    while rms(&pcm[at - ms(20)..at]) < rms_at(VOICE_DBFS) {
        at += ms(1);
    }
    pcm.truncate(at);
    pcm.extend(vec![0; pause]);
    let voice = &voices[seed.below(voices.len())];
    let places = cuts(voice);
    let ramp = [0, ms(5), ms(20), ms(60)][seed.below(4)];
    let (answer, audible) = body(voice, places[seed.below(places.len())], ramp);
    let answers = pcm.len() + audible as usize;
    pcm.extend(answer);
    // The answer lasts two seconds or more, so that it outlasts the caller's speech.
    while pcm.len() < answers + ms(2_000) {
        pcm.extend(vec![0; ms(60)]);
        pcm.extend(sentence(voices, seed));
    }
    pcm.extend(vec![0; ms(5_000)]);
    let states = vec![
        (ms(470), AgentState::Speaking),
        (at + ms(5) + seed.below(ms(20)), AgentState::Listening),
        (answers - ms(30) + seed.below(ms(20)), AgentState::Speaking),
        (pcm.len() - ms(4_700), AgentState::Listening),
    ];
    Said {
        pcm,
        stopped: Some((at, answers)),
        states,
    }
}

/// The longest silence in samples: 20 ms frames below a tenth of the active level.
fn longest_silence(pcm: &[i16]) -> usize {
    let silent = |frame: &[i16]| rms(frame) < 0.1 * rms_at(VOICE_DBFS);
    let frames = pcm.chunks_exact(FRAME).map(silent);
    let runs = frames.scan(0, |run, silent| {
        *run = if silent { *run + FRAME } else { 0 };
        Some(*run)
    });
    runs.max().unwrap_or(0)
}

/// An agent that ignores interruptions and pauses between its sentences.
fn talks_on(voices: &[Voice], seed: &mut Seed) -> Said {
    let mut pcm = talk(voices, seed, |seed| ms(200) + seed.below(ms(400)));
    // Quiet ends and beginnings of sentences can make a pause longer than intended.
    while longest_silence(&pcm[ms(500)..]) > ms(650) {
        pcm = talk(voices, seed, |seed| ms(200) + seed.below(ms(400)));
    }
    pcm.truncate(ms(9_500));
    let states = vec![
        (ms(470), AgentState::Speaking),
        (pcm.len(), AgentState::Listening),
    ];
    pcm.extend(vec![0; ms(3_000)]);
    Said {
        pcm,
        stopped: None,
        states,
    }
}

/// Runs the caller's only turn against the agent's audio.
fn turn(said: &Said, expect: Expect, tells_states: bool, start: Instant) -> TurnResult {
    let script = CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: Duration::from_secs(5),
        on_agent_left: OnAgentLeft::Fail,
        course: loadgen::call::Course::default(),
        turns: vec![TurnScript {
            anchor: Anchor::CallStart,
            silence: SPURT_GAP,
            delay: Duration::from_millis(INTERRUPTS as u64),
            expect,
            timeout: Duration::from_millis(2_500),
            frames: 65,
            speech_start: Duration::from_millis(SPEECH.0 as u64),
            speech_end: Duration::from_millis(SPEECH.1 as u64),
            segments: None,
            filler: None,
            awkward: Duration::from_secs(3),
        }],
    };
    let mut call = Call::new(script, start);
    call.handle(start, Input::Joined);
    call.handle(start, Input::AgentAudible);
    let mut ear = Ear::new().expect("libopus");
    let mut states = said.states.iter().filter(|_| tells_states).peekable();
    for (k, payload) in coded(&said.pcm) {
        let now = start + FRAME_TIME * (k as u32 + 1);
        while let Some((_, state)) = states.next_if(|(at, _)| *at <= k as usize * FRAME) {
            call.handle(now, Input::AgentState(*state));
        }
        call.tick(now);
        call.sent(now, now);
        let rtp_time = k as u32 * FRAME as u32;
        let packet = Packet {
            arrival: now,
            kernel_stamp: true,
            rtp_time,
            sequence: k,
            level: None,
            payload: &payload,
        };
        call.handle(now, Input::Packet(0, packet));
        ear.packet(&packet);
        while let Some(heard) = ear.poll_heard() {
            call.handle(now, Input::Heard(0, heard));
        }
        if call.poll_timeout().is_some_and(|at| at <= now) {
            call.handle(now, Input::Timeout);
        }
    }
    let end = start + FRAME_TIME * (said.pcm.len() / FRAME) as u32;
    call.finish(end).turns.remove(0)
}

/// Largest error among a turn's figures, in ms; infinite if an expected figure is missing.
fn off(turn: &TurnResult, (at, answers): (usize, usize), start: Instant) -> f64 {
    let wire = |sample: usize| {
        let samples = (sample + FRAME + OPUS_LOOKAHEAD) as f64;
        start + Duration::from_secs_f64(samples / 48_000.0)
    };
    let (begun, spoken) = (turn.media_start, turn.speech_end);
    let (Some(begun), Some(spoken)) = (begun, spoken) else {
        return f64::INFINITY;
    };
    let apart = |figure: Option<Duration>, from: Instant, to: Instant| {
        figure.map_or(f64::INFINITY, |figure| {
            let truth = to.saturating_duration_since(from).as_secs_f64();
            (figure.as_secs_f64() - truth).abs() * 1000.0
        })
    };
    let mut worst = 0.0_f64;
    if turn.expect != Expect::Respond {
        let interrupted = begun + Duration::from_millis(SPEECH.0 as u64);
        worst = worst.max(apart(turn.stop_wire, interrupted, wire(at)));
    }
    if turn.expect != Expect::Stop {
        let answer = wire(answers);
        worst = worst.max(match answer < spoken {
            true => apart(turn.early_by, answer, spoken),
            false => apart(turn.ttfa_wire, spoken, answer),
        });
    }
    worst
}

/// Summarizes a turn for the log.
fn in_short(turn: &TurnResult, start: Instant) -> String {
    let at = |instant: Option<Instant>| instant.map(|i| i.duration_since(start).as_millis());
    format!(
        "{:?} {:?}, end of speech at {:?}, onset at {:?}, reply's end at {:?}, stop {:?}, early by {:?}, {:?}",
        turn.expect,
        turn.outcome,
        at(turn.speech_end),
        at(turn.onset.map(|o| o.at.wire())),
        at(turn.reply_end),
        turn.stop_wire,
        turn.early_by,
        turn.flags,
    )
}

const EXPECTS: [Expect; 3] = [Expect::Stop, Expect::StopAndRespond, Expect::Respond];

#[test]
fn stops_of_interrupted_agents_are_accurate_or_flagged() {
    let (voices, count) = (voices(), size(60, 500));
    for tells_states in [true, false] {
        let work: Vec<u64> = (0..count).collect();
        let results = in_parallel(&work, |&n| {
            let mut seed = Seed::new(80_000 + n);
            let pause = ms(150) + seed.below(ms(850));
            let said = stops(&voices, &mut seed, pause);
            let (start, expect) = (Instant::now(), EXPECTS[n as usize % 3]);
            let turn = turn(&said, expect, tells_states, start);
            let flagged = turn.flags.contains(&Flag::SpurtAmbiguous);
            let off = said.stopped.map_or(0.0, |truth| off(&turn, truth, start));
            if !flagged && off > BOUND {
                eprintln!(
                    "agent {n}, pause {} ms, off {off:.1}: {}",
                    pause / 48,
                    in_short(&turn, start)
                );
            }
            (flagged, off)
        });
        let flagged = results.iter().filter(|(flagged, _)| *flagged).count();
        let told = results.iter().filter(|(flagged, _)| !flagged);
        let told: Vec<f64> = told.map(|(_, off)| *off).collect();
        let wrong = told.iter().filter(|off| **off > BOUND).count();
        eprintln!(
            "check 8: {count} agents stop and answer, {}: {flagged} flagged, {wrong} wrong; off by median {:.2}, worst {:.1} ms",
            if tells_states {
                "report states"
            } else {
                "report none"
            },
            quantile(&told, 0.5),
            quantile(&told, 1.0),
        );
        assert_eq!(wrong, 0, "not flagged, but off by more than {BOUND} ms");
        // If the agent reports its states, few turns are ambiguous.
        assert!(
            !tells_states || flagged * 20 <= results.len(),
            "{flagged} flagged"
        );
    }
}

#[test]
fn turns_with_agents_that_keep_talking_are_missed_or_flagged() {
    let (voices, count, mut all_wrong) = (voices(), size(60, 500), 0);
    for tells_states in [true, false] {
        let work: Vec<u64> = (0..count).collect();
        let results = in_parallel(&work, |&n| {
            let mut seed = Seed::new(90_000 + n);
            let said = talks_on(&voices, &mut seed);
            let start = Instant::now();
            let turn = turn(&said, EXPECTS[n as usize % 3], tells_states, start);
            let flagged = turn.flags.contains(&Flag::SpurtAmbiguous);
            // Whether the agent was judged to have stopped or to have said something new.
            let judged = turn.outcome != Outcome::Missed || turn.stop_wire.is_some();
            if judged && !flagged {
                eprintln!("agent {n}: {}", in_short(&turn, start));
            }
            (flagged, judged)
        });
        let flagged = results.iter().filter(|(flagged, _)| *flagged).count();
        let wrong = results.iter().filter(|(f, judged)| *judged && !f).count();
        eprintln!(
            "check 8: {count} agents keep talking, {}: {flagged} flagged, {wrong} judged without a flag",
            if tells_states {
                "report states"
            } else {
                "report none"
            },
        );
        all_wrong += wrong;
        assert!(
            !tells_states || flagged * 20 <= results.len(),
            "{flagged} flagged"
        );
    }
    assert_eq!(all_wrong, 0, "judged without a flag");
}
