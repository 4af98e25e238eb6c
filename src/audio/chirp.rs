//! Generates a chirp for calibration and locates it in a recording.
//!
//! In: PCM at 48 kHz. Out: a fractional sample position. Invariants: the position is the peak of
//! the plain normalised cross-correlation, interpolated by a parabola; the level does not matter.

use super::level::power_at;
use super::{Pcm, RATE};
use std::f64::consts::PI;
use std::ops::Range;

/// First and last frequency of the sweep, in Hz: the band that every telephone line transmits.
pub(crate) const CHIRP_HZ: (f64, f64) = (300.0, 3400.0);
/// Length of the chirp in samples: 100 ms.
pub(crate) const CHIRP: usize = 4800;
/// RMS level of the chirp between its edges, in dBFS.
const DBFS: f64 = -20.0;
/// Length of the raised-cosine edges: 5 ms.
const EDGE: usize = 240;
/// Lowest correlation that counts as a match.
const LEAST: f64 = 0.5;

/// Where a chirp was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Located {
    /// Position of the chirp's first sample, interpolated.
    pub position: f64,
    /// Normalised correlation at that position, at most 1.
    pub(crate) correlation: f64,
}

/// Generates a linear sweep from 300 to 3400 Hz, with soft edges.
pub fn chirp() -> Pcm {
    let peak = (2.0 * power_at(DBFS)).sqrt();
    let (from, to) = CHIRP_HZ;
    let length = CHIRP as f64 / f64::from(RATE);
    let sample = |n: usize| {
        let t = n as f64 / f64::from(RATE);
        let phase = 2.0 * PI * (from * t + (to - from) * t * t / (2.0 * length));
        let edge = n.min(CHIRP - 1 - n).min(EDGE) as f64 / EDGE as f64;
        (peak * 0.5 * (1.0 - (PI * edge).cos()) * phase.sin()).round() as i16
    };
    (0..CHIRP).map(sample).collect()
}

/// Finds a `reference` (such as [`chirp`]) that begins inside `near`; `None` if the correlation is
/// below 0.5 everywhere. Takes time proportional to the length of `near` times that of `reference`.
pub fn locate(pcm: &[i16], reference: &[i16], near: Range<usize>) -> Option<Located> {
    let from = near.start;
    let to = near
        .end
        .min((pcm.len() + 1).saturating_sub(reference.len()));
    let own = (product(reference, reference) as f64).sqrt();
    let correlations: Vec<f64> = (from..to)
        .map(|at| {
            let window = &pcm[at..at + reference.len()];
            let energy = product(window, window) as f64;
            if energy == 0.0 {
                0.0
            } else {
                product(window, reference) as f64 / (own * energy.sqrt())
            }
        })
        .collect();
    let peak =
        (0..correlations.len()).max_by(|&a, &b| correlations[a].total_cmp(&correlations[b]))?;
    let correlation = correlations[peak];
    if correlation < LEAST {
        return None;
    }
    let offset = match (peak.checked_sub(1), correlations.get(peak + 1)) {
        (Some(before), Some(after)) => vertex(correlations[before], correlation, *after),
        _ => 0.0,
    };
    Some(Located {
        position: (from + peak) as f64 + offset,
        correlation,
    })
}

/// Position of the maximum of the parabola through three points at −1, 0 and 1.
fn vertex(before: f64, at: f64, after: f64) -> f64 {
    let bend = before - 2.0 * at + after;
    if bend < 0.0 {
        0.5 * (before - after) / bend
    } else {
        0.0
    }
}

fn product(a: &[i16], b: &[i16]) -> i64 {
    a.iter()
        .zip(b)
        .map(|(&x, &y)| i64::from(i32::from(x) * i32::from(y)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, mix, noise};

    #[test]
    fn chirp_is_located_to_the_sample_at_any_level_and_in_noise() {
        let reference = chirp();
        for (lead, gain, floor, within) in [
            (1000usize, 1, None, 0.01),
            (1000, 30, None, 0.05),
            (1317, 1, Some(-20.0), 1.0),
            (1999, 3, Some(-35.0), 0.5),
        ] {
            let quiet = reference.iter().map(|x| x / gain);
            let clean: Vec<i16> = std::iter::repeat_n(0, lead)
                .chain(quiet)
                .chain([0; 2000])
                .collect();
            let pcm = match floor {
                Some(floor) => mix(&clean, &noise(floor, clean.len(), 3)),
                None => clean,
            };
            let found = locate(&pcm, &reference, 0..3000).expect("a chirp");
            let error = found.position - lead as f64;
            assert!(
                error.abs() <= within,
                "{lead}: {error} at {}",
                found.correlation
            );
        }
    }

    #[test]
    fn half_sample_offsets_are_resolved() {
        // Averaging neighbouring samples delays the chirp by half a sample.
        let reference = chirp();
        let at = |n: usize| reference.get(n).map_or(0, |x| i32::from(*x));
        let later: Vec<i16> = (0..=CHIRP)
            .map(|n| ((at(n) + n.checked_sub(1).map_or(0, at)) / 2) as i16)
            .collect();
        let pcm = [vec![0; 500], later, vec![0; 500]].concat();
        let found = locate(&pcm, &reference, 0..1000).expect("a chirp");
        assert!((found.position - 500.5).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn other_sounds_are_not_located_as_a_chirp() {
        for (name, pcm) in [
            ("nothing", vec![]),
            ("shorter than the chirp", vec![100; 100]),
            ("silence", vec![0; 9600]),
            ("noise", noise(-20.0, 9600, 3)),
            ("speech", FIXTURES[0].pcm()),
        ] {
            assert_eq!(locate(&pcm, &chirp(), 0..4000), None, "{name}");
        }
    }
}
