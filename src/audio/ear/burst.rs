//! Until when a talk spurt is audible: clicks do not hold it open.
//!
//! In: the windows of a spurt after its onset. Out: its last audible sample. Holds: it only
//! moves forward; a short sound counts while the spurt's last sustained sound is near (the
//! release of a last consonant), or when it lasts.

use super::refine::last_audible;
use super::track::Track;
use crate::audio::level::WINDOW;

/// Windows: 10 ms at a hop of 5 ms, in samples.
pub(super) const HOP: u64 = 240;
/// So many loud windows one after the other are no click: 40 ms.
pub(super) const SUSTAINED: u32 = 7;
/// A shorter sound this soon after a sustained one belongs to it: 250 ms.
const NEAR: u64 = 12_000;

/// The audible part of a spurt, so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audible {
    /// What is audible: a mean square.
    power: f64,
    last: u64,
    /// The last sample of a sustained sound.
    sustained: u64,
    /// Loud windows up to now.
    run: u32,
}

impl Audible {
    /// Audible up to `last` with at least `power`.
    pub(super) fn new(power: f64, last: u64) -> Self {
        Self {
            power,
            last,
            sustained: last,
            run: 0,
        }
    }

    /// The last audible sample.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The last sample of a sustained sound: of speech rather than of a click.
    pub(super) fn sustained(&self) -> u64 {
        self.sustained
    }

    /// What is audible: a mean square.
    pub(super) fn power(&self) -> f64 {
        self.power
    }

    /// Looks at the window of so much `energy` that ends at `end`.
    pub(super) fn window(&mut self, track: &Track, end: u64, energy: i64) {
        let energy = energy as f64;
        let is_loud = energy >= self.power * (2 * HOP) as f64;
        self.run = if is_loud { self.run + 1 } else { 0 };
        // The 2 ms windows that end in this hop lie inside the 10 ms.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::power_at;
    use crate::audio::test_signals::sine;
    use std::time::Instant;

    /// The last audible sample of sounds, each with its start and length in ms; the first one is
    /// the spurt's. In ms.
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
    fn clicks_do_not_hold_it_open() {
        let reply = (100, 200);
        for (name, more, expected) in [
            ("alone", &[][..], 300.0),
            ("a click much later", &[(800, 5)], 300.0),
            ("the release of a last consonant", &[(380, 10)], 390.0),
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
