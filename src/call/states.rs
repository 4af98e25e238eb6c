//! Decides from the agent's reported states whether it stopped speaking in a pause.
//!
//! In: states, each with the instant at which its report arrived. Out: whether the agent stopped or
//! was still speaking in a pause. Invariant: without reported states, the result is inconclusive.

use super::AgentState;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of state changes remembered: far more than occur in one turn.
const KEPT: usize = 64;
/// An interrupted agent reports its new state immediately; audio that was already sent arrives up
/// to this much later.
const LEFT_BEFORE: Duration = Duration::from_millis(400);
/// State and audio take different paths, so either may arrive first, by up to this much.
const EITHER_FIRST: Duration = Duration::from_millis(80);
/// `speaking` is reported before the first sample is sent, but may arrive this much after it.
const SPEAKS_AFTER: Duration = Duration::from_millis(300);

/// Meaning of a pause in the agent's speech, according to its states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PauseMeaning {
    /// The agent stopped speaking and then started again.
    Stopped,
    /// The agent was in state `speaking` throughout.
    SpokeOn,
    /// The states are inconclusive.
    Nothing,
}

#[derive(Debug, Clone, Default)]
pub(super) struct States {
    changes: VecDeque<(Instant, AgentState)>,
}

impl States {
    /// Records the state that the agent reports at `now`.
    pub(super) fn take(&mut self, now: Instant, state: AgentState) {
        if self.current().is_some_and(|(_, before)| before == state) {
            return;
        }
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back((now, state));
    }

    /// The current state and the instant of its report; `None` if the agent has reported no state.
    pub(super) fn current(&self) -> Option<(Instant, AgentState)> {
        self.changes.back().copied()
    }

    /// The last change up to `at`.
    fn at(&self, at: Instant) -> Option<(Instant, AgentState)> {
        let before = |change: &&(Instant, AgentState)| change.0 <= at;
        self.changes.iter().rev().find(before).copied()
    }

    /// Whether the state is `speaking` and was reported by `instant`.
    pub(super) fn speaks_since(&self, instant: Instant) -> bool {
        let current = self.current();
        current.is_some_and(|(at, state)| state == AgentState::Speaking && at <= instant)
    }

    /// Whether the agent began to think after its speech at `from` had begun, and before its speech
    /// at `to` began.
    pub(super) fn thought_between(&self, from: Instant, to: Instant) -> bool {
        let mut changes = self.changes.iter();
        let within = |at: Instant| at > from && at <= to + EITHER_FIRST;
        changes.any(|(at, state)| *state == AgentState::Thinking && within(*at))
    }

    /// Start of the state `thinking` that preceded the agent's speech at `onset`; `None` if another
    /// state preceded it.
    pub(super) fn thinking_before(&self, onset: Instant) -> Option<Instant> {
        let until = onset + SPEAKS_AFTER;
        let mut changes = self.changes.iter().rev().filter(|(at, _)| *at <= until);
        let thinking = changes.find(|(_, state)| *state != AgentState::Speaking)?;
        (thinking.1 == AgentState::Thinking).then_some(thinking.0)
    }

    /// Whether the agent has been `thinking` since `begun`, and has since then neither listened nor
    /// become idle; the instant of its last change, if so.
    pub(super) fn at_work_since(&self, begun: Instant) -> Option<Instant> {
        let since = self.changes.iter().rev().take_while(|(at, _)| *at >= begun);
        let working = since
            .take_while(|(_, state)| matches!(state, AgentState::Thinking | AgentState::Speaking));
        let thought = { working }.any(|(_, state)| *state == AgentState::Thinking);
        self.current().filter(|_| thought).map(|(at, _)| at)
    }

    /// Meaning of the silence from `last` (the last audible sample) to `onset`.
    pub(super) fn of_pause(&self, last: Instant, onset: Instant) -> PauseMeaning {
        let from = last.checked_sub(LEFT_BEFORE).unwrap_or(last);
        let mut speaking = self.at(from).map(|(_, s)| s == AgentState::Speaking);
        let mut left = speaking == Some(false);
        for &(at, state) in self.changes.iter().filter(|(at, _)| *at > from) {
            if state == AgentState::Speaking {
                if left && at >= last && at <= onset + SPEAKS_AFTER {
                    return PauseMeaning::Stopped;
                }
                speaking = Some(true);
                left = false;
            } else if at <= onset + EITHER_FIRST {
                left |= speaking.is_none() || speaking == Some(true);
                speaking = Some(false);
            }
        }
        // In all other cases the agent left `speaking` and has not returned to it, or was never in
        // that state.
        match (speaking, left) {
            (Some(true), false) => PauseMeaning::SpokeOn,
            _ => PauseMeaning::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AgentState::{Listening, Speaking, Thinking};
    use super::*;

    #[test]
    fn the_agents_state_decides_what_a_pause_means() {
        // Speech begins at 100 ms; the pause lasts from 1000 to 1400 ms.
        type Case = (&'static str, &'static [(u64, AgentState)], PauseMeaning);
        let cases: [Case; 9] = [
            ("no state", &[], PauseMeaning::Nothing),
            ("always speaking", &[(50, Speaking)], PauseMeaning::SpokeOn),
            (
                "interrupted, then an answer",
                &[
                    (50, Speaking),
                    (1005, Listening),
                    (1200, Thinking),
                    (1350, Speaking),
                ],
                PauseMeaning::Stopped,
            ),
            (
                "the state changes before the silence",
                &[
                    (50, Speaking),
                    (900, Listening),
                    (1200, Thinking),
                    (1350, Speaking),
                ],
                PauseMeaning::Stopped,
            ),
            (
                "the state `speaking` arrives after its audio",
                &[(50, Speaking), (1005, Listening), (1550, Speaking)],
                PauseMeaning::Stopped,
            ),
            (
                "a filler in state `thinking`, then an answer",
                &[(50, Thinking), (1350, Speaking)],
                PauseMeaning::Stopped,
            ),
            (
                "not speaking for a while long before the pause",
                &[(50, Speaking), (300, Listening), (500, Speaking)],
                PauseMeaning::SpokeOn,
            ),
            (
                "never in state `speaking`",
                &[(50, Listening)],
                PauseMeaning::Nothing,
            ),
            (
                "leaves `speaking` after the pause",
                &[(50, Speaking), (1900, Listening)],
                PauseMeaning::SpokeOn,
            ),
        ];
        for (name, changes, expected) in cases {
            let start = Instant::now();
            let ms = |ms| start + Duration::from_millis(ms);
            let mut states = States::default();
            changes
                .iter()
                .for_each(|(at, state)| states.take(ms(*at), *state));
            assert_eq!(states.of_pause(ms(1000), ms(1400)), expected, "{name}");
        }
    }

    #[test]
    fn thinking_before_returns_the_start_of_thinking() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut states = States::default();
        states.take(ms(10), Listening);
        assert_eq!(states.thinking_before(ms(1000)), None);
        states.take(ms(400), Thinking);
        states.take(ms(400), Thinking);
        assert_eq!(states.thinking_before(ms(1000)), Some(ms(400)));
        states.take(ms(1100), Speaking);
        assert_eq!(states.thinking_before(ms(1000)), Some(ms(400)));
        assert_eq!(states.current(), Some((ms(1100), Speaking)));
    }

    #[test]
    fn the_number_of_state_changes_kept_is_bounded() {
        let now = Instant::now();
        let mut states = States::default();
        for n in 0..10_000 {
            states.take(now, if n % 2 == 0 { Speaking } else { Thinking });
        }
        assert_eq!(states.changes.len(), KEPT);
    }
}
