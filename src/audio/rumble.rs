//! Removes sound below the voice band from a recording: DC, mains hum, rumble.
//!
//! In: PCM at 48 kHz. Out: the same PCM without sound below about 70 Hz. Invariants: the remaining
//! sound keeps its position (the filter runs forwards and backwards, so it has zero phase); a DC
//! offset leaves no transient at either end; digital silence before or after the sound has no
//! effect.

use super::RATE;
use std::f64::consts::PI;

/// Corner frequency in Hz: the lowest male voices are at 75 Hz, mains hum is at 50 or 60 Hz.
const CORNER_HZ: f64 = 70.0;
/// Order of the Butterworth filter. The filter is applied twice, which gives −55 dB at 50 Hz,
/// −22 dB at 60 Hz and −1 dB at 80 Hz.
const ORDER: usize = 8;
/// Length of the mirrored padding at each end, in which the filter settles: 200 ms.
const SETTLE: usize = RATE as usize / 5;

/// One second-order section (R. Bristow-Johnson, *Cookbook formulae for audio EQ biquad filter
/// coefficients*), in transposed direct form II.
#[derive(Debug, Clone, Copy)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Section {
    fn high_pass(q: f64) -> Self {
        let w = 2.0 * PI * CORNER_HZ / f64::from(RATE);
        let alpha = w.sin() / (2.0 * q);
        let a0 = 1.0 + alpha;
        let b = (1.0 + w.cos()) / 2.0 / a0;
        Self {
            b: [b, -2.0 * b, b],
            a: [-2.0 * w.cos() / a0, (1.0 - alpha) / a0],
            state: [0.0; 2],
        }
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.state[0];
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1];
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// The sections of a Butterworth filter: their poles are evenly spaced on a circle.
fn sections() -> [Section; ORDER / 2] {
    std::array::from_fn(|k| {
        let angle = PI * (2 * k + 1) as f64 / (2 * ORDER) as f64;
        Section::high_pass(1.0 / (2.0 * angle.cos()))
    })
}

fn filter(samples: &mut [f32]) {
    let mut sections = sections();
    for x in samples {
        let mut y = f64::from(*x);
        for section in &mut sections {
            y = section.next(y);
        }
        *x = y as f32;
    }
}

/// Returns `pcm` without sound below the voice band. Digital silence before and after the sound is
/// not filtered, because the filter would ring into it after a hard cut.
pub(super) fn without_rumble(pcm: &[i16]) -> Vec<i16> {
    let is_sound = |x: &i16| *x != 0;
    let mut kept = vec![0; pcm.len()];
    let ends = (
        pcm.iter().position(is_sound),
        pcm.iter().rposition(is_sound),
    );
    if let (Some(first), Some(last)) = ends {
        kept[first..=last].copy_from_slice(&high_passed(&pcm[first..=last]));
    }
    kept
}

fn high_passed(pcm: &[i16]) -> Vec<i16> {
    let settle = SETTLE.min(pcm.len().saturating_sub(1));
    // The mirror image continues DC and hum beyond both ends.
    let before = pcm.iter().skip(1).take(settle).rev();
    let after = pcm.iter().rev().skip(1).take(settle);
    let mirrored = before.chain(pcm).chain(after);
    let mut samples: Vec<f32> = mirrored.map(|&x| f32::from(x)).collect();
    // Forwards, then backwards. Subtracting the first value lets the filter start at rest.
    for _ in 0..2 {
        let first = samples.first().copied().unwrap_or(0.0);
        samples.iter_mut().for_each(|x| *x -= first);
        filter(&mut samples);
        samples.reverse();
    }
    let inside = samples.iter().skip(settle).take(pcm.len());
    // `as` saturates.
    inside.map(|x| x.round() as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{mix, sine};

    fn rms_db(pcm: &[i16]) -> f64 {
        let power = pcm.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / pcm.len() as f64;
        20.0 * (power.sqrt().max(0.1) / 32768.0).log10()
    }

    #[test]
    fn dc_and_hum_are_removed_and_voices_are_kept() {
        for (hz, least, most) in [
            (50.0, f64::NEG_INFINITY, -60.0),
            (60.0, f64::NEG_INFINITY, -38.0),
            (80.0, -22.0, -20.0),
            (100.0, -20.3, -19.9),
            (300.0, -20.1, -19.9),
            (3_000.0, -20.1, -19.9),
        ] {
            let tone = sine(hz, -20.0, 96_000);
            let level = rms_db(&without_rumble(&tone)[24_000..72_000]);
            assert!((least..most).contains(&level), "{hz} Hz: {level:.1} dB");
        }
        let mut burst = vec![0i16; 48_000];
        burst[20_000..28_000].copy_from_slice(&sine(400.0, -20.0, 8_000));
        let offset = vec![-200i16; 48_000];
        let kept = without_rumble(&mix(&burst, &offset));
        let apart: Vec<i16> = kept.iter().zip(&burst).map(|(a, b)| a - b).collect();
        assert!(rms_db(&apart) < -60.0, "{:.1} dB", rms_db(&apart));
        assert!(kept[..10_000].iter().all(|x| x.unsigned_abs() <= 3));
    }

    #[test]
    fn a_constant_of_any_length_becomes_silence() {
        for length in [0, 1, 2, 100, 48_000] {
            assert_eq!(
                without_rumble(&vec![115; length]),
                vec![0; length],
                "{length}"
            );
        }
    }
}
