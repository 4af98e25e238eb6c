//! Changes how a caller sounds: level, room, other people, noise, microphone, line.
//!
//! In: the clean speech and what is to be done to it. Out: PCM at 48 kHz. Invariants: nothing moves
//! the speech in time, so the end of speech stays that of the clean speech; the same input and seed
//! give the same samples.

mod bed;
mod dtmf;
mod filter;
mod noise;
mod room;

use super::level::{ActiveLevel, dbfs_of};
use super::{AudioError, FRAME, Pcm, RATE, samples_in};
use crate::vocab::{Band, Microphone, NoiseKind};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use bed::{Bed, loop_of, noise_loop};
pub(crate) use dtmf::{Dialled, Digits, dial, event_code};
pub(crate) use room::Room;

/// Fade at both ends of noise that does not go on, in samples: 10 ms.
const FADE: usize = RATE as usize / 100;

/// Noise that is added.
#[derive(Debug, Clone)]
pub(crate) enum NoiseSource {
    /// Generated anew.
    Kind(NoiseKind),
    /// A recording, from its start, repeated as often as needed.
    Loop(Arc<[f32]>),
}

/// Somebody else who speaks near the caller.
#[derive(Debug, Clone)]
pub(crate) struct Bystander {
    pub voice: Arc<[i16]>,
    /// Active level of the caller above that of the bystander, in dB.
    pub snr_db: f64,
    /// When the bystander's audio starts, from the start of the utterance.
    pub start: Duration,
}

/// What is done to an utterance, in the order in which it happens to a caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects {
    /// Active level of the speech, in dBFS; `None` keeps that of the recording.
    pub level_dbfs: Option<f64>,
    pub room: Option<Room>,
    pub bystander: Option<Bystander>,
    /// Noise during the utterance, and the active level of the speech above the level of the
    /// noise, in dB.
    pub noise: Option<(NoiseSource, f64)>,
    /// From here on, everything that the microphone picks up is affected.
    pub line: Line,
    pub seed: u64,
}

/// The way from the microphone to the far end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Line {
    pub microphone: Option<Microphone>,
    pub gain_db: f64,
    /// The loudest sample exceeds the limit, at which all samples are cut off, by this much.
    pub clip_db: Option<f64>,
    pub band: Option<Band>,
}

/// Mixes an utterance. With a background, the result is as long as the frames that carry the
/// utterance, and the background goes through all of it, from sample `from` of its loop.
///
/// # Errors
/// [`AudioError::NoSpeech`] if a bystander says nothing, [`AudioError::SilentNoise`] if a noise is
/// silent.
pub(crate) fn mixed(
    speech: &[i16],
    effects: &Effects,
    background: Option<(&[f32], usize)>,
) -> Result<Pcm, AudioError> {
    let mut samples = floats(speech);
    if let Some(dry) = active_level(&samples) {
        let wanted = effects.level_dbfs.unwrap_or(dry);
        if let Some(room) = &effects.room {
            samples = room.heard(&samples, effects.seed);
        }
        let level = active_level(&samples).unwrap_or(dry);
        scale(&mut samples, wanted - level);
        let level = wanted;
        if let Some(bystander) = &effects.bystander {
            add_bystander(&mut samples, bystander, level)?;
        }
        if let Some((source, snr)) = &effects.noise {
            add_noise(&mut samples, source, level - snr, effects.seed)?;
        }
    }
    if let Some((bed, from)) = background {
        samples.resize(frames_of(samples.len()) * FRAME, 0.0);
        for (x, noise) in samples.iter_mut().zip(bed.iter().cycle().skip(from)) {
            *x += noise;
        }
    }
    effects.line.pass(&mut samples);
    Ok(rounded(&samples))
}

/// Number of frames that carry `samples` and the codec's flush ([`super::opus::encode`]).
pub(crate) fn frames_of(samples: usize) -> usize {
    (samples + super::OPUS_LOOKAHEAD).div_ceil(FRAME) + super::opus::SETTLE_FRAMES
}

