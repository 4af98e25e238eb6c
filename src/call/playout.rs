//! Models the delay that a WebRTC receiver's adaptive jitter buffer adds to each packet.
//!
//! In: arrival stamps and RTP times. Out: the time for which each packet would have been held back.
//! Invariants: the state has a fixed size; no packet is held back for longer than the target.
//!
//! Follows NetEQ's delay manager (libwebrtc, `modules/audio_coding/neteq`: packet arrival
//! history, underrun optimizer and histogram, with their defaults), computed from arrivals
//! alone. Not modelled: NetEQ's reordering optimizer, the time stretching that moves the buffer
//! towards its target, and minimum or maximum delays that an application may set.

use super::StreamId;
use crate::audio::{Packet, RATE};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Name and version of this model; figures from different models are never compared.
pub const MODEL: &str = "neteq-dm-1";

/// Width of a histogram bucket.
const BUCKET: Duration = Duration::from_millis(20);
const BUCKETS: usize = 100;
/// Target delay until the first sample enters the histogram.
const START: Duration = Duration::from_millis(80);
/// Only the largest delay of each span of this length enters the histogram.
const RESAMPLE: Duration = Duration::from_millis(500);
/// Span of RTP time whose fastest packet is the reference, in samples (2 s).
const WINDOW: i64 = 2 * RATE as i64;
const QUANTILE: f64 = 0.95;
const FORGET: f64 = 0.983;
/// While the histogram has few samples, it forgets faster: after n samples the factor is
/// 1 − `START_WEIGHT` / (n + 1), up to `FORGET`.
const START_WEIGHT: f64 = 2.0;
/// After this many consecutive packets older than the newest, the stream's RTP time counts as
/// having jumped back; fewer count as reordering.
const RESTART_RUN: u32 = 5;
/// How long packets are remembered.
const REMEMBERED_TIME: Duration = Duration::from_millis(2_500);
/// Maximum number of packets remembered: enough for packets of 10 ms.
const REMEMBERED: usize = 256;
/// Initial capacities: of the list of remembered packets, at 20 ms each, and of the list of packets
/// that may become the fastest of the window.
const ROOM: usize = 128;
const QUICKEST: usize = 32;

/// The model's record of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Time for which the jitter buffer would have held the packet back.
    pub hold: Duration,
    /// Whether the arrival stamp comes from the kernel.
    pub kernel_stamp: bool,
}

/// The jitter buffer models of the streams that a caller receives, one per stream, in the order of
/// their newest packets.
#[derive(Debug, Clone, Default)]
pub(super) struct Playouts(Vec<(StreamId, PlayoutModel)>);

/// Number of streams whose models are kept: the current ones and a few earlier ones.
const STREAMS: usize = 4;

impl Playouts {
    /// Like [`PlayoutModel::packet`], for one stream.
    pub(super) fn packet(&mut self, stream: StreamId, packet: &Packet<'_>) -> Duration {
        let known = self.0.iter().position(|(id, _)| *id == stream);
        let at = known.unwrap_or_else(|| {
            if self.0.len() == STREAMS {
                self.0.remove(0);
            }
            self.0.push((stream, PlayoutModel::new()));
            self.0.len() - 1
        });
        // The stream with the newest packet comes last, so that one without packets is dropped.
        self.0[at..].rotate_left(1);
        let newest = self.0.len() - 1;
        self.0[newest].1.packet(packet)
    }

    fn of(&self, stream: StreamId) -> Option<&PlayoutModel> {
        let mut models = self.0.iter();
        models.find(|(id, _)| *id == stream).map(|(_, model)| model)
    }

    /// Like [`PlayoutModel::newest`], for one stream.
    pub(super) fn newest(&self, stream: StreamId) -> Option<Duration> {
        self.of(stream)?.newest()
    }

    /// Like [`PlayoutModel::at`], for one stream.
    pub(super) fn at(&self, stream: StreamId, arrival: Instant) -> Option<Held> {
        self.of(stream)?.at(arrival)
    }
}

