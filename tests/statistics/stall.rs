//! An agent that freezes for half a minute: the reported share of slow turns is accurate.
//!
//! In: a plan of ten minutes with a hundred callers, their state machines in virtual time, an
//! agent that is frozen for 30 s. Out: the share of turns over 10 s, as recorded and according to
//! the agent. Invariants: turns that time out count; nothing is dropped.

use super::percent;
use super::worlds::{World, many};
use loadgen::audio::{Confidence, FRAME_TIME, Heard, HeardAt, Onset, Packet, SPURT_GAP, Segment};
use loadgen::call::{
    Anchor, Call, CallScript, Expect, GreetingPolicy, Input, OnAgentLeft, Say, TurnScript,
};
use loadgen::plan::{Plan, Start};
use loadgen::record::{Samples, TurnContext, TurnRecord};
use loadgen::scenario::{LoadedSound, SoundFile, Unset, check};
use loadgen::stats::Sample;
use loadgen::vocab::{Metric, UtteranceKind};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const STALL: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(330));
const SLOW: Duration = Duration::from_secs(10);
/// Duration of a reply, and of the agent's pause between two replies.
const REPLY: Duration = ms(2_000);
const BREATH: Duration = ms(1_000);
const TURNS: usize = 3;

/// Five calls a second, each about 20 s long: a hundred concurrent callers.
const SCENARIO: &str = "\
version: 1
name: stall
seed: 7
target: {kind: embedded}
utterances: {words: {file: words.wav}}
call: {greeting: none, turns: [{say: words, start: {after: call_start}, timeout: 15s}]}
load: {arrival: {rate: 5, process: poisson}, duration: 10m}
";

/// Start times of the calls in the plan.
fn starts() -> Vec<Duration> {
    let sound = |_: &SoundFile<'_>| {
        let length = ms(2_000);
        let doubts = Vec::new();
        Ok(Some(LoadedSound { length, doubts }))
    };
    let env = |_: &str| None;
    let path = Path::new("stall.yaml");
    let scenario = check(SCENARIO.as_bytes(), path, &env, Unset::Problem, &sound);
    let plan = Plan::new(&scenario.expect("a scenario"));
    let at = |start| match start {
        Start::At(at) => Some(at),
        Start::AfterSlot => None,
    };
    let ten_minutes = |at: &Duration| *at < Duration::from_secs(600);
    plan.calls()
        .map_while(|c| at(c.start))
        .take_while(ten_minutes)
        .collect()
}

fn script() -> CallScript {
    let turn = |nth: usize| TurnScript {
        anchor: if nth == 0 {
            Anchor::CallStart
        } else {
            Anchor::PreviousTurn
        },
        silence: SPURT_GAP,
        delay: ms(1_000),
        expect: Expect::Respond,
        timeout: ms(15_000),
        frames: 100,
        speech_start: ms(100),
        speech_end: ms(1_910),
        segments: None,
        filler: None,
        awkward: Duration::from_secs(3),
    };
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: ms(30_000),
        on_agent_left: OnAgentLeft::Fail,
        course: loadgen::call::Course::default(),
        turns: (0..TURNS).map(turn).collect(),
    }
}

/// The agent of one call, and the inputs to the caller that result from the agent's audio.
struct Agent {
    origin: Instant,
    world: World,
    inputs: BTreeMap<(Instant, u32), Input<'static>>,
    silent_from: Instant,
    /// For every turn that the agent heard: the time from end of speech to reply.
    truth: Vec<Duration>,
}

impl Agent {
    fn at(&mut self, at: Instant, input: Input<'static>) {
        let nth = self.inputs.len() as u32 + self.truth.len() as u32 * 1_000_000;
        self.inputs.insert((at, nth), input);
    }

    /// The instant at which work that begins at `from` and takes `work` is finished. No work makes
    /// progress during the stall.
    fn done(&self, from: Instant, work: Duration) -> Instant {
        let (begin, end) = (self.origin + STALL.0, self.origin + STALL.1);
        let before = begin.saturating_duration_since(from).min(work);
        match from >= end || from + work <= begin {
            true => from + work,
            false => end + (work - before),
        }
    }

