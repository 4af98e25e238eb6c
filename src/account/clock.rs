//! Estimates the offset between the agent's clock and the caller's as an interval.
//!
//! In: pairs of instants, one on each clock, whose order is known. Out: the interval at any
//! instant.
//! Invariants: the interval contains the true offset as long as neither clock drifts by more than
//! [`DRIFT`]; the number of bounds kept is limited.
//!
//! A message that the agent sent at `s` cannot arrive before `s`, so its arrival bounds the offset
//! from below. An answer made at `s` cannot have been made before the request was sent, so the
//! request bounds the offset from above. The tightest bound on each side counts.

use super::AgentTime;
use std::time::Instant;

/// Maximum drift between the two clocks, as a ratio: more than the drift of quartz oscillators, and
/// equal to the maximum slew rate of ntpd.
const DRIFT: f64 = 500e-6;
/// Agents may truncate their instants to whole milliseconds, so an answer may have been made up to
/// this much later than its timestamp.
const CUT_NS: i64 = 1_000_000;
/// Maximum number of bounds kept for each side.
const KEPT: usize = 512;

/// A bound on the offset: `offset` in ns, exact at `at`, looser by [`DRIFT`] before and after.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    /// In ns since the epoch of the estimate.
    at: i64,
    offset: i64,
}

/// By how many ns a bound has loosened `apart` ns away from its instant.
fn loosened(apart: u64) -> i64 {
    // Rounding does not matter: an `f64` holds 104 days in ns exactly.
    (apart as f64 * DRIFT) as i64
}

/// One side of the interval. For the upper side, offsets are negated.
#[derive(Debug, Clone, Default)]
struct Side(Vec<Bound>);

impl Side {
    /// The tightest lower bound at `at`.
    fn at(&self, at: i64) -> Option<i64> {
        let here = |b: &Bound| b.offset.saturating_sub(loosened(at.abs_diff(b.at)));
        self.0.iter().map(here).max()
    }

    /// Adds a bound, unless a known bound is at least as tight at the same instant. Drops known
    /// bounds that the new bound implies.
    fn add(&mut self, new: Bound) {
        if self.at(new.at).is_some_and(|known| known >= new.offset) {
            return;
        }
        let implied = |b: &Bound| new.offset.saturating_sub(loosened(new.at.abs_diff(b.at)));
        self.0.retain(|b| b.offset > implied(b));
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(new);
    }
}

/// The offset: the agent's clock minus the caller's, each measured from its own origin.
#[derive(Debug, Clone)]
pub(super) struct ClockOffset {
    epoch: Instant,
    low: Side,
    /// The upper side; its offsets are negated.
    high: Side,
}

