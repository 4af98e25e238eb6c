//! Finds dual-tone markers: sounds that occur neither in speech nor in music.
//!
//! In: PCM at 48 kHz. Out: where the first marker begins. Invariants: in a marker, two tones of
//! similar level are present for 50 ms and hold most of the power; their frequencies lie between
//! the semitones of equal temperament (A = 440 Hz), so no chord of pure tones is a marker.

use super::goertzel::{
    Goertzel, HOP, ToneOnset, WINDOW, half_rise, median, padded, power, windows,
};
use super::level::{dbfs_of, power_at};

/// A pair of frequencies in Hz, multiples of 20 that are 40 Hz or more from any semitone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marker {
    /// The lower frequency.
    pub(crate) low: f64,
    /// The higher frequency.
    pub(crate) high: f64,
}

/// The marker in use: between E6 and F6, and between B6 and C7. The ratio of its frequencies is
/// not a ratio of small integers.
pub const MARKER: Marker = Marker {
    low: 1360.0,
    high: 2020.0,
};

/// A window below this level is not examined, in dBFS.
const QUIETEST_DBFS: f64 = -55.0;
/// Maximum level difference between the two tones, in dB.
const TWIST_DB: f64 = 6.0;
/// Smallest share of the power that the two tones must have, in each 10 ms window and over the
/// whole 50 ms. A note 40 Hz away has at most a twentieth of its power in a bin of 20 Hz.
const PURITY: f64 = 0.7;
const LONG_PURITY: f64 = 0.8;
/// Number of consecutive windows that must pass: 50 ms from the start of the first to the end of
/// the last.
const HELD: usize = 41;
const LONG: usize = (HELD - 1) * HOP + WINDOW;

impl Marker {
    /// Finds the first marker in a recording. Its onset is where the amplitude passes half of its
    /// plateau.
    pub fn find(&self, pcm: &[i16]) -> Option<ToneOnset> {
        let padded = padded(pcm);
        let pair = Pair {
            low: Goertzel::new(self.low),
            high: Goertzel::new(self.high),
        };
        let mut run = 0;
        for (k, window) in windows(&padded).enumerate() {
            run = if pair.passes(window, PURITY) {
                run + 1
            } else {
                0
            };
            let first = (k + 1).saturating_sub(HELD);
            if run < HELD || !pair.passes(&padded[first * HOP..][..LONG], LONG_PURITY) {
                continue;
            }
            // The first window that passes may be only half full, so the plateau starts one window
            // later.
            let from = first.saturating_sub(2 * WINDOW / HOP);
            let amplitudes: Vec<f64> = windows(&padded[from * HOP..])
                .take(k + 1 - from)
                .map(|w| pair.power(w).sqrt())
                .collect();
            let plateau = median(&amplitudes[first - from + WINDOW / HOP..])?;
            let position = half_rise(&amplitudes, first - from, plateau);
            return Some(ToneOnset {
                position: position + (from * HOP) as f64,
                dbfs: dbfs_of(plateau * plateau),
            });
        }
        None
    }
}

struct Pair {
    low: Goertzel,
    high: Goertzel,
}

impl Pair {
    fn power(&self, window: &[i16]) -> f64 {
        self.low.power(window) + self.high.power(window)
    }

    /// Whether the window contains both tones at similar levels and little other sound.
    fn passes(&self, window: &[i16], purity: f64) -> bool {
        let all = power(window);
        if all < power_at(QUIETEST_DBFS) {
            return false;
        }
        let (low, high) = (self.low.power(window), self.high.power(window));
        let twist = 10.0 * (low / high).log10();
        low + high >= purity * all && twist.abs() <= TWIST_DB
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::opus;
    use crate::audio::test_signals::{FIXTURES, mix, noise, sine};
    use crate::audio::{Pcm, RATE};
    use std::f64::consts::PI;

    /// RMS level of a marker, both tones together, in dBFS.
    const MARKER_DBFS: f64 = -20.0;

    impl Marker {
        /// Generates the marker's sound, `samples` long. Both tones start at their crest.
        fn sound(&self, samples: usize) -> Pcm {
            // Two tones of amplitude a have the power a².
            let amplitude = power_at(MARKER_DBFS).sqrt();
            let wave = |hz: f64, n: usize| (2.0 * PI * hz * n as f64 / f64::from(RATE)).cos();
            (0..samples)
                .map(|n| (amplitude * (wave(self.low, n) + wave(self.high, n))).round() as i16)
                .collect()
        }
    }

    #[test]
    fn a_marker_is_found_at_its_sample() {
        for (lead, floor, within) in [
            (0, None, 24.0),
            (4801, None, 24.0),
            (30_011, None, 24.0),
            (4825, Some(-40.0), 24.0),
        ] {
            let clean = [vec![0; lead], MARKER.sound(9600), vec![0; 4800]].concat();
            let pcm = match floor {
                Some(floor) => mix(&clean, &noise(floor, clean.len(), 7)),
                None => clean,
            };
            let found = MARKER.find(&pcm).expect("a marker");
            let error = found.position - lead as f64;
            assert!(error.abs() <= within, "{lead} {floor:?}: {error}");
            assert!((found.dbfs - MARKER_DBFS).abs() < 0.5, "{found:?}");
        }
    }

    #[test]
    fn a_marker_after_speech_is_found_through_the_codec() {
        let speech = FIXTURES[0].pcm();
        let lead = speech.len() + 9611;
        let pcm = [speech, vec![0; 9611], MARKER.sound(14_400)].concat();
        let mut decoder = opus::Decoder::new().expect("libopus");
        let frames = opus::encode(&pcm).expect("libopus");
        let mut decode = |f: &[u8]| decoder.decode(f).expect("own packet").to_vec();
        let heard: Vec<i16> = frames.iter().flat_map(|f| decode(f)).collect();
        let found = MARKER.find(&heard).expect("a marker");
        let error = found.position - (lead + crate::audio::OPUS_LOOKAHEAD) as f64;
        assert!(error.abs() <= 96.0, "{error} samples off");
    }

    #[test]
    fn other_sounds_are_not_a_marker() {
        let second = 48_000;
        let both = |low: f64, high: f64, twist: f64| {
            let low = sine(low, -23.0 + twist / 2.0, second);
            mix(&low, &sine(high, -23.0 - twist / 2.0, second))
        };
        let mut cases = vec![
            ("silence", vec![0; second]),
            ("noise", noise(-20.0, second, 1)),
            ("one tone", sine(MARKER.low, -20.0, second)),
            ("the other tone", sine(MARKER.high, -20.0, second)),
            ("too much twist", both(MARKER.low, MARKER.high, 10.0)),
            ("the nearest chord", both(1318.51, 1975.53, 0.0)),
            ("the chord above", both(1396.91, 2093.0, 0.0)),
            ("the notes outside", both(1318.51, 2093.0, 0.0)),
            ("the notes inside", both(1396.91, 1975.53, 0.0)),
            ("too short", MARKER.sound(1920)),
            (
                "buried in noise",
                mix(&MARKER.sound(second), &noise(-20.0, second, 2)),
            ),
        ];
        cases.extend(FIXTURES.iter().map(|f| (f.name, f.pcm())));
        for (name, pcm) in cases {
            assert_eq!(MARKER.find(&pcm), None, "{name}");
        }
    }
}
