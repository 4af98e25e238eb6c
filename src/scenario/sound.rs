//! How callers sound: what is done to their speech, and what else the agent hears.
//!
//! Invariant: levels and durations are within the bounds that `check_sound` states.

use crate::vocab::{Band, Decibels, Microphone, NoiseKind};
use std::path::PathBuf;
use std::time::Duration;

/// What is done to speech. A key that is absent changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct SoundConfig {
    /// Active level of the speech, in dBFS.
    pub level: Option<Decibels>,
    pub room: Option<RoomConfig>,
    pub bystander: Option<BystanderConfig>,
    /// Noise while the caller speaks.
    pub noise: Option<NoiseConfig>,
    pub microphone: Option<Microphone>,
    pub gain: Option<Decibels>,
    /// How far the loudest sample exceeds the level at which all are cut off.
    pub clip: Option<Decibels>,
    pub band: Option<Band>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RoomConfig {
    /// Time in which the reverberation decays by 60 dB.
    pub rt60: Duration,
    /// Energy of the direct sound above that of the reverberation.
    pub direct: Decibels,
}

/// Somebody else who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BystanderConfig {
    /// Path of the sound file, including the scenario's folder.
    pub file: PathBuf,
    pub snr: Decibels,
    /// When the file starts, from the start of the utterance.
    pub start: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum NoiseFrom {
    Kind(NoiseKind),
    /// Path of the sound file, including the scenario's folder.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NoiseConfig {
    pub from: NoiseFrom,
    /// Active level of the speech above the level of the noise.
    pub snr: Decibels,
}

/// Noise for the whole call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BackgroundConfig {
    pub from: NoiseFrom,
    /// Level of all its samples, in dBFS.
    pub level: Decibels,
}

/// How the callers of a call sound, apart from what single utterances specify.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub sound: SoundConfig,
    pub background: Option<BackgroundConfig>,
}

impl SoundConfig {
    /// These settings, and those of `base` that they do not replace.
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self {
            level: self.level.or(base.level),
            room: self.room.or(base.room),
            bystander: self.bystander.clone().or_else(|| base.bystander.clone()),
            noise: self.noise.clone().or_else(|| base.noise.clone()),
            microphone: self.microphone.or(base.microphone),
            gain: self.gain.or(base.gain),
            clip: self.clip.or(base.clip),
            band: self.band.or(base.band),
        }
    }
}
