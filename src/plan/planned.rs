//! A turn of the plan: what is said, when, and what follows.
//!
//! Out: these types. Invariant: everything random has been drawn.

use crate::vocab::{Anchor, Expect, UtteranceKind};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedTurn {
    /// What the caller says or writes.
    pub said: Said,
    /// Its name in records: that of the utterance, or `say_text` for a text.
    pub say: String,
    /// Whether it is speech for the agent, or what else it is.
    pub kind: UtteranceKind,
    /// The event after which the turn starts.
    pub anchor: Anchor,
    /// Pause after the anchor, as drawn.
    pub delay: Duration,
    /// The behaviour expected of the agent.
    pub expect: Expect,
    /// Time limit for the agent's reaction, from the end of speech.
    pub timeout: Duration,
    /// For a turn of a loop: the number of the pass, from 0, and of the passes of this call.
    pub pass: Option<(u32, u32)>,
    /// When the caller hangs up after this turn, if it does.
    pub hang_up: Option<PlannedLeaving>,
}

/// When the caller hangs up after a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedLeaving {
    pub anchor: Anchor,
    /// Silence after which the agent's speech counts as ended.
    pub silence: Duration,
    /// Pause after the anchor, as drawn.
    pub delay: Duration,
}

/// What the caller says in a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The utterance with this index in [`Scenario::utterances`].
    Utterance(usize),
    /// This text, which is sent and not spoken.
    Text(Arc<str>),
    Nothing,
}

impl PlannedTurn {
    /// Index of the utterance that the caller speaks, if it speaks.
    pub(crate) fn utterance(&self) -> Option<usize> {
        match self.said {
            Said::Utterance(index) => Some(index),
            Said::Text(_) | Said::Nothing => None,
        }
    }

    /// Whether this call leaves the turn out, because its loop has fewer passes.
    pub(crate) fn is_left_out(&self) -> bool {
        self.pass.is_some_and(|(pass, passes)| pass >= passes)
    }

    /// The text that the caller sends, if it sends one.
    pub(crate) fn text(&self) -> Option<Arc<str>> {
        match &self.said {
            Said::Utterance(_) | Said::Nothing => None,
            Said::Text(text) => Some(text.clone()),
        }
    }
}
