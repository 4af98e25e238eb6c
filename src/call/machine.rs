//! The state machine of one call: join, wait for the agent, take every turn, end.
//!
//! In: [`Input`]s and send slots, each with its instant. Out: the audio to send in each slot,
//! [`CallEvent`]s, the instant at which the call next needs to be woken, a [`CallResult`].
//! Invariants: every planned turn ends exactly once, in order; nothing fires before its instant.

mod going_on;

use super::anchor::{AnchorState, Before, Known};
use super::course::{Ahead, Choice, Path};
use super::floor::Floor;
use super::late::Owed;
use super::playout::{Held, Playouts};
use super::span::Span;
use super::states::States;
use super::talk::{News, Stretch, Talk};
use super::turn::Turn;
use super::types::{CallResult, CallScript, Failure, TurnResult};
use super::{CallEvent, Input, Phase, Say, StreamId, later};
use crate::audio::{FRAME_TIME, Heard, HeardAt, Onset};
use crate::vocab::{AgentState, Anchor, Flag, GreetingPolicy, OnAgentLeft, Outcome};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The start of the caller's next step, once its anchor has fired.
#[derive(Debug, Clone, Copy)]
struct Planned {
    at: Instant,
    /// Whether the anchor's bound passed before the anchor fired.
    doubt: bool,
}

/// Time after which an agent that came back is assumed to receive the caller's audio.
const SETTLES: Duration = Duration::from_millis(500);

/// A call's state machine. Sans-IO: every instant is an argument, and nothing blocks inside.
#[derive(Debug, Clone)]
pub struct Call {
    script: CallScript,
    start: Instant,
    joined: Option<Instant>,
    /// When an agent was first in the room.
    present: Option<Instant>,
    /// When an audio track of the agent was first subscribed.
    audible: Option<Instant>,
    /// When the last agent left the room, until an agent comes back.
    absent: Option<Instant>,
    /// No turn starts before this instant, because an agent has just come back.
    settles: Option<Instant>,
    greeting: Option<Duration>,
    /// The stream on which the greeting was heard.
    greeted_on: Option<StreamId>,
    failure: Option<Failure>,
    echoes: usize,
    /// Who spoke for how long, up to `floor_until`.
    floor: Floor,
    floor_until: Option<Instant>,
    playouts: Playouts,
    talk: Talk,
    states: States,
    /// The stream on which the agent was last heard.
    heard_on: Option<StreamId>,
    /// The last turn, if it missed its reply.
    owed: Option<Owed>,
    /// Turns in progress. All but the last only wait to be judged.
    turns: VecDeque<Turn>,
    path: Path,
    /// What the caller does next.
    ahead: Ahead,
    /// The last turn, if its branches have yet to be decided.
    choice: Option<Choice>,
    /// The next step's start, once its anchor has fired.
    planned: Option<Planned>,
    /// The turn that started last.
    before: Option<Before>,
    /// The results of the first `recorded` turns.
    results: Vec<Option<TurnResult>>,
    recorded: usize,
    phase: Phase,
    events: VecDeque<CallEvent>,
}

impl Call {
    /// Creates a call that was planned to start at `start`; join times are measured from `start`.
    pub fn new(mut script: CallScript, start: Instant) -> Self {
        let course = std::mem::take(&mut script.course);
        let path = Path::new(course, script.turns.len());
        let mut call = Self {
            results: vec![None; script.turns.len()],
            recorded: 0,
            ahead: path.first(),
            path,
            choice: None,
            script,
            start,
            joined: None,
            present: None,
            audible: None,
            absent: None,
            settles: None,
            greeting: None,
            greeted_on: None,
            failure: None,
            echoes: 0,
            floor: Floor::default(),
            floor_until: None,
            playouts: Playouts::default(),
            talk: Talk::default(),
            states: States::default(),
            heard_on: None,
            owed: None,
            turns: VecDeque::new(),
            planned: None,
            before: None,
            phase: Phase::Joining,
            events: VecDeque::new(),
        };
        call.note_phase();
        call
    }

