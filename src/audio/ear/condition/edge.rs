//! Describes how a sound begins, or how it ends if it is read backwards.
//!
//! In: the samples around the edge, seen from the silence into the sound, and the active level of
//! the speech. Out: the features of the edge, from which `judge` tells a cut from speech.
//! Invariants: at most 200 ms of samples are read, each once; levels are relative to the active
//! level, so that loud and quiet agents are judged alike; nothing is allocated.

use crate::audio::level::{dbfs_of, power_at};

/// Below this level there is silence, in dBFS.
pub(super) const SILENT_DBFS: f64 = -60.0;
/// A sound is near its full level if it is at most this far below the active level, in dB.
const FULL_BELOW_DB: f64 = 10.0;
/// Samples of one millisecond at 48 kHz, and at the 8 kHz at which the pitch is looked for.
const MS: usize = 48;
const MS_8: usize = 8;
const DECIMATION: usize = MS / MS_8;
/// Length of the silence that is examined before the edge, and of the sound behind it, in ms.
const BEFORE: usize = 40;
pub(super) const BEHIND: usize = 160;
const WINDOW: usize = BEFORE + BEHIND;
/// The sound must come near its full level within this time of the edge: 40 ms.
const REACH: usize = 80;
/// Length of the sound whose loudest millisecond is looked for, in ms.
const LOUDEST: usize = 100;
/// The first pitch period: 12 ms.
const PERIOD: usize = 12;
/// Length of the sound that is examined for its pitch: 40 ms; a second time 20 ms later.
const FRAME: usize = 40 * MS_8;
const LATER: usize = 20;
/// Lags of 60 to 400 Hz at 8 kHz.
const LAGS: std::ops::RangeInclusive<usize> = 20..=133;
/// Length of the sound that is kept for [`likeness`], at 8 kHz: 50 ms.
const KEPT: usize = 400;
/// By then a codec has settled after a hard beginning, at 8 kHz: 10 ms.
const SETTLED: usize = 10 * MS_8;
/// Sounds are compared by this length: 20 ms; and so far apart at most: 25 ms.
const COMPARED: usize = 20 * MS_8;
const SHIFTED: usize = 25 * MS_8;

/// Number of features of an edge.
pub(super) const FEATURES: usize = 23;

/// How a sound begins, or ends if it is read backwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// In this order: the time of the rise in ms; levels of the first 20 ms, growth in the next
    /// 40, level of the third 40 ms; levels of the first, second 5 ms, the next 10, the next 20;
    /// level of the loudest ms of the first period, by how much and when the loudest of 100 ms
    /// exceeds it; voicing, period, brightness; growth from the first period to the second, and to
    /// the third; likeness of these periods, and of the first two from the first sample that is
    /// not silent; level of the silence in dBFS; voicing 20 ms later; brightness at 48 kHz in
    /// the first 10 ms, and 20 to 60 ms later.
    pub(super) features: [f32; FEATURES],
    /// Distance from the edge to the first millisecond near the full level, in ms; negative if it
    /// comes before the edge.
    pub(super) reached: i32,
    /// The sound from there on, at 8 kHz.
    pub(super) sound: [f32; KEPT],
    /// What remains of the sound if one sine is taken away, as a share of its energy.
    pub(super) beside_sine: f32,
}

/// The samples around an edge.
struct Window {
    samples: [f32; WINDOW * MS],
    /// Power of each millisecond.
    power: [f64; WINDOW],
    /// The samples at 8 kHz.
    slow: [f32; WINDOW * MS_8],
}

impl Window {
    fn of(sample: impl Fn(i64) -> i16) -> Self {
        let mut samples = [0f32; WINDOW * MS];
        for (k, out) in (0i64..).zip(samples.iter_mut()) {
            *out = f32::from(sample(k - (BEFORE * MS) as i64));
        }
        let mut power = [0f64; WINDOW];
        for (out, part) in power.iter_mut().zip(samples.chunks_exact(MS)) {
            *out = f64::from(dot(part, part)) / MS as f64;
        }
        let mut slow = [0f32; WINDOW * MS_8];
        for (out, part) in slow.iter_mut().zip(samples.chunks_exact(DECIMATION)) {
            *out = part.iter().sum();
        }
        Self {
            samples,
            power,
            slow,
        }
    }

