//! Properties of a call that hold for any inputs in any order.

use super::sim::{TURN, ms};
use crate::audio::{Confidence, FRAME_TIME, Heard, HeardAt, Onset, Packet, SPURT_GAP, Segment};
use crate::call::{
    Anchor, Branch, Call, CallEvent, CallResult, CallScript, Course, Expect, Failure, Flag, Go,
    GreetingPolicy, Input, Leave, OnAgentLeft, Outcome, ReplyMatches, ReplyText, Say, TextPart,
    TurnCourse, TurnResult, TurnScript, When,
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// One step of a random sequence of inputs.
#[derive(Debug, Clone)]
enum Step {
    Joined,
    Subscribed,
    Left,
    Failed,
    UtteranceLost {
        turn: usize,
    },
    Packet {
        rtp_time: u32,
        age: u64,
        kernel: bool,
    },
    Triggered {
        age: u64,
    },
    Onset {
        age: u64,
    },
    Ended {
        age: u64,
    },
    TextSent {
        turn: usize,
    },
    Wrote {
        stream: u64,
        opened: u64,
        age: u64,
        part: TextPart,
    },
    /// The transcript of a turn's reply matches the patterns of its branches, or does not.
    Told {
        turn: usize,
        matches: bool,
        complete: bool,
    },
    /// Runs this many send slots.
    Slots(u8),
    /// Advances the clock by this many ms and handles the timeouts that fall due.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Joined),
        4 => Just(Step::Subscribed),
        1 => Just(Step::Left),
        1 => Just(Step::Failed),
        4 => (0..5_usize).prop_map(|turn| Step::UtteranceLost { turn }),
        60 => (any::<u32>(), 0..3000_u64, any::<bool>())
            .prop_map(|(rtp_time, age, kernel)| Step::Packet { rtp_time, age, kernel }),
        20 => (0..1500_u64).prop_map(|age| Step::Triggered { age }),
        50 => (0..1500_u64).prop_map(|age| Step::Onset { age }),
        40 => (0..1500_u64).prop_map(|age| Step::Ended { age }),
        20 => (0..5_usize).prop_map(|turn| Step::TextSent { turn }),
        20 => (0..4_u64, 0..1500_u64, 0..500_u64, any::<bool>()).prop_map(
            |(stream, opened, age, ends)| Step::Wrote {
                stream,
                opened,
                age,
                part: if ends { TextPart::End } else { TextPart::First },
            }
        ),
        10 => (0..5_usize, any::<bool>(), any::<bool>())
            .prop_map(|(turn, matches, complete)| Step::Told { turn, matches, complete }),
        120 => (0..60_u8).prop_map(Step::Slots),
        20 => (0..3000_u64).prop_map(Step::Wait),
    ]
}

fn turn() -> impl Strategy<Value = TurnScript> {
    let anchor = prop_oneof![
        Just(Anchor::CallStart),
        Just(Anchor::Greeting),
        Just(Anchor::AgentSpeechStart),
        Just(Anchor::AgentSpeechEnd),
        Just(Anchor::AgentTurnEnd),
        Just(Anchor::PreviousTurn),
    ];
    let expect = prop_oneof![
        3 => Just(Expect::Respond),
        1 => Just(Expect::Stop),
        1 => Just(Expect::StopAndRespond),
        1 => Just(Expect::Ignore),
        1 => Just(Expect::RespondText),
        1 => Just(Expect::Silence),
        1 => Just(Expect::HangUp)
    ];
    (anchor, expect, 0..900_u64, 0..60_usize, 0..2500_u64).prop_map(
        |(anchor, expect, delay, frames, timeout)| {
            let speaks = expect != Expect::RespondText;
            let frames = if speaks { frames } else { 0 };
            TurnScript {
                anchor,
                silence: SPURT_GAP,
                delay: ms(delay),
                expect,
                timeout: ms(timeout),
                frames,
                speech_start: if speaks { ms(10) } else { ms(0) },
                speech_end: FRAME_TIME * frames as u32 / 2,
                segments: None,
                filler: None,
                awkward: Duration::from_secs(3),
            }
        },
    )
}

fn anchor() -> impl Strategy<Value = Anchor> {
    prop_oneof![
        Just(Anchor::AgentSpeechStart),
        Just(Anchor::AgentSpeechEnd),
        Just(Anchor::AgentTurnEnd),
        Just(Anchor::PreviousTurn),
    ]
}

