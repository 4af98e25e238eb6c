//! Generates noise.
//!
//! In: a kind, a length, a seed. Out: samples at an arbitrary level. Invariant: the same input gives
//! the same samples.

use super::filter::Filter;
use crate::audio::RATE;
use crate::vocab::NoiseKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::{PI, TAU};

/// Number of talkers of a babble.
const TALKERS: u64 = 6;
/// The shortest and the longest syllable.
const SYLLABLE_MS: (f64, f64) = (120.0, 320.0);
/// Share of syllables that a talker leaves out: pauses between words and for breath.
const PAUSES: f64 = 0.25;

/// Random numbers that are the same on every machine for a seed and a stream.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform, above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Normally distributed with mean 0 and variance 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

/// Generates `length` samples of noise.
pub(super) fn generated(kind: NoiseKind, length: usize, seed: u64) -> Vec<f32> {
    match kind {
        NoiseKind::White => white(length, seed, 0),
        NoiseKind::Pink => {
            // Below the voice band, the power stays as it is: no microphone picks up more of it.
            shaped(length, seed, 0, |hz| (100.0 / hz.max(50.0)).sqrt())
        }
        NoiseKind::SpeechShaped => shaped(length, seed, 0, speech_spectrum),
        NoiseKind::Babble => {
            let mut sum = vec![0.0; length];
            for talker in 0..TALKERS {
                let voice = shaped(length, seed, 2 * talker, speech_spectrum);
                let rhythm = syllables(length, seed, 2 * talker + 1);
                let parts = voice.iter().zip(rhythm).map(|(x, level)| x * level);
                sum.iter_mut().zip(parts).for_each(|(sum, x)| *sum += x);
            }
            sum
        }
    }
}

fn white(length: usize, seed: u64, stream: u64) -> Vec<f32> {
    let mut random = Random::new(seed, stream);
    (0..length).map(|_| 0.1 * random.normal() as f32).collect()
}

fn shaped(length: usize, seed: u64, stream: u64, gain: impl Fn(f64) -> f64) -> Vec<f32> {
    let margin = super::filter::TAPS / 2;
    let mut samples = white(length + 2 * margin, seed, stream);
    Filter::new(gain).apply(&mut samples);
    // The filter has settled within its own length.
    samples.drain(..margin);
    samples.truncate(length);
    samples
}

/// Long-term average spectrum of speech (Byrne et al., *J. Acoust. Soc. Am.* 96(4), 1994), in two
/// straight lines: even from 100 to 500 Hz, then 9 dB less with every octave.
fn speech_spectrum(hz: f64) -> f64 {
    match hz {
        hz if hz < 100.0 => (hz / 100.0).powi(2),
        hz if hz <= 500.0 => 1.0,
        hz => (500.0 / hz).powf(1.5),
    }
}

/// The level of one talker over time: syllables of random length and stress, and pauses.
fn syllables(length: usize, seed: u64, stream: u64) -> Vec<f32> {
    let mut random = Random::new(seed, stream);
    let mut levels = Vec::with_capacity(length);
    while levels.len() < length {
        let (shortest, longest) = SYLLABLE_MS;
        let ms = shortest + (longest - shortest) * random.uniform();
        let count = (ms / 1000.0 * f64::from(RATE)) as usize;
        let stress = match random.uniform() < PAUSES {
            true => 0.0,
            false => 0.3 + 0.7 * random.uniform(),
        };
        levels.extend((0..count).map(|n| {
            let shape = (PI * n as f64 / count as f64).sin();
            (stress * shape) as f32
        }));
    }
    levels.truncate(length);
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::Goertzel;
    use crate::audio::level::dbfs_of;

    /// Mean power in a band one hop wide around `hz`, in dB.
    fn density_db(samples: &[f32], hz: f64) -> f64 {
        let pcm = super::super::rounded(samples);
        let meter = Goertzel::new(hz);
        let powers: Vec<f64> = pcm.chunks_exact(4_800).map(|c| meter.power(c)).collect();
        dbfs_of(powers.iter().sum::<f64>() / powers.len() as f64)
    }

    /// The slope between two frequencies, in dB an octave; the mean over neighbours of both.
    fn slope(samples: &[f32], low: f64, high: f64) -> f64 {
        let around = |hz: f64| {
            let near = (-10..=10).map(|n| density_db(samples, hz * (1.0 + 0.01 * f64::from(n))));
            near.sum::<f64>() / 21.0
        };
        (around(high) - around(low)) / (high / low).log2()
    }

    #[test]
    fn colours_have_their_slopes() {
        for (kind, low, high, wanted) in [
            (NoiseKind::White, 200.0, 6_400.0, 0.0),
            (NoiseKind::Pink, 200.0, 6_400.0, -3.0),
            (NoiseKind::SpeechShaped, 1_000.0, 8_000.0, -9.0),
            (NoiseKind::SpeechShaped, 150.0, 400.0, 0.0),
        ] {
            let found = slope(&generated(kind, 480_000, 1), low, high);
            assert!(
                (found - wanted).abs() < 0.5,
                "{kind:?}: {found} dB an octave"
            );
        }
    }

    #[test]
    fn a_babble_rises_and_falls_more_than_steady_noise() {
        let spread = |kind| {
            let samples = generated(kind, 480_000, 3);
            let levels: Vec<f64> = samples
                .chunks_exact(2_400)
                .map(|c| c.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().log10() * 10.0)
                .collect();
            let mean = levels.iter().sum::<f64>() / levels.len() as f64;
            let sum = levels.iter().map(|l| (l - mean).powi(2)).sum::<f64>();
            (sum / levels.len() as f64).sqrt()
        };
        let (steady, babble) = (spread(NoiseKind::SpeechShaped), spread(NoiseKind::Babble));
        assert!(babble > 1.5 * steady, "{babble} dB and {steady} dB");
    }

    #[test]
    fn the_seed_determines_the_noise() {
        for kind in NoiseKind::ALL {
            let made = |seed| generated(*kind, 5_000, seed);
            assert_eq!(made(1), made(1), "{kind:?}");
            assert_ne!(made(1), made(2), "{kind:?}");
        }
    }
}
