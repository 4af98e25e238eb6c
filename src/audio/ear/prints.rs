//! Fingerprints of a stream's audio, by which sound is recognised that was heard before.
//!
//! In: the track as it grows, the onsets found in it. Out: the levels of six octave bands every
//! 10 ms, and where each talk spurt began. Invariants: memory is allocated once; the last
//! [`KEPT`] prints are kept; what was not received is silent.

use super::track::Track;
use crate::audio::samples_in;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Distance of two prints: 10 ms, in samples.
pub(super) const STEP: u64 = 480;
/// Samples of a print's window: 20 ms.
const WINDOW: usize = 960;
/// Number of prints kept: 30 s.
const KEPT: usize = 3_000;
/// Number of onsets kept.
const ONSETS: usize = 64;
/// Octave bands, from 6–12 kHz down to 190–375 Hz.
pub(super) const BANDS: usize = 6;
/// An onset is taken for the one at an instant if it is at most this far away: a coarse trigger is
/// refined later.
const NEAR: Duration = Duration::from_millis(300);

/// The sound of 20 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Print {
    /// Level in half decibels above one unit of the 16-bit samples.
    pub(super) level: u8,
    /// The same of each band.
    pub(super) bands: [u8; BANDS],
}

/// The beginning of a stretch of sound.
#[derive(Debug, Clone, Copy)]
struct Onset {
    at: Instant,
    position: u64,
    /// Whether it begins a talk spurt, rather than going on after a pause.
    is_first: bool,
}

/// The most recent prints and onsets of one stream.
#[derive(Debug)]
pub(super) struct Prints {
    /// Print number `n` is at `n % KEPT`; its window begins at sample `n * STEP`.
    prints: Box<[Print]>,
    /// Number of the next print.
    next: u64,
    onsets: VecDeque<Onset>,
}

impl Prints {
    pub(super) fn new() -> Self {
        Self {
            prints: vec![Print::default(); KEPT].into_boxed_slice(),
            next: 0,
            onsets: VecDeque::with_capacity(ONSETS),
        }
    }

    /// Takes the audio up to `end`.
    pub(super) fn hop(&mut self, track: &Track, end: u64) {
        let Some(complete) = end.checked_sub(WINDOW as u64).map(|from| from / STEP + 1) else {
            return;
        };
        if complete <= self.next {
            return;
        }
        // What was skipped was silent, and the oldest of it would be overwritten anyway.
        self.next = self.next.max(complete.saturating_sub(KEPT as u64));
        while self.next < complete {
            let print = print(track, self.next * STEP);
            self.prints[self.next as usize % KEPT] = print;
            self.next += 1;
        }
    }

    /// Notes an onset; `is_first`: it begins a talk spurt.
    pub(super) fn onset(&mut self, at: Instant, position: u64, is_first: bool) {
        if self.onsets.len() == ONSETS {
            self.onsets.pop_front();
        }
        self.onsets.push_back(Onset {
            at,
            position,
            is_first,
        });
    }

    /// Number after the last print.
    pub(super) fn end(&self) -> u64 {
        self.next
    }

    /// Number of the oldest print kept.
    pub(super) fn start(&self) -> u64 {
        self.next.saturating_sub(KEPT as u64)
    }

    /// A print; silence if it is not kept.
    pub(super) fn at(&self, number: u64) -> Print {
        if number < self.start() || number >= self.next {
            return Print::default();
        }
        self.prints[number as usize % KEPT]
    }

    /// Number of the print in whose first half the onset at `at` lies.
    pub(super) fn onset_at(&self, at: Instant) -> Option<u64> {
        let apart = |onset: &Onset| match onset.at >= at {
            true => onset.at.saturating_duration_since(at),
            false => at.saturating_duration_since(onset.at),
        };
        let nearest = self.onsets.iter().min_by_key(|onset| apart(onset))?;
        (apart(nearest) <= NEAR).then_some(nearest.position / STEP)
    }

