//! The common interface of observed endpoints and processes.
//!
//! In: a request for a reading. Out: the source's values, or why there are none. This file also has
//! the time limit of a reading.

use super::exposition::Values;
use std::future::Future;
use std::time::Duration;

/// Maximum duration of a reading.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// Reason of a missing value: the source did not respond in time.
pub(super) const TOO_SLOW: &str = "no answer within a second";

/// A source of readings: an endpoint or a process.
pub(super) trait Source {
    /// Reads the current values, or returns why there are none. The reason does not contain the
    /// source's address.
    fn read(&mut self) -> impl Future<Output = Result<Values, String>>;
}
