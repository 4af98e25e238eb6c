//! Something that is observed.
//!
//! In: nothing. Out: its values, or why there are none; how long a reading may take.

use super::exposition::Values;
use std::future::Future;
use std::time::Duration;

/// Longest time that a reading may take.
pub(super) const LONGEST: Duration = Duration::from_secs(1);
/// Why there is no value: there was no answer in time.
pub(super) const TOO_SLOW: &str = "no answer within a second";

/// Something that can be read again and again.
pub(super) trait Source {
    /// Reads it; otherwise says why not, without its address.
    fn read(&mut self) -> impl Future<Output = Result<Values, String>>;
}
