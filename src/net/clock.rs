//! Maps the kernel's receive timestamps to `Instant`s.
//!
//! In: the kernel's receive timestamps (wall clock). Out: arrivals as `Instant`.
//! Invariants: an arrival is never later than the moment it was read; a step of the wall clock
//! never shifts an arrival: packets that may have waited through a step get the user-space time.

use crate::os::{monotonic_ns_now, wall_ns};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An `Instant` and the reading of its clock in nanoseconds, taken at the same moment: they relate
/// the two scales.
static BASE: OnceLock<(Instant, u64)> = OnceLock::new();

/// Nanoseconds of the system's monotonic clock at `at`.
pub(crate) fn monotonic_ns(at: Instant) -> u64 {
    let (base, ns) = *BASE.get_or_init(|| {
        let before = Instant::now();
        let ns = monotonic_ns_now();
        (before + before.elapsed() / 2, ns)
    });
    match at.checked_duration_since(base) {
        Some(later) => ns + later.as_nanos() as u64,
        None => ns.saturating_sub(base.duration_since(at).as_nanos() as u64),
    }
}

/// A packet's arrival time and where that time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Arrival time.
    pub(crate) at: Instant,
    /// Timestamped by the kernel on receive; otherwise `at` is when we read the packet.
    pub(crate) kernel: bool,
}

/// Change of (wall − monotonic) between two batches beyond which the wall clock has
/// stepped. Slewing changes it by at most 0.5 ms a second (adjtimex's 500 ppm).
const STEP: i64 = 2_000_000;
/// For this long after a step, kernel timestamps are not used: a packet that is read may have been
/// timestamped before the step. This is longer than packets are normally left in a socket.
const SUSPECT: Duration = Duration::from_millis(200);
/// Longest plausible wait of a packet in a socket; an older timestamp is not used.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Maps the kernel's wall-clock timestamps to `Instant`, batch by batch.
#[derive(Debug)]
pub(super) struct Stamper {
    offset: i64,
    now: Instant,
    /// When the wall clock last stepped.
    stepped: Option<Instant>,
}

impl Stamper {
    /// Creates a mapping from the two clocks as they are now.
    pub(super) fn new() -> Self {
        let (now, offset) = Self::sample();
        Self {
            offset,
            now,
            stepped: None,
        }
    }

    /// Reads both clocks. The error of the pair is less than the time between the two monotonic
    /// reads around the wall-clock read: tens of nanoseconds, unless the thread is preempted there.
    fn sample() -> (Instant, i64) {
        let mut best: Option<(Duration, Instant, i64)> = None;
        for _ in 0..3 {
            let before = Instant::now();
            let wall = wall_ns();
            let width = before.elapsed();
            let middle = before + width / 2;
            let offset = wall as i64 - monotonic_ns(middle) as i64;
            if best.is_none_or(|(w, ..)| width < w) {
                best = Some((width, middle, offset));
            }
            if width < Duration::from_micros(2) {
                break;
            }
        }
        best.map_or_else(|| (Instant::now(), 0), |(_, at, offset)| (at, offset))
    }

    /// Updates the mapping. Must be called before each batch of reads.
    pub(super) fn begin_batch(&mut self) {
        let (now, offset) = Self::sample();
        self.advance(now, offset);
    }

    fn advance(&mut self, now: Instant, offset: i64) {
        let slew = (now.saturating_duration_since(self.now).as_nanos() / 2_000) as i64;
        if (offset - self.offset).abs() > STEP + slew {
            self.stepped = Some(now);
        }
        self.offset = offset;
        self.now = now;
    }

    /// Arrival of a packet that was read at `read`. `wall_ns`: the kernel's wall-clock timestamp
    /// in nanoseconds, if there is one.
    pub(super) fn arrival(&self, wall_ns: Option<u64>, read: Instant) -> Stamp {
        let user = Stamp {
            at: read,
            kernel: false,
        };
        let Some(wall_ns) = wall_ns else { return user };
        if self.stepped.is_some_and(|at| read < at + SUSPECT) {
            return user;
        }
        let waited = monotonic_ns(read) as i64 + self.offset - wall_ns as i64;
        // The mapping is accurate to microseconds, so a timestamp up to 1 ms ahead counts as now.
        if !(-1_000_000..=LONGEST_WAIT.as_nanos() as i64).contains(&waited) {
            return user;
        }
        let at = read
            .checked_sub(Duration::from_nanos(waited.max(0) as u64))
            .unwrap_or(read);
        Stamp { at, kernel: true }
    }
}

/// When a packet left: the time before the system call, or the time after it if the thread was
/// held up in between.
pub(super) fn since_held_up(before: Instant) -> Instant {
    Some(Instant::now())
        .filter(|after| *after - before > HELD_UP)
        .unwrap_or(before)
}

/// A system call that sends a datagram takes less time than this unless the thread is held up.
const HELD_UP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_ns_follows_instants() {
        let a = Instant::now();
        let b = a + Duration::from_micros(1_500);
        assert_eq!(monotonic_ns(b) - monotonic_ns(a), 1_500_000);
        let past = a - Duration::from_secs(1);
        assert_eq!(monotonic_ns(a) - monotonic_ns(past), 1_000_000_000);
    }

    #[test]
    fn kernel_stamps_are_ignored_after_a_step_of_the_wall_clock() {
        let t = Instant::now();
        let mut s = Stamper {
            offset: 5_000_000_000,
            now: t,
            stepped: None,
        };
        let read = t + Duration::from_millis(30);
        let wall = |at: Instant, offset: i64| Some((monotonic_ns(at) as i64 + offset) as u64);
        let got = s.arrival(wall(t + Duration::from_millis(10), 5_000_000_000), read);
        assert!(got.kernel);
        assert_eq!(got.at, t + Duration::from_millis(10));

        // The wall clock jumps an hour between two batches: user-space time for that batch, and
        // for everything that may have been waiting since before the jump.
        s.advance(read, 5_000_000_000 + 3_600_000_000_000);
        assert!(!s.arrival(wall(t, 5_000_000_000), read).kernel);
        s.advance(read, 5_000_000_000 + 3_600_000_000_000);
        assert!(!s.arrival(wall(t, 5_000_000_000), read).kernel);
        // Later, kernel timestamps are trusted again.
        let later = read + SUSPECT;
        s.advance(later, 5_000_000_000 + 3_600_000_000_000);
        let got = s.arrival(wall(read, 5_000_000_000 + 3_600_000_000_000), later);
        assert_eq!((got.kernel, got.at), (true, read));
    }

    #[test]
    fn kernel_stamps_outside_the_plausible_range_are_ignored() {
        let t = Instant::now();
        let s = Stamper {
            offset: 0,
            now: t,
            stepped: None,
        };
        let ns = monotonic_ns(t);
        for wall in [ns + 5_000_000, ns.saturating_sub(11_000_000_000)] {
            assert_eq!(
                s.arrival(Some(wall), t),
                Stamp {
                    at: t,
                    kernel: false
                }
            );
        }
        assert!(!s.arrival(None, t).kernel);
        // Ahead by less than the mapping's error: counts as now, and still as a kernel timestamp.
        assert_eq!(
            s.arrival(Some(ns + 500_000), t),
            Stamp {
                at: t,
                kernel: true
            }
        );
    }
}
