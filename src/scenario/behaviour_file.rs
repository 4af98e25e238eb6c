//! The types of `target.agent.behaviour`, from which the schema is generated.
//!
//! Invariant: every value is optional here, because an invalid or unset one is left out before the
//! checks; `schemars(required)` marks those that must be given.

use super::texts::{DurationText, PercentText};
use crate::vocab::FaultKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// How the reference agent behaves, beyond answering after its delay.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BehaviourFile {
    /// What the agent does when its caller interrupts it. Default: it stops at once.
    pub(super) stop: Option<StopFile>,
    /// What the agent does after an interruption that was too short to ask for anything. Default:
    /// it answers the interruption like any other utterance.
    pub(super) resume: Option<ResumeFile>,
    /// Which of the caller's pauses the agent takes for the end of the turn. Default: those that
    /// are longer than its delay.
    pub(super) early: Option<EarlyFile>,
    /// What the agent says before the answer. Default: nothing.
    pub(super) filler: Option<SpokenFillerFile>,
    /// What is wrong with the agent's replies; each reply has at most one of these faults. Default:
    /// nothing.
    #[schemars(length(max = 32))]
    pub(super) faults: Option<Vec<Option<FaultFile>>>,
    /// Whether the agent sends nothing during silence (Opus DTX). Default: false.
    pub(super) dtx: Option<bool>,
    /// Share of the turns that the agent does not answer. Default: 0%.
    pub(super) silent: Option<PercentText>,
    /// From the arrival of the caller's first audio to the greeting. Default: 300ms.
    pub(super) greeting_delay: Option<DurationText>,
    /// How long after joining the room the agent publishes its track; only with a LiveKit server.
    /// Default: at once.
    pub(super) publish_after: Option<DurationText>,
    /// Share of the turns before whose reply the agent unpublishes its track and publishes it
    /// again; only with a LiveKit server. Default: 0%.
    pub(super) republish: Option<PercentText>,
    /// When the agent leaves the call. Default: after its caller.
    pub(super) hang_up: Option<AgentHangUpFile>,
}

/// What the agent does when its caller interrupts it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopFile {
    /// From the first sample of the caller's speech to the agent's last audible sample. Default: as
    /// soon as the agent has noticed the interruption.
    pub(super) after: Option<DurationText>,
    /// Share of the interruptions that the agent ignores. Default: 0%.
    pub(super) ignore: Option<PercentText>,
}

/// What the agent does after an interruption that was too short to ask for anything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeFile {
    /// Interruptions shorter than this asked for nothing. Default: 800ms.
    pub(super) under: Option<DurationText>,
    /// Share of these after which the agent speaks again; after the others it stays silent.
    /// Default: 100%.
    pub(super) share: Option<PercentText>,
    /// Share of those that begin the reply anew; the others go on where the reply stopped.
    /// Default: 0%.
    pub(super) restart: Option<PercentText>,
    /// From the end of the caller's sound to the agent's first audible sample. Default: 500ms.
    pub(super) pause: Option<DurationText>,
}

/// Which of the caller's pauses the agent takes for the end of the turn.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EarlyFile {
    /// Pauses longer than this.
    #[schemars(required)]
    pub(super) pauses: Option<DurationText>,
    /// Share of these. Default: 100%.
    pub(super) share: Option<PercentText>,
}

/// What the agent says before the answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpokenFillerFile {
    /// Audio of the filler: `tone` or a sound file. Default: tone.
    #[schemars(length(min = 1))]
    pub(super) sound: Option<String>,
    /// Length of the tone. Default: 500ms.
    pub(super) length: Option<DurationText>,
    /// From the last audible sample of the filler to the first one of the answer.
    #[schemars(required)]
    pub(super) gap: Option<DurationText>,
    /// The agent's state in between. Default: thinking.
    pub(super) state: Option<BetweenText>,
    /// Share of the replies that begin with a filler. Default: 100%.
    pub(super) share: Option<PercentText>,
}

/// The agent's state between a filler and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BetweenText {
    /// A tool is running.
    Thinking,
    /// The application has spoken the filler itself.
    Listening,
}

/// One duration, or several from which the seed picks one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum DurationsFile {
    /// Always this one.
    One(DurationText),
    /// One of these.
    Many(#[schemars(length(min = 1, max = 16))] Vec<Option<DurationText>>),
}

/// What is wrong with a share of the replies.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFile {
    /// `hole`: packets are late, with neither a gap in the sequence nor in the timestamps;
    /// `digital_silence`: silence in the middle of the voice; `loss`: packets are missing from the
    /// sequence; `burst`: packets are held back and then sent at once; `cut_head`, `cut_tail`: the
    /// reply begins or ends inside a sound; `repeat`: a piece is said twice; `clipping`; or
    /// `level_jump`.
    #[schemars(required)]
    pub(super) kind: Option<FaultKind>,
    /// Share of the replies that have this fault.
    #[schemars(required)]
    pub(super) share: Option<PercentText>,
    /// Where it begins, from the first audible sample of the reply; the next place at which the
    /// voice is at full level is taken. Default: 500ms.
    pub(super) at: Option<DurationsFile>,
    /// How long it is. Required, except for `clipping`, which has none, and `level_jump`, which
    /// then lasts until the end of the reply.
    pub(super) length: Option<DurationsFile>,
    /// With `clipping` and `level_jump`: the change of the level, in dB.
    #[schemars(range(min = -60.0, max = 60.0))]
    pub(super) gain_db: Option<f64>,
}

/// When the agent leaves the call.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentHangUpFile {
    /// With which reply, counted from 1.
    #[schemars(required, range(min = 1, max = 10_000))]
    pub(super) turn: Option<u32>,
    /// This long after the first audible sample of that reply. Default: when the reply has ended.
    pub(super) into_reply: Option<DurationText>,
}
