//! Refines a coarse trigger to the first audible sample.
//!
//! In: the track, the position of the trigger, the noise floor. Out: a position. Invariant: the
//! sample found reaches the threshold, and most of the next audio stays above the threshold.

use super::burst::HOP;
use super::floor::LOWEST;
use super::track::Track;
use crate::audio::level::{ActiveLevel, BELOW_ACTIVE_DB, WINDOW, power_at};

/// How far before the trigger to search for the onset: 120 ms.
const BACK: u64 = 5760;
/// After the onset the sound must stay audible for 70 % of this time: 20 ms.
const HOLD: u64 = 960;
/// A reply's level is measured over its first half second.
pub(super) const HALF_SECOND: u64 = 24_000;
/// A sharp start masks sounds up to 10 ms before it.
const MASKED: u64 = 480;
/// Replaces [`HOLD`] if the background contains clicks: 50 ms.
const HOLD_CLICKS: u64 = 2400;
/// How far an audible sound is above the noise floor, in dB and in the floor's standard deviations.
const OVER_FLOOR_DB: f32 = 4.0;
const OVER_FLOOR_SIGMAS: f32 = 2.5;
/// Upper bound on what the floor's spread adds to a threshold, in dB. Clicks in silence have such a
/// large spread that without this bound no reply would reach the threshold.
pub(super) const SPREAD_AT_MOST_DB: f32 = 12.0;
/// A window must reach this level to count as a sound, in dBFS.
pub(super) const QUIETEST_DBFS: f32 = -60.0;
/// Nothing below this is audible, in dBFS.
const INAUDIBLE_DBFS: f64 = -75.0;

/// The noise floor under a talk spurt, frozen at its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Under {
    pub(super) level: f32,
    pub(super) sigma: f32,
    /// How far the floor's loud windows are above `level`, in dB.
    pub(super) peaks: f32,
}

impl Under {
    /// The level that is at least `db` above the floor and outside its spread, in dBFS.
    pub(super) fn exceeded(&self, db: f32) -> f32 {
        self.level + db.max((OVER_FLOOR_SIGMAS * self.sigma).min(SPREAD_AT_MOST_DB))
    }

    /// Whether the loud windows of the floor are separate sounds, such as clicks.
    pub(super) fn clicks(&self) -> bool {
        self.peaks > SPREAD_AT_MOST_DB && self.level + self.peaks > QUIETEST_DBFS
    }
}

/// The refinement needs half a second of audio, and 22 ms more for the windows that start in it.
const REFINE_AFTER: u64 = HALF_SECOND + 1056;
/// The trigger fires 25 ms after the start of its first loud window.
const SURE_AFTER: u64 = 5 * HOP;

/// The onset of a talk spurt, measured relative to the spurt's own level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refined {
    /// The first audible sample.
    pub(super) position: u64,
    /// Audibility threshold, as a mean square.
    pub(super) power: f64,
    /// Level of the first half second above the noise floor, in dB.
    pub(super) snr_db: f32,
}

impl Refined {
    /// Position at which there is enough audio to refine a talk spurt triggered at `from`.
    pub(super) fn ready(from: u64) -> u64 {
        from + REFINE_AFTER
    }

    /// Refines the onset of a talk spurt triggered at `from`. The result is never before
    /// `earliest`.
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
    // Not `level`: the reply continues, so its hangover has not run out. A reply that has already
    // ended is followed by silence on the track, or is shorter than its hangover.
    meter.so_far()
}

/// Audibility threshold, as a mean square: `max(floor + 4 dB, floor + 2.5 σ, level − 20 dB)`, with
/// 2.5 σ capped at 12 dB, and at least −75 dBFS.
fn audible_power(under: Under, reply_dbfs: f64) -> f64 {
    power_at(
        f64::from(under.exceeded(OVER_FLOOR_DB))
            .max(reply_dbfs - BELOW_ACTIVE_DB)
            .max(INAUDIBLE_DBFS),
    )
}

/// The first audible sample from `from` on: the first at which the 2 ms envelope reaches `power`,
/// and also does so during 70 % of the next 20 ms (50 ms among clicks).
fn first_audible(track: &Track, from: u64, power: f64, clicks: bool) -> Option<u64> {
    let window = WINDOW as u64;
    let hold = if clicks { HOLD_CLICKS } else { HOLD };
    let held = hold * 7 / 10;
    let from = from.max(track.start());
    let needed = (power * window as f64).ceil() as i64;
    let slide = |sum: i64, at: u64| sum - track.square(at) + track.square(at + window);

    // The envelopes at `at` and at `at + hold`, and the number of envelopes between them that reach
    // the threshold.
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

/// Skips the codec's pre-echo, which smears a sharp start over the samples before it: sound more
/// than 20 dB below the loudest 2 ms of the next 10 ms is inaudible (backward masking; Fastl &
/// Zwicker, *Psychoacoustics*, 4.4.1).
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
