//! One turn from its first packet to its outcome.
//!
//! In: send slots, send stamps, the agent's speech. Out: frames to send and a [`TurnResult`].
//! Invariants: one outcome; an onset before the end of speech is never a latency; onsets and
//! stops are judged by when they happened, not by when they were reported; a figure that audio
//! and state leave ambiguous is flagged and has both its readings.

mod unanswered;

use super::conversation::Conversation;
use super::playout::Held;
use super::sending::Sending;
use super::span::SEPARATES;
use super::states::States;
use super::stopping::{Interruption, Stop, Stopping};
use super::talk::{Link, Passage, Stretch, Talk};
use super::text::TextReply;
use super::view::View;
use super::{
    AgentState, Expect, Flag, Outcome, Readings, ReplyText, SecondOpinion, StreamId, TextPart,
    TurnResult, TurnScript, later,
};
use crate::audio::{Confidence, FRAME_TIME, Onset, SPURT_GAP};
use std::time::{Duration, Instant};

/// A packet that carries the end of speech is flagged if it is sent later than this.
const LATE_SEND: Duration = Duration::from_millis(2);
/// The same for a text. On its way to the media thread that sends it, it passes the queues of the
/// call's task and of its session, each of which may be serving other events.
const LATE_TEXT: Duration = Duration::from_millis(50);
/// Wait after the deadline: packets that arrived before the deadline may still be in the socket,
/// and the ear needs about 60 ms of audio to detect a talk spurt.
const GRACE: Duration = Duration::from_millis(250);
/// The same for a reply in text: parts that arrived by the deadline may be held back for half a
/// second, to be passed on together.
const TEXT_GRACE: Duration = Duration::from_secs(1);
/// How long to wait for an announced onset, which follows within 500 ms of audio: three times
/// that.
const ONSET_WAIT: Duration = Duration::from_millis(1500);
/// Longest time that the caller listens to a reply.
pub(super) const SPURT_BOUND: Duration = Duration::from_secs(60);

/// Progress of one part of the behaviour that a turn expects of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Not expected in this turn.
    NotAsked,
    /// Not judged yet.
    Open,
    /// Judged by an onset; the caller still listens to the speech that began with it, at most until
    /// `until`.
    Listening { until: Instant },
    /// Judged, and over since `at`.
    Over { at: Instant },
}

#[derive(Debug, Clone)]
pub(super) struct Turn {
    script: TurnScript,
    pub(super) media_start: Instant,
    pub(super) speech_end: Instant,
    /// End of speech + timeout.
    pub(super) deadline: Instant,
    /// Silence after which the reply is over: [`SPURT_GAP`], or the shorter silence that the next
    /// turn waits for.
    reply_gap: Duration,
    sending: Sending,
    /// The reply, if the turn expects one.
    answer: Part,
    /// The expectation that a speaking agent stops, or that it carries on, if the turn has one.
    floor: Part,
    /// The reply's text, for a turn whose caller sends a text.
    text: Option<TextReply>,
    /// End of the grace period, set at the first timeout after the deadline.
    grace: Option<Instant>,
    /// Whether the next turn's utterance has started, so that the caller no longer listens to the
    /// reply of this turn.
    superseded: bool,
    /// Whether the pause before the reply's onset may have been a pause within earlier speech.
    doubted: bool,
    /// The last audible sample of a reply that so far may have been only a filler; the caller waits
    /// for the answer until the deadline.
    behind: Option<Instant>,
    /// For an agent that stopped although it should have carried on: when it stopped, to the
    /// caller's ear. The caller waits until the deadline for the agent to resume.
    stopped_at: Option<Instant>,
    /// Earlier result of the turn, judged by a sound that turned out not to be the agent's voice.
    /// If no voice follows, this result is used and flagged.
    set_aside: Option<Box<TurnResult>>,
    /// The result so far; its outcome is `Failed` until the turn is judged.
    result: TurnResult,
}