/// A jitter buffer's delay, modelled from one stream's arrivals.
#[derive(Debug, Clone)]
pub(crate) struct PlayoutModel {
    reference: Reference,
    resample: Option<Resample>,
    histogram: Histogram,
    target: Duration,
    recent: VecDeque<Recent>,
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    arrival: Instant,
    /// At most 2 s (100 buckets of 20 ms), which fits in a `u32`.
    hold_ns: u32,
    kernel_stamp: bool,
}

#[derive(Debug, Clone, Copy)]
struct Resample {
    began: Instant,
    largest: Duration,
}

impl Default for PlayoutModel {
    fn default() -> Self {
        Self::new()
    }
}

impl PlayoutModel {
    /// Creates a model without packets.
    pub(crate) fn new() -> Self {
        Self {
            reference: Reference::new(),
            resample: None,
            histogram: Histogram::new(),
            target: START,
            recent: VecDeque::with_capacity(ROOM),
        }
    }

    /// The buffer's current target delay.
    #[cfg(test)]
    pub(crate) fn target(&self) -> Duration {
        self.target
    }

    /// Adds one packet and returns the time for which it would have been held back: the target
    /// minus the packet's own delay, at least zero.
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) -> Duration {
        let seen = self.reference.packet(packet.arrival, packet.rtp_time);
        if !seen.reordered {
            self.learn(packet.arrival, seen.delay);
        }
        let hold = self.target.saturating_sub(seen.delay);
        let old = |r: &Recent| r.arrival + REMEMBERED_TIME < packet.arrival;
        while self.recent.len() == REMEMBERED || self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            arrival: packet.arrival,
            hold_ns: u32::try_from(hold.as_nanos()).unwrap_or(u32::MAX),
            kernel_stamp: packet.kernel_stamp,
        });
        hold
    }

    /// Time for which the latest packet would have been held back.
    pub(crate) fn newest(&self) -> Option<Duration> {
        let held = self.recent.back()?;
        Some(Duration::from_nanos(u64::from(held.hold_ns)))
    }

    /// The hold of the first remembered packet that arrived at `arrival`. If there is none: the
    /// hold of the last packet before `arrival`, or else of the first packet after it. `None`
    /// before the first packet.
    pub(crate) fn at(&self, arrival: Instant) -> Option<Held> {
        let exact = self.recent.iter().find(|r| r.arrival == arrival);
        let before = || {
            let earlier = self.recent.iter().filter(|r| r.arrival < arrival);
            earlier.max_by_key(|r| r.arrival)
        };
        let after = || self.recent.iter().min_by_key(|r| r.arrival);
        let found = exact.or_else(before).or_else(after)?;
        Some(Held {
            hold: Duration::from_nanos(u64::from(found.hold_ns)),
            kernel_stamp: found.kernel_stamp,
        })
    }

    /// Adds the largest delay of each half second to the histogram, whose quantile is the target.
    fn learn(&mut self, arrival: Instant, delay: Duration) {
        let Some(resample) = &mut self.resample else {
            self.resample = Some(Resample {
                began: arrival,
                largest: delay,
            });
            return;
        };
        if arrival.saturating_duration_since(resample.began) <= RESAMPLE {
            resample.largest = resample.largest.max(delay);
            return;
        }
        let largest = std::mem::replace(&mut resample.largest, delay);
        resample.began = arrival;
        self.histogram.add(bucket(largest));
        self.target = BUCKET * (1 + self.histogram.quantile());
    }
}

fn bucket(delay: Duration) -> usize {
    usize::try_from(delay.as_nanos() / BUCKET.as_nanos()).unwrap_or(usize::MAX)
}

/// Measures by how much a packet is later than the fastest packet of the last two seconds.
#[derive(Debug, Clone)]
struct Reference {
    /// First arrival, last RTP time, and the last RTP time unwrapped.
    origin: Option<(Instant, u32, i64)>,
    newest: i64,
    /// Number of packets in a row that are older than the newest.
    older_run: u32,
    /// (RTP time, transit in ns) with ascending transits: the front is the window's fastest.
    quickest: VecDeque<(i64, i64)>,
}

struct Seen {
    delay: Duration,
    reordered: bool,
}

impl Reference {
    fn new() -> Self {
        Self {
            origin: None,
            newest: i64::MIN,
            older_run: 0,
            quickest: VecDeque::with_capacity(QUICKEST),
        }
    }

