//! Resamples from any rate to 48 kHz, and from 48 to 16 kHz.
//!
//! In: mono samples in −1..1. Out: mono `i16` at 48 kHz. Invariants: the filter has linear phase
//! and its delay is removed, so that edges keep their position; aliases and images are below
//! −60 dB. [`Third`] takes `i16` part after part, and its output does not depend on their lengths.

use super::{AudioError, Pcm, RATE};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Length of the anti-aliasing filter in samples of the lower rate, before rubato rounds it up to
/// a whole ratio. It is long enough for a passband up to 0.97 of the Nyquist frequency.
const FILTER: usize = 512;

/// Resamples a whole recording from `rate` (not 0) to [`RATE`].
///
/// # Errors
/// [`AudioError::Codec`] when rubato rejects the rate.
pub(crate) fn to_rate(samples: &[f32], rate: u32) -> Result<Pcm, AudioError> {
    let to_i16 = |x: &f32| (x * 32768.0).round() as i16; // `as` saturates
    if rate == RATE {
        return Ok(samples.iter().map(to_i16).collect());
    }
    let failed = |detail: String| AudioError::Codec { detail };
    let chunk = FILTER * (rate.div_ceil(RATE) as usize);
    let (from, to) = (rate as usize, RATE as usize);
    let window = WindowFunction::BlackmanHarris2;
    let mut fft = Fft::<f32>::new_custom(from, to, chunk, 1, 1, window, FixedSync::Input)
        .map_err(|e| failed(e.to_string()))?;
    let input =
        InterleavedSlice::new(samples, 1, samples.len()).map_err(|e| failed(e.to_string()))?;
    let output = fft
        .process_all(&input, samples.len(), None)
        .map_err(|e| failed(e.to_string()))?;
    let length = (samples.len() as u64 * u64::from(RATE)).div_ceil(u64::from(rate));
    Ok(output
        .take_data()
        .iter()
        .take(length as usize)
        .map(to_i16)
        .collect())
}

/// Coefficients of the filter of [`Third`]: 3.5 ms.
const TAPS: usize = 169;
/// Cut-off of that filter, in Hz: it passes up to 6.7 kHz and stops from 8.2 kHz.
const CUT_OFF: f64 = 7_400.0;
/// The coefficients are multiples of 1 / 2¹⁴, and their sums fit into 32 bits.
const FRACTION: u32 = 14;

/// Resamples from 48 to 16 kHz, part after part, in whole numbers.
#[derive(Debug)]
pub(crate) struct Third {
    taps: Vec<i16>,
    /// The samples from which the next output is made.
    held: Vec<i16>,
}

impl Third {
    /// Rate of the output, in Hz.
    pub(crate) const RATE: u32 = RATE / 3;

    pub(crate) fn new() -> Self {
        Self {
            taps: low_pass(),
            // Half of the filter lies before the first sample.
            held: vec![0; TAPS / 2],
        }
    }

    /// Adds samples; returns the outputs that are complete.
    pub(crate) fn part(&mut self, samples: &[i16]) -> Vec<i16> {
        self.held.extend_from_slice(samples);
        let count = (self.held.len() + 3).saturating_sub(TAPS) / 3;
        let out = (0..count).map(|nth| {
            let around = &self.held[3 * nth..][..TAPS];
            let products = self.taps.iter().zip(around);
            // The magnitudes of the coefficients add up to less than 2¹⁶, so the sum fits.
            let sum: i32 = products.map(|(t, x)| i32::from(*t) * i32::from(*x)).sum();
            let rounded = (sum + (1 << (FRACTION - 1))) >> FRACTION;
            rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        });
        let out = out.collect();
        self.held.drain(..3 * count);
        out
    }

    /// The last outputs: half of the filter lies after the last sample.
    pub(crate) fn end(mut self) -> Vec<i16> {
        self.part(&[0; TAPS / 2])
    }
}

