//! A room in which the caller speaks.
//!
//! In: dry speech. Out: the same with reverberation. Invariants: the direct sound is not delayed;
//! the reverberation decays by 60 dB in the reverberation time.

use super::filter::convolved;
use super::noise::Random;
use crate::audio::samples_in;
use std::time::Duration;

/// A room, described by its reverberation. The impulse response is the direct sound, and noise
/// that decays exponentially (J. A. Moorer, *About This Reverberation Business*, 1979).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Room {
    /// Time in which the reverberation decays by 60 dB.
    pub rt60: Duration,
    /// Energy of the direct sound above that of the reverberation, in dB.
    pub direct_db: f64,
}

/// Delay of the first reflection behind the direct sound: 2 ms, a way longer by 70 cm.
const FIRST_REFLECTION: Duration = Duration::from_millis(2);
/// Stream of the random numbers, apart from those of noises.
const STREAM: u64 = 1 << 32;

impl Room {
    /// The sound at the microphone, longer by the reverberation.
    pub(super) fn heard(&self, samples: &[f32], seed: u64) -> Vec<f32> {
        convolved(samples, &self.response(seed))
    }

    fn response(&self, seed: u64) -> Vec<f32> {
        let length = samples_in(self.rt60) as usize;
        let from = samples_in(FIRST_REFLECTION) as usize;
        let mut random = Random::new(seed, STREAM);
        // Pressure falls by a factor of 1000 in the reverberation time.
        let decay = |n: usize| 10f64.powf(-3.0 * n as f64 / length as f64);
        let tail: Vec<f64> = (from..length).map(|n| random.normal() * decay(n)).collect();
        let energy = tail
            .iter()
            .map(|x| x * x)
            .sum::<f64>()
            .max(f64::MIN_POSITIVE);
        let scale = (10f64.powf(-self.direct_db / 10.0) / energy).sqrt();
        let silence = std::iter::repeat_n(0.0, from - 1);
        let direct = std::iter::once(1.0).chain(silence);
        let tail = tail.into_iter().map(|x| x * scale);
        direct.chain(tail).map(|x| x as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reverberation time by the decay from −5 to −35 dB of the integrated response (Schroeder
    /// 1965, ISO 3382).
    fn measured_rt60(response: &[f32]) -> f64 {
        let mut left: Vec<f64> = response.iter().map(|x| f64::from(*x).powi(2)).collect();
        for n in (1..left.len()).rev() {
            left[n - 1] += left[n];
        }
        let below = |db: f64| {
            let power = left[0] * 10f64.powf(-db / 10.0);
            left.iter().position(|x| *x < power).expect("it decays") as f64
        };
        2.0 * (below(35.0) - below(5.0)) / 48_000.0
    }

    #[test]
    fn the_response_decays_in_the_reverberation_time() {
        for (ms, direct_db) in [(150, 3.0), (400, 0.0), (400, 6.0), (1_200, -3.0)] {
            let rt60 = Duration::from_millis(ms);
            let room = Room { rt60, direct_db };
            let response = room.response(1);
            assert_eq!(response[0], 1.0);
            let reflected = &response[1..];
            let found = measured_rt60(reflected) / rt60.as_secs_f64();
            assert!((found - 1.0).abs() < 0.08, "{ms} ms: {found} of it");
            let energy: f64 = reflected.iter().map(|x| f64::from(*x).powi(2)).sum();
            let ratio = -10.0 * energy.log10();
            assert!((ratio - direct_db).abs() < 0.01, "{ratio} dB");
        }
    }
}
