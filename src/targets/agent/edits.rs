//! Changes recordings: the faults that are in the audio of a reply.
//!
//! In: PCM. Out: changed PCM, and the places at which the voice is at full level.

use crate::audio::{Pcm, dbfs_of, speech_span};
use std::ops::Range;

/// Audio before and after a place that must both be at full level: 20 ms.
const AROUND: usize = 960;
/// Steps in which places are tried: 2.5 ms.
const STEP: usize = 120;
/// Full level is at most this far below the active speech level, in dB.
const BELOW_DB: f64 = 3.0;

/// The first place from `from` on that has full level before and after it.
pub(super) fn full_level_after(pcm: &[i16], from: usize) -> Option<usize> {
    let power = full(pcm)?;
    (from.max(AROUND)..=pcm.len().checked_sub(AROUND)?)
        .step_by(STEP)
        .find(|at| is_full(pcm, *at, power))
}

/// The last place up to `until` that has full level before and after it.
pub(super) fn full_level_before(pcm: &[i16], until: usize) -> Option<usize> {
    let power = full(pcm)?;
    let until = until.min(pcm.len().checked_sub(AROUND)?);
    (AROUND..=until)
        .rev()
        .step_by(STEP)
        .find(|at| is_full(pcm, *at, power))
}

fn full(pcm: &[i16]) -> Option<f64> {
    Some(f64::from(speech_span(pcm)?.active_level_dbfs) - BELOW_DB)
}

fn is_full(pcm: &[i16], at: usize, dbfs: f64) -> bool {
    let loud = |part: &[i16]| {
        let squares = part.iter().map(|x| f64::from(*x).powi(2));
        dbfs_of(squares.sum::<f64>() / part.len() as f64) >= dbfs
    };
    // In halves, because the edge itself must be loud.
    let parts = pcm[at - AROUND..at + AROUND].chunks(AROUND / 2);
    parts.into_iter().all(loud)
}

/// The recording with `length` samples of silence at `at`.
pub(super) fn inserted(pcm: &[i16], at: usize, length: usize) -> Pcm {
    [&pcm[..at], &vec![0; length], &pcm[at..]].concat()
}

/// The recording with the `length` samples from `at` on said twice.
pub(super) fn repeated(pcm: &[i16], at: usize, length: usize) -> Pcm {
    [&pcm[..at + length], &pcm[at..]].concat()
}

/// The recording with a part of it amplified by `gain` dB, and clipped at full scale.
pub(super) fn amplified(pcm: &[i16], part: Range<usize>, gain: f64) -> Pcm {
    let factor = 10f64.powf(gain / 20.0);
    let mut pcm = pcm.to_vec();
    for x in &mut pcm[part] {
        let louder = f64::from(*x) * factor;
        *x = louder.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
    }
    pcm
}
