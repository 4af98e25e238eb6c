//! Filters of lines and microphones, and convolution.
//!
//! In: a frequency response, samples. Out: filtered samples. Invariants: filters have linear phase,
//! and their delay is removed, so that nothing moves in time; the result is as long as the input.

use crate::audio::RATE;
use crate::vocab::{Band, Microphone};
use realfft::RealFftPlanner;
use std::f64::consts::PI;

/// Length of a filter in samples, odd: 43 ms, for edges that are 130 Hz wide.
pub(super) const TAPS: usize = 2047;
/// Number of points at which a frequency response is sampled.
const GRID: usize = 1 << 14;

/// A filter of finite length.
pub(super) struct Filter(Vec<f32>);

impl Filter {
    /// A filter of linear phase with this gain at each frequency in Hz. Its impulse response is cut
    /// off with a Blackman window: side lobes are below −74 dB.
    pub(super) fn new(gain: impl Fn(f64) -> f64) -> Self {
        let step = f64::from(RATE) / GRID as f64;
        // The inverse transform of a real and even response, by the sum of its cosines, is a
        // transform as well; the planner's is used.
        let mut planner = RealFftPlanner::<f64>::new();
        let inverse = planner.plan_fft_inverse(GRID);
        let mut spectrum = inverse.make_input_vec();
        for (k, bin) in spectrum.iter_mut().enumerate() {
            bin.re = gain(k as f64 * step) / GRID as f64;
        }
        let mut response = inverse.make_output_vec();
        // The first and the last bin are real and the buffers have the planned length, so the
        // transform cannot fail; if it did, the filter would pass nothing.
        if inverse.process(&mut spectrum, &mut response).is_err() {
            response.fill(0.0);
        }
        let middle = TAPS / 2;
        let taps = (0..TAPS).map(|n| {
            let at = (n + GRID - middle) % GRID;
            let phase = 2.0 * PI * (n + 1) as f64 / (TAPS + 1) as f64;
            let window = 0.42 - 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos();
            (response[at] * window) as f32
        });
        Self(taps.collect())
    }

    /// Filters samples; outside them is silence.
    pub(super) fn apply(&self, samples: &mut Vec<f32>) {
        let length = samples.len();
        let filtered = convolved(samples, &self.0);
        let kept = filtered.into_iter().skip(TAPS / 2).take(length);
        *samples = kept.collect();
    }
}

/// The filter of a line.
pub(super) fn band(band: Band) -> Filter {
    let (low, high) = match band {
        Band::Telephone => (300.0, 3400.0),
        Band::Wideband => (50.0, 7000.0),
    };
    Filter::new(|hz| f64::from(u8::from((low..=high).contains(&hz))))
}

/// The filter of a microphone.
pub(super) fn microphone(microphone: Microphone) -> Filter {
    match microphone {
        Microphone::Cheap => Filter::new(|hz| {
            // Second-order edges, and a resonance one octave wide.
            let high_pass = (hz / 200.0).powi(2) / (1.0 + (hz / 200.0).powi(4)).sqrt();
            let low_pass = 1.0 / (1.0 + (hz / 6_000.0).powi(4)).sqrt();
            let octaves = (hz.max(1.0) / 3_000.0).log2();
            let resonance = 10f64.powf(6.0 / 20.0 * (-2.0 * octaves * octaves).exp());
            high_pass * low_pass * resonance
        }),
    }
}