fn turn_course() -> impl Strategy<Value = TurnCourse> {
    let when = prop_oneof![
        Just(When::Always),
        Just(When::Outcome(Outcome::Missed)),
        Just(When::Outcome(Outcome::Replied)),
        Just(When::ReplyMatches),
    ];
    let go = prop_oneof![3 => (0..6_usize).prop_map(Go::Turn), 1 => Just(Go::HangUp)];
    let branch = (when, go).prop_map(|(when, go)| Branch { when, go });
    let leave = (anchor(), 0..900_u64).prop_map(|(anchor, delay)| Leave {
        anchor,
        silence: SPURT_GAP,
        delay: ms(delay),
    });
    let next = prop::collection::vec(branch, 0..3);
    let leave = prop::option::weighted(0.1, leave);
    (prop::bool::weighted(0.1), next, leave).prop_map(|(left_out, next, leave)| TurnCourse {
        left_out,
        next,
        leave,
    })
}

fn course() -> impl Strategy<Value = Course> {
    let hang_up = prop::option::weighted(0.1, (0..20_000_u64).prop_map(ms));
    (hang_up, prop::collection::vec(turn_course(), 0..5))
        .prop_map(|(hang_up, turns)| Course { hang_up, turns })
}

fn call_script() -> impl Strategy<Value = CallScript> {
    let greeting = prop_oneof![
        Just(GreetingPolicy::Expect),
        Just(GreetingPolicy::Ignore),
        Just(GreetingPolicy::None),
    ];
    let course = prop_oneof![1 => Just(Course::default()), 1 => course()];
    let turns = prop::collection::vec(turn(), 1..5);
    (greeting, turns, course).prop_map(|(greeting, turns, course)| CallScript {
        greeting,
        agent_timeout: ms(2000),
        on_agent_left: OnAgentLeft::Fail,
        course,
        turns,
    })
}

struct Driver {
    call: Call,
    now: Instant,
    due: Instant,
    /// Texts are sent in their slots.
    sends_texts: bool,
    ended: Vec<TurnResult>,
}

impl Driver {
    fn new(script: &CallScript) -> Self {
        let start = Instant::now() + Duration::from_secs(3600);
        Self {
            call: Call::new(script.clone(), start),
            now: start,
            due: start,
            sends_texts: true,
            ended: Vec::new(),
        }
    }