impl ClockOffset {
    /// Creates an estimate without bounds. `epoch`: any instant near the call.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            low: Side::default(),
            high: Side::default(),
        }
    }

    fn since_epoch(&self, instant: Instant) -> i64 {
        let ns = |d: std::time::Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        match instant.checked_duration_since(self.epoch) {
            Some(after) => ns(after),
            None => -ns(self.epoch.saturating_duration_since(instant)),
        }
    }

    /// Adds the bound of a message that the agent sent at `sent` and that arrived at `arrival`.
    pub(super) fn arrived(&mut self, sent: AgentTime, arrival: Instant) {
        let at = self.since_epoch(arrival);
        let offset = sent.0.saturating_sub(at);
        self.low.add(Bound { at, offset });
    }

    /// Adds the bound of a request that was sent at `requested` and answered at `made`.
    pub(super) fn answered(&mut self, made: AgentTime, requested: Instant) {
        let at = self.since_epoch(requested);
        let offset = made.0.saturating_add(CUT_NS).saturating_sub(at);
        self.high.add(Bound {
            at,
            offset: offset.saturating_neg(),
        });
    }

    /// The earliest and the latest instant on the caller's clock at which the agent's clock can have
    /// shown `time`. Without an answered request there is no earliest instant. `None` if no message
    /// with a sending time has arrived, or if the bounds contradict each other.
    pub(super) fn place(&self, time: AgentTime) -> Option<(Option<Instant>, Instant)> {
        // How loose the bounds are depends on the instant to be placed, so approximate that instant
        // with the newest bound.
        let near = time.0.saturating_sub(self.low.0.last()?.offset);
        let low = self.low.at(near)?;
        let high = self.high.at(near).map(i64::saturating_neg);
        let latest = self.instant(time.0.saturating_sub(low))?;
        let earliest = high.and_then(|high| self.instant(time.0.saturating_sub(high)));
        // If the bounds contradict each other, a clock was set in the meantime.
        let agree = earliest.is_none_or(|earliest| earliest <= latest);
        agree.then_some((earliest, latest))
    }

    fn instant(&self, since_epoch: i64) -> Option<Instant> {
        let apart = std::time::Duration::from_nanos(since_epoch.unsigned_abs());
        match since_epoch >= 0 {
            true => self.epoch.checked_add(apart),
            false => self.epoch.checked_sub(apart),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const MS: i64 = 1_000_000;

    fn after(epoch: Instant, ns: i64) -> Instant {
        epoch + Duration::from_nanos(ns.unsigned_abs())
    }

    proptest! {
        /// The agent's clock is off by hours and drifts; messages take 1 to 80 ms each way. Every
        /// instant is placed in an interval that contains it. The interval is at most as wide as
        /// the nearest round trip, plus drift.
        #[test]
        fn intervals_of_placed_instants_contain_the_true_instant(
            ahead in -100_000_000i64..100_000_000,
            ppm in -400i64..400,
            delays in prop::collection::vec((1i64..80, 1i64..80), 20..300),
        ) {
            let epoch = Instant::now();
            // The reading of the agent's clock `ns` after the epoch.
            let shows = |ns: i64| {
                AgentTime(1_700_000_000_000_000_000 + ahead * MS + ns + ns / 1_000_000 * ppm)
            };
            let mut clock = ClockOffset::new(epoch);
            for (i, (there, back)) in delays.iter().enumerate() {
                let sent = i as i64 * 1_000 * MS;
                let made = shows(sent + there * MS);
                clock.answered(made, after(epoch, sent));
                clock.arrived(made, after(epoch, sent + (there + back) * MS));
            }
            for (i, (there, back)) in delays.iter().enumerate() {
                let truth = i as i64 * 1_000 * MS + 400 * MS;
                let (earliest, latest) = clock.place(shows(truth)).expect("bounded");
                let earliest = earliest.expect("bounded on both sides");
                prop_assert!(earliest <= after(epoch, truth) && after(epoch, truth) <= latest);
                let width = latest.duration_since(earliest).as_secs_f64() * 1e3;
                // At most as wide as the round trip of the nearest messages, plus drift.
                prop_assert!(width <= (there + back) as f64 + 3.0, "{width} ms");
            }
        }

        /// Whatever an agent claims, the memory is bounded and nothing overflows.
        #[test]
        fn extreme_times_neither_overflow_nor_grow_the_memory(
            times in prop::collection::vec(any::<(i64, u32)>(), 1..2_000),
        ) {
            let epoch = Instant::now();
            let mut clock = ClockOffset::new(epoch);
            for (time, at) in times {
                let at = epoch + Duration::from_millis(at.into());
                clock.arrived(AgentTime(time), at);
                clock.answered(AgentTime(time), at);
                let _ = clock.place(AgentTime(time.wrapping_mul(3)));
            }
            prop_assert!(clock.low.0.len() <= KEPT && clock.high.0.len() <= KEPT);
        }
    }

    #[test]
    fn bounds_that_do_not_imply_each_other_are_limited_in_number() {
        let epoch = Instant::now();
        let mut clock = ClockOffset::new(epoch);
        for second in 0..2 * KEPT as i64 {
            // Each message takes 0.4 ms longer than the one before, which is within the drift.
            let sent = second * (1_000 * MS - 400_000);
            clock.arrived(AgentTime(sent), after(epoch, second * 1_000 * MS));
        }
        assert_eq!(clock.low.0.len(), KEPT);
    }

    #[test]
    fn without_answers_there_is_no_earliest_instant() {
        let epoch = Instant::now();
        let mut clock = ClockOffset::new(epoch);
        assert_eq!(clock.place(AgentTime(5)), None);
        clock.arrived(AgentTime(1_000 * MS), after(epoch, 30 * MS));
        clock.arrived(AgentTime(2_000 * MS), after(epoch, 1_010 * MS));
        let placed = clock.place(AgentTime(2_000 * MS));
        assert_eq!(placed, Some((None, after(epoch, 1_010 * MS))));
    }
}