/// A low-pass filter: a sinc in a Blackman window, symmetric, with a gain of 1.
fn low_pass() -> Vec<i16> {
    use std::f64::consts::PI;
    let shape = |nth: usize| {
        let from_middle = nth as f64 - (TAPS / 2) as f64;
        let x = 2.0 * PI * CUT_OFF / f64::from(RATE) * from_middle;
        let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
        let phase = 2.0 * PI * (nth + 1) as f64 / (TAPS + 1) as f64;
        sinc * (0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos())
    };
    let shapes: Vec<f64> = (0..TAPS).map(shape).collect();
    let unit = f64::from(1 << FRACTION) / shapes.iter().sum::<f64>();
    shapes
        .iter()
        .map(|shape| (shape * unit).round() as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// Resamples `samples` in parts of these lengths, which are repeated.
    fn third(samples: &[i16], lengths: &[usize]) -> Vec<i16> {
        let (mut third, mut out, mut rest) = (Third::new(), Vec::new(), samples);
        for length in lengths.iter().cycle() {
            let (part, after) = rest.split_at((*length).min(rest.len()));
            out.extend(third.part(part));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        out.extend(third.end());
        out
    }

    fn pcm(hz: f64) -> Vec<i16> {
        let tone = tone(hz, RATE, 1.0);
        tone.iter().map(|x| (x * 32_768.0) as i16).collect()
    }

    #[test]
    fn a_third_of_the_rate_keeps_speech_and_has_no_aliases() {
        for (hz, wanted) in [
            (100.0, Some(0.0)),
            (3_000.0, Some(0.0)),
            (6_600.0, Some(0.0)),
            (8_200.0, None),
            (12_000.0, None),
            (23_000.0, None),
        ] {
            let got = gain_db(&third(&pcm(hz), &[48_000]));
            match wanted {
                Some(db) => assert!((got - db).abs() < 0.1, "{hz} Hz: {got} dB"),
                None => assert!(got < -60.0, "{hz} Hz: {got} dB"),
            }
        }
    }

    #[test]
    fn a_third_of_the_rate_keeps_positions_however_long_the_parts_are() {
        for at in [0, 1, 299, 3_000, 8_998] {
            let mut impulse = vec![0i16; 9_000];
            impulse[at] = 30_000;
            let whole = third(&impulse, &[9_000]);
            assert_eq!(whole.len(), 3_000);
            let peak = (0..whole.len()).max_by_key(|&n| whole[n].unsigned_abs());
            let off = peak.map(|peak| (3 * peak).abs_diff(at));
            assert!(off.is_some_and(|off| off <= 1), "{at}: {peak:?}");
            for lengths in [&[1][..], &[2, 5, 997], &[168, 169, 170, 0, 3]] {
                assert_eq!(third(&impulse, lengths), whole, "{lengths:?}");
            }
        }
        let loud = vec![i16::MIN; 9_000];
        assert!(third(&loud, &[4_000]).iter().all(|x| *x < -15_000));
    }

    #[test]
    fn the_filter_of_a_third_cannot_overflow() {
        let taps = low_pass();
        let magnitudes: i32 = taps.iter().map(|t| i32::from(*t).abs()).sum();
        assert!(magnitudes < 1 << 16, "{magnitudes}");
        assert!(taps.iter().eq(taps.iter().rev()), "linear phase");
        let sum: i32 = taps.iter().map(|t| i32::from(*t)).sum();
        assert!((sum - (1 << FRACTION)).abs() < 40, "{sum}");
    }

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let step = 2.0 * PI * hz / f64::from(rate);
        let count = (seconds * f64::from(rate)) as usize;
        (0..count)
            .map(|n| (0.5 * (step * n as f64).sin()) as f32)
            .collect()
    }

    /// RMS of the middle half, in dB relative to the RMS of `tone`.
    fn gain_db(pcm: &[i16]) -> f64 {
        let middle = &pcm[pcm.len() / 4..pcm.len() * 3 / 4];
        let power = middle
            .iter()
            .map(|&x| (f64::from(x) / 32768.0).powi(2))
            .sum::<f64>();
        10.0 * (power / middle.len() as f64 / 0.125).max(1e-12).log10()
    }

    #[test]
    fn the_passband_is_flat_and_aliases_are_suppressed() {
        // Rate, tone, expected gain: within 0.1 dB of the value, or below -60 dB for `None`.
        let cases = [
            (8_000, 300.0, Some(0.0)),
            (8_000, 3_700.0, Some(0.0)),
            (22_050, 10_000.0, Some(0.0)),
            (44_100, 50.0, Some(0.0)),
            (44_100, 20_000.0, Some(0.0)),
            (44_101, 1_000.0, Some(0.0)),
            (96_000, 20_000.0, Some(0.0)),
            (96_000, 25_000.0, None),
            (96_000, 40_000.0, None),
            (192_000, 30_000.0, None),
            (50_000, 24_600.0, None),
        ];
        for (rate, hz, wanted) in cases {
            let got = gain_db(&to_rate(&tone(hz, rate, 1.0), rate).expect("known rate"));
            match wanted {
                Some(db) => assert!((got - db).abs() < 0.1, "{hz} Hz at {rate}: {got} dB"),
                None => assert!(got < -60.0, "{hz} Hz at {rate}: {got} dB"),
            }
        }
    }

    #[test]
    fn images_of_upsampled_audio_are_below_minus_60_db() {
        // After subtracting the ideal tone, only images and noise remain.
        for (rate, hz) in [
            (8_000u32, 3_000.0),
            (16_000, 7_000.0),
            (22_050, 9_000.0),
            (24_000, 11_000.0),
        ] {
            let made = to_rate(&tone(hz, rate, 1.0), rate).expect("known rate");
            let ideal = tone(hz, RATE, 1.0);
            let residue: f64 = (12_000..36_000)
                .map(|n| (f64::from(made[n]) / 32768.0 - f64::from(ideal[n])).powi(2))
                .sum();
            let db = 10.0 * (residue / 24_000.0 / 0.125).log10();
            assert!(db < -60.0, "{hz} Hz at {rate}: residue {db} dB");
        }
    }

    #[test]
    fn resampling_does_not_move_impulses_or_edges() {
        for rate in [
            8_000u32, 16_000, 22_050, 24_000, 44_100, 44_101, 96_000, 192_000,
        ] {
            let (at, count) = (rate as usize / 3, rate as usize);
            let expected = at as f64 * f64::from(RATE) / f64::from(rate);
            let mut impulse = vec![0.0; count];
            impulse[at] = 0.9;
            let made = to_rate(&impulse, rate).expect("known rate");
            let peak = (0..made.len())
                .max_by_key(|&n| made[n].unsigned_abs())
                .expect("not empty");
            assert!(
                (peak as f64 - expected).abs() <= 1.0,
                "{rate}: impulse at {peak}, not {expected}"
            );
            assert_eq!(made.len(), RATE as usize, "{rate}: a second stays a second");

            let edge: Vec<f32> = (0..count).map(|n| if n < at { 0.0 } else { 0.5 }).collect();
            let made = to_rate(&edge, rate).expect("known rate");
            let half = made.iter().position(|&x| x >= 8192).expect("an edge");
            // A band-limited step reaches half its height half an input sample before the edge.
            let expected = expected - 0.5 * f64::from(RATE) / f64::from(rate);
            assert!(
                (half as f64 - expected).abs() <= 1.0,
                "{rate}: edge at {half}, not {expected}"
            );
        }
    }
}
