//! Generates a tone with a hard start, for replies whose onset is known to the sample.
//!
//! In: a length. Out: PCM. Invariants: the first sample is already audible; every call returns
//! the same samples.

use super::{Pcm, RATE, samples_in};
use std::f64::consts::{PI, SQRT_2};
use std::time::Duration;

/// Frequency of the reference agent's tone, in Hz.
pub(crate) const TONE_HZ: f64 = 1000.0;
/// RMS level of the tone, in dBFS.
pub(crate) const TONE_DBFS: f64 = -20.0;

/// Generates a 1 kHz sine at −20 dBFS (RMS) that starts at its crest, so that sample 0 is the
/// onset.
///
/// `length` is rounded to a whole sample.
pub fn tone(length: Duration) -> Pcm {
    let peak = 32768.0 * SQRT_2 * 10f64.powf(TONE_DBFS / 20.0);
    let step = 2.0 * PI * TONE_HZ / f64::from(RATE);
    (0..samples_in(length))
        .map(|n| (peak * (step * n as f64).cos()).round() as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::speech_span;

    #[test]
    fn a_tone_is_audible_from_its_first_to_its_last_sample_at_the_stated_level() {
        let pcm = tone(Duration::from_millis(1500));
        assert_eq!(pcm.len(), 72_000);
        let span = speech_span(&pcm).expect("a tone is loud");
        assert_eq!((span.start, span.end), (0, 72_000));
        let power = pcm.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / pcm.len() as f64;
        let dbfs = 10.0 * (power / 32768f64.powi(2)).log10();
        assert!((dbfs - TONE_DBFS).abs() < 0.01, "{dbfs}");
    }

    #[test]
    fn a_tone_of_zero_length_is_empty() {
        assert!(tone(Duration::ZERO).is_empty());
    }
}