impl Turn {
    /// Starts a turn whose frame 0 is sent in the slot due at `due`.
    pub(super) fn start(index: usize, script: TurnScript, planned: Instant, due: Instant) -> Self {
        let media_start = due.checked_sub(FRAME_TIME).unwrap_or(due);
        let speech_end = later(media_start, script.speech_end);
        let part = |asked: bool| match asked {
            true => Part::Open,
            false => Part::NotAsked,
        };
        Self {
            media_start,
            speech_end,
            deadline: later(speech_end, script.timeout),
            reply_gap: SPURT_GAP,
            sending: Sending::new(media_start, &script),
            answer: part(script.expect.asks_for_reply() || script.expect.asks_for_text()),
            floor: part(!(script.expect.asks_for_text() || script.expect == Expect::Respond)),
            text: script.expect.asks_for_text().then(TextReply::default),
            grace: None,
            superseded: false,
            doubted: false,
            behind: None,
            stopped_at: None,
            set_aside: None,
            result: TurnResult {
                planned: Some(planned),
                media_start: Some(media_start),
                speech_end: Some(speech_end),
                ..TurnResult::unstarted(index, script.expect, Outcome::Failed)
            },
            script,
        }
    }

    /// Index of the turn in the call.
    pub(super) fn index(&self) -> usize {
        self.result.turn
    }

    /// Sets how long the agent must be silent before the next turn starts.
    pub(super) fn awaited_after(&mut self, silence: Duration) {
        self.reply_gap = silence.min(SPURT_GAP);
    }

    pub(super) fn flag(&mut self, flag: Flag) {
        self.result.flags.push(flag);
    }

    /// Like [`Turn::flag`], for flags that may be raised more than once.
    pub(super) fn flag_once(&mut self, flag: Flag) {
        if !self.result.flags.contains(&flag) {
            self.flag(flag);
        }
    }

    /// The frame for the slot due at `due`; `None` once the utterance is over.
    pub(super) fn frame(&mut self, due: Instant) -> Option<usize> {
        self.sending.frame(due)
    }

    /// Records when the packet of the slot due at `due` was actually sent.
    pub(super) fn sent(&mut self, due: Instant, actual: Instant) {
        let speaks = self.text.is_none();
        let lateness = self.sending.lateness(due, actual).filter(|_| speaks);
        let Some(lateness) = lateness else {
            return;
        };
        let lateness = lateness.max(self.result.send_lateness.unwrap_or_default());
        self.result.send_lateness = Some(lateness);
        if lateness > LATE_SEND {
            self.flag(Flag::LateSend);
        }
    }

    /// Whether the turn's text is to be sent now: true once, and only for a turn that has one.
    pub(super) fn take_text(&mut self) -> bool {
        let text = self.text.as_mut();
        text.is_some_and(|text| !std::mem::replace(&mut text.taken, true))
    }

    /// Whether the caller sends a text instead of speaking.
    pub(super) fn is_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether the turn's text has yet to be sent. Such a turn is not judged.
    pub(super) fn awaits_sending(&self) -> bool {
        self.text.as_ref().is_some_and(|text| !text.is_sent())
    }

    /// The turn's text was sent: its reply is measured from here.
    pub(super) fn text_sent(&mut self, at: Instant) {
        if !self.text.as_mut().is_some_and(|text| text.sent(at)) {
            return;
        }
        let due = later(self.media_start, FRAME_TIME);
        let lateness = at.saturating_duration_since(due);
        self.result.send_lateness = Some(lateness);
        if lateness > LATE_TEXT {
            self.flag(Flag::LateSend);
        }
        (self.media_start, self.speech_end) = (at, at);
        self.deadline = later(at, self.script.timeout);
        (self.result.media_start, self.result.speech_end) = (Some(at), Some(at));
    }

    /// Whether `began` is in this turn: after its text was sent or, for a turn without one, after
    /// the caller began to speak.
    pub(super) fn covers(&self, began: Instant) -> bool {
        match &self.text {
            Some(text) => text.precedes(began),
            None => self.media_start <= began,
        }
    }

    /// Processes a part of the agent's text.
    pub(super) fn reply_text(&mut self, text: ReplyText) {
        let late = text.at > self.deadline;
        let ignored = matches!(self.answer, Part::Over { .. }) || self.answer == Part::Open && late;
        let own = self.text.as_mut().filter(|_| !ignored);
        if own.is_some_and(|own| own.part(text))
            && self.answer == Part::Open
            && text.part == TextPart::First
        {
            self.result.text_ttft = text.at.checked_duration_since(self.speech_end);
            self.result.outcome = Outcome::Replied;
            self.answer = Part::Listening {
                until: later(text.at, SPURT_BOUND),
            };
            if self.superseded {
                self.cut_short(text.at);
            }
        }
    }

