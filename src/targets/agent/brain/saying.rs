//! What the agent is saying or is about to say, and what its caller interrupted.

use crate::targets::agent::script::Script;
use crate::targets::agent::splice::Cutting;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The turn that a reply answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::targets::agent) struct Answered {
    pub turn: u32,
    /// Capture time of the caller's last speech sample, and the arrival of its packet.
    pub speech_end: Instant,
    pub packet: Instant,
    pub delay: Duration,
}

/// What an utterance of the agent is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::targets::agent) enum Part {
    Greeting,
    Reply,
    /// The beginning of a reply whose answer follows.
    Filler,
    /// The answer, this long after the filler.
    Answer(Duration),
    /// What the caller interrupted, once more.
    Again(Pardon),
    /// Nothing: the agent does not answer this turn.
    Silence,
}

impl Part {
    /// Its name in the truth file.
    pub(in crate::targets::agent) fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Reply | Self::Silence => "reply",
            Self::Filler => "filler",
            Self::Answer(_) => "answer",
            Self::Again(Pardon { restart: true, .. }) => "restarted",
            Self::Again(_) => "resumed",
        }
    }
}

/// An interruption that asked for nothing, after which the agent speaks again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::targets::agent) struct Pardon {
    /// First and last sample of the interruption.
    pub began: Instant,
    pub ended: Instant,
    /// From the last one to the agent's first audible sample.
    pub pause: Duration,
    /// Whether the agent begins anew.
    pub restart: bool,
}

/// An interruption that the agent obeys after a delay.
#[derive(Debug, Clone)]
pub(in crate::targets::agent) struct Stopping {
    /// First sample of the interruption.
    pub began: Instant,
    /// From there to the last audible sample; `None` if the agent has stopped at once.
    pub after: Duration,
    /// The search for the end.
    pub cutting: Cutting,
    /// The script as it was before it was cut; `None` until then.
    pub whole: Option<Arc<Script>>,
}

/// A script in progress, or one that waits for the time of its first packet.
#[derive(Debug, Clone)]
pub(in crate::targets::agent) struct Saying {
    pub part: Part,
    /// `None` for a greeting.
    pub answers: Option<Answered>,
    pub script: Arc<Script>,
    pub first: Instant,
    /// Numbers of the next item and the next mark.
    pub item: usize,
    pub mark: usize,
    /// The answer that follows a filler.
    pub then: Option<Arc<Script>>,
    /// From when on the caller's silence is the end of the turn, even if the caller speaks again
    /// before the reply has begun.
    pub commit: Option<Instant>,
    /// When the caller spoke again before this reply, which is said nevertheless.
    pub over: Option<Instant>,
    pub stop: Option<Stopping>,
}

impl Saying {
    pub(in crate::targets::agent) fn new(
        part: Part,
        answers: Option<Answered>,
        script: Arc<Script>,
        first: Instant,
    ) -> Self {
        Self {
            part,
            answers,
            script,
            first,
            item: 0,
            mark: 0,
            then: None,
            commit: None,
            over: None,
            stop: None,
        }
    }

    /// When its next packet is due; `None` after the last one.
    pub(in crate::targets::agent) fn next_due(&self) -> Option<Instant> {
        Some(self.first + self.script.items.get(self.item)?.at)
    }

    /// Number of the reply; `None` for a greeting.
    pub(in crate::targets::agent) fn turn(&self) -> Option<u32> {
        self.answers.map(|answered| answered.turn)
    }

    /// Whether the script has been cut because of an interruption.
    pub(in crate::targets::agent) fn is_cut(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.whole.is_some())
    }
}

/// What the agent was saying when its caller interrupted it.
#[derive(Debug, Clone)]
pub(in crate::targets::agent) struct Interrupted {
    /// With the whole script.
    pub saying: Saying,
    /// Position after the last audible sample.
    pub position: u64,
    /// First sample of the interruption.
    pub began: Instant,
}
