//! Judges whether a sound begins or ends in mid-voice.
//!
//! In: the samples around the edge, seen from the silence into the sound, and the active level of
//! the speech. Out: a description of the edge. Invariants: at most 140 ms of samples are read; the
//! end of a sound is described as its beginning, played backwards.

use crate::audio::level::{dbfs_of, power_at};

/// Below this level there is silence, in dBFS.
pub(super) const SILENT_DBFS: f64 = -60.0;
/// A sound is near its full level if it is at most this far below the active level, in dB.
const FULL_BELOW_DB: f64 = 10.0;
/// Samples of one millisecond, the step in which levels are measured.
const MS: usize = 48;
/// Length of the silence that is examined before the edge, and of the sound behind it, in ms.
const BEFORE: usize = 40;
const BEHIND: usize = 100;
/// The sound must come near its full level within this time of the edge: 40 ms.
const REACH: usize = 80;
/// The first part of the sound, and the part that it is compared with, end here, in ms.
const FIRST: usize = 20;
const NEXT: usize = 60;
/// The first pitch period: 12 ms.
const PERIOD: usize = 12;
/// Decimation from 48 to 8 kHz.
const DECIMATION: usize = 6;
/// Length of the sound that is examined for its pitch: 40 ms at 8 kHz.
const FRAME: usize = 320;
/// Lags of 60 to 400 Hz at 8 kHz.
const LAGS: std::ops::RangeInclusive<usize> = 20..=133;

/// How a sound begins, or ends if it is read backwards. Levels are relative to the active level of
/// the speech, in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// Time from the last silent millisecond until the first near full level, in ms.
    pub(super) rise: usize,
    /// Level of the first 20 ms.
    pub(super) first: f32,
    /// By how much the next 40 ms are louder.
    pub(super) growth: f32,
    /// Level of the loudest millisecond of the first pitch period.
    pub(super) peak: f32,
    /// Largest normalised autocorrelation at the lags of a voice: 0 to 1.
    pub(super) voicing: f32,
    /// Energy of the sound's first difference at 8 kHz, as a share of its energy: small for a hum.
    pub(super) bright: f32,
}

impl Edge {
    /// Describes the edge. `sample`: the sample at a distance from the edge, negative in the
    /// silence, positive in the sound; `active`: the level of the speech in dBFS. `None` if the
    /// sound does not come near its full level at the edge.
    pub(super) fn of(sample: impl Fn(i64) -> i16, active: f64) -> Option<Self> {
        let at = |ms: usize| (ms as i64 - BEFORE as i64) * MS as i64;
        let mut power = [0f64; BEFORE + BEHIND];
        for (ms, power) in power.iter_mut().enumerate() {
            let from = at(ms);
            let square = |k: i64| f64::from(sample(k)) * f64::from(sample(k));
            *power = (from..from + MS as i64).map(square).sum::<f64>() / MS as f64;
        }
        let near = power_at(active - FULL_BELOW_DB);
        let reached = power[..REACH].iter().position(|&p| p >= near)?;
        let quiet = power_at(SILENT_DBFS);
        let silent = power[..reached].iter().rposition(|&p| p < quiet)?;
        let mean = |from: usize, to: usize| {
            let part = &power[(reached + from).min(power.len())..(reached + to).min(power.len())];
            let sum: f64 = part.iter().sum();
            (dbfs_of((sum / part.len().max(1) as f64).max(0.1)) - active) as f32
        };
        let peak = power[reached..]
            .iter()
            .take(PERIOD)
            .copied()
            .fold(0.1, f64::max);
        let (voicing, bright) = voice(|k| sample(at(reached) + k as i64));
        Some(Self {
            rise: reached - silent,
            first: mean(0, FIRST),
            growth: mean(FIRST, NEXT) - mean(0, FIRST),
            peak: (dbfs_of(peak) - active) as f32,
            voicing,
            bright,
        })
    }