    /// Ends the turn if its reply in text is over by `now`, and so is what the agent said.
    pub(super) fn settle_text(&mut self, now: Instant, talk: &Talk, states: &States) {
        let listens = self.is_listening();
        let Some(text) = self.text.as_mut().filter(|_| listens) else {
            return;
        };
        let over = text.over(self.deadline, talk, states);
        text.settles = over.filter(|at| *at > now);
        if let Some(at) = over.filter(|at| *at <= now) {
            self.result.reply_end = text.voice_end(talk);
            self.result.text_reply = text.length().filter(|_| self.result.text_ttft.is_some());
            self.listened(at);
        }
    }

    pub(super) fn is_said(&self) -> bool {
        self.sending.is_over()
    }

    /// Whether the caller is listening to speech whose onset is known.
    pub(super) fn is_listening(&self) -> bool {
        let listens = |part| matches!(part, Part::Listening { .. });
        listens(self.answer) || listens(self.floor)
    }

    /// Whether the answer or the floor has not been judged yet.
    pub(super) fn is_open(&self) -> bool {
        self.answer == Part::Open || self.floor == Part::Open
    }

    /// Whether the turn was judged by `onset`.
    pub(super) fn was_judged_by(&self, onset: &Onset) -> bool {
        self.result.onset.as_ref().is_some_and(|o| o.at == onset.at)
    }

    /// When the turn ended; `None` until it is judged and its utterance has been sent.
    pub(super) fn over(&self) -> Option<Instant> {
        let over = |part| match part {
            Part::NotAsked => Some(self.media_start),
            Part::Over { at } => Some(at),
            Part::Open | Part::Listening { .. } => None,
        };
        let judged = over(self.answer)?.max(over(self.floor)?);
        let is_judged = self.is_said() && self.stopped_at.is_none();
        is_judged.then(|| judged.max(self.sending.end()))
    }

    /// Records that the next turn has begun: this turn now waits only to be judged, not for the end
    /// of its reply.
    pub(super) fn supersede(&mut self, at: Instant) {
        self.superseded = true;
        self.cut_short(at);
    }

    /// Stops listening to a reply because the caller goes on or the run is stopped. The end of a
    /// reply in text then remains unknown, so the time for which the caller waited for it is
    /// recorded.
    pub(super) fn cut_short(&mut self, at: Instant) {
        self.stopped_at = None;
        if self.is_listening() && self.result.text_ttft.is_some() {
            self.result.waited = at.checked_duration_since(self.speech_end);
        }
        self.leave_reply(at);
    }

    /// Stops listening because the agent has left. Streams of text that are still open never end;
    /// if all are closed, it is unknown whether more would have followed.
    pub(super) fn agent_left(&mut self, at: Instant) {
        match &self.text {
            Some(text) if text.is_closed() => self.cut_short(at),
            _ => self.leave_reply(at),
        }
    }

    /// Stops listening to a reply that has not ended.
    pub(super) fn leave_reply(&mut self, at: Instant) {
        if self.is_listening() {
            self.flag(Flag::ReplyUnfinished);
            self.listened(at);
        }
    }

    /// Records that the speech to which the caller was listening is over.
    fn listened(&mut self, at: Instant) {
        self.behind = None;
        for part in [&mut self.answer, &mut self.floor] {
            if matches!(part, Part::Listening { .. }) {
                *part = Part::Over { at };
            }
        }
    }

    /// Processes the onset of a stretch of the agent's speech; returns whether the stretch is the
    /// reply that this turn expects.
    pub(super) fn onset(&mut self, stretch: &Stretch, talk: &Talk, held: Option<Held>) -> bool {
        let (Some(onset), link) = (stretch.onset.as_ref(), stretch.link) else {
            return false;
        };
        let at = onset.at.wire();
        self.silence_broken(stretch, held);
        // The onset belongs to a talk spurt that began before this utterance.
        if at < self.media_start {
            return false;
        }
        if self.text.is_some() {
            // What the agent says belongs to this turn, which is judged by the text alone.
            return !self.superseded;
        }
        self.behind = None;
        self.resumed(at, held);
        let taken = self.answer == Part::Open && self.answered_by(onset, link, held);
        if self.floor == Part::Open {
            self.judge_floor(talk, held, at);
            if self.floor == Part::Open && link == Link::New {
                self.speaks_anew(onset, talk, held);
            }
        }
        if self.was_judged_by(onset) {
            self.result.stream = Some(stretch.stream);
        }
        taken
    }

