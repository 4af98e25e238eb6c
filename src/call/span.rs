//! A stretch of speech, and how short a pause inside it may be.

use std::time::{Duration, Instant};

/// A silence this long that contains or follows the caller's end of speech separates a reply from
/// the agent's earlier speech. Shorter pauses are part of speech.
pub(super) const SEPARATES: Duration = Duration::from_millis(200);

/// A stretch of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Span {
    /// Length of the part inside `window`.
    pub(super) fn within(self, window: Self) -> Duration {
        let (from, to) = (self.from.max(window.from), self.to.min(window.to));
        to.saturating_duration_since(from)
    }
}
