//! Decides when the next turn may start.
//!
//! In: the call's observations so far. Out: the instant at which the anchor fired, or how long to
//! wait for it.
//! Invariant: every anchor that might never fire has a bound. The bound applies to a silent agent:
//! if the agent is speaking when the bound passes, the wait extends to at most a minute after the
//! onset of that speech; if the agent reports a busy state, to a minute after that state change.

use super::span::SEPARATES;
use super::states::States;
use super::talk::Talk;
use super::turn::SPURT_BOUND;
use super::{AgentState, Anchor, GreetingPolicy, later};
use crate::audio::SPURT_GAP;
use std::time::{Duration, Instant};

/// How long `greeting: ignore` waits for a silent agent.
const IGNORED_GREETING: Duration = Duration::from_secs(5);

/// The instants of the previous turn on which the next turn's anchor depends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Index of the turn in the call.
    pub(super) turn: usize,
    pub(super) media_start: Instant,
    pub(super) speech_end: Instant,
    pub(super) deadline: Instant,
    /// The caller sent a text, which the agent may answer without a word.
    pub(super) is_text: bool,
    /// `None` while the turn is still running.
    pub(super) over: Option<Instant>,
}

/// Inputs to the decision when the next turn may start.
pub(super) struct Known<'a> {
    pub(super) greeting: GreetingPolicy,
    /// The first instant at which media was flowing and an agent was in the room.
    pub(super) call_start: Instant,
    pub(super) first_timeout: Duration,
    pub(super) before: Option<Before>,
    pub(super) talk: &'a Talk,
    pub(super) states: &'a States,
}

/// The state of an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnchorState {
    /// The anchor fired at this instant.
    Came(Instant),
    /// The anchor has not fired; the turn starts at `until` at the latest. `doubt`: whether a turn
    /// that starts at `until` is flagged because its anchor may not have fired.
    Waits { until: Option<Instant>, doubt: bool },
    /// The anchor fires on a report of the ear. If no report comes, because the stream has ended or
    /// reports were lost, the turn starts at `until` and is flagged.
    Hears { until: Instant },
}

