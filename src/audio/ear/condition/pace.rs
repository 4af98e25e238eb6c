//! Compares the audio that arrives with the time that passes.
//!
//! In: packets as they arrive. Out: by how much a packet is late against the one before it, and
//! by how much the audio runs ahead. Invariants: what a sender has sent ahead is not late; what
//! follows a late packet at once is no burst; packets that were overtaken are ignored.

use crate::audio::{Packet, RATE};
use std::time::{Duration, Instant};

/// The quickest packet of this time is the stream's pace: eight spans of 250 ms.
const SPANS: usize = 8;
const SPAN: Duration = Duration::from_millis(250);
/// A burst is audio that arrives this far ahead of the pace …
const AHEAD: i64 = 100_000_000;
/// … within this time.
const AT_ONCE: Duration = Duration::from_millis(200);
/// After a silence of this length the sender is not ahead any more.
const PAUSE: Duration = Duration::from_millis(500);
/// A larger jump of RTP time or sequence numbers begins a new stream.
const NEW_STREAM: i64 = 10 * RATE as i64;
const NEW_SEQUENCE: u64 = 1000;

/// What a packet shows about the pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Arrival minus media time, in ns, from an arbitrary zero.
    pub(super) transit: i64,
    /// The arrival of the packet before it.
    pub(super) last_end: Instant,
    /// How late the packet is against the one before it, if no packet is missing between them.
    pub(super) late: Option<Duration>,
    /// How far the audio has run ahead, and whether this is the same burst as before.
    pub(super) burst: Option<(Duration, bool)>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    arrival: Instant,
    rtp_time: u32,
    sequence: u64,
    media: i64,
    transit: i64,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    began: Instant,
    base: i64,
    counted: bool,
}

/// The pace of one stream.
#[derive(Debug, Default)]
pub(super) struct Pace {
    origin: Option<Instant>,
    last: Option<Last>,
    /// The smallest transit of each span, and the number of the newest span.
    quickest: [Option<i64>; SPANS],
    span: u64,
    burst: Option<Burst>,
    /// How far the sender is ahead, by bursts.
    lead: i64,
    /// When there last was sound.
    sounded: Option<Instant>,
    /// The last packet behind a gap of the sequence: its arrival, and how late it was.
    behind_gap: Option<(Instant, i64)>,
}

impl Pace {
    /// Takes a packet. `sounding`: there was sound right before it. `None` for the first packet
    /// and for one that was overtaken.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, sounding: bool) -> Option<Step> {
        let origin = *self.origin.get_or_insert(packet.arrival);
        let Some(last) = self.last else {
            self.begin(packet, origin);
            return None;
        };
        let step = i64::from(packet.rtp_time.wrapping_sub(last.rtp_time).cast_signed());
        let new = packet.sequence.abs_diff(last.sequence) > NEW_SEQUENCE;
        if new || packet.sequence > last.sequence && step.abs() > NEW_STREAM {
            self.begin(packet, origin);
            return None;
        }
        if packet.sequence <= last.sequence {
            return None;
        }
        let media = last.media.saturating_add(step);
        let passed = nanos(packet.arrival.saturating_duration_since(origin));
        let transit = passed.saturating_sub(samples(media));
        let late = transit.saturating_sub(last.transit);
        let unbroken = last.sequence.checked_add(1) == Some(packet.sequence);
        if !unbroken {
            self.behind_gap = Some((packet.arrival, late));
        }
        self.last = Some(Last {
            arrival: packet.arrival,
            rtp_time: packet.rtp_time,
            sequence: packet.sequence,
            media,
            transit,
        });
        if sounding {
            self.sounded = Some(packet.arrival);
        }
        let covered = late.clamp(0, self.lead);
        self.lead = self.lead.saturating_sub(covered);
        if covered > 0 || late > AHEAD && !sounding {
            // The sender pauses because it is ahead, or because there is nothing to send.
            self.quickest = [None; SPANS];
        }
        let burst = self.burst(packet.arrival, transit);
        if self
            .sounded
            .is_none_or(|at| since(at, packet.arrival) > PAUSE)
        {
            self.lead = 0;
        }
        Some(Step {
            transit,
            last_end: last.arrival,
            late: (unbroken && late > covered).then(|| duration(late.saturating_sub(covered))),
            burst,
        })
    }

    /// How late the packet that arrived then was, if it was the last behind a gap of the sequence.
    pub(super) fn late_at(&self, arrival: Instant) -> Duration {
        let late = self.behind_gap.filter(|(at, _)| *at == arrival);
        late.map_or(Duration::ZERO, |(_, late)| duration(late))
    }

    fn begin(&mut self, packet: &Packet<'_>, origin: Instant) {
        let transit = nanos(packet.arrival.saturating_duration_since(origin));
        *self = Self {
            origin: Some(origin),
            last: Some(Last {
                arrival: packet.arrival,
                rtp_time: packet.rtp_time,
                sequence: packet.sequence,
                media: 0,
                transit,
            }),
            ..Self::default()
        };
        self.burst(packet.arrival, transit);
    }

    /// Updates the pace; returns a burst in progress.
    fn burst(&mut self, arrival: Instant, transit: i64) -> Option<(Duration, bool)> {
        let passed = self.origin.map_or(Duration::ZERO, |o| since(o, arrival));
        let span = (passed.as_millis() / SPAN.as_millis()) as u64;
        for passed in (self.span..span).take(SPANS).map(|before| before + 1) {
            self.quickest[passed as usize % SPANS] = None;
        }
        self.span = span;
        let pace = self.quickest.iter().flatten().min().copied();
        let here = &mut self.quickest[span as usize % SPANS];
        *here = Some(here.map_or(transit, |h| h.min(transit)));
        let pace = pace.filter(|pace| transit < *pace)?;
        let over = |b: &Burst| since(b.began, arrival) > AT_ONCE;
        if self.burst.as_ref().is_none_or(over) {
            self.burst = Some(Burst {
                began: arrival,
                base: pace,
                counted: false,
            });
        }
        let burst = self.burst.as_mut()?;
        let ahead = burst.base.saturating_sub(transit);
        if ahead < AHEAD {
            return None;
        }
        let grows = std::mem::replace(&mut burst.counted, true);
        self.lead = self.lead.max(ahead);
        Some((duration(ahead), grows))
    }
}

/// The time from `earlier` to `later`; none if they are in the other order.
fn since(earlier: Instant, later: Instant) -> Duration {
    later.saturating_duration_since(earlier)
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4)
}

/// Converts samples to ns: one sample is exactly 62,500 / 3 ns.
fn samples(count: i64) -> i64 {
    count.saturating_mul(62_500) / 3
}

fn duration(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