    /// Handles a stream that turned out not to carry the agent's voice: a turn that was judged by
    /// that stream waits for a voice again.
    pub(super) fn disown(&mut self, now: Instant, stream: StreamId) {
        self.result.track_changed = None;
        self.result.flags.retain(|flag| *flag != Flag::TrackChanged);
        self.result.stop = None;
        if self.result.stop_wire.take().is_some() {
            // The sound may have masked the point at which the agent stopped.
            self.result.stop_readings = None;
            self.floor = Part::Open;
            if self.answer == Part::NotAsked {
                self.result.outcome = Outcome::Failed;
            }
        }
        if self.result.onset.is_none() || self.result.stream != Some(stream) {
            return;
        }
        let unjudged = TurnResult {
            planned: self.result.planned,
            media_start: self.result.media_start,
            speech_end: self.result.speech_end,
            send_lateness: self.result.send_lateness,
            flags: self.result.flags.clone(),
            ..TurnResult::unstarted(self.result.turn, self.script.expect, Outcome::Failed)
        };
        self.leave_reply(now);
        let judged = std::mem::replace(&mut self.result, unjudged);
        let of_onset = |flag: &Flag| {
            matches!(
                flag,
                Flag::LowConfidence | Flag::TouchedByLoss | Flag::UserSpaceStamp
            )
        };
        self.result.flags.retain(|flag| !of_onset(flag));
        self.set_aside = Some(Box::new(judged));
        (self.grace, self.doubted) = (None, false);
        if self.answer != Part::NotAsked {
            self.answer = Part::Open;
        }
        if self.floor != Part::NotAsked {
            self.floor = Part::Open;
        }
    }

    /// Whether the turn waits for a voice again because it was judged by another sound.
    pub(super) fn is_reopened(&self) -> bool {
        self.set_aside.is_some() && self.answer == Part::Open
    }

    /// Records that the agent switched to another track at `at`.
    pub(super) fn track_changed(&mut self, at: Instant) {
        self.result.track_changed.get_or_insert(at);
        self.flag(Flag::TrackChanged);
    }

    /// If the turn's reply begins with this onset, judges the turn by the onset and returns true.
    /// If new speech begins after the deadline, the reply was missed.
    fn answered_by(&mut self, onset: &Onset, link: Link, held: Option<Held>) -> bool {
        let at = onset.at.wire();
        let doubted = match link {
            Link::New => false,
            Link::Unclear(pause) if pause >= SEPARATES && at >= self.speech_end => true,
            Link::Unclear(_) | Link::Continues | Link::Open => return false,
        };
        if at > self.deadline {
            self.miss();
            return false;
        }
        self.doubted = doubted && self.result.outcome != Outcome::Early;
        let early = at < self.speech_end;
        let outcome = if early {
            Outcome::Early
        } else {
            Outcome::Replied
        };
        self.reply(outcome, onset, held);
        true
    }

    /// Handles an agent that was silent, or had stopped, and starts to speak although the turn
    /// expects it to stop or to ignore the caller.
    fn speaks_anew(&mut self, onset: &Onset, talk: &Talk, held: Option<Held>) {
        let at = onset.at.wire();
        match self.script.expect {
            Expect::Ignore if at <= self.deadline => {
                self.take(onset, held);
                self.close_floor(Outcome::Missed, at);
            }
            Expect::Ignore => self.close_floor(Outcome::Replied, self.deadline),
            Expect::Stop if at < self.speech_end && self.stopping(talk) == Stopping::Nothing => {
                self.reply(Outcome::Early, onset, held);
            }
            _ => {}
        }
    }

    /// Records the beginning of the reply. A turn whose reply was early stays early if more speech
    /// follows.
    fn reply(&mut self, outcome: Outcome, onset: &Onset, held: Option<Held>) {
        let at = onset.at.wire();
        self.set_aside = None;
        if self.result.outcome != Outcome::Early {
            self.take(onset, held);
            if outcome == Outcome::Early {
                self.result.early_by = Some(self.speech_end.saturating_duration_since(at));
            } else {
                let wire = at.saturating_duration_since(self.speech_end);
                let playout = held.map(|h| h.hold);
                self.result.ttfa_wire = Some(wire);
                self.result.playout_delay = playout;
                self.result.ttfa = playout.map(|p| wire + p);
            }
            self.result.outcome = outcome;
        }
        let part = match self.answer {
            Part::NotAsked => &mut self.floor,
            _ => &mut self.answer,
        };
        *part = Part::Listening {
            until: later(at, SPURT_BOUND),
        };
        if self.superseded {
            self.leave_reply(at);
        }
    }