    /// Brightness of the milliseconds `from..to`: energy of the first difference against that of
    /// the samples, in dB.
    fn bright(&self, from: usize, to: usize) -> f32 {
        let part = &self.samples[from * MS..(to * MS).min(self.samples.len())];
        let steps: f32 = part.windows(2).map(|w| (w[1] - w[0]) * (w[1] - w[0])).sum();
        10.0 * ((steps + 1.0) / (dot(part, part) + 1.0)).log10()
    }
}

impl Edge {
    /// Describes the edge. `sample`: the sample at a distance from the edge, negative in the
    /// silence, positive in the sound; `active`: the level of the speech in dBFS. `None` if the
    /// sound does not come near its full level at the edge.
    pub(super) fn of(sample: impl Fn(i64) -> i16, active: f64) -> Option<Self> {
        // Most sounds end and begin gradually: they are left before the whole window is read.
        let reached = reached(&sample, active)?;
        let window = Window::of(sample);
        let power = &window.power;
        let quiet = power_at(SILENT_DBFS);
        let silent = power[..reached].iter().rposition(|&p| p < quiet)?;
        let dbfs = |part: &[f64]| {
            let mean = part.iter().sum::<f64>() / part.len().max(1) as f64;
            dbfs_of(mean.max(0.1))
        };
        let level = |from: usize, to: usize| {
            (dbfs(&power[reached + from..(reached + to).min(WINDOW)]) - active) as f32
        };
        let loudest = |length: usize| {
            let part = power[reached..].iter().take(length).enumerate();
            let (at, power) = part.fold(
                (0, 0.1),
                |best, (k, &p)| {
                    if p > best.1 { (k, p) } else { best }
                },
            );
            ((dbfs_of(power) - active) as f32, at as f32)
        };
        let slow = &window.slow[reached * MS_8..];
        let (voicing, period) = voice(&slow[..FRAME]);
        let (later, _) = voice(&slow[LATER * MS_8..LATER * MS_8 + FRAME]);
        let periods = Periods::of(&slow[..FRAME], period);
        let from_silence = alike(&window.slow[(silent + 1) * MS_8..], period, 0);
        let (peak, _) = loudest(PERIOD);
        let (highest, highest_at) = loudest(LOUDEST);
        let first = level(0, 20);
        let mut sound = [0f32; KEPT];
        sound.copy_from_slice(&slow[..KEPT]);
        Some(Self {
            features: [
                (reached - silent) as f32,
                first,
                level(20, 60) - first,
                level(60, 100),
                level(0, 5),
                level(5, 10),
                level(10, 20),
                level(20, 40),
                peak,
                highest - peak,
                highest_at,
                voicing,
                period as f32,
                brightness(&slow[..FRAME]),
                periods.growth[0],
                periods.growth[1],
                periods.alike[0],
                periods.alike[1],
                from_silence,
                dbfs(&power[silent.saturating_sub(20)..=silent]) as f32,
                later,
                window.bright(reached, reached + 10),
                window.bright(reached + 20, reached + 60),
            ],
            reached: reached as i32 - BEFORE as i32,
            beside_sine: beside_sine(&sound[SETTLED..]),
            sound,
        })
    }

    /// Level of the first 20 ms, relative to the active level, in dB.
    pub(super) fn first(&self) -> f32 {
        self.features[1]
    }

    /// Largest normalised autocorrelation at the lags of a voice: 0 to 1.
    pub(super) fn voicing(&self) -> f32 {
        self.features[11]
    }

    /// Levels from 20 to 100 ms, relative to the active level, in dB.
    pub(super) fn levels(&self) -> [f32; 3] {
        let [_, first, growth, third, _, _, _, l40, ..] = self.features;
        [l40, first + growth, third]
    }

    /// The pitch period in samples at 8 kHz; 0 without one.
    pub(super) fn period(&self) -> f32 {
        self.features[12]
    }
}

/// The first millisecond, from the beginning of the window, whose level is near `active`.
fn reached(sample: impl Fn(i64) -> i16, active: f64) -> Option<usize> {
    let near = power_at(active - FULL_BELOW_DB);
    let at = |ms: usize| ((ms as i64) - BEFORE as i64) * MS as i64;
    let power_of = |ms: usize| {
        let square = |k: i64| i64::from(sample(k)) * i64::from(sample(k));
        (at(ms)..at(ms + 1)).map(square).sum::<i64>() as f64 / MS as f64
    };
    (0..REACH).find(|&ms| power_of(ms) >= near)
}