    fn heard_at(&self, age: u64) -> HeardAt {
        HeardAt {
            arrival: self.now - ms(age),
            offset: ms(age % 20),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.call.handle(self.now, input);
        while let Some(event) = self.call.poll_event() {
            match event {
                CallEvent::TurnEnded(result) => self.ended.push(result),
                CallEvent::TurnAmended(result) => {
                    let index = result.turn;
                    self.ended[index] = result;
                }
                CallEvent::Phase(_) => {}
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let input = match *step {
            Step::Joined => Input::Joined,
            Step::Subscribed => Input::AgentAudible,
            Step::Left => Input::AgentLeft,
            Step::Failed => Input::Failed(Failure::Stopped),
            Step::UtteranceLost { turn } => Input::UtteranceLost(turn),
            Step::Packet {
                rtp_time,
                age,
                kernel,
            } => Input::Packet(
                0,
                Packet {
                    arrival: self.now - ms(age),
                    kernel_stamp: kernel,
                    rtp_time,
                    sequence: 0,
                    level: None,
                    payload: &[],
                },
            ),
            Step::Triggered { age } => Input::Heard(
                0,
                Heard::Triggered {
                    at: self.heard_at(age),
                },
            ),
            Step::Onset { age } => Input::Heard(
                0,
                Heard::Onset(Onset {
                    at: self.heard_at(age),
                    confidence: Confidence::High,
                    earlier_by_loss: None,
                    later_by_loss: None,
                    snr_db: 30.0,
                    segment: Segment::default(),
                    after: None,
                }),
            ),
            Step::Ended { age } => Input::Heard(
                0,
                Heard::Ended {
                    last_audible: self.heard_at(age),
                    broke_off: false,
                },
            ),
            Step::TextSent { turn } => Input::TextSent { turn, at: self.now },
            Step::Wrote {
                stream,
                opened,
                age,
                part,
            } => Input::ReplyText(ReplyText {
                stream,
                opened: self.now - ms(age + opened),
                at: self.now - ms(age),
                part,
            }),
            Step::Told {
                turn,
                matches,
                complete,
            } => Input::ReplyMatches(ReplyMatches {
                turn,
                matches: vec![matches; 3],
                complete,
            }),
            Step::Slots(n) => return self.slots(n),
            Step::Wait(wait) => return self.wait(ms(wait)),
        };
        self.handle(input);
    }

    fn slots(&mut self, n: u8) {
        for _ in 0..n {
            let wait = self.due.saturating_duration_since(self.now);
            self.wait(wait);
            if let Say::Text { turn } = self.call.tick(self.due)
                && self.sends_texts
            {
                self.step(&Step::TextSent { turn });
            }
            self.call.sent(self.due, self.due + ms(1));
            self.due += FRAME_TIME;
        }
    }

    /// Advances the clock and handles every timeout that falls due; no timeout may be due twice at
    /// one instant.
    fn wait(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some(at) = self.call.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.handle(Input::Timeout);
            let next = self.call.poll_timeout();
            assert!(next.is_none_or(|t| t > self.now), "spins");
        }
        self.now = until;
    }

    fn finish(mut self) -> (CallResult, Vec<TurnResult>) {
        self.handle(Input::Timeout);
        (self.call.finish(self.now), self.ended)
    }
}

fn check_turn(script: &TurnScript, turn: &TurnResult) {
    let began = turn.media_start.is_some();
    let left = matches!(turn.outcome, Outcome::NotRun | Outcome::Skipped);
    assert!(began || left || turn.outcome == Outcome::Failed);
    assert!(!(began && left));
    let hung_up = script.expect == Expect::HangUp && turn.outcome == Outcome::Replied;
    assert_eq!(turn.hang_up.is_some(), hung_up);
    assert!(turn.hang_up.is_none_or(|after| after <= script.timeout));
    let wire = turn.onset.as_ref().map(|o| o.at.wire());
    let before_end = wire.zip(turn.speech_end).is_some_and(|(o, e)| o < e);
    if before_end {
        assert_eq!(turn.ttfa_wire, None, "an early onset became a latency");
        assert_eq!(turn.ttfa, None);
    }
    let replied = turn.outcome == Outcome::Replied;
    let answered = replied && script.expect == Expect::Respond;
    match script.expect {
        // The turn expects both a stop and a reply; either may be measured without the other.
        Expect::StopAndRespond => assert!(!replied || turn.ttfa_wire.is_some()),
        _ => assert_eq!(turn.ttfa_wire.is_some(), answered),
    }
    assert!(turn.ttfa_wire.is_none_or(|w| w <= script.timeout));
    let sum = turn.ttfa_wire.zip(turn.playout_delay).map(|(w, p)| w + p);
    assert_eq!(turn.ttfa, sum);
    match script.expect {
        Expect::StopAndRespond => {}
        // An agent that stops although it should carry on has missed the turn.
        Expect::Ignore => assert!(turn.stop.is_none() || turn.outcome == Outcome::Missed),
        _ => assert_eq!(
            turn.stop.is_some(),
            replied && script.expect == Expect::Stop
        ),
    }
    assert!(turn.resume.is_none() || turn.stop.is_some());
    assert_eq!(turn.stop.is_some(), turn.stop_wire.is_some());
    assert!(turn.stop >= turn.stop_wire);
    let texted = replied && script.expect == Expect::RespondText;
    assert_eq!(turn.text_ttft.is_some(), texted);
    assert!(turn.text_ttft.is_none_or(|ttft| ttft <= script.timeout));
    assert!(turn.text_reply.is_none() || texted);
    assert_eq!(turn.early_by.is_some(), turn.outcome == Outcome::Early);
    assert!(turn.flags.is_sorted_by(|a, b| a < b), "{:?}", turn.flags);
}

/// Regression files are off: a failing case is added to the tables instead.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_turn_ends_exactly_once_for_any_input(
        script in call_script(),
        orderly in any::<bool>(),
        sends_texts in any::<bool>(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut driver = Driver { sends_texts, ..Driver::new(&script) };
        if orderly {
            driver.step(&Step::Joined);
            driver.step(&Step::Subscribed);
        }
        for step in &steps {
            driver.step(step);
        }
        let (result, ended) = driver.finish();
        prop_assert_eq!(result.turns.len(), script.turns.len());
        for (index, (turn, script)) in result.turns.iter().zip(&script.turns).enumerate() {
            prop_assert_eq!(turn.turn, index);
            check_turn(script, turn);
        }
        // Each turn is reported once, in order; only `finish` itself adds results.
        prop_assert_eq!(&result.turns[..ended.len()], &ended[..]);
        let failed = result.turns.iter().any(|t| t.outcome == Outcome::Failed);
        let any = |outcome: Outcome| result.turns.iter().any(|t| t.outcome == outcome);
        let stopped = result.failure == Some(Failure::Stopped);
        prop_assert!(!failed || result.failure.is_some() && !stopped);
        prop_assert!(!any(Outcome::NotRun) || stopped);
        // Otherwise, only a caller that hangs up cuts a turn off or leaves turns out.
        let plain = script.course == Course::default()
            && script.turns.iter().all(|t| t.expect != Expect::HangUp);
        if plain {
            let cut = any(Outcome::CutOff) || any(Outcome::NotRun);
            prop_assert!(!any(Outcome::Skipped));
            prop_assert_eq!(cut, stopped);
            prop_assert_eq!(failed || cut, result.failure.is_some());
        }
    }

    #[test]
    fn slots_and_timeouts_alone_end_a_call(script in call_script()) {
        let mut driver = Driver::new(&script);
        driver.step(&Step::Joined);
        driver.step(&Step::Subscribed);
        // The greeting takes at most 5 s and each turn at most 6 s.
        for _ in 0..15 {
            driver.slots(100);
        }
        prop_assert!(driver.call.is_done());
        let (result, ended) = driver.finish();
        prop_assert_eq!(result.failure, None);
        prop_assert_eq!(result.turns, ended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..config() })]