impl Known<'_> {
    /// The state of `anchor`. `silence`: how long the agent must be silent, for an anchor that
    /// waits for that.
    pub(super) fn standing(&self, anchor: Anchor, silence: Duration) -> AnchorState {
        if anchor == Anchor::AgentSpeechStart {
            return self.speech_start();
        }
        let over = match self.before {
            None => self.call_start,
            Some(Before { over: Some(at), .. }) => at,
            Some(_) => return AnchorState::never_yet(),
        };
        match anchor {
            Anchor::CallStart => AnchorState::Came(self.call_start),
            Anchor::Greeting => self.greeting_end(),
            Anchor::AgentSpeechEnd => self.spoken_end(over, silence),
            Anchor::AgentTurnEnd => self.turn_end(over, silence),
            Anchor::PreviousTurn | Anchor::AgentSpeechStart => AnchorState::Came(over),
        }
    }

    fn greeting_end(&self) -> AnchorState {
        let (bound, doubt) = match self.greeting {
            GreetingPolicy::None => return AnchorState::Came(self.call_start),
            GreetingPolicy::Ignore => (later(self.call_start, IGNORED_GREETING), false),
            GreetingPolicy::Expect => (later(self.call_start, self.first_timeout), true),
        };
        let end = self.talk.first_end;
        self.silence(end, SPURT_GAP, self.call_start, (bound, doubt))
    }

    /// Fires once the agent has been silent for `silence` after speech that ended since the
    /// previous turn's media start, or since the start of the call.
    fn speech_end(&self, over: Instant, silence: Duration) -> AnchorState {
        let (end, bound) = match self.before {
            None => (
                self.talk.first_end,
                later(self.call_start, self.first_timeout),
            ),
            Some(before) => {
                let last = self.talk.silent_since();
                let end = last.filter(|last| *last >= before.media_start);
                if before.is_text && end.is_none() && self.talk.current().is_none() {
                    return AnchorState::Came(over);
                }
                (end, before.deadline.max(over))
            }
        };
        self.silence(end, silence, over, (bound, true))
    }

    /// As [`Self::speech_end`], but not while an agent that has spoken reports that it is
    /// `thinking`, or that it speaks again after that and has yet to be heard: what it said was a
    /// filler, and its answer is still to come.
    fn spoken_end(&self, over: Instant, silence: Duration) -> AnchorState {
        let ended = self.speech_end(over, silence);
        let Some(before) = self.before else {
            return ended;
        };
        let begun = self.talk.last_began();
        let begun = begun.filter(|begun| *begun >= before.media_start);
        match begun.and_then(|begun| self.states.at_work_since(begun)) {
            Some(since) => AnchorState::Waits {
                until: Some(later(since, SPURT_BOUND).max(before.deadline).max(over)),
                doubt: true,
            },
            None => ended,
        }
    }

    /// Fires once the agent is silent and its state is `listening` or `idle` again. If the agent
    /// reports no state, silence is enough.
    fn turn_end(&self, over: Instant, silence: Duration) -> AnchorState {
        let Some((since, state)) = self.states.current() else {
            return self.speech_end(over, silence);
        };
        match state {
            AgentState::Listening | AgentState::Idle => {
                let told = self.speech_end(over, SEPARATES);
                match (told, self.before) {
                    (AnchorState::Came(at), _) => AnchorState::Came(at.max(since)),
                    // The agent returned to `listening` or `idle` without speaking in this turn.
                    (AnchorState::Waits { doubt: true, .. }, Some(before))
                        if self.talk.current().is_none() && since >= before.speech_end =>
                    {
                        AnchorState::Came(over.max(since))
                    }
                    (waits, _) => waits,
                }
            }
            AgentState::Initializing | AgentState::Thinking | AgentState::Speaking => {
                let bound = self.before.map_or(self.call_start, |b| b.deadline);
                AnchorState::Waits {
                    until: Some(later(since, SPURT_BOUND).max(bound).max(over)),
                    doubt: true,
                }
            }
        }
    }

    /// Fires when the agent has been silent for `silence` after `end`, but not before `earliest`.
    /// The last argument contains the bound and whether a start at the bound is flagged as
    /// doubtful.
    fn silence(
        &self,
        end: Option<Instant>,
        silence: Duration,
        earliest: Instant,
        (bound, doubt): (Instant, bool),
    ) -> AnchorState {
        if let Some(speaking) = self.talk.current() {
            return AnchorState::Waits {
                until: Some(later(speaking.began(), SPURT_BOUND).max(earliest)),
                doubt: true,
            };
        }
        let Some(end) = end else {
            if self.talk.may_go_on() {
                return AnchorState::unless_heard(bound.max(earliest));
            }
            return AnchorState::Waits {
                until: Some(bound),
                doubt,
            };
        };
        let at = later(end, silence).max(earliest);
        // The ear reports a silence of SPURT_GAP by itself; any other length needs a timeout.
        match self.talk.fell_silent() {
            Some(_) if silence <= SPURT_GAP => AnchorState::Came(at),
            None if silence == SPURT_GAP => AnchorState::unless_heard(at),
            _ => AnchorState::Waits {
                until: Some(at),
                doubt: false,
            },
        }
    }

    /// Fires on a talk spurt that begins after the previous turn's end of speech; for the first
    /// turn, on any talk spurt.
    fn speech_start(&self) -> AnchorState {
        let Some(before) = self.before else {
            return match self.talk.current() {
                Some(spurt) => AnchorState::Came(spurt.began().max(self.call_start)),
                None => AnchorState::Waits {
                    until: Some(later(self.call_start, self.first_timeout)),
                    doubt: true,
                },
            };
        };
        match self.talk.began_after(before.speech_end) {
            Some(at) => AnchorState::Came(at),
            None => AnchorState::Waits {
                until: before.over.map(|over| over.max(before.deadline)),
                doubt: true,
            },
        }
    }
}

impl AnchorState {
    /// The instant at which the turn starts if the anchor has not fired by then, and whether the
    /// turn is then flagged.
    pub(super) fn bound(self) -> Option<(Instant, bool)> {
        match self {
            Self::Came(_) => None,
            Self::Waits { until, doubt } => until.map(|until| (until, doubt)),
            Self::Hears { until } => Some((until, true)),
        }
    }

    /// A report of the ear is expected soon after `at`.
    fn unless_heard(at: Instant) -> Self {
        Self::Hears {
            until: later(at, SPURT_BOUND),
        }
    }

    fn never_yet() -> Self {
        Self::Waits {
            until: None,
            doubt: false,
        }
    }
}
