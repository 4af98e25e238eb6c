//! A simulated agent and the clock that drives a call against it.
//!
//! Invariants: virtual time only; the agent sends a packet every 20 ms from its subscription on;
//! the ear reports a talk spurt with the delays of the real ear.

use crate::audio::{
    Confidence, FRAME_TIME, Heard, HeardAt, Onset, PAUSE, Packet, SPURT_GAP, Segment,
};
use crate::call::{
    Anchor, Call, CallEvent, CallResult, CallScript, Course, Expect, Failure, Flag, GreetingPolicy,
    Input, OnAgentLeft, Outcome, Phase, ReplyText, Say, TextPart, TurnResult, TurnScript,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How long it takes to send a text, unless a test says otherwise.
pub(super) const SENDING: Duration = ms(3);
/// How long a part of a text is held back.
const HELD: Duration = ms(480);

/// Speech from 100 ms to 1,910 ms of a 2 s utterance; timeout 2 s.
pub(super) const TURN: TurnScript = TurnScript {
    anchor: Anchor::AgentSpeechEnd,
    silence: SPURT_GAP,
    delay: ms(300),
    expect: Expect::Respond,
    timeout: ms(2000),
    frames: 100,
    speech_start: ms(100),
    speech_end: ms(1910),
    segments: None,
    filler: None,
    awkward: ms(3000),
};

/// A first turn that waits only for the start of the call.
pub(super) const FIRST: TurnScript = TurnScript {
    anchor: Anchor::CallStart,
    ..TURN
};

pub(super) fn script(turns: &[TurnScript]) -> CallScript {
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: ms(30_000),
        on_agent_left: OnAgentLeft::Fail,
        course: Course::default(),
        turns: turns.to_vec(),
    }
}

/// An action of the agent in a turn. Times are in ms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Speaks: start after the caller's end of speech (before it, if negative), and length.
    Say(i64, u64),
    /// Stops speaking this long after the caller's first speech sample.
    Stop(u64),
    /// Writes from so long after the caller's text was sent until so long after it.
    Write(u64, u64),
}

/// Behaviour of the agent and the server.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) joined: Duration,
    pub(super) subscribed: Duration,
    /// Talk spurts: start after the subscription and length, in ms.
    pub(super) unprompted: Vec<(u64, u64)>,
    /// The agent's actions, by turn.
    pub(super) acts: Vec<Vec<Act>>,
    pub(super) send_lateness: Duration,
    /// How long it takes to send a text.
    pub(super) sending: Duration,
    /// The agent's packets stop at the end of each talk spurt.
    pub(super) breaks_off: bool,
    pub(super) kernel_stamp: bool,
    pub(super) confidence: Confidence,
    pub(super) loss: Option<Duration>,
    /// Extra delay of the ear's reports.
    pub(super) ear_lag: Duration,
    /// Any other inputs, each with its time after the start of the call.
    pub(super) inputs: Vec<(Duration, Input<'static>)>,
    pub(super) until: Duration,
}

impl Default for World {
    fn default() -> Self {
        Self {
            joined: ms(150),
            subscribed: ms(400),
            unprompted: Vec::new(),
            acts: Vec::new(),
            send_lateness: Duration::ZERO,
            sending: SENDING,
            breaks_off: false,
            kernel_stamp: true,
            confidence: Confidence::High,
            loss: None,
            ear_lag: Duration::ZERO,
            inputs: Vec::new(),
            until: Duration::from_secs(180),
        }
    }
}

/// The outcome of a simulated call.
pub(super) struct Played {
    pub(super) start: Instant,
    pub(super) result: CallResult,
    pub(super) ended: Vec<TurnResult>,
    pub(super) phases: Vec<Phase>,
    pub(super) says: Vec<(Instant, usize, usize)>,
}

impl Played {
    pub(super) fn turn(&self, index: usize) -> &TurnResult {
        &self.result.turns[index]
    }

    /// When a turn's media started, after the start of the call.
    pub(super) fn media_start(&self, index: usize) -> Duration {
        self.turn(index).media_start.expect("a started turn") - self.start
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let turns = self.result.turns.iter();
        turns.map(|t| t.outcome).collect()
    }

    pub(super) fn flags(&self, index: usize) -> &[Flag] {
        &self.turn(index).flags
    }
}

struct Sim {
    world: World,
    script: CallScript,
    subscribed: Instant,
    queue: BTreeMap<(Instant, u32), Input<'static>>,
    sequence: u32,
}

impl Sim {
    fn at(&mut self, at: Instant, input: Input<'static>) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), input);
    }

    /// Places an instant in the agent's stream.
    fn place(&self, at: Instant) -> HeardAt {
        let since = at.saturating_duration_since(self.subscribed);
        let offset = Duration::from_nanos((since.as_nanos() % FRAME_TIME.as_nanos()) as u64);
        HeardAt {
            arrival: at - offset,
            offset,
        }
    }

    fn speak(&mut self, from: Instant, length: Duration) {
        let lag = self.world.ear_lag;
        let trigger = Heard::Triggered {
            at: self.place(from + ms(30)),
        };
        let onset = Onset {
            at: self.place(from),
            confidence: self.world.confidence,
            earlier_by_loss: self.world.loss,
            later_by_loss: None,
            snr_db: 40.0,
            segment: Segment::default(),
            after: None,
        };
        self.at(from + ms(60) + lag, Input::Heard(0, trigger));
        let sure = ms(530).min(length + ms(600));
        self.at(from + sure + lag, Input::Heard(0, Heard::Onset(onset)));
        self.end(from + length);
    }