    fn take(&mut self, onset: &Onset, held: Option<Held>) {
        self.result.onset = Some(*onset);
        if onset.confidence == Confidence::Low {
            self.flag(Flag::LowConfidence);
        }
        if onset.earlier_by_loss.is_some() {
            self.flag(Flag::TouchedByLoss);
        }
        self.stamp(held);
    }

    fn stamp(&mut self, held: Option<Held>) {
        if held.is_some_and(|h| !h.kernel_stamp) {
            self.flag(Flag::UserSpaceStamp);
        }
    }

    /// Processes the end of a stretch: a pause, or the end of the spurt.
    pub(super) fn ended(
        &mut self,
        stretch: &Stretch,
        (talk, states): (&Talk, &States),
        held: Option<Held>,
    ) {
        if self.text.is_some() {
            // Speech that was under way when the text was sent is not the reply.
            if stretch.broke_off && self.is_listening() && self.covers(stretch.began()) {
                self.flag_once(Flag::ReplyCutOff);
            }
            return;
        }
        let silent = talk.fell_silent().filter(|last| *last >= self.onset_at());
        if let Some(last) = silent.filter(|_| self.is_listening()) {
            if stretch.broke_off && !self.superseded {
                self.flag(Flag::ReplyCutOff);
            }
            self.fell_silent(last, SPURT_GAP, talk, states);
        }
        self.silence_ended(stretch, talk);
        if self.floor == Part::Open {
            let at = stretch.end.map_or(self.media_start, |end| end.wire());
            self.judge_floor(talk, held, later(at, SPURT_GAP));
            self.nothing_to_stop(talk);
        }
    }

    /// Closes the floor of a turn whose reply is over, if the agent was silent when the
    /// interruption began.
    fn nothing_to_stop(&mut self, talk: &Talk) {
        if let Part::Over { at } = self.answer
            && self.floor == Part::Open
            && self.stopping(talk) == Stopping::Nothing
        {
            self.flag(Flag::NothingToStop);
            self.close_floor(Outcome::Replied, at);
        }
    }

    fn onset_at(&self) -> Instant {
        self.result.onset.map_or(self.media_start, |o| o.at.wire())
    }

    /// Handles a silence of `gap` after the reply's sample at `last`: the reply has ended, unless
    /// so far it may have been only a filler.
    fn fell_silent(&mut self, last: Instant, gap: Duration, talk: &Talk, states: &States) {
        match self.may_be_filler(last, talk, states) {
            true => self.behind = Some(last),
            false => self.reply_ended(last, gap),
        }
    }

    /// Whether the answer may still follow the speech that ended at `last`: the agent is thinking
    /// again, or the speech may be a filler as the scenario declares it and the agent has not
    /// reported that it listens.
    fn may_be_filler(&self, last: Instant, talk: &Talk, states: &States) -> bool {
        let replied = self.result.outcome == Outcome::Replied && self.answer != Part::NotAsked;
        if !replied || self.superseded {
            return false;
        }
        let began = self.onset_at();
        match (self.state_since_reply(states), self.script.filler) {
            (Some(AgentState::Thinking), _) => true,
            (Some(AgentState::Listening | AgentState::Idle), _) | (_, None) => false,
            (_, Some(filler)) => {
                last.saturating_duration_since(began) <= filler.max
                    && !talk.went_on_after(filler.gap, began)
            }
        }
    }

    /// The agent's state, if it has changed since the reply began.
    fn state_since_reply(&self, states: &States) -> Option<AgentState> {
        let began = self.onset_at();
        let changed = states.current().filter(|(since, _)| *since > began);
        changed.map(|(_, state)| state)
    }

    /// Ends a reply behind whose filler no answer comes: the deadline has passed, or the agent
    /// reports that it has finished.
    pub(super) fn settle_filler(&mut self, now: Instant, talk: &Talk, states: &States) {
        let Some(last) = self.behind.filter(|_| talk.current().is_none()) else {
            return;
        };
        let state = self.state_since_reply(states);
        let listens = matches!(state, Some(AgentState::Listening | AgentState::Idle));
        if now >= self.deadline || listens {
            self.result.reply_end.get_or_insert(last);
            self.listened(now);
        }
    }