    fn packet(&mut self, arrival: Instant, rtp_time: u32) -> Seen {
        let (first, last, last_unwrapped) = *self.origin.get_or_insert((arrival, rtp_time, 0));
        // Signed difference modulo 2^32, so that a wrap-around counts as a small step.
        let step = i64::from(rtp_time.wrapping_sub(last).cast_signed());
        let mut rtp = last_unwrapped + step;
        let mut transit = nanos_between(first, arrival) - samples_to_nanos(rtp);
        self.origin = Some((first, rtp_time, rtp));

        let reordered = rtp < self.newest;
        self.older_run = if reordered { self.older_run + 1 } else { 0 };
        if self.older_run >= RESTART_RUN || self.is_out_of_reach(transit) {
            (rtp, transit) = (0, 0);
            self.quickest.clear();
            self.older_run = 0;
            self.origin = Some((arrival, rtp_time, rtp));
        } else if reordered {
            let delay = self.late_by(transit);
            return Seen { delay, reordered };
        }
        self.newest = rtp;
        self.insert(rtp, transit);
        Seen {
            delay: self.late_by(transit),
            reordered: false,
        }
    }

    /// Whether the transit jumped by more than the histogram covers: the stream was replaced, or
    /// its sender paused without advancing the RTP time.
    fn is_out_of_reach(&self, transit: i64) -> bool {
        let quickest = self.quickest.front().map_or(transit, |q| q.1);
        bucket(Duration::from_nanos(transit.abs_diff(quickest))) >= BUCKETS
    }

    fn insert(&mut self, rtp: i64, transit: i64) {
        while self.quickest.back().is_some_and(|q| q.1 >= transit) {
            self.quickest.pop_back();
        }
        while self.quickest.len() >= REMEMBERED
            || self.quickest.front().is_some_and(|q| q.0 + WINDOW < rtp)
        {
            self.quickest.pop_front();
        }
        self.quickest.push_back((rtp, transit));
    }

    fn late_by(&self, transit: i64) -> Duration {
        let quickest = self.quickest.front().map_or(transit, |q| q.1);
        Duration::from_nanos(u64::try_from(transit - quickest).unwrap_or(0))
    }
}

/// Converts samples at 48 kHz to ns: one sample is exactly 62,500 / 3 ns.
fn samples_to_nanos(samples: i64) -> i64 {
    samples * 62_500 / 3
}

fn nanos_between(from: Instant, to: Instant) -> i64 {
    let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX / 4);
    match to.checked_duration_since(from) {
        Some(ahead) => nanos(ahead),
        None => -nanos(from.saturating_duration_since(to)),
    }
}

/// Share of the delays in each bucket; the weight of a delay decays exponentially.
#[derive(Debug, Clone)]
struct Histogram {
    share: [f64; BUCKETS],
    forget: f64,
    added: u32,
}

impl Histogram {
    /// Each bucket starts with half the share of the one before.
    fn new() -> Self {
        let mut share = [0.0; BUCKETS];
        let mut rest = 1.0;
        for s in &mut share {
            rest *= 0.5;
            *s = rest;
        }
        Self {
            share,
            forget: 0.0,
            added: 0,
        }
    }

    /// Delays past the last bucket are not counted.
    fn add(&mut self, bucket: usize) {
        if bucket >= BUCKETS {
            return;
        }
        for s in &mut self.share {
            *s *= self.forget;
        }
        self.share[bucket] += 1.0 - self.forget;
        self.added = self.added.saturating_add(1);
        let young = 1.0 - START_WEIGHT / f64::from(self.added.saturating_add(1));
        self.forget = young.clamp(0.0, FORGET);
    }

    /// The first bucket with at most 5 % of the delays above it.
    fn quantile(&self) -> u32 {
        let mut above = 1.0;
        for (index, share) in (0_u32..).zip(&self.share) {
            above -= share;
            if above <= 1.0 - QUANTILE {
                return index;
            }
        }
        (BUCKETS - 1) as u32
    }
}

#[cfg(test)]
#[path = "tests/playout.rs"]
mod tests;