    /// Processes an input. `now` must not decrease from one input to the next.
    /// Once [`Call::is_done`], inputs have no effect.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.is_done() {
            return;
        }
        let mut bounds_until = None;
        match input {
            Input::Joined => _ = self.joined.get_or_insert(now),
            Input::AgentPresent => self.agent_present(now),
            Input::AgentAudible => {
                self.agent_present(now);
                self.audible.get_or_insert(now);
            }
            Input::AgentState(state) => self.agent_state(now, state),
            Input::AgentLeft => self.agent_left(now),
            Input::Packet(stream, packet) => _ = self.playouts.packet(stream, &packet),
            Input::Heard(stream, heard) => self.heard(now, stream, &heard),
            Input::TakenAway(stream) => self.talk.taken_away(stream),
            Input::Abandoned(stream) => {
                self.talk.abandon(stream);
                self.end_what_is_over();
            }
            Input::NotAgent(stream) => self.disown(now, stream),
            Input::TextSent { turn, at } => self.text_sent(turn, at),
            Input::ReplyText(text) => {
                let of = |turn: &&mut Turn| turn.covers(text.opened);
                if let Some(turn) = self.turns.iter_mut().rev().find(of) {
                    turn.reply_text(text);
                }
            }
            Input::UtteranceLost(turn) => self.utterance_lost(turn),
            Input::ReplyMatches(known) => self.reply_matches(now, known),
            Input::Failed(failure) if self.is_expected(now, &failure) => {}
            Input::Failed(failure) => self.fail(now, failure),
            Input::Timeout => {
                self.timeout(now);
                bounds_until = Some(now);
            }
        }
        self.settle(now, bounds_until);
    }

    /// Returns the audio to send in the slot due at `due`. Call this once for every slot from
    /// [`Input::Joined`] on; slots are 20 ms apart.
    pub fn tick(&mut self, due: Instant) -> Say {
        if self.is_done() || self.joined.is_none() {
            return Say::Silence;
        }
        if self.turns.back().is_none_or(Turn::is_said) && !self.leave_if_due(due) {
            self.start_if_due(due);
        }
        let turn = self.turns.back().map_or(0, Turn::index);
        let text = self.turns.back_mut().is_some_and(Turn::take_text);
        let frame = self.turns.back_mut().and_then(|t| t.frame(due));
        self.settle(due, None);
        match frame {
            Some(frame) => Say::Utterance { turn, frame },
            None if text => Say::Text { turn },
            None => Say::Silence,
        }
    }

    /// Records when the packet of the slot due at `due` was actually sent.
    pub fn sent(&mut self, due: Instant, actual: Instant) {
        for turn in &mut self.turns {
            turn.sent(due, actual);
        }
    }

    /// The next instant at which [`Input::Timeout`] is due; poll again after every input.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        let turns = self.turns.iter().map(|t| t.poll_timeout(&self.talk));
        let anchor = self.standing().and_then(AnchorState::bound);
        let anchor = anchor.map(|(until, _)| until);
        let choice = self.choice.as_ref().map(|choice| choice.until);
        let waits = turns.chain([self.agent_bound(), anchor, choice, self.hangs_up_at()]);
        waits.flatten().min()
    }

    /// Whether the anchor of the caller's next step is the start of the agent's speech. If it is, a
    /// talk spurt should be reported without delay.
    pub(crate) fn awaits_speech_start(&self) -> bool {
        let next = self.next_step();
        !self.is_done() && next.is_some_and(|next| next.anchor == Anchor::AgentSpeechStart)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// Time for which a jitter buffer would have held back the latest packet of a stream.
    pub(crate) fn hold(&self, stream: StreamId) -> Option<Duration> {
        self.playouts.newest(stream)
    }

    /// Whether a turn in progress was judged by `onset`.
    pub(crate) fn was_judged_by(&self, onset: &Onset) -> bool {
        self.turns.iter().any(|turn| turn.was_judged_by(onset))
    }

    /// Whether all turns have ended or the call has failed, so that the caller can hang up.
    pub fn is_done(&self) -> bool {
        self.failure.is_some() || self.recorded == self.results.len()
    }

    /// Handles the timeouts due by `now` and returns the call's result. A call that is not done at
    /// `now` ends with [`Failure::Stopped`].
    pub fn finish(mut self, now: Instant) -> CallResult {
        self.handle(now, Input::Timeout);
        if !self.is_done() {
            self.fail(now, Failure::Stopped);
        }
        self.measure_floor(now);
        let dead_air = self.dead_air(now);
        let since_start = |at: Instant| at.saturating_duration_since(self.start);
        CallResult {
            join: self.joined.map(since_start),
            agent_present: self.present.map(since_start),
            agent_audible: self.audible.map(since_start),
            greeting: self.greeting,
            failure: self.failure,
            echoes: self.echoes,
            floor: self.floor,
            dead_air,
            // Every turn has a result: the call is done, or `fail` has filled in the rest.
            turns: self.results.into_iter().flatten().collect(),
        }
    }

    /// Adds the speech since the last turn began, up to `until`.
    fn measure_floor(&mut self, until: Instant) {
        let from = self.floor_until.or(self.joined).unwrap_or(until);
        self.floor_until = Some(until);
        let window = Span { from, to: until };
        let caller = self.before.filter(|before| !before.is_text);
        let caller = caller.map_or(Vec::new(), |before| {
            self.script.turns[before.turn].speech(before.media_start)
        });
        let passages = self.talk.passages();
        let agent = passages.iter().map(|p| p.played(until)).collect();
        self.floor.add(Floor::of(window, caller, agent));
    }

    /// How long nobody had spoken at `now`, if the agent owes the reply to the call's last turn.
    fn dead_air(&self, now: Instant) -> Option<Duration> {
        let last = self.results.last()?.as_ref()?;
        let owed = last.outcome == Outcome::Missed && last.expect.asks_for_reply();
        let spoke = last.speech_end.filter(|_| owed)?;
        let agent = self.talk.passages().last().map(|p| p.played(now).to);
        Some(now.saturating_duration_since(agent.map_or(spoke, |at| at.max(spoke))))
    }

    /// The instant at which the call fails because no agent is in the room.
    fn agent_bound(&self) -> Option<Instant> {
        let waiting = self.joined.filter(|_| self.present.is_none());
        let since = waiting.or(self.absent)?;
        Some(later(since, self.script.agent_timeout))
    }

    fn timeout(&mut self, now: Instant) {
        if self.hangs_up_at().is_some_and(|at| now >= at) {
            return self.hang_up(now);
        }
        if self.agent_bound().is_some_and(|bound| now >= bound) {
            let waited = self.script.agent_timeout;
            let failure = match self.absent {
                Some(_) => Failure::AgentLeft,
                None => Failure::AgentAbsent { waited },
            };
            return self.fail(now, failure);
        }
        let owed_by_nobody =
            |turn: &Turn| turn.is_open() && !turn.awaits_sending() && now >= turn.deadline;
        if self.absent.is_some() && self.turns.iter().any(owed_by_nobody) {
            return self.fail(now, Failure::AgentLeft);
        }
        for turn in &mut self.turns {
            turn.timeout(now, &self.talk, &self.states);
        }
        self.choose(now);
    }

    fn heard(&mut self, now: Instant, stream: StreamId, heard: &Heard) {
        self.echoes += usize::from(*heard == Heard::Dismissed);
        match self.talk.heard(now, stream, heard, &self.states) {
            None => {}
            Some(News::Onset(stretch)) => {
                if let Some(held) = stretch.onset.and_then(|o| self.held(&stretch, o.at)) {
                    self.talk.held(&stretch, |holds| holds.first = held.hold);
                }
                self.onset(now, &stretch);
            }
            Some(News::Ended(stretch)) => self.ended(&stretch),
        }
    }

    fn agent_state(&mut self, now: Instant, state: AgentState) {
        self.states.take(now, state);
        if state != AgentState::Speaking
            && let Some(stretch) = self.talk.no_longer_speaks()
        {
            self.ended(&stretch);
        }
    }

    /// Handles a stream that turned out not to carry the agent's voice. Turns in progress that were
    /// judged by that stream are judged again by the speech on the other streams.
    fn disown(&mut self, now: Instant, stream: StreamId) {
        let new = self.talk.disown(stream, &self.states);
        self.heard_on = self.heard_on.filter(|on| *on != stream);
        if self.greeted_on == Some(stream) {
            (self.greeted_on, self.greeting) = (None, None);
        }
        for turn in &mut self.turns {
            turn.disown(now, stream);
        }
        for (stretch, became_new) in &new {
            if *became_new {
                self.onset(now, stretch);
            } else {
                self.greet(stretch);
                self.offer(stretch, Turn::is_reopened);
            }
        }
        self.end_what_is_over();
    }

    /// Offers the start of a stretch to the turns that `may_take` it, oldest first; returns
    /// whether a turn took the stretch as its reply.
    fn offer(&mut self, stretch: &Stretch, may_take: fn(&Turn) -> bool) -> bool {
        let held = stretch.onset.and_then(|o| self.held(stretch, o.at));
        let mut turns = self.turns.iter_mut().filter(|turn| may_take(turn));
        turns.any(|turn| turn.onset(stretch, &self.talk, held))
    }

    /// Ends replies whose end was masked by another stream.
    fn end_what_is_over(&mut self) {
        if let Some(stretch) = self.talk.last_over() {
            self.ended(&stretch);
        }
    }

    /// Handles the end of a stretch of the agent's speech: a pause, or the end of the spurt.
    fn ended(&mut self, stretch: &Stretch) {
        let held = stretch.end.and_then(|end| self.held(stretch, end));
        if let Some(held) = held {
            self.talk.held(stretch, |holds| holds.last = held.hold);
        }
        for turn in &mut self.turns {
            turn.ended(stretch, (&self.talk, &self.states), held);
        }
    }

    /// The turn in progress with this index.
    fn in_progress(&mut self, index: usize) -> Option<&mut Turn> {
        self.turns.iter_mut().find(|turn| turn.index() == index)
    }

    /// The text of a turn was sent: what follows is measured from there.
    fn text_sent(&mut self, index: usize, at: Instant) {
        let Some(turn) = self.in_progress(index) else {
            return;
        };
        turn.text_sent(at);
        let (start, end, deadline) = (turn.media_start, turn.speech_end, turn.deadline);
        let is_latest = self.turns.back().is_some_and(|turn| turn.index() == index);
        if let Some(before) = self.before.as_mut().filter(|_| is_latest) {
            (before.media_start, before.speech_end, before.deadline) = (start, end, deadline);
        }
    }

    /// Flags a turn whose utterance the agent may not have heard in full; amends it if it is over.
    fn utterance_lost(&mut self, index: usize) {
        let flag = Flag::UtteranceLost;
        if let Some(turn) = self.in_progress(index) {
            return turn.flag_once(flag);
        }
        let owed = self.owed.as_mut().map(|owed| &mut owed.turn);
        if let Some(owed) = owed.filter(|owed| owed.turn == index) {
            owed.flag(flag);
        }
        self.amend_flag(index, flag);
    }

    fn held(&self, stretch: &Stretch, at: HeardAt) -> Option<Held> {
        self.playouts.at(stretch.stream, at.arrival)
    }

    /// Handles the onset of a stretch: the agent starts to speak, or resumes after a pause.
    fn onset(&mut self, now: Instant, stretch: &Stretch) {
        let Some(onset) = stretch.onset else { return };
        self.greet(stretch);
        let at = onset.at.wire();
        let changed = self.heard_on.replace(stretch.stream);
        if changed.is_some_and(|before| before != stretch.stream)
            && let Some(turn) = self.turns.back_mut()
        {
            turn.track_changed(at);
        }
        if self.came_late(stretch, at) {
            return;
        }
        if self.offer(stretch, |_| true) {
            self.owed = None;
        } else {
            // This onset may show that a turn missed its reply, and may itself be that late reply.
            self.collect(now);
            self.came_late(stretch, at);
        }
    }

    /// If the stretch is the reply that the last turn missed, amends that turn and returns true.
    fn came_late(&mut self, stretch: &Stretch, at: Instant) -> bool {
        if !stretch.is_new() {
            return false;
        }
        let next = self.turns.back().map(|turn| turn.media_start);
        let late = self.owed.as_ref();
        let Some(turn) = late.and_then(|owed| owed.comes(at, next, &self.states)) else {
            return false;
        };
        self.owed = None;
        let index = turn.turn;
        self.events.push_back(CallEvent::TurnAmended(turn.clone()));
        self.results[index] = Some(turn);
        true
    }

    /// Records the agent's first speech as its greeting if the caller has not spoken yet.
    fn greet(&mut self, stretch: &Stretch) {
        let Some(at) = stretch.onset.map(|onset| onset.at.wire()) else {
            return;
        };
        let first = self.greeting.is_none() && self.talk.first_end.is_none_or(|end| at <= end);
        let spoken_to = self.before.is_some_and(|b| b.media_start <= at);
        if self.script.greeting == GreetingPolicy::Expect && first && !spoken_to {
            let since = self.call_start().or(self.present);
            self.greeting = since.map(|since| at.saturating_duration_since(since));
            self.greeted_on = Some(stretch.stream);
        }
    }

    /// The first instant at which media was flowing and an agent was in the room.
    fn call_start(&self) -> Option<Instant> {
        let (joined, present) = self.joined.zip(self.present)?;
        Some(joined.max(present))
    }

    fn agent_present(&mut self, now: Instant) {
        self.present.get_or_insert(now);
        if self.absent.take().is_some() {
            self.settles = Some(later(now, SETTLES));
            for turn in &mut self.turns {
                turn.flag(Flag::AfterAgentLeft);
            }
        }
    }

    /// Handles the agent leaving. If it leaves during its reply to the call's last turn, that reply
    /// counts as ended.
    fn agent_left(&mut self, now: Instant) {
        if self.was_hung_up(now) {
            return;
        }
        let fails = self.script.on_agent_left == OnAgentLeft::Fail;
        let last = fails || self.is_last_turn();
        let speaking = self.talk.current().map(Stretch::began);
        for turn in self.turns.iter_mut().filter(|turn| turn.is_listening()) {
            // Speech that was under way when a text was sent is not the reply to it.
            if speaking.is_some_and(|began| !turn.is_text() || turn.covers(began)) {
                turn.flag(Flag::ReplyCutOff);
            }
            if last {
                turn.agent_left(now);
            }
        }
        self.collect(now);
        self.states = States::default();
        if let Some(stretch) = self.talk.no_longer_speaks() {
            self.ended(&stretch);
        }
        if self.is_done() {
            return;
        }
        match self.script.on_agent_left {
            OnAgentLeft::Fail => self.fail(now, Failure::AgentLeft),
            OnAgentLeft::Follow if self.present.is_some() => _ = self.absent.get_or_insert(now),
            OnAgentLeft::Follow => {}
        }
    }

    /// Ends the call. If the run was stopped, turns do not fail: the turn in progress is cut off, a
    /// turn whose reply had begun keeps its figures, and the remaining turns are not run.
    fn fail(&mut self, now: Instant, failure: Failure) {
        let stopped = (failure == Failure::Stopped).then_some(now);
        if stopped.is_some() {
            for turn in &mut self.turns {
                turn.cut_short(now);
            }
            self.collect(now);
            if self.is_done() {
                return;
            }
        }
        self.failure = Some(failure);
        for turn in std::mem::take(&mut self.turns) {
            let heard = (&self.talk, &self.states);
            let result = turn.finish(heard, now, stopped.is_some());
            self.record(result);
        }
        self.never_began(match stopped {
            Some(_) => Outcome::NotRun,
            None => Outcome::Failed,
        });
    }

    /// Records the turns that are over and plans the next turn. An anchor's bound takes effect if
    /// it is not after `bounds_until`.
    fn settle(&mut self, now: Instant, bounds_until: Option<Instant>) {
        for turn in &mut self.turns {
            turn.settle_text(now, &self.talk, &self.states);
            turn.settle_filler(now, &self.talk, &self.states);
        }
        self.collect(now);
        if self.turns.is_empty() && self.ahead == Ahead::Nothing {
            self.skip_before(self.script.turns.len());
        }
        self.plan(bounds_until);
        self.note_phase();
    }

    fn collect(&mut self, now: Instant) {
        // Turns are recorded in order: a turn that is over waits for the turns before it.
        while let Some(over) = self.turns.front().and_then(Turn::over) {
            let Some(turn) = self.turns.pop_front() else {
                return;
            };
            if let Some(before) = self.before.as_mut().filter(|_| self.turns.is_empty()) {
                before.over = Some(over);
            }
            let deadline = turn.deadline;
            let result = turn.finish((&self.talk, &self.states), now, false);
            let missed = result.outcome == Outcome::Missed && result.expect.asks_for_reply();
            let turn = self.record(result);
            self.turn_over(now, &turn, over);
            self.owed = missed.then_some(Owed { turn, deadline });
            // The last turn is no exception: without a track, no agent could have answered it.
            if missed && self.audible.is_none() && self.failure.is_none() {
                return self.fail(now, Failure::AgentSilent);
            }
        }
    }

    /// Records a turn's result and returns it, with the flag that depends on the turn before it.
    /// Turns that were passed over are recorded first.
    fn record(&mut self, mut result: TurnResult) -> TurnResult {
        self.skip_before(result.turn);
        let before = self.results[..result.turn].iter().rev().flatten();
        let before = { before }.find(|before| before.outcome != Outcome::Skipped);
        let owes = |b: &TurnResult| b.outcome == Outcome::Missed && b.late_reply.is_none();
        if before.is_some_and(owes) && result.media_start.is_some() {
            result.flags.push(Flag::AfterMissed);
            result.flags.sort_unstable();
        }
        self.push(result.clone());
        result
    }

    /// Reports the next result and keeps it.
    fn push(&mut self, result: TurnResult) {
        debug_assert_eq!(result.turn, self.recorded);
        self.recorded = result.turn + 1;
        self.events.push_back(CallEvent::TurnEnded(result.clone()));
        let turn = result.turn;
        self.results[turn] = Some(result);
    }

    /// State of the anchor of the caller's next step; `None` if there is nothing to wait for.
    fn standing(&self) -> Option<AnchorState> {
        let next = self.next_step()?;
        if self.planned.is_some() || self.is_done() {
            return None;
        }
        let known = Known {
            greeting: self.script.greeting,
            call_start: self.call_start()?,
            first_timeout: self.script.turns[0].timeout,
            before: self.before,
            talk: &self.talk,
            states: &self.states,
        };
        Some(known.standing(next.anchor, next.silence))
    }

    fn plan(&mut self, bounds_until: Option<Instant>) {
        let Some((standing, next)) = self.standing().zip(self.next_step()) else {
            return;
        };
        let (anchor, doubt) = match (standing, standing.bound()) {
            (AnchorState::Came(at), _) => (at, false),
            (_, Some(bound)) if bounds_until.is_some_and(|now| now >= bound.0) => bound,
            _ => return,
        };
        let at = later(anchor, next.delay);
        self.planned = Some(Planned { at, doubt });
    }

    /// Starts the next turn if its first frame belongs in the slot due at `due`.
    fn start_if_due(&mut self, due: Instant) {
        let Ahead::Turn(index) = self.ahead else {
            return;
        };
        if self.absent.is_some() {
            return; // No agent would receive the utterance.
        }
        let settles = self.settles;
        let due_now = |p: &Planned| {
            let t0 = due.checked_sub(FRAME_TIME);
            t0.is_some_and(|t0| t0 >= p.at && settles.is_none_or(|at| t0 >= at))
        };
        let Some(planned) = self.planned.take_if(|p| due_now(p)) else {
            return;
        };
        self.measure_floor(due);
        let script = self.script.turns[index].clone();
        let mut turn = Turn::start(index, script, planned.at, due);
        self.ahead = self.path.after(index);
        let next = self.next_step();
        if let Some(next) = next.filter(|next| next.anchor == Anchor::AgentSpeechEnd) {
            turn.awaited_after(next.silence);
        }
        if planned.doubt {
            turn.flag(Flag::AnchorTimeout);
        }
        for earlier in &mut self.turns {
            earlier.supersede(turn.media_start);
        }
        self.before = Some(Before {
            turn: index,
            media_start: turn.media_start,
            speech_end: turn.speech_end,
            deadline: turn.deadline,
            is_text: turn.is_text(),
            over: None,
        });
        self.turns.push_back(turn);
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
        match (self.joined, self.present, self.turns.back()) {
            (None, ..) => Phase::Joining,
            (_, None, _) => Phase::WaitingForAgent,
            (.., None) => Phase::Waiting,
            (.., Some(turn)) if !turn.is_said() => Phase::Speaking,
            (.., Some(turn)) if turn.is_listening() => Phase::Listening,
            _ => Phase::AwaitingReply,
        }
    }
}
