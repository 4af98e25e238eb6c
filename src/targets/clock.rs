//! The runtime's clock, by which calls are timed.
//!
//! In: nothing, or an instant. Out: the current time, or a wake-up at the instant. Invariant: if a
//! test has paused the clock, both are in virtual time.

use std::time::Instant;

/// The current time on the runtime's clock, which is the system's monotonic clock unless a test has
/// paused it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits until the instant `at`; with `None`, forever.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