/// The first pitch periods of a sound.
struct Periods {
    /// Growth of the energy from the first period to the second, and from there to the third.
    growth: [f32; 2],
    /// Likeness of the first two, and of the next two.
    alike: [f32; 2],
}

impl Periods {
    fn of(sound: &[f32], period: usize) -> Self {
        let energy = |k: usize| {
            let part = sound.get(k * period..(k + 1) * period)?;
            Some(10.0 * (dot(part, part) + 1.0).log10())
        };
        let growth = |k: usize| match (period, energy(k), energy(k + 1)) {
            (1.., Some(before), Some(after)) => after - before,
            _ => 0.0,
        };
        Self {
            growth: [growth(0), growth(1)],
            alike: [alike(sound, period, 0), alike(sound, period, period)],
        }
    }
}

/// Normalised correlation of the pitch period that begins at `from` with the next one; 0 if there
/// is none.
fn alike(sound: &[f32], period: usize, from: usize) -> f32 {
    let part = |k: usize| sound.get(k..k + period);
    match (period, part(from), part(from + period)) {
        (1.., Some(a), Some(b)) => dot(a, b) / ((dot(a, a) + 1.0) * (dot(b, b) + 1.0)).sqrt(),
        _ => 0.0,
    }
}

/// What remains of a sound if one sine is taken away, as a share of its energy: two samples on
/// either side of a sine's sample add up to that sample times a constant.
fn beside_sine(sound: &[f32]) -> f32 {
    let around = |k: usize| sound[k - 1] + sound[k + 1];
    let inside = 1..sound.len() - 1;
    let energy: f32 = inside.clone().map(|k| sound[k] * sound[k]).sum();
    let product: f32 = inside.clone().map(|k| around(k) * sound[k]).sum();
    let constant = product / energy.max(1.0);
    let rest = |k: usize| around(k) - constant * sound[k];
    inside.map(|k| rest(k) * rest(k)).sum::<f32>() / energy.max(1.0)
}

/// Energy of the first difference, as a share of the energy: small for a hum.
fn brightness(sound: &[f32]) -> f32 {
    let steps: f32 = sound
        .windows(2)
        .map(|w| (w[1] - w[0]) * (w[1] - w[0]))
        .sum();
    steps / dot(sound, sound).max(1.0)
}

/// The largest normalised autocorrelation at the lags of a voice, and its lag.
fn voice(sound: &[f32]) -> (f32, usize) {
    let (mut best, mut period) = (0f32, 0);
    let energy = dot(sound, sound);
    // The energies of the two parts that are compared, as the lag grows.
    let (mut late, mut early) = (energy, energy);
    let mut dropped = 0;
    for lag in LAGS {
        while dropped < lag {
            late -= sound[dropped] * sound[dropped];
            dropped += 1;
            let last = sound[sound.len() - dropped];
            early -= last * last;
        }
        let product = dot(&sound[lag..], &sound[..sound.len() - lag]);
        let voicing = product / ((late.max(0.0) + 1.0) * (early.max(0.0) + 1.0)).sqrt();
        if voicing > best {
            (best, period) = (voicing, lag);
        }
    }
    (best, period)
}

/// How alike the sounds on both sides of a silence are: the largest normalised correlation of
/// 20 ms before it, `skip` samples at 8 kHz away from the silence, with 20 ms behind it.
pub(super) fn likeness(before: &Edge, behind: &Edge, skip: usize) -> f32 {
    let mut part = [0f32; COMPARED];
    for (out, sample) in part.iter_mut().rev().zip(&before.sound[skip..]) {
        *out = *sample;
    }
    let energy = dot(&part, &part) + 1.0;
    let behind = &behind.sound[skip..];
    let shifts = (behind.len() - COMPARED).min(SHIFTED);
    let mut moving = dot(&behind[..COMPARED], &behind[..COMPARED]);
    let mut best = 0f32;
    for from in 0..=shifts {
        let product = dot(&part, &behind[from..from + COMPARED]);
        best = best.max(product / (energy * (moving.max(0.0) + 1.0)).sqrt());
        if let Some(&next) = behind.get(from + COMPARED) {
            moving += next * next - behind[from] * behind[from];
        }
    }
    best
}

/// The scalar product, summed in eight lanes so that it is vectorised.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (a_whole, a_rest) = a.as_chunks::<8>();
    let (b_whole, b_rest) = b.as_chunks::<8>();
    for (x, y) in a_whole.iter().zip(b_whole) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += x * y;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}
