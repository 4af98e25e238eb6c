//! Who spoke when in a turn, and of what parts its reply consists.
//!
//! Out: a [`Conversation`], a part of a turn's result; `view` fills it in.

use super::floor::{Floor, Silences};
use std::time::{Duration, Instant};

/// Maximum number of spurts that are recorded for one reply.
pub(super) const SPURTS: usize = 64;

/// A part of a reply between two silences of at least 200 ms, as the caller hears it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spurt {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    /// When its first audible sample was received.
    pub(super) wire: Instant,
    /// Level above the noise at its beginning, in dB.
    pub(crate) snr_db: Option<f32>,
}

/// Who spoke when in a turn, and of what parts its reply consists.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Conversation {
    /// From the start of the turn's utterance until the turn was over.
    pub(crate) floor: Floor,
    /// Silences of at least the scenario's bound while it was the agent's turn to speak.
    pub(crate) silences: Silences,
    /// The spurts of the reply, at most [`SPURTS`].
    pub(crate) spurts: Vec<Spurt>,
    /// Which of the spurts is the first one behind a filler; `None` if there is no filler.
    pub(crate) behind_filler: Option<usize>,
    /// End of speech → the first sound of the answer: of the spurt behind the filler, or else of
    /// the reply.
    pub(crate) answer_wire: Option<Duration>,
    /// The same to the caller's ear.
    pub(crate) answer: Option<Duration>,
    /// Lengths of the pauses inside the caller's utterance.
    pub(crate) pauses: Vec<Duration>,
    /// For an early reply: the length of the pause into which it fell.
    pub(crate) early_pause: Option<Duration>,
}
