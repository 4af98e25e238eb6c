//! What counts as a filler at the beginning of a reply.

use std::time::Duration;

/// A filler as a scenario declares it: short speech such as "let me check", followed by a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filler {
    /// Maximum length of the speech.
    pub max: Duration,
    /// Minimum length of the silence after it.
    pub gap: Duration,
}
