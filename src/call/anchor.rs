//! When the next turn may begin.
//!
//! In: what the call has seen. Out: the anchor's instant, or until when to wait for it.
//! Holds: every anchor that can stay away has a bound. A bound is for a silent agent: one
//! that is speaking when it passes is waited for, up to a minute from its onset.

use super::spurts::Spurts;
use super::turn::SPURT_BOUND;
use super::{Anchor, GreetingPolicy, later};
use crate::audio::SPURT_GAP;
use std::time::{Duration, Instant};

/// `greeting: ignore` waits so long for an agent that says nothing (DESIGN section 8).
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
    /// Both ends connected.
    pub(super) call_start: Instant,
    pub(super) subscribed: Instant,
    /// Timeout of the call's first turn.
    pub(super) first_timeout: Duration,
    pub(super) before: Option<Before>,
    pub(super) spurts: &'a Spurts,
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
    pub(super) fn standing(&self, anchor: Anchor) -> Standing {
        if anchor == Anchor::AgentSpeechStart {
            return self.speech_start();
        }
        let over = match self.before {
            None => self.call_start,
            Some(Before { over: Some(at), .. }) => at,
            Some(_) => return Standing::never_yet(),
        };
        match (anchor, self.before) {
            (Anchor::CallStart, _) => Standing::Came(self.call_start),
            (Anchor::Greeting, _) => self.greeting_end(),
            (Anchor::AgentSpeechEnd, None) => {
                let bound = later(self.call_start, self.first_timeout);
                self.silence(self.spurts.first_end, over, bound, true)
            }
            (Anchor::AgentSpeechEnd, Some(before)) => {
                let end = self.spurts.last_end.filter(|e| *e >= before.media_start);
                self.silence(end, over, before.deadline.max(over), true)
            }
            (Anchor::PreviousTurn | Anchor::AgentSpeechStart, _) => Standing::Came(over),
        }
    }

    fn greeting_end(&self) -> Standing {
        let (bound, doubt) = match self.greeting {
            GreetingPolicy::None => return Standing::Came(self.call_start),
            GreetingPolicy::Ignore => (later(self.call_start, IGNORED_GREETING), false),
            GreetingPolicy::Expect => {
                let bound = later(self.subscribed, self.first_timeout);
                (bound.max(self.call_start), true)
            }
        };
        self.silence(self.spurts.first_end, self.call_start, bound, doubt)
    }

    /// The agent's silence after `end`, but not before `earliest`.
    fn silence(
        &self,
        end: Option<Instant>,
        earliest: Instant,
        bound: Instant,
        doubt: bool,
    ) -> Standing {
        match (self.spurts.current, end) {
            (Some(spurt), _) => Standing::Waits {
                until: Some(later(spurt.began(), SPURT_BOUND).max(earliest)),
                doubt: true,
            },
            (None, Some(end)) => Standing::Came(later(end, SPURT_GAP).max(earliest)),
            (None, None) => Standing::Waits {
                until: Some(bound),
                doubt,
            },
        }
    }

    /// The next spurt after the turn before was said; the first one of the call before that.
    fn speech_start(&self) -> Standing {
        let began = self.spurts.last_began;
        let Some(before) = self.before else {
            return match began {
                Some(at) if self.spurts.current.is_some() => {
                    Standing::Came(at.max(self.call_start))
                }
                _ => Standing::Waits {
                    until: Some(later(self.call_start, self.first_timeout)),
                    doubt: true,
                },
            };
        };
        match began.filter(|b| *b >= before.speech_end) {
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
