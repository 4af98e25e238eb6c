//! What a turn shows of the conversation besides its latencies.
//!
//! In: a turn's script and instants, the agent's passages and states. Out: a [`Conversation`].
//! Pure. Invariants: everything is as the caller hears it, after the jitter buffer; a reply's
//! first spurt is a filler only if the scenario declares it or the agent was thinking after it.

use super::conversation::{Conversation, SPURTS, Spurt};
use super::floor::{Floor, Silences};
use super::span::{SEPARATES, Span};
use super::states::States;
use super::talk::Passage;
use super::{TurnScript, later};
use crate::vocab::Filler;
use std::time::{Duration, Instant};

/// A turn that is over, and everything that was heard in it.
pub(super) struct View<'a> {
    pub(super) script: &'a TurnScript,
    pub(super) media_start: Instant,
    pub(super) speech_end: Instant,
    /// The first audible sample of the reply, on the wire.
    pub(super) reply: Option<Instant>,
    /// When the turn was over.
    pub(super) over: Instant,
    pub(super) passages: &'a [Passage],
    pub(super) states: &'a States,
}

impl View<'_> {
    pub(super) fn conversation(&self) -> Conversation {
        let agent: Vec<Span> = self.passages.iter().map(|p| p.played(self.over)).collect();
        let caller = self.script.speech(self.media_start);
        let speech = agent.iter().chain(&caller).copied().collect();
        let spurts = self.spurts();
        // An agent that spoke too early, heard the caller go on and thought again said no filler.
        let answers = self.reply.is_some_and(|at| at >= self.speech_end);
        let behind = behind_filler(&spurts, self.script.filler, self.states);
        let behind = behind.filter(|_| answers);
        let answer = spurts.get(behind.unwrap_or(0));
        let since = |at: Instant| at.checked_duration_since(self.speech_end);
        let pauses = pauses(&caller);
        let window = Span {
            from: self.media_start,
            to: self.over,
        };
        let fell_into = |at: Instant| pauses.iter().rfind(|(from, _)| *from <= at);
        let early = self.reply.filter(|at| *at < self.speech_end);
        Conversation {
            floor: Floor::of(window, caller, agent),
            silences: match self.script.expect.asks_for_reply() {
                true => Silences::of(self.agents_turn(&spurts), speech, self.script.awkward),
                false => Silences::default(),
            },
            behind_filler: behind,
            answer_wire: answer.and_then(|spurt| since(spurt.wire)),
            answer: answer.and_then(|spurt| since(spurt.from)),
            early_pause: early.and_then(fell_into).map(|(_, length)| *length),
            pauses: pauses.into_iter().map(|(_, length)| length).collect(),
            spurts,
        }
    }

    /// From the caller's end of speech until the end of the reply or, without one, of the turn.
    fn agents_turn(&self, spurts: &[Spurt]) -> Span {
        Span {
            from: self.speech_end,
            to: spurts.last().map_or(self.over, |spurt| spurt.to),
        }
    }

    fn spurts(&self) -> Vec<Spurt> {
        let Some(reply) = self.reply else {
            return Vec::new();
        };
        let mut spurts: Vec<Spurt> = Vec::new();
        let of_reply = |p: &&Passage| (reply..=self.over).contains(&p.began);
        for passage in self.passages.iter().filter(of_reply) {
            let Span { from, to } = passage.played(self.over);
            let near = |last: &&mut Spurt| from < last.to + SEPARATES;
            if let Some(last) = spurts.last_mut().filter(near) {
                last.to = last.to.max(to);
            } else if spurts.len() < SPURTS {
                spurts.push(Spurt {
                    from,
                    to,
                    wire: passage.began,
                    snr_db: passage.snr_db,
                });
            }
        }
        spurts
    }
}

/// The first spurt behind the filler, if the reply begins with one.
fn behind_filler(spurts: &[Spurt], declared: Option<Filler>, states: &States) -> Option<usize> {
    let pairs = || spurts.iter().zip(spurts.iter().skip(1));
    let thought = pairs().rposition(|(one, next)| states.thought_between(one.wire, next.wire));
    let by_state = thought.map(|at| at + 1);
    let by_length = declared.and_then(|filler| {
        let first = spurts.first()?;
        let gap = |(one, next): (&Spurt, &Spurt)| next.from.saturating_duration_since(one.to);
        let at = pairs().position(|pair| gap(pair) >= filler.gap)?;
        let length = spurts[at].to.saturating_duration_since(first.from);
        (length <= filler.max).then_some(at + 1)
    });
    by_state.max(by_length)
}

/// The pauses between these stretches: when each began, and its length.
fn pauses(speech: &[Span]) -> Vec<(Instant, Duration)> {
    let pairs = speech.iter().zip(speech.iter().skip(1));
    let pause = |(one, next): (&Span, &Span)| next.from.saturating_duration_since(one.to);
    pairs.map(|pair| (pair.0.to, pause(pair))).collect()
}

impl TurnScript {
    /// The stretches in which the caller speaks, of an utterance that begins at `media_start`.
    pub(super) fn speech(&self, media_start: Instant) -> Vec<Span> {
        let at = |offset| later(media_start, offset);
        let span = |&(from, to): &(Duration, Duration)| Span {
            from: at(from),
            to: at(to),
        };
        match self.segments.as_deref() {
            Some(segments) if !segments.is_empty() => segments.iter().map(span).collect(),
            _ => vec![span(&(self.speech_start, self.speech_end))],
        }
    }
}