    /// The agent stopped at `stop` although it should have carried on: waits for it to resume, if
    /// it has not done so already.
    fn await_resumption(&mut self, stop: &Stop, talk: &Talk) {
        let wire = stop.at.wire();
        let stopped = later(wire, talk.hold_at_end(stop.at));
        let next = talk.passages().into_iter().find(|p| p.began > wire);
        match next {
            Some(next) => {
                let resumed = next.heard_from();
                self.result.resume = resumed.checked_duration_since(stopped);
                self.result.resumed_at = Some(next.began);
            }
            None if !self.superseded => self.stopped_at = Some(stopped),
            None => {}
        }
    }

    /// Handles new speech of an agent that had stopped although it should have carried on.
    fn resumed(&mut self, onset: Instant, held: Option<Held>) {
        let Some(stopped) = self.stopped_at.take() else {
            return;
        };
        if onset <= self.deadline {
            let heard = later(onset, held.map(|h| h.hold).unwrap_or_default());
            self.result.resume = heard.checked_duration_since(stopped);
            self.result.resumed_at = Some(onset);
        }
    }

    fn reply_ended(&mut self, last: Instant, gap: Duration) {
        self.result.reply_end.get_or_insert(last);
        let early = self.result.outcome == Outcome::Early;
        if self.answer != Part::NotAsked && early && last < self.speech_end {
            // The speech ended before the caller's end of speech, so the reply is still expected.
            self.answer = Part::Open;
            self.grace = None;
        } else {
            self.listened(later(last, gap));
        }
    }

    fn interruption(&self) -> Interruption {
        Interruption {
            began: later(self.media_start, self.script.speech_start),
            speech_end: self.speech_end,
        }
    }

    fn stopping(&self, talk: &Talk) -> Stopping {
        self.interruption().judge(&talk.passages())
    }

    /// Judges from the agent's speech whether the agent has stopped.
    fn judge_floor(&mut self, talk: &Talk, held: Option<Held>, at: Instant) {
        if self.ignores_stops() {
            return;
        }
        let Stopping::Stopped(stop) = self.stopping(talk) else {
            return;
        };
        let in_time = stop.at.wire() <= self.deadline;
        match (self.script.expect, in_time) {
            (Expect::Ignore, true) => {
                self.take_stop(&stop, talk);
                self.close_floor(Outcome::Missed, at);
                self.await_resumption(&stop, talk);
            }
            (Expect::Ignore, false) => self.close_floor(Outcome::Replied, self.deadline),
            (_, true) => self.stopped(&stop, talk, held, at),
            (_, false) => self.stopped_late(&stop),
        }
    }

    /// Judges an agent that stopped after the deadline. If it may have stopped in time, in an
    /// earlier pause, that pause is kept as the low reading.
    fn stopped_late(&mut self, stop: &Stop) {
        let in_time = self
            .deadline
            .saturating_duration_since(self.interruption().began);
        let low = stop
            .readings
            .and_then(|r| r.low)
            .filter(|low| *low <= in_time);
        self.result.stop_readings = low.map(|low| Readings {
            low: Some(low),
            high: None,
        });
        self.close_floor(Outcome::Missed, self.deadline);
    }

    fn stopped(&mut self, stop: &Stop, talk: &Talk, held: Option<Held>, at: Instant) {
        self.take_stop(stop, talk);
        self.stamp(held);
        self.close_floor(Outcome::Replied, at);
    }

    fn take_stop(&mut self, stop: &Stop, talk: &Talk) {
        let interrupted = self.interruption().began;
        let wire = stop.at.wire().saturating_duration_since(interrupted);
        self.result.stop_wire = Some(wire);
        self.result.stop = Some(wire + talk.hold_at_end(stop.at));
        self.result.stop_readings = stop.readings;
    }

    /// Judges at the deadline, from the speech so far, whether the agent has stopped.
    fn decide_floor(&mut self, talk: &Talk) {
        if self.decide_unanswered(talk) {
            return;
        }
        let answered = self.answer != Part::NotAsked;
        match (self.stopping(talk), self.script.expect) {
            (Stopping::Open(stop), Expect::Ignore) => {
                self.result.stop_readings = stop.and_then(|s| s.readings);
                self.close_floor(Outcome::Replied, self.deadline);
            }
            (_, Expect::Ignore) => self.close_floor(Outcome::Replied, self.deadline),
            (Stopping::Nothing, _) => {
                self.flag(Flag::NothingToStop);
                let outcome = if answered {
                    Outcome::Replied
                } else {
                    Outcome::Missed
                };
                self.close_floor(outcome, self.deadline);
            }
            (Stopping::Open(Some(stop)) | Stopping::Stopped(stop), _)
                if stop.likely && stop.at.wire() <= self.deadline =>
            {
                self.stopped(&stop, talk, None, self.deadline);
            }
            (Stopping::Open(stop), _) => {
                self.result.stop_readings = stop.and_then(|s| s.readings);
                self.close_floor(Outcome::Missed, self.deadline);
            }
            (Stopping::Stopped(stop), _) => self.stopped_late(&stop),
        }
    }

