//! Tells how a reply was resumed: with something new, from an earlier place, or from its beginning.
//!
//! In: the prints of a stream, the instant at which it spoke on. Out: [`Resumed`]. Invariants: only
//! what was said before in the same reply is compared; a sound that does not vary, such as a tone,
//! tells nothing; between a match and no match the answer is `unknown`.

use super::prints::{BANDS, Print, Prints, prints_in};
use crate::vocab::Resumed;
use std::time::{Duration, Instant};

/// At most this much of what was said after the resumption is compared, and at least this much.
const LONGEST: Duration = Duration::from_millis(1_000);
const SHORTEST: Duration = Duration::from_millis(400);
/// At least this much of it must be loud: 250 ms.
const LOUD: usize = 25;
/// What is loud is at most this far below the loudest print, in half decibels: 30 dB.
const LOUD_BELOW: u8 = 60;
/// Levels further down than this are the same, in half decibels: 45 dB.
const FLOOR_BELOW: u8 = 90;
/// Mean deviation of the bands from their mean, in half decibels, below which a sound is steady.
const STEADY: f32 = 6.0;
/// The differences of two sounds, as a share of the deviation of one of them from its mean. Below
/// the first, they are the same; above the second, they are different.
const SAME: f32 = 0.45;
const DIFFERENT: f32 = 0.62;
/// A match this close to a beginning is a match with the beginning.
const NEAR: Duration = Duration::from_millis(100);
/// The last sound before the resumption is at least this far before it, in prints: the windows of
/// the nearest ones reach into the resumption.
const APART: u64 = 3;

/// What a resumption is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Resumption {
    /// The reply began after this; `None`: after the start of the call.
    pub from: Option<Instant>,
    /// When the agent spoke on.
    pub at: Instant,
}

/// How the reply was resumed.
pub(super) fn resumed(prints: &Prints, resumption: &Resumption) -> Resumed {
    let judged = prints
        .onset_at(resumption.at)
        .and_then(|at| judge(prints, resumption.from, at));
    judged.unwrap_or(Resumed::Unknown)
}

fn judge(prints: &Prints, from: Option<Instant>, at: u64) -> Option<Resumed> {
    let beginnings = || prints.beginnings(from, at);
    let begin = beginnings().next()?;
    let loudest = (begin.max(prints.start())..at).map(|n| prints.at(n).level);
    let loudest = loudest.max()?;
    let is_loud = |print: &Print| print.level >= loudest.saturating_sub(LOUD_BELOW);
    let stop = (begin..at.checked_sub(APART)?).rfind(|n| is_loud(&prints.at(*n)))? + 1;

    let head = Head::of(prints, at, loudest)?;
    let shortest = prints_in(SHORTEST);
    let near = prints_in(NEAR);
    let (mut at_beginning, mut elsewhere) = (f32::INFINITY, f32::INFINITY);
    // An onset is found within some prints of its place.
    let first = begin.saturating_sub(APART).max(prints.start());
    for place in first..(stop + 1).checked_sub(shortest)? {
        let difference = head.difference(prints, place, stop);
        let is_beginning = beginnings().any(|begin| begin.abs_diff(place) <= near);
        let best = match is_beginning {
            true => &mut at_beginning,
            false => &mut elsewhere,
        };
        *best = best.min(difference);
    }
    let is_kept = begin >= prints.start();
    match at_beginning.min(elsewhere) {
        best if best < SAME && at_beginning <= elsewhere => Some(Resumed::BeganAnew),
        best if best < SAME => Some(Resumed::WentBack),
        best if best > DIFFERENT && best.is_finite() && is_kept => Some(Resumed::WentOn),
        _ => None,
    }
}

/// The sound right after a resumption.
struct Head {
    prints: Vec<Print>,
    mean: [f32; BANDS],
    loud: u8,
    floor: u8,
}

impl Head {
    /// The sound from print `at` on; `None` if it is too short or steady.
    fn of(prints: &Prints, at: u64, loudest: u8) -> Option<Self> {
        let (loud, floor) = (
            loudest.saturating_sub(LOUD_BELOW),
            loudest.saturating_sub(FLOOR_BELOW),
        );
        let end = (at + prints_in(LONGEST)).min(prints.end());
        // Silence at the end may be another stop.
        let end = (at..end).rfind(|n| prints.at(*n).level >= loud)? + 1;
        if end < at + prints_in(SHORTEST) {
            return None;
        }
        let prints: Vec<Print> = (at..end).map(|n| floored(prints.at(n), floor)).collect();
        let sounds = || prints.iter().filter(|print| print.level >= loud);
        let count = sounds().count();
        let mean = std::array::from_fn(|band| {
            let sum: f32 = sounds().map(|print| f32::from(print.bands[band])).sum();
            sum / count.max(1) as f32
        });
        let deviation: f32 = sounds().map(|print| deviation(print, &mean)).sum();
        let varies = deviation / (count.max(1) * BANDS) as f32 >= STEADY;
        (count >= LOUD && varies).then_some(Self {
            prints,
            mean,
            loud,
            floor,
        })
    }

    /// How different the sound is from that at print `place`, which ended at print `stop`.
    fn difference(&self, prints: &Prints, place: u64, stop: u64) -> f32 {
        let (mut differs, mut deviates, mut loud) = (0.0f32, 0.0f32, 0);
        for (mine, at) in self.prints.iter().zip(place..stop) {
            let other = floored(prints.at(at), self.floor);
            if mine.level < self.loud && other.level < self.loud {
                continue;
            }
            let pairs = mine.bands.iter().zip(other.bands);
            let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(b))).sum();
            differs += sum as f32;
            deviates += deviation(mine, &self.mean);
            loud += 1;
        }
        match loud >= LOUD && deviates > 0.0 {
            true => differs / deviates,
            false => f32::INFINITY,
        }
    }
}

fn deviation(print: &Print, mean: &[f32; BANDS]) -> f32 {
    let pairs = print.bands.iter().zip(mean);
    pairs
        .map(|(band, mean)| (f32::from(*band) - mean).abs())
        .sum()
}

/// The print with what is inaudible beside the loudest sound made the same.
fn floored(print: Print, floor: u8) -> Print {
    Print {
        level: print.level,
        bands: print.bands.map(|band| band.max(floor)),
    }
}

#[cfg(test)]
mod tests;
