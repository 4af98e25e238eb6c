//! Generator health: how well the media threads keep up.
//!
//! In: send lateness, waits in sockets, packets. Out: quantiles and counts.
//! Invariants: send lateness runs from the planned send to the handover to the kernel; each
//! thread has its own counters and histograms, and they are merged only on request.

use super::claims::Fate;
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Histograms record microseconds up to one minute, to three significant digits.
const CEILING_US: u64 = 60_000_000;

/// Counters and histograms of one media thread.
#[derive(Debug, Default)]
pub(super) struct HealthCounters {
    lateness: Durations,
    wait: Durations,
    packets_out: AtomicU64,
    packets_in: AtomicU64,
    send_errors: AtomicU64,
    user_stamps: AtomicU64,
    events_lost: AtomicU64,
    unauthenticated: AtomicU64,
    repeated: AtomicU64,
    behind: AtomicU64,
    lost_upstream: AtomicU64,
    dropped: AtomicU64,
    heard: AtomicU64,
    ignored: AtomicU64,
    unheard: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug)]
pub(crate) struct Durations {
    /// Written by one thread and read only by snapshots, so the lock is almost never contended.
    us: Mutex<Histogram<u64>>,
}

impl Default for Durations {
    fn default() -> Self {
        let us = Histogram::new_with_bounds(1, CEILING_US, 3)
            .expect("constant bounds within HdrHistogram's rules");
        Self { us: Mutex::new(us) }
    }
}

impl Durations {
    pub(crate) fn record(&self, value: Duration) {
        if let Ok(mut us) = self.us.lock() {
            us.saturating_record((value.as_micros() as u64).min(CEILING_US));
        }
    }

    /// Quantiles of everything recorded so far.
    pub(crate) fn quantiles(&self) -> DurationQuantiles {
        Self::merged(std::iter::once(self))
    }

    fn merged<'a>(parts: impl Iterator<Item = &'a Self>) -> DurationQuantiles {
        let all = Self::default();
        let Ok(mut us) = all.us.into_inner() else {
            return DurationQuantiles::default();
        };
        for part in parts {
            if let Ok(part) = part.us.lock() {
                // Same bounds on both sides, so this cannot fail.
                let _ = us.add(&*part);
            }
        }
        let at = |q| Duration::from_micros(us.value_at_quantile(q));
        DurationQuantiles {
            p50: at(0.5),
            p99: at(0.99),
            max: Duration::from_micros(us.max()),
        }
    }
}

impl HealthCounters {
    pub(super) fn sent(&self, lateness: Duration) {
        self.lateness.record(lateness);
        self.packets_out.fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, waited: Duration, kernel_stamp: bool) {
        self.wait.record(waited);
        self.packets_in.fetch_add(1, Relaxed);
        if !kernel_stamp {
            self.user_stamps.fetch_add(1, Relaxed);
        }
    }

    /// Counts what happened to a received audio packet.
    pub(super) fn fate(&self, fate: Fate) {
        let counter = match fate {
            Fate::Heard(_) => &self.heard,
            Fate::Ignored => &self.ignored,
            Fate::Unheard => &self.unheard,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn send_error(&self) {
        self.send_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, datagrams: u32) {
        if datagrams > 0 {
            self.dropped.fetch_add(datagrams.into(), Relaxed);
        }
    }

    pub(super) fn event_lost(&self) {
        self.events_lost.fetch_add(1, Relaxed);
    }

    pub(super) fn unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Relaxed);
    }

    pub(super) fn repeated(&self) {
        self.repeated.fetch_add(1, Relaxed);
    }

    pub(super) fn behind(&self) {
        self.behind.fetch_add(1, Relaxed);
    }

    pub(super) fn lost_upstream(&self, packets: u64) {
        self.lost_upstream.fetch_add(packets, Relaxed);
    }
}

/// Health of all media threads together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HealthSnapshot {
    /// Send lateness: planned send → handed to the kernel.
    pub tick_lateness: DurationQuantiles,
    /// Kernel receive → read.
    pub receive_wait: DurationQuantiles,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets received.
    pub packets_in: u64,
    /// Audio packets that the kernel refused to send.
    pub send_errors: u64,
    /// RTP packets without a kernel timestamp.
    pub user_stamps: u64,
    /// Events to a session that were dropped because its queue was full, and batches of messages
    /// that were dropped because it was nearly full.
    pub events_lost: u64,
    /// Duplicate audio packets.
    pub repeated: u64,
    /// Audio packets so far behind their stream that it is unknown whether they are duplicates.
    pub behind: u64,
    /// Packets sent that the other side reported as not received.
    pub lost_upstream: u64,
    /// Datagrams that the kernel dropped because our socket buffers were full.
    pub own_drops: u64,
    /// Audio packets that were passed to an endpoint.
    pub heard: u64,
    /// Audio packets that were dropped for a known reason: they belong to an unwanted track, or
    /// came before the section's track was known, or after the call.
    pub ignored: u64,
    /// Audio packets that belong to no known track.
    pub unheard: u64,
    /// Datagrams that the other side did not send: RTP that our keys do not open, STUN without our
    /// password, anything else from an unknown address.
    pub unauthenticated: u64,
}

/// A few quantiles of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DurationQuantiles {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl HealthSnapshot {
    /// Merges the current counters of all threads.
    pub(super) fn of<'a>(threads: impl Iterator<Item = &'a HealthCounters> + Clone) -> Self {
        let merged =
            |pick: fn(&HealthCounters) -> &Durations| Durations::merged(threads.clone().map(pick));
        let sum = |pick: fn(&HealthCounters) -> &AtomicU64| {
            threads.clone().map(|t| pick(t).load(Relaxed)).sum::<u64>()
        };
        Self {
            tick_lateness: merged(|t| &t.lateness),
            receive_wait: merged(|t| &t.wait),
            packets_out: sum(|t| &t.packets_out),
            packets_in: sum(|t| &t.packets_in),
            send_errors: sum(|t| &t.send_errors),
            user_stamps: sum(|t| &t.user_stamps),
            events_lost: sum(|t| &t.events_lost),
            unauthenticated: sum(|t| &t.unauthenticated),
            repeated: sum(|t| &t.repeated),
            behind: sum(|t| &t.behind),
            lost_upstream: sum(|t| &t.lost_upstream),
            own_drops: sum(|t| &t.dropped),
            heard: sum(|t| &t.heard),
            ignored: sum(|t| &t.ignored),
            unheard: sum(|t| &t.unheard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_merged_and_outliers_bounded() {
        let (a, b) = (HealthCounters::default(), HealthCounters::default());
        for _ in 0..98 {
            a.sent(Duration::from_micros(100));
        }
        b.sent(Duration::from_millis(7));
        b.sent(Duration::from_secs(3_600));
        b.received(Duration::from_micros(40), false);
        for fate in [Fate::Heard(1), Fate::Heard(2), Fate::Ignored] {
            a.fate(fate);
        }
        b.fate(Fate::Unheard);
        b.unauthenticated();
        let all = HealthSnapshot::of([&a, &b].into_iter());
        assert_eq!(
            (all.packets_out, all.packets_in, all.user_stamps),
            (100, 1, 1)
        );
        assert_eq!((all.heard, all.ignored, all.unheard), (2, 1, 1));
        assert_eq!(all.unauthenticated, 1);
        assert_eq!(all.tick_lateness.p50, Duration::from_micros(100));
        assert!(all.tick_lateness.p99 >= Duration::from_millis(7));
        assert!(all.tick_lateness.max >= Duration::from_secs(59));
    }
}
