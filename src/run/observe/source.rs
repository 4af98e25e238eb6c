//! What an endpoint and a process have in common when they are observed.
//!
//! In: nothing. Out: the source's values, or why there are none; how long a reading may take.

use super::exposition::Values;
use std::future::Future;
use std::time::Duration;

/// Longest time that a reading may take.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// Why there is no value: there was no answer in time.
pub(super) const TOO_SLOW: &str = "no answer within a second";

/// A source of readings: an endpoint or a process.
pub(super) trait Source {
    /// Reads the current values, or returns why there are none, without the source's address.
    fn read(&mut self) -> impl Future<Output = Result<Values, String>>;
}
