//! A call: joins, waits for its agent, takes its turns, and is over.
//!
//! In: [`Input`]s and send slots, each with its instant. Out: what to say, [`CallEvent`]s,
//! the next instant at which to wake it, a [`CallResult`].
//! Holds: every planned turn ends exactly once; nothing fires before its instant.

use super::anchor::{Before, Known, Standing};
use super::playout::PlayoutModel;
use super::spurts::Spurts;
use super::turn::{Turn, unstarted};
use super::types::{CallResult, CallScript, Failure, Flag, Outcome, TurnResult};
use super::{Anchor, CallEvent, GreetingPolicy, Input, Phase, Say, later};
use crate::audio::{FRAME_TIME, Heard, Onset};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The next turn's start, once its anchor has come.
#[derive(Debug, Clone, Copy)]
struct Planned {
    at: Instant,
    /// The anchor's bound fired, not the anchor.
    doubt: bool,
}

/// A call's state machine. Sans-IO: instants come in, nothing is waited for inside.
///
/// The agent's ear ends a spurt after 700 ms of silence, so a reply that follows the end of
/// what it interrupts sooner than that is heard as part of it, and the turn as missed.
#[derive(Debug, Clone)]
pub struct Call {
    script: CallScript,
    start: Instant,
    joined: Option<Instant>,
    subscribed: Option<Instant>,
    greeting: Option<Duration>,
    failure: Option<Failure>,
    echoes: usize,
    playout: PlayoutModel,
    spurts: Spurts,
    /// Turns under way: the last one speaks or listens, earlier ones await a judgement.
    turns: VecDeque<Turn>,
    /// Turns begun; the index of the next one.
    begun: usize,
    planned: Option<Planned>,
    /// The last turn that ended or began.
    before: Option<Before>,
    results: Vec<Option<TurnResult>>,
    phase: Phase,
    events: VecDeque<CallEvent>,
}

impl Call {
    /// A call that was planned to start at `start`; join times count from there.
    pub fn new(script: CallScript, start: Instant) -> Self {
        let mut call = Self {
            results: vec![None; script.turns.len()],
            script,
            start,
            joined: None,
            subscribed: None,
            greeting: None,
            failure: None,
            echoes: 0,
            playout: PlayoutModel::new(),
            spurts: Spurts::default(),
            turns: VecDeque::new(),
            begun: 0,
            planned: None,
            before: None,
            phase: Phase::Joining,
            events: VecDeque::new(),
        };
        call.note_phase();
        call
    }

