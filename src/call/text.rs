//! The reply to a text, as far as it has arrived.
//!
//! In: when the text was sent, the parts of the agent's streams of text. Out: when the reply's text
//! began and ended, and until when something may follow it. Invariants: what began before the text
//! was sent, a stream of text or speech, is not part of the reply; the number of open streams is
//! bounded.

use super::states::States;
use super::talk::Talk;
use super::{AgentState, ReplyText, TextPart, later};
use crate::audio::SPURT_GAP;
use std::time::{Duration, Instant};

/// Maximum number of streams of a reply that are open at once.
const OPEN: usize = 16;
/// A state is known at once, but what was written before it may be held back for half a second, and
/// takes a moment to be passed on.
const STATE_LEADS: Duration = Duration::from_millis(600);
/// How long nothing must follow the end of a stream before the reply is over: as long as the pause
/// that ends a spoken reply, and half a second in which parts that have arrived may be held back.
pub(super) const SETTLES: Duration = SPURT_GAP.saturating_add(Duration::from_millis(500));

/// The reply to one text.
#[derive(Debug, Clone, Default)]
pub(super) struct TextReply {
    /// The text was handed over to be sent.
    pub(super) taken: bool,
    sent: Option<Instant>,
    first: Option<Instant>,
    /// Streams of the reply that have not been closed.
    open: Vec<u64>,
    last_end: Option<Instant>,
    /// When the reply will be over, if nothing follows until then.
    pub(super) settles: Option<Instant>,
}

impl TextReply {
    /// The text was sent; returns false if it had been sent before.
    pub(super) fn sent(&mut self, at: Instant) -> bool {
        let is_first = self.sent.is_none();
        self.sent.get_or_insert(at);
        is_first
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether a stream of text or a stretch of speech that began at this instant may belong to the
    /// reply: it began after the text was sent.
    pub(super) fn precedes(&self, began: Instant) -> bool {
        self.sent.is_some_and(|sent| sent <= began)
    }

    /// Takes a part of a stream of text that was opened after the text was sent; returns whether
    /// the part belongs to the reply.
    pub(super) fn part(&mut self, text: ReplyText) -> bool {
        let known = self.open.iter().position(|stream| *stream == text.stream);
        match (text.part, known) {
            (TextPart::First, None) => {
                self.first.get_or_insert(text.at);
                if self.open.len() < OPEN {
                    self.open.push(text.stream);
                }
                true
            }
            (TextPart::End, Some(place)) => {
                self.open.remove(place);
                self.last_end = self.last_end.max(Some(text.at));
                true
            }
            (TextPart::First, Some(_)) | (TextPart::End, None) => false,
        }
    }

    /// Whether all streams of the reply were closed; more may follow.
    pub(super) fn is_closed(&self) -> bool {
        self.last_end.is_some() && self.open.is_empty()
    }

    /// Sending of the text → end of the reply's text, if all of its streams were closed.
    pub(super) fn length(&self) -> Option<Duration> {
        let end = self.last_end.filter(|_| self.open.is_empty())?;
        end.checked_duration_since(self.sent?)
    }

    /// When the whole reply was over, or will be if nothing follows: its text has ended, the agent
    /// is silent, and is not about to say more. `None` if that is not known yet. `deadline`: end of
    /// the turn's timeout, for a turn without a text.
    pub(super) fn over(&self, deadline: Instant, talk: &Talk, states: &States) -> Option<Instant> {
        if !self.open.is_empty() || talk.current().is_some() {
            return None;
        }
        let mut over = later(self.last_end.unwrap_or(deadline), SETTLES);
        if let Some(last) = self.heard_until(talk) {
            talk.fell_silent()?;
            over = over.max(later(last, SPURT_GAP));
        }
        match states.current() {
            Some((since, AgentState::Listening | AgentState::Idle)) => {
                Some(over.max(later(since, STATE_LEADS)))
            }
            Some(_) => None,
            None => Some(over),
        }
    }

    /// The last audible sample since the text was sent, even of speech that had begun before.
    fn heard_until(&self, talk: &Talk) -> Option<Instant> {
        let last = talk.silent_since()?;
        self.precedes(last).then_some(last)
    }

    /// The last audible sample of the speech that began after the text was sent.
    pub(super) fn voice_end(&self, talk: &Talk) -> Option<Instant> {
        talk.last_end_since(self.sent?)
    }
}
