//! What an utterance of the caller is: speech for the agent, or a sound that it should ignore.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The kind of an utterance.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UtteranceKind {
    /// Speech that is meant for the agent.
    #[default]
    Speech,
    /// A word of assent that claims no turn, such as "mhm".
    Backchannel,
    /// A cough, a laugh, a sneeze.
    Cough,
    /// A noise: a door, a keyboard, traffic.
    Noise,
    /// Speech that is meant for somebody else.
    SideSpeech,
    /// Music, or a television.
    Music,
}

named!(pub(crate) for UtteranceKind);

impl UtteranceKind {
    /// Whether the utterance is speech that is meant for the agent.
    pub(crate) fn is_speech(self) -> bool {
        self == Self::Speech
    }
}