    /// Takes in what happened. `now` never goes back from one input to the next.
    /// Once [`Call::is_done`], inputs change nothing.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.is_done() {
            return;
        }
        let mut bounds_until = None;
        match input {
            Input::Joined => _ = self.joined.get_or_insert(now),
            Input::AgentSubscribed => _ = self.subscribed.get_or_insert(now),
            Input::AgentLeft => self.agent_left(now),
            Input::Packet(packet) => _ = self.playout.packet(packet),
            Input::Heard(heard) => self.heard(now, &heard),
            Input::Failed(failure) => self.fail(failure),
            Input::Timeout => {
                self.timeout(now);
                bounds_until = Some(now);
            }
        }
        self.settle(bounds_until);
    }

    /// Says what goes into the send slot due at `due`. Called once for every slot from
    /// [`Input::Joined`] on; slots are 20 ms apart.
    pub fn tick(&mut self, due: Instant) -> Say {
        if self.is_done() || self.joined.is_none() {
            return Say::Silence;
        }
        if self.turns.back().is_none_or(Turn::is_said) {
            self.start_if_due(due);
        }
        let turn = self.begun.saturating_sub(1);
        let frame = self.turns.back_mut().and_then(|t| t.frame(due));
        self.settle(None);
        frame.map_or(Say::Silence, |frame| Say::Utterance { turn, frame })
    }

    /// Takes in when the packet of the slot due at `due` really went out.
    pub fn sent(&mut self, due: Instant, actual: Instant) {
        for turn in &mut self.turns {
            turn.sent(due, actual);
        }
    }

    /// The next instant at which [`Input::Timeout`] is wanted; given again after every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        let turns = self.turns.iter().map(|t| t.poll_timeout(&self.spurts));
        let anchor = match self.standing() {
            Some(Standing::Waits { until, .. }) => until,
            _ => None,
        };
        let waits = turns.chain([self.agent_bound(), anchor]);
        waits.flatten().min()
    }

    /// The next turn begins with the agent's next words: they should be told of at once.
    pub fn awaits_speech_start(&self) -> bool {
        let next = self.script.turns.get(self.begun);
        !self.is_done() && next.is_some_and(|turn| turn.anchor == Anchor::AgentSpeechStart)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// How long a jitter buffer would have held the last packet back.
    pub fn hold(&self) -> Option<Duration> {
        self.playout.newest()
    }

    /// Where the call stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// All turns have ended, or the call failed: time to hang up.
    pub fn is_done(&self) -> bool {
        self.failure.is_some() || self.results.iter().all(Option::is_some)
    }

    /// What came of the call, with what is due by `now` settled first. Turns that have not
    /// ended are failed, as by [`Failure::Stopped`].
    pub fn finish(mut self, now: Instant) -> CallResult {
        self.handle(now, Input::Timeout);
        if !self.is_done() {
            self.fail(Failure::Stopped);
        }
        let since_start = |at: Instant| at.saturating_duration_since(self.start);
        CallResult {
            join: self.joined.map(since_start),
            agent_join: self.subscribed.map(since_start),
            greeting: self.greeting,
            failure: self.failure,
            echoes: self.echoes,
            // All are there: `fail` leaves none out, and so does a call that is done.
            turns: self.results.into_iter().flatten().collect(),
        }
    }

    /// When the agent's absence fails the call.
    fn agent_bound(&self) -> Option<Instant> {
        let waiting = self.joined.filter(|_| self.subscribed.is_none());
        waiting.map(|joined| later(joined, self.script.agent_timeout))
    }

    fn timeout(&mut self, now: Instant) {
        if self.agent_bound().is_some_and(|bound| now >= bound) {
            let waited = self.script.agent_timeout;
            self.fail(Failure::AgentAbsent { waited });
        }
        for turn in &mut self.turns {
            turn.timeout(now, &self.spurts);
        }
    }

    fn heard(&mut self, now: Instant, heard: &Heard) {
        let spurt = self.spurts.heard(now, heard);
        match *heard {
            Heard::Triggered { .. } => {}
            Heard::Dismissed => self.echoes += 1,
            Heard::Onset(onset) => {
                self.greet(&onset);
                let held = self.playout.at(onset.at.arrival);
                for turn in &mut self.turns {
                    if turn.onset(onset, held) {
                        break;
                    }
                }
            }
            Heard::Ended { last_audible } => {
                let Some(spurt) = spurt else { return };
                let held = self.playout.at(last_audible.arrival);
                for turn in &mut self.turns {
                    turn.ended(&spurt, last_audible.wire(), held);
                }
            }
        }
    }

    /// The agent's first words are a greeting while nobody has spoken to it.
    fn greet(&mut self, onset: &Onset) {
        let at = onset.at.wire();
        let first = self.greeting.is_none() && self.spurts.first_end.is_none();
        let spoken_to = self.before.is_some_and(|b| b.media_start <= at);
        if self.script.greeting == GreetingPolicy::Expect && first && !spoken_to {
            let since = self.subscribed.and_then(|s| at.checked_duration_since(s));
            self.greeting = since;
        }
    }

    /// An agent that leaves during its last reply has ended it.
    fn agent_left(&mut self, now: Instant) {
        for turn in &mut self.turns {
            turn.leave_reply(now);
        }
        self.collect();
        if !self.is_done() {
            self.fail(Failure::AgentLeft);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        let under_way = self.begun - self.turns.len();
        for (turn, index) in std::mem::take(&mut self.turns).into_iter().zip(under_way..) {
            self.record(index, turn.finish());
        }
        for index in self.begun..self.script.turns.len() {
            let mut result = unstarted(index, self.script.turns[index].expect);
            // Only the next turn can have been planned.
            result.planned = self.planned.take().map(|p| p.at);
            self.record(index, result);
        }
    }

    /// Ends what is over and plans what can be planned; bounds fire up to `bounds_until`.
    fn settle(&mut self, bounds_until: Option<Instant>) {
        self.collect();
        self.plan(bounds_until);
        self.note_phase();
    }

    fn collect(&mut self) {
        // In order: a turn ends after the ones before it.
        while let Some(over) = self.turns.front().and_then(Turn::over) {
            let Some(turn) = self.turns.pop_front() else {
                return;
            };
            let index = self.begun - self.turns.len() - 1;
            if let Some(before) = self.before.as_mut().filter(|_| self.turns.is_empty()) {
                before.over = Some(over);
            }
            self.record(index, turn.finish());
        }
    }

    fn record(&mut self, index: usize, mut result: TurnResult) {
        let before = index.checked_sub(1).and_then(|i| self.results[i].as_ref());
        if before.is_some_and(|b| b.outcome == Outcome::Missed) && result.media_start.is_some() {
            result.flags.push(Flag::AfterMissed);
            result.flags.sort_unstable();
        }
        self.events.push_back(CallEvent::TurnEnded(result.clone()));
        self.results[index] = Some(result);
    }

    /// Where the next turn's anchor stands; `None` when there is none to wait for.
    fn standing(&self) -> Option<Standing> {
        let next = self.script.turns.get(self.begun)?;
        if self.planned.is_some() || self.is_done() {
            return None;
        }
        let (joined, subscribed) = self.joined.zip(self.subscribed)?;
        let known = Known {
            greeting: self.script.greeting,
            call_start: joined.max(subscribed),
            subscribed,
            first_timeout: self.script.turns[0].timeout,
            before: self.before,
            spurts: &self.spurts,
        };
        Some(known.standing(next.anchor))
    }

    fn plan(&mut self, bounds_until: Option<Instant>) {
        let (anchor, doubt) = match self.standing() {
            Some(Standing::Came(at)) => (at, false),
            Some(Standing::Waits {
                until: Some(until),
                doubt,
            }) if bounds_until.is_some_and(|now| now >= until) => (until, doubt),
            _ => return,
        };
        let at = later(anchor, self.script.turns[self.begun].delay);
        self.planned = Some(Planned { at, doubt });
    }

    /// Begins the next turn if its first frame belongs into the slot due at `due`.
    fn start_if_due(&mut self, due: Instant) {
        let due_now = |p: &Planned| due.checked_sub(FRAME_TIME).is_some_and(|t0| t0 >= p.at);
        let Some(planned) = self.planned.take_if(|p| due_now(p)) else {
            return;
        };
        let index = self.begun;
        let script = self.script.turns[index].clone();
        let mut turn = Turn::start(index, script, planned.at, due);
        if planned.doubt {
            turn.flag(Flag::AnchorTimeout);
        }
        for earlier in &mut self.turns {
            earlier.supersede(turn.media_start);
        }
        self.before = Some(Before {
            media_start: turn.media_start,
            speech_end: turn.speech_end,
            deadline: turn.deadline,
            over: None,
        });
        self.turns.push_back(turn);
        self.begun += 1;
    }

    fn note_phase(&mut self) {
        let phase = self.phase_now();
        if phase != self.phase {
            self.phase = phase;
            self.events.push_back(CallEvent::Phase(phase));
        }
    }

    fn phase_now(&self) -> Phase {
        if self.failure.is_some() {
            return Phase::Failed;
        }
        if self.is_done() {
            return Phase::Done;
        }
        match (self.joined, self.subscribed, self.turns.back()) {
            (None, ..) => Phase::Joining,
            (_, None, _) => Phase::WaitingForAgent,
            (.., None) => Phase::Waiting,
            (.., Some(turn)) if !turn.is_said() => Phase::Speaking,
            (.., Some(turn)) if turn.is_listening() => Phase::Listening,
            _ => Phase::AwaitingReply,
        }
    }
}