    /// The ear reports some events and then, at an arbitrary point, nothing more.
    #[test]
    fn a_call_ends_even_if_the_ear_stops_reporting(
        script in call_script(),
        heard in prop::collection::vec((0u8..4, 0u64..2_000, 0u8..100), 1..12),
    ) {
        let mut driver = Driver::new(&script);
        driver.step(&Step::Joined);
        driver.step(&Step::Subscribed);
        for (kind, age, slots) in heard {
            match kind {
                0 => driver.step(&Step::Triggered { age }),
                1 => driver.step(&Step::Onset { age }),
                2 => {
                    let last_audible = driver.heard_at(age);
                    let paused = Heard::Paused { last_audible, hard: false };
                    driver.handle(Input::Heard(0, paused));
                }
                _ => driver.step(&Step::Ended { age }),
            }
            driver.slots(slots);
        }
        // In each turn the caller waits for at most a minute, and speaks and listens for less than
        // another minute.
        let most = script.turns.len() * 2 * 60 * 50 + 1_000;
        for _ in 0..most.div_ceil(100) {
            if driver.call.is_done() {
                break;
            }
            driver.slots(100);
        }
        prop_assert!(driver.call.is_done());
    }
}

#[test]
fn a_turn_that_starts_because_the_ear_stopped_reporting_is_flagged() {
    let script = CallScript {
        greeting: GreetingPolicy::Ignore,
        agent_timeout: ms(2000),
        on_agent_left: OnAgentLeft::Fail,
        course: Course::default(),
        turns: vec![TurnScript {
            anchor: Anchor::Greeting,
            ..TURN
        }],
    };
    let mut driver = Driver::new(&script);
    driver.step(&Step::Joined);
    driver.step(&Step::Subscribed);
    driver.slots(20);
    driver.step(&Step::Onset { age: 100 });
    let last_audible = driver.heard_at(40);
    let paused = Heard::Paused {
        last_audible,
        hard: false,
    };
    driver.handle(Input::Heard(0, paused));
    for _ in 0..80 {
        driver.slots(50);
    }
    let (result, _) = driver.finish();
    assert!(result.turns[0].media_start.is_some());
    assert!(result.turns[0].flags.contains(&Flag::AnchorTimeout));
}

#[test]
fn maximum_durations_do_not_overflow() {
    let script = CallScript {
        greeting: GreetingPolicy::Expect,
        agent_timeout: Duration::MAX,
        on_agent_left: OnAgentLeft::Fail,
        course: Course::default(),
        turns: vec![TurnScript {
            anchor: Anchor::CallStart,
            delay: Duration::ZERO,
            timeout: Duration::MAX,
            frames: usize::MAX,
            speech_end: Duration::MAX,
            ..TURN
        }],
    };
    let mut driver = Driver::new(&script);
    driver.step(&Step::Joined);
    driver.step(&Step::Subscribed);
    driver.slots(100);
    let (result, _) = driver.finish();
    assert_eq!(result.turns[0].outcome, Outcome::CutOff);
    assert!(result.turns[0].media_start.is_some());
}