/// The convolution of two signals, by overlapping blocks in the frequency domain.
pub(super) fn convolved(samples: &[f32], response: &[f32]) -> Vec<f32> {
    if samples.is_empty() || response.is_empty() {
        return Vec::new();
    }
    let size = (2 * response.len()).next_power_of_two().max(4096);
    let block = size - response.len() + 1;
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (
        planner.plan_fft_forward(size),
        planner.plan_fft_inverse(size),
    );
    let mut made = vec![0.0; samples.len() + response.len() - 1];
    let transformed = |part: &[f32]| {
        let (mut input, mut output) = (forward.make_input_vec(), forward.make_output_vec());
        input[..part.len()].copy_from_slice(part);
        // Buffers of the planned length: the transform cannot fail.
        forward
            .process(&mut input, &mut output)
            .ok()
            .map(|()| output)
    };
    let Some(kernel) = transformed(response) else {
        return made;
    };
    let mut output = inverse.make_output_vec();
    for (k, part) in samples.chunks(block).enumerate() {
        let Some(mut spectrum) = transformed(part) else {
            continue;
        };
        spectrum.iter_mut().zip(&kernel).for_each(|(a, b)| *a *= b);
        // Rounding leaves traces in the imaginary parts of the first and the last bin, which must
        // be real.
        for at in [0, spectrum.len() - 1] {
            spectrum[at].im = 0.0;
        }
        if inverse.process(&mut spectrum, &mut output).is_ok() {
            let here = made[k * block..].iter_mut();
            here.zip(&output).for_each(|(x, y)| *x += y / size as f32);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::level::dbfs_of;
    use crate::audio::test_signals::sine;

    /// Gain of a filter for a tone, in dB, measured in the middle of the tone.
    fn gain_db(filter: &Filter, hz: f64) -> f64 {
        let tone = sine(hz, -12.0, 24_000);
        let mut samples: Vec<f32> = tone.iter().map(|x| f32::from(*x)).collect();
        filter.apply(&mut samples);
        let middle = &samples[6_000..18_000];
        let power = middle.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        dbfs_of((power / 12_000.0).max(1e-9)) + 12.0
    }

    #[test]
    fn bands_pass_what_they_name_and_nothing_else() {
        for (name, band, tones) in [
            (
                "telephone",
                band(Band::Telephone),
                &[
                    (100.0, None),
                    (200.0, None),
                    (300.0, Some(-6.0)),
                    (380.0, Some(0.0)),
                    (1_000.0, Some(0.0)),
                    (3_320.0, Some(0.0)),
                    (3_400.0, Some(-6.0)),
                    (3_500.0, None),
                    (8_000.0, None),
                ][..],
            ),
            (
                "wideband",
                band(Band::Wideband),
                &[
                    (140.0, Some(0.0)),
                    (1_000.0, Some(0.0)),
                    (6_900.0, Some(0.0)),
                    (7_000.0, Some(-6.0)),
                    (7_100.0, None),
                    (12_000.0, None),
                ],
            ),
        ] {
            for (hz, wanted) in tones {
                let got = gain_db(&band, *hz);
                match wanted {
                    Some(db) => assert!((got - db).abs() < 0.2, "{name}, {hz} Hz: {got} dB"),
                    None => assert!(got < -55.0, "{name}, {hz} Hz: {got} dB"),
                }
            }
        }
    }

    #[test]
    fn a_cheap_microphone_has_a_resonance_and_no_lows_and_highs() {
        let filter = microphone(Microphone::Cheap);
        for (hz, wanted, within) in [
            (100.0, -12.3, 1.0),
            (1_000.0, 0.0, 0.6),
            (3_000.0, 5.7, 0.5),
            (12_000.0, -12.0, 1.5),
        ] {
            let got = gain_db(&filter, hz);
            assert!((got - wanted).abs() < within, "{hz} Hz: {got} dB");
        }
    }

    #[test]
    fn filters_do_not_move_sound() {
        for filter in [band(Band::Telephone), microphone(Microphone::Cheap)] {
            let mut click = vec![0.0; 9_600];
            click[5_000] = 1.0;
            filter.apply(&mut click);
            let peak = (0..click.len()).max_by(|a, b| click[*a].abs().total_cmp(&click[*b].abs()));
            assert_eq!((peak, click.len()), (Some(5_000), 9_600));
        }
    }

    #[test]
    fn convolution_in_blocks_equals_its_definition() {
        let samples: Vec<f32> = (0..5_000).map(|n| ((n * n) % 17) as f32 - 8.0).collect();
        for response in [vec![1.0], vec![0.5, -0.25, 0.125], vec![0.01; 1_500]] {
            let made = convolved(&samples, &response);
            assert_eq!(made.len(), samples.len() + response.len() - 1);
            for at in [0, 1, 2_596, 2_597, 3_000, 4_999, made.len() - 1] {
                let sum = (0..response.len())
                    .filter_map(|k| Some(response[k] * samples.get(at.checked_sub(k)?)?))
                    .sum::<f32>();
                assert!((made[at] - sum).abs() < 1e-3, "{at}: {} {sum}", made[at]);
            }
        }
    }
}