    fn hears(&mut self, speech_end: Instant) {
        let work = Duration::from_secs_f64(0.8 * (0.3 * self.world.normal()).exp());
        let ready = self.done(speech_end, work);
        self.truth.push(ready - speech_end);
        let from = ready.max(self.silent_from);
        self.silent_from = from + REPLY + BREATH;
        let heard = |at: Instant| HeardAt {
            arrival: at,
            offset: Duration::ZERO,
        };
        let onset = Onset {
            at: heard(from),
            confidence: Confidence::High,
            earlier_by_loss: None,
            later_by_loss: None,
            after: None,
            snr_db: 40.0,
            segment: Segment::default(),
        };
        self.at(
            from + ms(60),
            Input::Heard(0, Heard::Triggered { at: heard(from) }),
        );
        self.at(from + ms(530), Input::Heard(0, Heard::Onset(onset)));
        let last_audible = heard(from + REPLY);
        let told = from + REPLY + SPURT_GAP + ms(5);
        self.at(
            told,
            Input::Heard(
                0,
                Heard::Ended {
                    last_audible,
                    broke_off: false,
                },
            ),
        );
    }
}

/// Simulates a call that starts `start` after the start of the run; returns the call's records and
/// the agent's truth.
fn play(number: usize, start: Duration, origin: Instant) -> (Vec<TurnRecord>, Vec<Duration>) {
    let begin = origin + start;
    let mut agent = Agent {
        origin,
        world: World::new(5_000_000 + number as u64),
        inputs: BTreeMap::new(),
        silent_from: begin,
        truth: Vec::new(),
    };
    let joined = begin + ms(150);
    agent.at(joined, Input::Joined);
    agent.at(joined + ms(100), Input::AgentAudible);
    let mut call = Call::new(script(), begin);
    let (mut now, mut due, mut sent) = (begin, joined + ms(7), 0_u32);
    while !call.is_done() {
        let input = agent.inputs.first_key_value().map(|(k, _)| k.0);
        let timeout = call.poll_timeout().map(|t| t.max(now));
        let next = [input, timeout, Some(due)].into_iter().flatten().min();
        now = next.expect("a slot is always due");
        if input == Some(now) {
            if let Some((_, input)) = agent.inputs.pop_first() {
                call.handle(now, input);
            }
        } else if due == now {
            let packet = Packet {
                arrival: now,
                kernel_stamp: true,
                rtp_time: 960 * sent,
                sequence: sent.into(),
                level: None,
                payload: &[],
            };
            sent += 1;
            call.handle(now, Input::Packet(0, packet));
            if let Say::Utterance { frame: 0, .. } = call.tick(due) {
                agent.hears(due - FRAME_TIME + ms(1_910));
            }
            call.sent(due, due);
            due += FRAME_TIME;
        } else {
            call.handle(now, Input::Timeout);
        }
        while call.poll_event().is_some() {}
    }
    let context = TurnContext {
        call: number,
        room: "stall",
        utterance: "words",
        kind: UtteranceKind::Speech,
        variant: "default",
        block: None,
        warmup: false,
        playout_model: loadgen::call::MODEL,
        failure: None,
    };
    let result = call.finish(now);
    let turns = result.turns.iter();
    (
        turns
            .map(|t| TurnRecord::new(&context, t, origin))
            .collect(),
        agent.truth,
    )
}

#[test]
fn the_share_of_slow_turns_in_a_stall_is_accurate() {
    let starts = starts();
    let origin = Instant::now();
    let played = many(starts.len() as u64, |n| {
        play(n as usize, starts[n as usize], origin)
    });
    let (mut turns, mut truth) = (Vec::new(), Vec::new());
    for (mut records, mut known) in played {
        turns.append(&mut records);
        truth.append(&mut known);
    }
    let planned = starts.len() * TURNS;
    let samples = Samples::of(planned, &[], &turns);
    assert_eq!(
        (turns.len(), truth.len()),
        (planned, planned),
        "every planned turn is recorded"
    );
    assert_eq!(
        samples.outcomes.ended(),
        planned,
        "every turn has an outcome"
    );

    let slow = |sorted: &[Sample]| {
        percent(
            sorted.iter().filter(|s| **s > SLOW.into()).count(),
            sorted.len(),
        )
    };
    let true_share = percent(truth.iter().filter(|t| **t > SLOW).count(), truth.len());
    let told = slow(samples.all(Metric::Ttfa).sorted());
    let replied_only = slow(samples.measured(Metric::Ttfa).sorted());
    println!(
        "{planned} turns of {} calls, {:?}: over 10 s {told:.2} %, true share {true_share:.2} %, of replied turns alone {replied_only:.2} %",
        starts.len(),
        samples.outcomes
    );
    assert!(true_share > 2.0, "the stall affects turns");
    assert!(
        (told - true_share).abs() <= 0.5,
        "{told} % instead of {true_share} %"
    );
    assert!(
        true_share - replied_only > 0.5,
        "dropping timeouts would hide the stall"
    );
}
