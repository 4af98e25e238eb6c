//! From "something is audible" back to the first audible sample.
//!
//! In: the track, where the trigger fired, the floor. Out: a position. Holds: it is a sample of
//! at least the threshold's magnitude, and what follows it stays over the threshold.

use super::track::Track;
use crate::audio::level::{ActiveLevel, BELOW_ACTIVE_DB, WINDOW, power_at};

/// How far before the trigger an onset is looked for: 120 ms.
const BACK: u64 = 5760;
/// The onset must hold over the next 20 ms …
const HOLD: u64 = 960;
/// … for 70 % of them.
const HELD: u64 = HOLD * 7 / 10;
/// The reply's first half second gives its level.
pub(super) const HALF_SECOND: u64 = 24_000;
/// Over the floor, in dB, and in its standard deviations.
const OVER_FLOOR_DB: f32 = 4.0;
const OVER_FLOOR_SIGMAS: f32 = 2.5;
/// Nothing below this is audible, in dBFS.
const INAUDIBLE_DBFS: f64 = -75.0;

/// The floor under a talk spurt, frozen at its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Under {
    pub(super) level: f32,
    pub(super) sigma: f32,
}

/// Active level (P.56) of the half second from `from`, in dBFS.
pub(super) fn reply_level(track: &Track, from: u64) -> Option<f64> {
    let mut meter = ActiveLevel::default();
    for position in from..(from + HALF_SECOND).min(track.end()) {
        meter.push(&[track.at(position)]);
    }
    // Not `level`: the reply goes on, its hangover is not over. A reply that has ended by now
    // is followed by silence of the track, or is shorter than its hangover.
    meter.so_far()
}

/// What is audible, as a mean square of samples: `max(floor + 4 dB, floor + 2.5 σ, level − 20 dB)`.
pub(super) fn audible_power(under: Under, reply_dbfs: f64) -> f64 {
    let over = OVER_FLOOR_DB.max(OVER_FLOOR_SIGMAS * under.sigma);
    let by_floor = f64::from(under.level + over);
    power_at(
        by_floor
            .max(reply_dbfs - BELOW_ACTIVE_DB)
            .max(INAUDIBLE_DBFS),
    )
}

/// The first audible sample from 120 ms before `trigger` on: the first whose 2 ms envelope
/// reaches `power` and does so again for 70 % of the next 20 ms.
pub(super) fn first_audible(track: &Track, trigger: u64, power: f64) -> Option<u64> {
    let window = WINDOW as u64;
    let from = trigger.saturating_sub(BACK).max(track.start());
    let needed = (power * window as f64).ceil() as i64;
    let slide = |sum: i64, at: u64| sum - track.square(at) + track.square(at + window);

    // Envelopes at `at` and at `at + HOLD`, and how many of those between are over the threshold.
    let mut near = track.energy(from, from + window);
    let (mut far, mut over) = (near, 0);
    for at in from..from + HOLD {
        over += u64::from(far >= needed);
        far = slide(far, at);
    }
    for at in from..track.end() {
        if near >= needed && over >= HELD {
            return (at..at + window).find(|&p| track.square(p) as f64 >= power);
        }
        over -= u64::from(near >= needed);
        over += u64::from(far >= needed);
        near = slide(near, at);
        far = slide(far, at + HOLD);
    }
    None
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
