//! Tracks the last audible sample of a talk spurt, without letting clicks extend the spurt.
//!
//! In: the windows of a spurt after its onset. Out: its last audible sample. Invariants: that
//! sample only moves forward; a sustained sound always counts; a short sound, such as the release
//! of a final consonant, counts only shortly after a sustained one.

use super::track::Track;
use crate::audio::level::WINDOW;

/// Hop of the 10 ms windows: 5 ms, in samples.
pub(super) const HOP: u64 = 240;
/// At least this many consecutive loud windows are a sustained sound, not a click: 40 ms.
pub(super) const SUSTAINED: u32 = 7;
/// A shorter sound within this time after a sustained sound belongs to that sound: 250 ms.
const NEAR: u64 = 12_000;

/// The audible part of a spurt, so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audible {
    /// Audibility threshold, as a mean square.
    power: f64,
    last: u64,
    /// The last sample of a sustained sound.
    sustained: u64,
    /// Number of consecutive loud windows up to now.
    run: u32,
}

impl Audible {
    /// Starts with `last` as the last sample that is audible by the threshold `power`.
    pub(super) fn new(power: f64, last: u64) -> Self {
        Self {
            power,
            last,
            sustained: last,
            run: 0,
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The last sample of a sustained sound: of speech rather than of a click.
    pub(super) fn sustained(&self) -> u64 {
        self.sustained
    }

    /// Audibility threshold, as a mean square.
    pub(super) fn power(&self) -> f64 {
        self.power
    }

    /// Examines the window that ends at `end`; `energy` is its sum of squares.
    pub(super) fn window(&mut self, track: &Track, end: u64, energy: i64) {
        let energy = energy as f64;
        let is_loud = energy >= self.power * (2 * HOP) as f64;
        self.run = if is_loud { self.run + 1 } else { 0 };
        // Every 2 ms window that ends in this hop lies inside this 10 ms window, so none is loud.
        if energy < self.power * WINDOW as f64 {
            return;
        }
        let from = end - HOP - WINDOW as u64;
        let Some(last) = last_audible(track, from, end, self.power) else {
            return;
        };
        if self.run >= SUSTAINED {
            self.sustained = self.sustained.max(last);
        }
        if last <= self.sustained + NEAR {
            self.last = self.last.max(last);
        }
    }
}

/// The last audible sample in `from..to`: its square, and the mean square of a 2 ms window around
/// it, are at least `power`.
fn last_audible(track: &Track, from: u64, to: u64, power: f64) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::power_at;
    use crate::audio::test_signals::sine;
    use std::time::Instant;

    /// The last audible sample, in ms, of sounds given by their start and length in ms; the first
    /// sound is the spurt.
    fn last_of(sounds: &[(usize, usize)]) -> f64 {
        let mut pcm = vec![0; 48 * 1500];
        for &(at, length) in sounds {
            pcm[48 * at..48 * (at + length)].copy_from_slice(&sine(500.0, -20.0, 48 * length));
        }
        let mut track = Track::new();
        let mut audible = Audible::new(power_at(-40.0), 48);
        for (k, hop) in pcm.chunks_exact(HOP as usize).enumerate() {
            track.push(hop, Some(Instant::now()));
            let end = (k as u64 + 1) * HOP;
            if k > 0 {
                audible.window(&track, end, track.energy(end - 2 * HOP, end));
            }
        }
        audible.last() as f64 / 48.0
    }

    #[test]
    fn clicks_do_not_extend_a_burst() {
        let reply = (100, 200);
        for (name, more, expected) in [
            ("no further sound", &[][..], 300.0),
            ("a click much later", &[(800, 5)], 300.0),
            ("the release of a final consonant", &[(380, 10)], 390.0),
            (
                "one click after another",
                &[(400, 5), (600, 5), (800, 5)],
                405.0,
            ),
            ("a word much later", &[(900, 120)], 1020.0),
        ] {
            let last = last_of(&[&[reply], more].concat());
            assert!((last - expected).abs() <= 1.0, "{name}: {last}");
        }
    }
}