fn add_bystander(
    samples: &mut Vec<f32>,
    bystander: &Bystander,
    level: f64,
) -> Result<(), AudioError> {
    let mut voice = floats(&bystander.voice);
    let own = active_level(&voice).ok_or(AudioError::NoSpeech)?;
    scale(&mut voice, level - bystander.snr_db - own);
    let start = samples_in(bystander.start) as usize;
    if samples.len() < start + voice.len() {
        samples.resize(start + voice.len(), 0.0);
    }
    samples[start..]
        .iter_mut()
        .zip(voice)
        .for_each(|(x, y)| *x += y);
    Ok(())
}

fn add_noise(
    samples: &mut [f32],
    source: &NoiseSource,
    dbfs: f64,
    seed: u64,
) -> Result<(), AudioError> {
    let mut noise = match source {
        NoiseSource::Kind(kind) => noise::generated(*kind, samples.len(), seed),
        NoiseSource::Loop(all) => all.iter().copied().cycle().take(samples.len()).collect(),
    };
    let last = noise.len().saturating_sub(1);
    for (n, x) in noise.iter_mut().enumerate() {
        *x *= n.min(last - n).min(FADE) as f32 / FADE as f32;
    }
    let own = rms_level(&noise).ok_or(AudioError::SilentNoise)?;
    scale(&mut noise, dbfs - own);
    samples.iter_mut().zip(noise).for_each(|(x, y)| *x += y);
    Ok(())
}

impl Line {
    /// Sends samples along the line.
    pub(crate) fn pass(&self, samples: &mut Vec<f32>) {
        if let Some(microphone) = self.microphone {
            filter::microphone(microphone).apply(samples);
            saturate(samples);
        }
        scale(samples, self.gain_db);
        if let Some(db) = self.clip_db {
            let peak = samples.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
            let limit = peak * factor(-db);
            samples.iter_mut().for_each(|x| *x = x.clamp(-limit, limit));
        }
        if let Some(band) = self.band {
            filter::band(band).apply(samples);
        }
    }
}

/// Soft saturation: samples approach −6 dBFS.
fn saturate(samples: &mut [f32]) {
    const LIMIT: f32 = 0.5;
    samples
        .iter_mut()
        .for_each(|x| *x = LIMIT * (*x / LIMIT).tanh());
}

fn scale(samples: &mut [f32], db: f64) {
    if db != 0.0 {
        let by = factor(db);
        samples.iter_mut().for_each(|x| *x *= by);
    }
}

fn factor(db: f64) -> f32 {
    10f64.powf(db / 20.0) as f32
}

/// Active speech level (ITU-T P.56) in dBFS; `None` for near-silence.
pub(crate) fn active_level(samples: &[f32]) -> Option<f64> {
    let mut meter = ActiveLevel::default();
    meter.push_floats(samples);
    meter.level()
}

/// Level of all samples together, in dBFS; `None` below −90 dBFS.
pub(crate) fn rms_level(samples: &[f32]) -> Option<f64> {
    let power = samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let power = power / samples.len().max(1) as f64;
    let level = dbfs_of(power * 32768.0 * 32768.0);
    (level >= SILENT_DBFS).then_some(level)
}

/// What is quieter is silence: the lowest bit of 16.
const SILENT_DBFS: f64 = -90.0;

pub(crate) fn floats(pcm: &[i16]) -> Vec<f32> {
    pcm.iter().map(|x| f32::from(*x) / 32768.0).collect()
}

/// Samples with 16 bits; what exceeds full scale is cut off.
pub(crate) fn rounded(samples: &[f32]) -> Pcm {
    // `as` saturates.
    samples
        .iter()
        .map(|x| (x * 32768.0).round() as i16)
        .collect()
}

#[cfg(test)]
mod tests;
