//! Events in a call of the reference agent, for the description of its session.

use crate::call::AgentState;
use std::time::{Duration, Instant};

/// An event, and when the agent detected it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    pub at: Instant,
    pub what: Happening,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Happening {
    /// The caller began to speak, or resumed after a pause.
    CallerSpeaks,
    /// The caller stopped speaking.
    CallerStopped {
        /// Capture time of the last speech sample.
        speech_end: Instant,
    },
    /// The agent's state changed.
    State(AgentState),
    /// The packet with the first audible sample of a reply or greeting was sent.
    Audible {
        at: Instant,
        /// End of the speech that the reply answers; `None` for a greeting.
        answers: Option<Instant>,
        /// Time from that sample to the end of the clip.
        length: Duration,
    },
    /// The agent finished its utterance, or stopped because the caller spoke.
    Silent { interrupted: bool },
}