    /// Numbers of the prints at which talk spurts began, from `from` on and before print `until`;
    /// the first one is any onset.
    pub(super) fn beginnings(
        &self,
        from: Option<Instant>,
        until: u64,
    ) -> impl Iterator<Item = u64> {
        let inside = self.onsets.iter().filter(move |onset| {
            from.is_none_or(|from| onset.at >= from) && onset.position / STEP < until
        });
        let beginning = |(nth, onset): &(usize, &Onset)| *nth == 0 || onset.is_first;
        let beginnings = inside.enumerate().filter(beginning);
        beginnings.map(|(_, onset)| onset.position / STEP)
    }
}

/// Number of prints in a time.
pub(super) fn prints_in(time: Duration) -> u64 {
    samples_in(time) / STEP
}

/// The print of the samples from `from` on.
fn print(track: &Track, from: u64) -> Print {
    let energy = track.energy(from, from + WINDOW as u64);
    let mut print = Print {
        level: half_decibels(energy as f32 / WINDOW as f32),
        ..Print::default()
    };
    if print.level == 0 {
        return print;
    }
    // A Haar transform: each stage halves the rate, and its differences are an octave band.
    let mut samples = [0i32; WINDOW / 2];
    for (sum, at) in samples.iter_mut().zip((from..).step_by(2)) {
        *sum = i32::from(track.at(at)) + i32::from(track.at(at + 1));
    }
    let mut length = samples.len();
    // A sum of 2^n samples is 2^n times their mean.
    let mut scale = 2.0f32;
    for band in &mut print.bands {
        length /= 2;
        scale *= 2.0;
        let mut energy = 0.0f32;
        for k in 0..length {
            let (a, b) = (samples[2 * k], samples[2 * k + 1]);
            energy += ((a - b) as f32).powi(2);
            samples[k] = a + b;
        }
        *band = half_decibels(energy / length as f32 / (scale * scale));
    }
    print
}

fn half_decibels(power: f32) -> u8 {
    // A conversion to `u8` saturates.
    (20.0 * power.max(1.0).log10()).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::sine;

    fn track_of(pcm: &[i16]) -> (Track, Prints) {
        let (mut track, mut prints) = (Track::new(), Prints::new());
        for (k, hop) in pcm.chunks(240).enumerate() {
            track.push(hop, Some(Instant::now()));
            prints.hop(&track, (k as u64 + 1) * 240);
        }
        (track, prints)
    }

    #[test]
    fn each_octave_is_loudest_in_its_band() {
        for (band, hz) in [8_500.0, 4_200.0, 2_100.0, 1_050.0, 530.0, 260.0]
            .into_iter()
            .enumerate()
        {
            let (_, prints) = track_of(&sine(hz, -20.0, 9_600));
            let print = prints.at(10);
            let loudest = (0..BANDS).max_by_key(|k| print.bands[*k]);
            assert_eq!(loudest, Some(band), "{hz}: {print:?}");
            // -20 dBFS of 32,768² is 70 dB above one unit.
            assert!(print.level.abs_diff(140) <= 2, "{hz}: {print:?}");
        }
    }

    #[test]
    fn skipped_silence_and_forgotten_sound_are_silent() {
        let (mut track, mut prints) = track_of(&sine(500.0, -20.0, 9_600));
        assert_eq!(prints.end(), 19);
        track.silence(48_000 * 60);
        prints.hop(&track, track.end());
        assert_eq!(prints.end(), prints.start() + KEPT as u64);
        assert_eq!(prints.at(10), Print::default(), "forgotten");
        assert_eq!(prints.at(prints.end() - 1), Print::default());
        assert_eq!(prints.at(prints.end()), Print::default(), "not heard yet");
    }

    #[test]
    fn onsets_are_found_by_their_instants() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let mut prints = Prints::new();
        for (ms, is_first) in [(100, true), (1_000, false), (2_000, true), (3_000, true)] {
            prints.onset(at(ms), ms * 48, is_first);
        }
        assert_eq!(prints.onset_at(at(2_200)), Some(200));
        assert_eq!(prints.onset_at(at(2_500)), None);
        let beginnings = |from, until| prints.beginnings(from, until).collect::<Vec<_>>();
        assert_eq!(beginnings(None, 300), [10, 200]);
        assert_eq!(beginnings(Some(at(500)), 300), [100, 200]);
        assert_eq!(beginnings(Some(at(500)), 150), [100]);
    }
}
