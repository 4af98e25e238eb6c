//! Distinguishes a reply from background noise and from the babble of many voices.
//!
//! In: a part of the track and the levels of its windows. Out: whether it is background noise.
//! Invariants: a tone is not background, however long and steady it is; nor is a sound whose level
//! varies like that of speech.

use super::track::Track;
use crate::audio::level::{dbfs_of, power_at};

/// A sound at or above this level is never background, in dBFS.
pub(super) const LOUDEST_DBFS: f32 = -30.0;
/// Over half a second, the levels of a noise's 10 ms windows have a smaller standard deviation than
/// this, in dB. For four or more voices it is 2 to 5, for one voice 4 to 20.
const STEADY_SIGMA_DB: f32 = 5.0;
/// A frame is periodic (part of a voice or a tone) above this normalised autocorrelation.
const PERIODIC: f32 = 0.6;
/// At most this many tenths of a noise's frames are periodic.
const PERIODIC_TENTHS: usize = 3;
/// Frame length: 40 ms, in samples at 8 kHz.
const FRAME: usize = 320;
/// Decimation from 48 to 8 kHz.
const DECIMATION: u64 = 6;
/// Lags of 60 to 400 Hz at 8 kHz. A higher tone is detected at a multiple of its period.
const LAGS: std::ops::RangeInclusive<usize> = 20..=133;

/// Whether the `levels` (dBFS of consecutive windows) and the samples in `from..to` are steady
/// noise.
pub(super) fn is_background(
    track: &Track,
    levels: impl Iterator<Item = f32> + Clone,
    from: u64,
    to: u64,
) -> bool {
    let count = levels.clone().count() as f32;
    if count < 1.0 {
        return false;
    }
    let mean = levels.clone().sum::<f32>() / count;
    let variance = levels
        .clone()
        .map(|level| (level - mean).powi(2))
        .sum::<f32>()
        / count;
    let power = levels.clone().map(|l| power_at(f64::from(l))).sum::<f64>() / f64::from(count);
    dbfs_of(power) < f64::from(LOUDEST_DBFS)
        && variance.sqrt() < STEADY_SIGMA_DB
        && is_noise(track, from, to)
}

fn is_noise(track: &Track, from: u64, to: u64) -> bool {
    let length = FRAME as u64 * DECIMATION;
    let frames = ((to - from) / length) as usize;
    let periodic = (0..frames as u64)
        .filter(|k| is_periodic(track, from + k * length))
        .count();
    frames > 0 && periodic * 10 <= frames * PERIODIC_TENTHS
}

fn is_periodic(track: &Track, start: u64) -> bool {
    let mut frame = [0f32; FRAME];
    let mut before = 0.0;
    for (k, out) in frame.iter_mut().enumerate() {
        let at = start + k as u64 * DECIMATION;
        let sum: i32 = (at..at + DECIMATION).map(|p| i32::from(track.at(p))).sum();
        // Differencing flattens the spectrum of a noise that is louder at low frequencies.
        *out = sum as f32 - before;
        before = sum as f32;
    }
    frame[0] = 0.0;
    LAGS.into_iter().any(|lag| {
        let (a, b) = (&frame[lag..], &frame[..FRAME - lag]);
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (x, y) in a.iter().zip(b) {
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }
        ab > 0.0 && ab * ab > PERIODIC * PERIODIC * aa * bb
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, mix, noise, sine};
    use std::time::Instant;

    fn verdict(pcm: &[i16]) -> bool {
        let mut track = Track::new();
        track.push(pcm, Some(Instant::now()));
        let levels = (0..pcm.len() as u64 / 240 - 1).map(|k| {
            let energy = track.energy(k * 240, k * 240 + 480) as f64 / 480.0;
            dbfs_of(energy.max(0.1)) as f32
        });
        is_background(&track, levels, 0, pcm.len() as u64)
    }

    /// Half a second of all fixtures mixed together, at about -40 dBFS.
    fn many_voices() -> Vec<i16> {
        let mut sum = vec![0f64; 24_000];
        for (k, fixture) in FIXTURES.iter().enumerate() {
            let from = 7919 * (k + 1);
            let gain = 10f64.powf((-47.0 - fixture.dbfs) / 20.0);
            let pcm = fixture.pcm();
            for (n, x) in sum.iter_mut().enumerate() {
                *x += gain * f64::from(pcm[(from + n) % (pcm.len() - 12_000)]);
            }
        }
        sum.iter().map(|x| *x as i16).collect()
    }

    #[test]
    fn only_quiet_steady_noise_counts_as_background() {
        let speech: Vec<i16> = FIXTURES[0].pcm()[20_000..44_000]
            .iter()
            .map(|x| x / 8)
            .collect();
        // A first-order low-pass filter gives the noise the spectrum of most rooms' noise.
        let mut memory = 0.0;
        let dull: Vec<i16> = noise(-20.0, 24_000, 4)
            .iter()
            .map(|&x| {
                memory += 0.05 * (f64::from(x) - memory);
                memory as i16
            })
            .collect();
        let cases = [
            ("white noise", noise(-40.0, 24_000, 1), true),
            ("low-pass noise", dull, true),
            ("quiet noise", noise(-70.0, 24_000, 2), true),
            (
                "noise too loud to be background",
                noise(-25.0, 24_000, 3),
                false,
            ),
            ("a tone", sine(1000.0, -40.0, 24_000), false),
            ("a high tone", sine(2310.0, -40.0, 24_000), false),
            ("a low tone", sine(97.0, -40.0, 24_000), false),
            (
                "two tones",
                mix(&sine(697.0, -43.0, 24_000), &sine(1209.0, -43.0, 24_000)),
                false,
            ),
            ("speech", speech, false),
            ("many voices", many_voices(), true),
        ];
        for (name, pcm, expected) in cases {
            assert_eq!(verdict(&pcm), expected, "{name}");
        }
    }
}