    /// How much the beginning of a sound looks like a cut: a linear discriminant, fitted to the
    /// edges of 480 sentences and of as many that were cut inside a vowel (docs/accuracy.md).
    /// Real words begin hard too, but they grow, and a cut vowel does not.
    pub(super) fn head_score(&self) -> f32 {
        -0.469 * self.rise as f32 + 0.347 * self.first - 0.731 * self.growth
            + 0.918 * self.peak
            + 19.083 * self.voicing
            - 1.41 * self.bright
    }

    /// Like [`Edge::head_score`], for the end of a sound.
    pub(super) fn tail_score(&self) -> f32 {
        -0.037 * self.rise as f32 + 1.156 * self.first
            - 0.14 * self.growth
            - 0.247 * self.peak
            - 4.769 * self.voicing
            - 2.789 * self.bright
    }
}

/// How much a silence looks inserted into a sound: a discriminant of both its edges, fitted like
/// [`Edge::head_score`]. `alike`: of [`likeness`].
pub(super) fn inserted_score(before: &Edge, behind: &Edge, alike: f32) -> f32 {
    let before_part = 0.018 * before.rise as f32 + 0.155 * before.first
        - 0.076 * before.growth
        - 0.028 * before.peak
        - 0.218 * before.voicing
        + 0.217 * before.bright;
    let behind_part = -0.043 * behind.rise as f32 - 0.053 * behind.first - 0.097 * behind.growth
        + 0.08 * behind.peak
        + 0.002 * behind.voicing
        - 0.029 * behind.bright;
    before_part + behind_part + 1.624 * alike
}

/// The largest normalised autocorrelation of 40 ms at the lags of a voice, and its brightness.
fn voice(sample: impl Fn(usize) -> i16) -> (f32, f32) {
    let mut frame = [0f32; FRAME];
    for (k, out) in frame.iter_mut().enumerate() {
        let at = k * DECIMATION;
        *out = (at..at + DECIMATION).map(|p| f32::from(sample(p))).sum();
    }
    let energy = frame.iter().map(|x| x * x).sum::<f32>().max(1.0);
    let steps = frame.windows(2).map(|w| (w[1] - w[0]) * (w[1] - w[0]));
    let voicing = LAGS.map(|lag| {
        let (a, b) = (&frame[lag..], &frame[..FRAME - lag]);
        let (mut ab, mut aa, mut bb) = (0f32, 1f32, 1f32);
        for (x, y) in a.iter().zip(b) {
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }
        ab / (aa * bb).sqrt()
    });
    (voicing.fold(0.0, f32::max), steps.sum::<f32>() / energy)
}

/// How alike the sounds on both sides of a silence are: the largest normalised correlation of the
/// 20 ms before it with 20 ms behind it, at 8 kHz. `back`: the sample at a distance before the
/// silence; `forth`: behind it.
pub(super) fn likeness(back: impl Fn(usize) -> i16, forth: impl Fn(usize) -> i16) -> f32 {
    const PART: usize = 160;
    const SKIP: usize = 40;
    let mut before = [0f32; PART];
    let mut behind = [0f32; 2 * PART + SKIP];
    for (k, out) in before.iter_mut().enumerate() {
        let at = (PART + SKIP - 1 - k) * DECIMATION;
        *out = (0..DECIMATION).map(|d| f32::from(back(at + d))).sum();
    }
    for (k, out) in behind.iter_mut().enumerate() {
        let at = k * DECIMATION;
        *out = (0..DECIMATION).map(|d| f32::from(forth(at + d))).sum();
    }
    let mut best = 0f32;
    for from in 0..=PART + SKIP {
        let (mut ab, mut aa, mut bb) = (0f32, 1f32, 1f32);
        for (x, y) in before.iter().zip(&behind[from..]) {
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }
        best = best.max(ab / (aa * bb).sqrt());
    }
    best
}