    fn end(&mut self, last: Instant) {
        let last_audible = self.place(last);
        let lag = ms(5) + self.world.ear_lag;
        let paused = Heard::Paused {
            last_audible,
            hard: false,
        };
        self.at(last + PAUSE + lag, Input::Heard(0, paused));
        let ended = Heard::Ended {
            last_audible,
            broke_off: self.world.breaks_off,
        };
        self.at(last + SPURT_GAP + lag, Input::Heard(0, ended));
    }

    /// The caller sends its text in the slot due at `due`; the agent reacts.
    fn text(&mut self, turn: usize, due: Instant) {
        let sent = due + self.world.sending;
        self.at(sent, Input::TextSent { turn, at: sent });
        for act in self.world.acts.get(turn).cloned().unwrap_or_default() {
            match act {
                Act::Say(after, length) => {
                    self.speak(sent + ms(after.unsigned_abs()), ms(length));
                }
                Act::Write(from, to) => self.write(sent + ms(from), sent + ms(to)),
                Act::Stop(_) => {}
            }
        }
    }

    /// Parts of texts are passed on some time after their arrival.
    fn write(&mut self, from: Instant, to: Instant) {
        self.sequence += 1;
        let stream = self.sequence.into();
        for (at, part) in [(from, TextPart::First), (to, TextPart::End)] {
            let text = ReplyText {
                stream,
                opened: from,
                at,
                part,
            };
            self.at(at + HELD, Input::ReplyText(text));
        }
    }

    /// What the agent does once it hears turn `turn` begin.
    fn react(&mut self, turn: usize, media_start: Instant) {
        let script = self.script.turns[turn].clone();
        for act in self.world.acts.get(turn).cloned().unwrap_or_default() {
            match act {
                Act::Say(offset, length) => {
                    let end = media_start + script.speech_end;
                    let by = ms(offset.unsigned_abs());
                    let from = if offset < 0 { end - by } else { end + by };
                    self.speak(from, ms(length));
                }
                Act::Stop(after) => {
                    let is_end = |i: &Input<'_>| {
                        matches!(
                            i,
                            Input::Heard(_, Heard::Paused { .. } | Heard::Ended { .. })
                        )
                    };
                    self.queue.retain(|_, input| !is_end(input));
                    self.end(media_start + script.speech_start + ms(after));
                }
                Act::Write(from, to) => {
                    let end = media_start + script.speech_end;
                    self.write(end + ms(from), end + ms(to));
                }
            }
        }
    }
}

/// Plays a call to its end, or to the world's `until`.
pub(super) fn play(script: CallScript, world: World) -> Played {
    play_from(script, |_| world)
}

/// Like [`play`], with a world that is built from the instant at which the call starts.
pub(super) fn play_from(script: CallScript, world: impl FnOnce(Instant) -> World) -> Played {
    let start = Instant::now();
    let world = world(start);
    let mut sim = Sim {
        subscribed: start + world.subscribed,
        script: script.clone(),
        queue: BTreeMap::new(),
        sequence: 0,
        world,
    };
    let world = sim.world.clone();
    sim.at(start + world.joined, Input::Joined);
    sim.at(start + world.subscribed, Input::AgentAudible);
    for (at, input) in world.inputs {
        sim.at(start + at, input);
    }
    for (after, length) in world.unprompted {
        sim.speak(sim.subscribed + ms(after), ms(length));
    }
    let packets = (world.until.saturating_sub(world.subscribed)).as_millis() / 20;
    for n in 0..u32::try_from(packets).expect("a short simulation") {
        let arrival = sim.subscribed + FRAME_TIME * n;
        let packet = Packet {
            arrival,
            kernel_stamp: world.kernel_stamp,
            rtp_time: (u32::MAX - 5000).wrapping_add(960 * n),
            sequence: n.into(),
            level: None,
            payload: &[],
        };
        sim.at(arrival, Input::Packet(0, packet));
    }
    run(sim, Call::new(script, start), start)
}

fn run(mut sim: Sim, mut call: Call, start: Instant) -> Played {
    let mut now = start;
    let mut due = start + sim.world.joined + ms(7);
    let (mut says, mut ended, mut phases) = (Vec::new(), Vec::new(), Vec::new());
    let end = start + sim.world.until;
    while !call.is_done() && now < end {
        let input_at = sim.queue.first_key_value().map_or(end, |(k, _)| k.0);
        let timeout_at = call.poll_timeout().map_or(end, |t| t.max(now));
        if input_at <= due && input_at <= timeout_at {
            now = input_at.min(end);
            if let Some((_, input)) = sim.queue.pop_first() {
                call.handle(now, input);
            }
        } else if due <= timeout_at {
            now = due;
            match call.tick(due) {
                Say::Utterance { turn, frame } => {
                    says.push((due, turn, frame));
                    if frame == 0 {
                        sim.react(turn, due - FRAME_TIME);
                    }
                }
                Say::Text { turn } => sim.text(turn, due),
                Say::Silence => {}
            }
            call.sent(due, due + sim.world.send_lateness);
            due += FRAME_TIME;
        } else {
            now = timeout_at;
            call.handle(now, Input::Timeout);
            let next = call.poll_timeout();
            assert!(next.is_none_or(|t| t > now), "spins at {:?}", now - start);
        }
        while let Some(event) = call.poll_event() {
            match event {
                CallEvent::Phase(phase) => phases.push(phase),
                CallEvent::TurnEnded(result) => ended.push(result),
                CallEvent::TurnAmended(result) => {
                    let index = result.turn;
                    ended[index] = result;
                }
            }
        }
    }
    Played {
        start,
        result: call.finish(now),
        ended,
        phases,
        says,
    }
}

pub(super) fn dropped() -> Failure {
    Failure::Dropped {
        detail: "test".to_owned(),
    }
}
