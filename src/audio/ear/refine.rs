//! From "something is audible" back to the first audible sample.
//!
//! In: the track, where the trigger fired, the floor. Out: a position. Holds: it is a sample of
//! at least the threshold's magnitude, and what follows it stays over the threshold.

use super::burst::HOP;
use super::floor::LOWEST;
use super::track::Track;
use crate::audio::level::{ActiveLevel, BELOW_ACTIVE_DB, WINDOW, power_at};

/// How far before the trigger an onset is looked for: 120 ms.
const BACK: u64 = 5760;
/// The onset must hold over the next 20 ms, for 70 % of them.
const HOLD: u64 = 960;
/// The reply's first half second gives its level.
pub(super) const HALF_SECOND: u64 = 24_000;
/// A sharp start masks what comes up to 10 ms before it.
const MASKED: u64 = 480;
/// Where there are clicks, over the next 50 ms.
const HOLD_CLICKS: u64 = 2400;
/// Over the floor, in dB, and in its standard deviations.
const OVER_FLOOR_DB: f32 = 4.0;
const OVER_FLOOR_SIGMAS: f32 = 2.5;
/// Clicks in silence spread so widely that no reply would pass: in dB, the floor's spread counts
/// up to here.
pub(super) const SPREAD_AT_MOST_DB: f32 = 12.0;
/// A window at this level may be a sound of its own, in dBFS.
pub(super) const QUIETEST_DBFS: f32 = -60.0;
/// Nothing below this is audible, in dBFS.
const INAUDIBLE_DBFS: f64 = -75.0;

/// The floor under a talk spurt, frozen at its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Under {
    pub(super) level: f32,
    pub(super) sigma: f32,
    /// From the level to that of its loud windows, in dB.
    pub(super) peaks: f32,
}

impl Under {
    /// What is at least `db` over the floor and outside of its spread, in dBFS.
    pub(super) fn exceeded(&self, db: f32) -> f32 {
        self.level + db.max((OVER_FLOOR_SIGMAS * self.sigma).min(SPREAD_AT_MOST_DB))
    }

    /// Whether its loud windows are sounds of their own, such as clicks.
    pub(super) fn clicks(&self) -> bool {
        self.peaks > SPREAD_AT_MOST_DB && self.level + self.peaks > QUIETEST_DBFS
    }
}

/// The refinement looks at half a second, and 22 ms more for the windows that start in it.
const REFINE_AFTER: u64 = HALF_SECOND + 1056;
/// A candidate was sure 25 ms after the start of its first window.
const SURE_AFTER: u64 = 5 * HOP;

/// The beginning of a talk, judged by its own level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refined {
    /// The first audible sample.
    pub(super) position: u64,
    /// What is audible: a mean square.
    pub(super) power: f64,
    /// Level of the first half second over the noise floor, in dB.
    pub(super) snr_db: f32,
}

impl Refined {
    /// Where there is enough of a talk that was noticed at `from`.
    pub(super) fn ready(from: u64) -> u64 {
        from + REFINE_AFTER
    }

    /// Refines a beginning that was noticed at `from`; it is not before `earliest`.
    pub(super) fn of(track: &Track, from: u64, earliest: u64, under: Under) -> Self {
        let level = reply_level(track, from).unwrap_or(f64::from(LOWEST));
        let power = audible_power(under, level);
        let search = (from + SURE_AFTER).saturating_sub(BACK).max(earliest);
        let found = first_audible(track, search, power, under.clicks());
        let position = found.unwrap_or(from).max(earliest);
        Self {
            position: track.after_loss(position).unwrap_or(position),
            power,
            snr_db: level as f32 - under.level,
        }
    }
}

/// Active level (P.56) of the half second from `from`, in dBFS.
fn reply_level(track: &Track, from: u64) -> Option<f64> {
    let mut meter = ActiveLevel::default();
    for position in from..(from + HALF_SECOND).min(track.end()) {
        meter.push(&[track.at(position)]);
    }
    // Not `level`: the reply goes on, its hangover is not over. A reply that has ended by now
    // is followed by silence of the track, or is shorter than its hangover.
    meter.so_far()
}

/// What is audible, as a mean square of samples: `max(floor + 4 dB, floor + 2.5 σ, level − 20 dB)`.
fn audible_power(under: Under, reply_dbfs: f64) -> f64 {
    power_at(
        f64::from(under.exceeded(OVER_FLOOR_DB))
            .max(reply_dbfs - BELOW_ACTIVE_DB)
            .max(INAUDIBLE_DBFS),
    )
}

/// The first audible sample from `from` on: the first whose 2 ms envelope reaches `power` and
/// does so again for 70 % of the next 20 ms (50 ms among clicks).
fn first_audible(track: &Track, from: u64, power: f64, clicks: bool) -> Option<u64> {
    let window = WINDOW as u64;
    let hold = if clicks { HOLD_CLICKS } else { HOLD };
    let held = hold * 7 / 10;
    let from = from.max(track.start());
    let needed = (power * window as f64).ceil() as i64;
    let slide = |sum: i64, at: u64| sum - track.square(at) + track.square(at + window);

    // Envelopes at `at` and at `at + hold`, and how many of those between are over the threshold.
    let mut near = track.energy(from, from + window);
    let (mut far, mut over) = (near, 0);
    for at in from..from + hold {
        over += u64::from(far >= needed);
        far = slide(far, at);
    }
    for at in from..track.end() {
        if near >= needed && over >= held {
            let first = (at..at + window).find(|&p| track.square(p) as f64 >= power);
            return first.map(|first| after_pre_echo(track, first));
        }
        over -= u64::from(near >= needed);
        over += u64::from(far >= needed);
        near = slide(near, at);
        far = slide(far, at + hold);
    }
    None
}

/// Where the codec smeared a sharp start forwards in time, the start itself: what is 20 dB under
/// the loudest 2 ms of the next 10 ms is masked by them (backward masking; Fastl & Zwicker,
/// *Psychoacoustics*, 4.4.1).
fn after_pre_echo(track: &Track, first: u64) -> u64 {
    let window = WINDOW as u64;
    let slide = |sum: &mut i64, at: u64| {
        let here = *sum;
        *sum += track.square(at + window) - track.square(at);
        Some((at, here))
    };
    let envelope = || {
        let start = track.energy(first, first + window);
        (first..first + MASKED).scan(start, slide)
    };
    let loudest = envelope().map(|(_, sum)| sum).max().unwrap_or(0);
    let needed = loudest as f64 / 10f64.powf(BELOW_ACTIVE_DB / 10.0);
    let from = envelope().find(|&(_, sum)| sum as f64 >= needed);
    let loud = |&p: &u64| track.square(p) as f64 * window as f64 >= needed;
    from.and_then(|(from, _)| (from..from + window).find(loud))
        .unwrap_or(first)
}

/// The last audible sample in `from..to`: of at least `power`, in a 2 ms window of at least that.
pub(super) fn last_audible(track: &Track, from: u64, to: u64, power: f64) -> Option<u64> {
    let window = WINDOW as u64;
    let from = from.max(track.start());
    let needed = (power * window as f64).ceil() as i64;
    let loud = |p: u64| track.square(p) as f64 >= power;
    let mut end = to;
    let mut sum = track.energy(end.saturating_sub(window).max(from), end);
    while end > from {
        if sum >= needed {
            return (end.saturating_sub(window)..end).rev().find(|&p| loud(p));
        }
        end -= 1;
        sum -= track.square(end);
        if end >= from + window {
            sum += track.square(end - window);
        }
    }
    None
}
