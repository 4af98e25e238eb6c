//! How the reference agent behaves in a call, beyond answering after its delay.
//!
//! In: a checked scenario or the file of `loadgen agent --behaviour`. Out: a [`Behaviour`], and the
//! text from which it can be read again. Invariants: shares are 0 to 1, and those of the faults add
//! up to at most 1; the default is the agent that answers every turn once and has no faults.

use super::duration;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// How the agent behaves. Each part is serialised under its name in scenarios.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Behaviour {
    /// What the agent does when its caller interrupts it; `None`: it stops at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Stop>,
    /// What the agent does after an interruption that was too short to ask for anything; `None`: it
    /// answers the interruption like any other utterance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resume: Option<Resume>,
    /// Which of the caller's pauses the agent takes for the end of the turn; `None`: those that are
    /// longer than its delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) early: Option<Early>,
    /// What the agent says before the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filler: Option<SpokenFiller>,
    /// What is wrong with the agent's replies; each reply has at most one fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Fault>,
    /// Whether the agent sends nothing during silence.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dtx: bool,
    /// Share of the turns that the agent does not answer.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "percent")]
    pub(crate) silent: f64,
    /// From the arrival of the caller's first audio to the greeting.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_text")]
    pub(crate) greeting_delay: Option<Duration>,
    /// When the agent publishes its track, from its arrival in the room.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_text")]
    pub(crate) publish_after: Option<Duration>,
    /// Share of the turns before whose reply the agent publishes its track again.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "percent")]
    pub(crate) republish: f64,
    /// When the agent leaves the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up: Option<HangUp>,
}

/// What the agent does when its caller interrupts it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Stop {
    /// From the first sample of the caller's speech to the agent's last audible sample; `None`: as
    /// soon as the agent has noticed the interruption.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_text")]
    pub after: Option<Duration>,
    /// Share of the interruptions that the agent ignores.
    #[serde(serialize_with = "percent")]
    pub ignore: f64,
}

/// What the agent does after an interruption that asked for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Resume {
    /// Interruptions shorter than this asked for nothing.
    #[serde(serialize_with = "text")]
    pub under: Duration,
    /// Share of these after which the agent speaks again; after the others it stays silent.
    #[serde(serialize_with = "percent")]
    pub share: f64,
    /// Share of those that begin the reply anew; the others go on where the reply stopped.
    #[serde(serialize_with = "percent")]
    pub restart: f64,
    /// From the end of the caller's sound to the agent's first audible sample.
    #[serde(serialize_with = "text")]
    pub pause: Duration,
}

/// Which of the caller's pauses the agent takes for the end of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Early {
    /// Pauses longer than this.
    #[serde(serialize_with = "text")]
    pub pauses: Duration,
    /// Share of these.
    #[serde(serialize_with = "percent")]
    pub share: f64,
}

/// What the agent says before the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SpokenFiller {
    #[serde(flatten)]
    pub sound: FillerSound,
    /// From the last audible sample of the filler to the first one of the answer.
    #[serde(serialize_with = "text")]
    pub gap: Duration,
    /// The agent's state in between.
    pub state: Between,
    /// Share of the replies that begin with a filler.
    #[serde(serialize_with = "percent")]
    pub share: f64,
}

/// The sound of a filler.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum FillerSound {
    /// A tone of this length.
    Tone {
        #[serde(serialize_with = "text")]
        length: Duration,
    },
    /// A sound file, which has its own length.
    File {
        #[serde(serialize_with = "path")]
        sound: PathBuf,
    },
}

/// The agent's state between a filler and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Between {
    /// The agent's framework knows that a tool is running.
    #[default]
    Thinking,
    /// The application has spoken the filler itself.
    Listening,
}

/// What is wrong with a share of the replies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    /// Share of the replies that have this fault.
    #[serde(serialize_with = "percent")]
    pub share: f64,
    /// Where the fault begins, from the first audible sample of the reply; the seed picks one.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "texts")]
    pub at: Vec<Duration>,
    /// How long it is; the seed picks one.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "texts")]
    pub length: Vec<Duration>,
    /// Change of the level, in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<f64>,
}

/// A kind of fault.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    VariantArray,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum FaultKind {
    /// Packets are sent late: from `at` on, the rest of the reply is late by `length`, and neither
    /// sequence numbers nor timestamps have a gap.
    Hole,
    /// Digital silence of this length in the middle of the voice.
    DigitalSilence,
    /// Packets are missing from the sequence.
    Loss,
    /// Packets are held back for this long and then sent at once.
    Burst,
    /// The reply begins inside a sound, about this far into it.
    CutHead,
    /// The reply ends inside a sound, about this far from its end.
    CutTail,
    /// A piece of this length is said twice.
    Repeat,
    /// Amplified by `gain_db` and clipped at full scale.
    Clipping,
    /// The level changes by `gain_db` for this long, or up to the end.
    LevelJump,
}

named! { pub(crate) for FaultKind }

impl FaultKind {
    /// Whether the fault has a place in the reply.
    pub(crate) fn has_place(self) -> bool {
        !matches!(self, Self::CutHead | Self::CutTail | Self::Clipping)
    }

    /// Whether the fault has a length; a change of the level may have none.
    pub(crate) fn has_length(self) -> bool {
        self != Self::Clipping
    }

    /// Whether the fault changes the level.
    pub(crate) fn has_gain(self) -> bool {
        matches!(self, Self::Clipping | Self::LevelJump)
    }
}

/// When the agent leaves the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct HangUp {
    /// With which reply, counted from 1.
    pub turn: u32,
    /// This long after the first audible sample of that reply; `None`: when the reply has ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_text")]
    pub into_reply: Option<Duration>,
}

impl Behaviour {
    /// Whether this is an agent that answers every turn once and has no faults.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

fn percent<S: Serializer>(share: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Rounded, because a hundred times a share is seldom a short decimal: 0.07 * 100.0.
    let percent = (share * 1e8).round() / 1e6;
    serializer.serialize_str(&format!("{percent}%"))
}

fn text<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::format(*time))
}

fn maybe_text<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    text(&time.unwrap_or_default(), serializer)
}

fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn texts<S: Serializer>(times: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(|time| duration::format(*time)))
}
