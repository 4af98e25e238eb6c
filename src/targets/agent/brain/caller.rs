//! Reacts to the caller: answers, and deals with interruptions.
//!
//! In: the caller starts or stops speaking. Out: scripts that wait, or that stop.

use super::saying::{Answered, Pardon, Part, Saying, Stopping};
use super::{Act, AgentEnd};
use crate::call::AgentState;
use crate::net::monotonic_ns;
use crate::targets::agent::dice::Decision;
use crate::targets::agent::inbound::Caller;
use crate::targets::agent::moment::Happening;
use crate::targets::agent::splice::Cutting;
use crate::targets::agent::told::Told;
use std::time::{Duration, Instant};

/// An agent that answers early into pauses takes speech this soon after the last for the rest of
/// the same utterance.
const SAME_UTTERANCE: Duration = Duration::from_secs(2);

impl AgentEnd {
    pub(super) fn caller(&mut self, now: Instant, event: Caller) {
        match event {
            Caller::Started { speech_start } | Caller::Resumed { speech_start } => {
                self.moment(now, Happening::CallerSpeaks);
                self.speech(now, speech_start.unwrap_or(now));
            }
            Caller::Ended { speech_end, packet } => {
                self.moment(now, Happening::CallerStopped { speech_end });
                self.silence(now, speech_end, packet);
            }
        }
    }

    /// The caller speaks since `began`. While it does, the agent listens: it stops what it is
    /// saying and cancels what is waiting, unless its behaviour is a different one.
    fn speech(&mut self, now: Instant, began: Instant) {
        // What is no longer audible cannot be interrupted.
        let speaks = self
            .saying
            .as_ref()
            .is_some_and(|s| s.item > 0 && began < s.first + s.script.end());
        if !speaks {
            self.speech_before_reply(now, began);
            return;
        }
        let Some(saying) = &self.saying else { return };
        if self.ignoring || saying.stop.is_some() || saying.over.is_some() {
            return;
        }
        let (turn, answers) = (saying.turn(), saying.answers);
        if let Some(answered) = answers
            && self.voice.behaviour.early.is_some()
            && began < answered.speech_end + SAME_UTTERANCE
        {
            self.told(Told::Early {
                turn: answered.turn,
                pause_start_ns: monotonic_ns(answered.speech_end),
                pause_end_ns: monotonic_ns(began),
            });
        }
        if self.ignores(turn, began) {
            return;
        }
        self.waiting = None;
        match self.voice.behaviour.stop.and_then(|stop| stop.after) {
            None => self.stop_at_once(now, began),
            Some(after) => {
                if let Some(saying) = &mut self.saying {
                    saying.stop = Some(Stopping {
                        began,
                        after,
                        cutting: Cutting::default(),
                        whole: None,
                    });
                }
            }
        }
    }

    /// Draws whether the agent ignores this interruption.
    fn ignores(&mut self, turn: Option<u32>, began: Instant) -> bool {
        let share = self.voice.behaviour.stop.map_or(0.0, |stop| stop.ignore);
        if !self.chances.dice.is_in(Decision::Ignore, share) {
            return false;
        }
        self.ignoring = true;
        self.told(Told::Ignored {
            turn,
            caller_start_ns: monotonic_ns(began),
        });
        true
    }

    /// The caller speaks while the agent is silent.
    fn speech_before_reply(&mut self, now: Instant, began: Instant) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        if waiting.commit.is_some_and(|commit| began >= commit) {
            waiting.over.get_or_insert(began);
            return;
        }
        let turn = waiting.turn();
        let in_gap = matches!(waiting.part, Part::Answer(_));
        if in_gap && (self.ignoring || self.ignores(turn, began)) {
            return;
        }
        self.waiting = None;
        self.state(now, AgentState::Listening);
    }

    /// The caller has stopped speaking.
    fn silence(&mut self, now: Instant, speech_end: Instant, packet: Instant) {
        if std::mem::take(&mut self.ignoring) {
            self.turn_taken();
            return;
        }
        // The reply into a pause of this utterance was its answer.
        let answered = |saying: &Saying| saying.over.is_some();
        if self.saying.as_ref().is_some_and(answered) || self.waiting.as_ref().is_some_and(answered)
        {
            return;
        }
        if self.asked_for_nothing(speech_end) {
            self.turn_taken();
            return;
        }
        self.interrupted = None;
        self.answer(now, speech_end, packet);
    }

    /// Whether the caller's sound was an interruption that asked for nothing; if so, decides what
    /// follows.
    fn asked_for_nothing(&mut self, speech_end: Instant) -> bool {
        let Some(resume) = self.voice.behaviour.resume else {
            return false;
        };
        let stopping = self.saying.as_ref().and_then(|s| s.stop.as_ref());
        let began = stopping.map(|stop| stop.began);
        let Some(began) = began.or(self.interrupted.as_ref().map(|i| i.began)) else {
            return false;
        };
        if speech_end.saturating_duration_since(began) >= resume.under {
            return false;
        }
        let dice = &mut self.chances.dice;
        let (again, restart) = (
            dice.is_in(Decision::Resume, resume.share),
            dice.is_in(Decision::Restart, resume.restart),
        );
        self.pardon = again.then_some(Pardon {
            began,
            ended: speech_end,
            pause: resume.pause,
            restart,
        });
        match again {
            true => self.go_on(),
            false => self.interrupted = None,
        }
        true
    }

    /// Schedules the reply to the caller's turn.
    fn answer(&mut self, now: Instant, speech_end: Instant, packet: Instant) {
        let chances = &mut self.chances;
        let behaviour = &self.voice.behaviour;
        let delay = chances.delays.draw() * chances.seat.factor();
        let answered = Answered {
            turn: self.turn,
            speech_end,
            packet,
            delay,
        };
        let script = self.voice.draw(&mut chances.dice);
        let silent = chances.dice.is_in(Decision::Silent, behaviour.silent);
        let share = behaviour.filler.as_ref().map_or(0.0, |filler| filler.share);
        let fills = chances.dice.is_in(Decision::Filler, share);
        let early = behaviour.early;
        let commit = early.filter(|early| chances.dice.is_in(Decision::Early, early.share));
        let (part, script, then) = match self.voice.filler.clone().filter(|_| fills) {
            _ if silent => (Part::Silence, script, None),
            Some(filler) => (Part::Filler, filler, Some(script)),
            None => (Part::Reply, script, None),
        };
        let first = (speech_end + delay)
            .checked_sub(script.onset())
            .unwrap_or(speech_end);
        let republish = self.voice.behaviour.republish;
        if self.chances.dice.is_in(Decision::Republish, republish) {
            self.act(Act::Republish);
            self.told(Told::Republished {
                turn: answered.turn,
                at_ns: monotonic_ns(now),
            });
        }
        self.say(Saying {
            then,
            commit: commit.map(|early| speech_end + early.pauses),
            ..Saying::new(part, Some(answered), script, first)
        });
        if self.saying.is_none() {
            self.state(now, AgentState::Thinking);
        }
    }
}