    /// Judges the reply as missed. If the turn was judged by another sound before, that result is
    /// used instead and flagged.
    fn miss(&mut self) {
        if let Some(kept) = self.set_aside.take() {
            let since = std::mem::replace(&mut self.result, *kept);
            let result = &mut self.result;
            (result.stop_wire, result.stop) = (since.stop_wire, since.stop);
            result.stop_readings = since.stop_readings;
            result.send_lateness = result.send_lateness.max(since.send_lateness);
            result.track_changed = result.track_changed.or(since.track_changed);
            result.flags.extend(since.flags);
            if since.outcome == Outcome::Missed {
                result.outcome = Outcome::Missed;
            }
            result.second_opinion(SecondOpinion {
                as_declared: false,
                apart: None,
            });
        } else if self.result.outcome != Outcome::Early {
            self.result.outcome = Outcome::Missed;
        }
        self.answer = Part::Over { at: self.deadline };
    }

    /// Closes the floor with its outcome. A turn that expects a stop and a reply counts as replied
    /// only if both happened.
    fn close_floor(&mut self, outcome: Outcome, at: Instant) {
        let both = self.script.expect == Expect::StopAndRespond;
        let keeps = self.result.outcome == Outcome::Early || both && outcome == Outcome::Replied;
        if !keeps {
            self.result.outcome = outcome;
        }
        self.floor = Part::Over { at };
    }

    /// When [`Turn::timeout`] is due.
    pub(super) fn poll_timeout(&self, talk: &Talk) -> Option<Instant> {
        let listening = [self.answer, self.floor]
            .into_iter()
            .filter_map(|part| match part {
                Part::Listening { until } => Some(until),
                _ => None,
            });
        let quiet = match &self.text {
            Some(text) => text.settles,
            None => self.quiet_until(talk),
        };
        let quiet = quiet.filter(|_| self.is_listening() && self.behind.is_none());
        let is_judged = self.is_open() && !self.awaits_sending();
        let open = is_judged.then(|| match self.grace {
            None => self.deadline,
            Some(grace) => {
                let onset = talk.pending_since().map(|since| later(since, ONSET_WAIT));
                onset.map_or(grace, |o| o.max(grace))
            }
        });
        let behind = self.behind.map(|_| self.deadline);
        let resumes = self.stopped_at.map(|_| later(self.deadline, ONSET_WAIT));
        listening
            .chain(quiet)
            .chain(open)
            .chain(behind)
            .chain(resumes)
            .min()
    }

    /// The instant at which the current silence ends the reply, if the next turn waits for a
    /// silence shorter than [`SPURT_GAP`].
    fn quiet_until(&self, talk: &Talk) -> Option<Instant> {
        let gap = Some(self.reply_gap).filter(|gap| *gap < SPURT_GAP)?;
        let last = talk
            .silent_since()
            .filter(|last| *last >= self.onset_at())?;
        Some(later(last, gap))
    }

    /// Ends the waits that have expired and judges their parts.
    pub(super) fn timeout(&mut self, now: Instant, talk: &Talk, states: &States) {
        if self.is_listening() && self.text.is_none() {
            let quiet = self.quiet_until(talk).filter(|at| now >= *at);
            if let Some(last) = quiet.and_then(|_| talk.silent_since()) {
                self.fell_silent(last, self.reply_gap, talk, states);
                self.nothing_to_stop(talk);
            }
        }
        if now >= later(self.deadline, ONSET_WAIT) {
            self.stopped_at = None;
        }
        for part in [self.answer, self.floor] {
            if let Part::Listening { until } = part
                && now >= until
            {
                self.leave_reply(until);
            }
        }
        if !self.is_open() || self.poll_timeout(talk).is_none_or(|at| now < at) {
            return;
        }
        if self.grace.is_none() {
            // The end of a talk spurt is reported only after a silence of SPURT_GAP.
            let hears_ends = self.floor == Part::Open && talk.may_go_on();
            let wait = match (&self.text, hears_ends) {
                (Some(_), _) => TEXT_GRACE,
                (None, true) => SPURT_GAP + GRACE,
                (None, false) => GRACE,
            };
            self.grace = Some(later(now, wait));
            return;
        }
        if self.floor == Part::Open {
            self.decide_floor(talk);
        }
        if self.answer == Part::Open {
            self.miss();
            if self.text.is_some() && talk.may_go_on() && !self.superseded {
                // An agent that only speaks has not written a reply, but is still answering.
                self.answer = Part::Listening {
                    until: later(self.deadline, SPURT_BOUND),
                };
            }
        }
    }

