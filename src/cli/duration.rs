//! Durations on the command line.

use crate::vocab::duration;
use std::time::Duration;

/// Parses a duration; the error says what a valid one looks like.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}
