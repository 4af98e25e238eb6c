//! Parses durations on the command line.

use crate::vocab::duration;
use std::time::Duration;

/// Parses a duration; the error includes a hint.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}