    /// Returns the turn's result, at `now`. A turn that is not over has failed with its call or, if
    /// `is_stopped`, was cut off when the run was stopped.
    pub(super) fn finish(
        mut self,
        (talk, states): (&Talk, &States),
        now: Instant,
        is_stopped: bool,
    ) -> TurnResult {
        let passages = &talk.passages();
        let stopped = is_stopped.then_some(now);
        self.stopped_at = None;
        let over = self.over().is_some();
        if over {
            self.result.ttfa_readings = self.answer_readings(passages);
            self.result.conversation = self.conversation(passages, states);
        }
        let mut result = self.result;
        if !over {
            let since = |at: Instant| at.checked_duration_since(self.speech_end);
            result = TurnResult {
                outcome: match stopped {
                    Some(_) => Outcome::CutOff,
                    None => Outcome::Failed,
                },
                waited: stopped.and_then(since),
                ttfa_wire: None,
                playout_delay: None,
                ttfa: None,
                stop_wire: None,
                stop: None,
                resume: None,
                resumed_at: None,
                hang_up: None,
                stop_readings: None,
                text_ttft: None,
                text_reply: None,
                early_by: None,
                ..result
            };
        }
        if result.ttfa_readings.is_some() || result.stop_readings.is_some() {
            result.flags.push(Flag::SpurtAmbiguous);
        }
        result.flags.sort_unstable();
        result.flags.dedup();
        result
    }

    /// What the turn shows of the conversation; nothing if the caller sends a text.
    fn conversation(&self, passages: &[Passage], states: &States) -> Option<Box<Conversation>> {
        let over = self.over().filter(|_| self.text.is_none())?;
        let asked = self.answer != Part::NotAsked;
        let view = View {
            script: &self.script,
            media_start: self.media_start,
            speech_end: self.speech_end,
            reply: self.result.onset.filter(|_| asked).map(|o| o.at.wire()),
            over,
            passages,
            states,
        };
        Some(Box::new(view.conversation()))
    }

    /// Both readings of the reply's onset, if it is ambiguous. The reply may have begun earlier,
    /// after an unclear pause, or the onset that the turn was judged by may only resume earlier
    /// speech.
    fn answer_readings(&self, passages: &[Passage]) -> Option<Readings> {
        let spoken = self.answer != Part::NotAsked && self.text.is_none();
        if !spoken || self.result.outcome == Outcome::Early {
            return None;
        }
        let wire = self.result.ttfa_wire;
        let until = wire.map_or(self.deadline, |wire| later(self.speech_end, wire));
        let of_turn = |p: &Passage| (self.media_start..=until).contains(&p.began);
        let unclear = passages.iter().enumerate().find(|(at, p)| match p.link {
            Link::Unclear(_) if p.began >= self.speech_end => of_turn(p),
            // Speech that ends again while the caller is speaking is not a reply.
            Link::Unclear(_) => of_turn(p) && !self.breaks_off(&passages[*at..]),
            _ => false,
        });
        let (_, passage) = unclear?;
        Some(Readings {
            low: passage.began.checked_duration_since(self.speech_end),
            high: wire.filter(|_| !self.doubted),
        })
    }

    /// Whether the agent stopped in one of these passages before the caller's end of speech.
    fn breaks_off(&self, passages: &[Passage]) -> bool {
        let ends = passages
            .iter()
            .zip(passages.iter().skip(1).map(Some).chain([None]));
        ends.into_iter().any(|(p, next)| {
            let stopped = match next {
                Some(next) => next.link == Link::New,
                None => p.over,
            };
            stopped && p.end.is_some_and(|end| end.wire() < self.speech_end)
        })
    }
}
