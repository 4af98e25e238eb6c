//! Reads the system's clocks.
//!
//! Out: nanoseconds. Invariant: the monotonic clock is the one that `Instant` uses.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The clock of `Instant` (library/std/src/sys/pal/unix/time.rs).
#[cfg(target_vendor = "apple")]
const MONOTONIC: ClockId = ClockId::from_raw(libc::CLOCK_UPTIME_RAW);
#[cfg(not(target_vendor = "apple"))]
const MONOTONIC: ClockId = ClockId::CLOCK_MONOTONIC;

fn now(id: ClockId) -> u64 {
    // These clocks exist on every system that loadgen builds for.
    clock_gettime(id).map_or(0, |t| {
        (t.tv_sec().max(0) as u64) * 1_000_000_000 + t.tv_nsec().max(0) as u64
    })
}

/// Nanoseconds of the clock that `Instant` uses.
pub(crate) fn monotonic_ns_now() -> u64 {
    now(MONOTONIC)
}

/// Nanoseconds of the wall clock since 1970, the clock of the kernel's receive timestamps.
pub(crate) fn wall_ns() -> u64 {
    now(ClockId::CLOCK_REALTIME)
}

/// Processor time of the calling thread.
pub(crate) fn thread_cpu_time() -> Duration {
    Duration::from_nanos(now(ClockId::CLOCK_THREAD_CPUTIME_ID))
}
