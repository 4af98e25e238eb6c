//! How callers sound, as written: untrusted, every key optional, texts not yet parsed.
//!
//! In: as in `file.rs`. Out: these types, which are part of the JSON Schema.

use super::texts::DurationText;
use crate::vocab::{Band, Microphone, NoiseKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// A difference of level as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct DecibelText(pub(super) String);

impl JsonSchema for DecibelText {
    fn schema_name() -> Cow<'static, str> {
        "Decibels".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A difference of level with its unit, such as `15dB`."
        })
    }
}

/// A level as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct LevelText(pub(super) String);

impl JsonSchema for LevelText {
    fn schema_name() -> Cow<'static, str> {
        "Level".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A level with its unit, such as `-26dBFS`."
        })
    }
}

/// How a caller sounds, in the order in which it happens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EffectsFile {
    /// Active level of the speech (ITU-T P.56), such as `-26dBFS`. Default: that of the recording.
    pub(super) level: Option<LevelText>,
    /// Reverberation. Default: none.
    pub(super) room: Option<RoomFile>,
    /// Somebody else who speaks in the room. Default: nobody.
    pub(super) bystander: Option<BystanderFile>,
    /// Noise from the first to the last sample of the utterance. Default: none.
    pub(super) noise: Option<NoiseFile>,
    /// `cheap`: 200 Hz to 6 kHz, a resonance at 3 kHz, soft saturation. Default: a good one.
    pub(super) microphone: Option<Microphone>,
    /// Gain behind the microphone, such as `-6dB`. Default: 0dB.
    pub(super) gain: Option<DecibelText>,
    /// How far the loudest sample exceeds the level at which all samples are cut off, such as
    /// `6dB`. Default: nothing is cut off.
    pub(super) clip: Option<DecibelText>,
    /// Band of the line: `telephone` (300 to 3400 Hz) or `wideband` (50 to 7000 Hz).
    /// Default: all.
    pub(super) band: Option<Band>,
}

/// A room.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomFile {
    /// Reverberation time, in which the sound decays by 60 dB; 50ms to 3s.
    #[schemars(required)]
    pub(super) rt60: Option<DurationText>,
    /// Energy of the direct sound above that of the reverberation. Default: 3dB.
    pub(super) direct: Option<DecibelText>,
}

/// Somebody else who speaks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BystanderFile {
    /// Sound file, relative to the folder of the scenario; or `say`.
    #[schemars(length(min = 1))]
    pub(super) file: Option<String>,
    /// Instead of `file`: the utterance that the bystander says.
    pub(super) say: Option<String>,
    /// Active level of the caller's speech above that of the bystander's.
    #[schemars(required)]
    pub(super) snr: Option<DecibelText>,
    /// When the bystander starts, from the start of the utterance; at most 60s. Default: 0s.
    pub(super) start: Option<DurationText>,
}

/// Noise during an utterance.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoiseFile {
    /// Generated noise: `white`, `pink`, `speech_shaped` or `babble`; or `file`.
    pub(super) kind: Option<NoiseKind>,
    /// Instead of `kind`: a sound file, relative to the folder of the scenario. Its first minute
    /// is used, and repeated.
    #[schemars(length(min = 1))]
    pub(super) file: Option<String>,
    /// Active level of the speech (ITU-T P.56) above the level of the noise.
    #[schemars(required)]
    pub(super) snr: Option<DecibelText>,
}

/// Noise that goes on for a whole call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackgroundFile {
    /// Generated noise: `white`, `pink`, `speech_shaped` or `babble`; or `file`.
    pub(super) kind: Option<NoiseKind>,
    /// Instead of `kind`: a sound file, relative to the folder of the scenario. Its first minute
    /// is used, and repeated.
    #[schemars(length(min = 1))]
    pub(super) file: Option<String>,
    /// Level of the noise, such as `-50dBFS`.
    #[schemars(required)]
    pub(super) level: Option<LevelText>,
}
