//! When the next turn may begin.
//!
//! In: what the call has seen. Out: the anchor's instant, or until when to wait for it.
//! Invariant: every anchor that can stay away has a bound. A bound is for a silent agent: one
//! that is speaking when it passes is waited for, up to a minute from its onset; one that says it
//! is thinking, up to a minute from then on.

use super::states::States;
use super::talk::{SEPARATES, Talk};
use super::turn::SPURT_BOUND;
use super::{AgentState, Anchor, GreetingPolicy, TurnScript, later};
use crate::audio::SPURT_GAP;
use std::time::{Duration, Instant};

/// `greeting: ignore` waits so long for an agent that says nothing.
const IGNORED_GREETING: Duration = Duration::from_secs(5);

/// The turn before, as far as the next one's anchor depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) media_start: Instant,
    pub(super) speech_end: Instant,
    pub(super) deadline: Instant,
    /// `None` while it runs.
    pub(super) over: Option<Instant>,
}

/// What the call knows of when its next turn may begin.
pub(super) struct Known<'a> {
    pub(super) greeting: GreetingPolicy,
    /// Media flow, and an agent is there.
    pub(super) call_start: Instant,
    /// Timeout of the call's first turn.
    pub(super) first_timeout: Duration,
    pub(super) before: Option<Before>,
    pub(super) talk: &'a Talk,
    pub(super) states: &'a States,
}

/// Where an anchor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It came.
    Came(Instant),
    /// Not yet; at `until` it fires all the same. `doubt`: that is its bound, not its rule.
    Waits { until: Option<Instant>, doubt: bool },
}

impl Known<'_> {
    /// Where the anchor of the turn `next` stands.
    pub(super) fn standing(&self, next: &TurnScript) -> Standing {
        if next.anchor == Anchor::AgentSpeechStart {
            return self.speech_start();
        }
        let over = match self.before {
            None => self.call_start,
            Some(Before { over: Some(at), .. }) => at,
            Some(_) => return Standing::never_yet(),
        };
        match next.anchor {
            Anchor::CallStart => Standing::Came(self.call_start),
            Anchor::Greeting => self.greeting_end(),
            Anchor::AgentSpeechEnd => self.speech_end(over, next.silence),
            Anchor::AgentTurnEnd => self.turn_end(over, next.silence),
            Anchor::PreviousTurn | Anchor::AgentSpeechStart => Standing::Came(over),
        }
    }

    fn greeting_end(&self) -> Standing {
        let (bound, doubt) = match self.greeting {
            GreetingPolicy::None => return Standing::Came(self.call_start),
            GreetingPolicy::Ignore => (later(self.call_start, IGNORED_GREETING), false),
            GreetingPolicy::Expect => (later(self.call_start, self.first_timeout), true),
        };
        let end = self.talk.first_end;
        self.silence(end, SPURT_GAP, self.call_start, (bound, doubt))
    }

    /// The agent's silence since the turn before began, or since the call did.
    fn speech_end(&self, over: Instant, silence: Duration) -> Standing {
        let (end, bound) = match self.before {
            None => (
                self.talk.first_end,
                later(self.call_start, self.first_timeout),
            ),
            Some(before) => {
                let last = self.talk.silent_since();
                let end = last.filter(|last| *last >= before.media_start);
                (end, before.deadline.max(over))
            }
        };
        self.silence(end, silence, over, (bound, true))
    }

    /// Silent, and back at `listening`; an agent without states is only waited for until it is
    /// silent.
    fn turn_end(&self, over: Instant, silence: Duration) -> Standing {
        let Some((since, state)) = self.states.current() else {
            return self.speech_end(over, silence);
        };
        match state {
            AgentState::Listening | AgentState::Idle => {
                let told = self.speech_end(over, SEPARATES);
                match (told, self.before) {
                    (Standing::Came(at), _) => Standing::Came(at.max(since)),
                    // It said nothing in this turn and does not mean to.
                    (Standing::Waits { doubt: true, .. }, Some(before))
                        if self.talk.current().is_none() && since >= before.speech_end =>
                    {
                        Standing::Came(over.max(since))
                    }
                    (waits, _) => waits,
                }
            }
            AgentState::Initializing | AgentState::Thinking | AgentState::Speaking => {
                let bound = self.before.map_or(self.call_start, |b| b.deadline);
                Standing::Waits {
                    until: Some(later(since, SPURT_BOUND).max(bound).max(over)),
                    doubt: true,
                }
            }
        }
    }

    /// The agent's silence for `silence` after `end`, but not before `earliest`; the bound, and
    /// whether it is one that leaves a doubt.
    fn silence(
        &self,
        end: Option<Instant>,
        silence: Duration,
        earliest: Instant,
        (bound, doubt): (Instant, bool),
    ) -> Standing {
        if let Some(speaking) = self.talk.current() {
            return Standing::Waits {
                until: Some(later(speaking.began(), SPURT_BOUND).max(earliest)),
                doubt: true,
            };
        }
        let Some(end) = end else {
            if self.talk.may_go_on() {
                return Standing::never_yet();
            }
            return Standing::Waits {
                until: Some(bound),
                doubt,
            };
        };
        let at = later(end, silence).max(earliest);
        // The ear itself tells of the usual silence; others are waited for.
        match self.talk.fell_silent() {
            Some(_) if silence <= SPURT_GAP => Standing::Came(at),
            None if silence == SPURT_GAP => Standing::never_yet(),
            _ => Standing::Waits {
                until: Some(at),
                doubt: false,
            },
        }
    }

    /// The next spurt after the turn before was said; the first one of the call before that.
    fn speech_start(&self) -> Standing {
        let Some(before) = self.before else {
            return match self.talk.current() {
                Some(spurt) => Standing::Came(spurt.began().max(self.call_start)),
                None => Standing::Waits {
                    until: Some(later(self.call_start, self.first_timeout)),
                    doubt: true,
                },
            };
        };
        match self.talk.began_after(before.speech_end) {
            Some(at) => Standing::Came(at),
            None => Standing::Waits {
                until: before.over.map(|over| over.max(before.deadline)),
                doubt: true,
            },
        }
    }
}

impl Standing {
    fn never_yet() -> Self {
        Self::Waits {
            until: None,
            doubt: false,
        }
    }
}
