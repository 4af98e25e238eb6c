//! Measures the level of a single frequency and finds the onset of a tone.
//!
//! In: PCM at 48 kHz. Out: powers, an interpolated position. Invariant: the onset is where the
//! amplitude passes half of its plateau. At any level, the onset of a hard start is its first
//! sample, and that of a linear ramp is the ramp's middle.

use super::RATE;
use super::level::dbfs_of;
use std::f64::consts::PI;

/// Window length: 10 ms.
pub(super) const WINDOW: usize = 480;
/// Hop: 1 ms.
pub(super) const HOP: usize = 48;
/// The tone must last for this many windows: 10 ms beyond the first window that it fills.
const HELD: usize = 2 * WINDOW / HOP;
/// The plateau is the median of at most this many windows, from the first that the tone fills.
const PLATEAU: usize = 30;
/// A tone must reach this level, in dBFS.
const QUIETEST_DBFS: f64 = -60.0;
/// Smallest share of the power in its window that a tone must have.
const PURITY: f64 = 0.5;

/// Goertzel's filter (1958) for one frequency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goertzel {
    coefficient: f64,
}

impl Goertzel {
    /// Creates a filter for a frequency in Hz, below half of [`RATE`].
    pub(crate) fn new(hz: f64) -> Self {
        let step = 2.0 * PI * hz / f64::from(RATE);
        Self {
            coefficient: 2.0 * step.cos(),
        }
    }

    /// Mean square of the component at this frequency; for a pure tone, its power.
    pub(crate) fn power(&self, window: &[i16]) -> f64 {
        let (mut last, mut before) = (0.0, 0.0);
        for &x in window {
            let next = f64::from(x) + self.coefficient * last - before;
            before = last;
            last = next;
        }
        let square = last * last + before * before - self.coefficient * last * before;
        2.0 * square / (window.len() as f64).powi(2)
    }
}

/// Where a tone or a marker begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneOnset {
    /// Position of the onset, in samples, interpolated.
    pub(crate) position: f64,
    /// Level of the plateau, in dBFS.
    pub(crate) dbfs: f64,
}

/// Finds the first onset of a tone of `hz` in a recording, which is assumed to follow silence.
/// Returns `None` if no tone of that frequency lasts for 30 ms.
pub(crate) fn tone_onset(pcm: &[i16], hz: f64) -> Option<ToneOnset> {
    let padded = padded(pcm);
    let filter = Goertzel::new(hz);
    let amplitudes: Vec<f64> = windows(&padded).map(|w| filter.power(w).sqrt()).collect();
    let loudest = amplitudes.iter().copied().fold(0.0, f64::max);
    let holds = |run: &[f64]| run.iter().all(|a| *a >= loudest / 2.0);
    let sure = amplitudes.windows(HELD).position(holds)?;
    let full = sure + WINDOW / HOP;
    let end = (full + PLATEAU).min(amplitudes.len());
    let plateau = median(&amplitudes[full..end])?;
    let window = windows(&padded).nth(full)?;
    let dbfs = dbfs_of(plateau * plateau);
    if dbfs < QUIETEST_DBFS || plateau * plateau < PURITY * power(window) {
        return None;
    }
    let position = half_rise(&amplitudes, sure, plateau);
    Some(ToneOnset { position, dbfs })
}

/// Prepends one window of silence to a recording.
pub(super) fn padded(pcm: &[i16]) -> Vec<i16> {
    [&[0; WINDOW], pcm].concat()
}

/// The windows of a padded recording, one per hop.
pub(super) fn windows(padded: &[i16]) -> impl Iterator<Item = &[i16]> {
    padded.windows(WINDOW).step_by(HOP)
}

/// Mean square of the samples.
pub(super) fn power(window: &[i16]) -> f64 {
    let squares = window.iter().map(|&x| i64::from(x) * i64::from(x));
    squares.sum::<i64>() as f64 / window.len() as f64
}

pub(super) fn median(amplitudes: &[f64]) -> Option<f64> {
    let mut sorted = amplitudes.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The sample at which the amplitudes (one per hop, of a padded recording) last rise through half
/// of `plateau` before the window `sure`. If a tone with a hard start fills half of a window, it
/// starts in the middle of that window.
pub(super) fn half_rise(amplitudes: &[f64], sure: usize, plateau: f64) -> f64 {
    let half = plateau / 2.0;
    let mut above = sure;
    while above + 1 < amplitudes.len() && amplitudes[above] < half {
        above += 1;
    }
    while above > 0 && amplitudes[above - 1] >= half {
        above -= 1;
    }
    let part = match above.checked_sub(1).map(|k| amplitudes[k]) {
        Some(below) => (amplitudes[above] - half) / (amplitudes[above] - below).max(1e-9),
        None => 0.0,
    };
    (above as f64 - part.clamp(0.0, 1.0)) * HOP as f64 - WINDOW as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, mix, noise, sine};

    #[test]
    fn power_excludes_other_frequencies() {
        let both = mix(&sine(1000.0, -20.0, 480), &sine(2000.0, -10.0, 480));
        for (hz, dbfs) in [(1000.0, -20.0), (2000.0, -10.0)] {
            let found = dbfs_of(Goertzel::new(hz).power(&both));
            assert!((found - dbfs).abs() < 0.01, "{hz}: {found}");
        }
        assert!(dbfs_of(Goertzel::new(3000.0).power(&both)) < -60.0);
    }

    #[test]
    fn onsets_are_found_at_their_sample() {
        // Frequency in Hz, level, lead and ramp in samples, noise level, tolerance in samples.
        let cases = [
            (1000.0, -20.0, 4800, 0, None, 8.0),
            (1000.0, -20.0, 0, 0, None, 8.0),
            (1000.0, -20.0, 4811, 0, None, 8.0),
            (400.0, -30.0, 5003, 0, None, 16.0),
            (3000.0, -6.0, 7777, 0, None, 8.0),
            (1000.0, -20.0, 4800, 960, None, 16.0),
            (1000.0, -20.0, 4825, 0, Some(-45.0), 12.0),
            (1000.0, -50.0, 4839, 0, None, 8.0),
        ];
        for (hz, dbfs, lead, ramp, floor, within) in cases {
            let mut tone = sine(hz, dbfs, 9600);
            for (n, x) in tone.iter_mut().enumerate().take(ramp) {
                *x = (f64::from(*x) * n as f64 / ramp as f64) as i16;
            }
            let clean = [vec![0; lead], tone].concat();
            let pcm = match floor {
                Some(floor) => mix(&clean, &noise(floor, clean.len(), 1)),
                None => clean,
            };
            let found = tone_onset(&pcm, hz).unwrap_or_else(|| panic!("{hz} at {lead}"));
            let error = found.position - (lead + ramp / 2) as f64;
            assert!(error.abs() <= within, "{hz} at {lead}, {ramp}: {error}");
            assert!((found.dbfs - dbfs).abs() < 0.5, "{hz}: {}", found.dbfs);
        }
    }

    #[test]
    fn other_sounds_have_no_tone_onset() {
        for (name, pcm) in [
            ("nothing", vec![]),
            ("silence", vec![0; 48_000]),
            ("noise", noise(-20.0, 48_000, 3)),
            ("another tone", sine(2000.0, -20.0, 48_000)),
            (
                "a click",
                [vec![0; 4800], sine(1000.0, -20.0, 480), vec![0; 4800]].concat(),
            ),
            ("speech", FIXTURES[0].pcm()),
        ] {
            assert_eq!(tone_onset(&pcm, 1000.0), None, "{name}");
        }
    }
}
