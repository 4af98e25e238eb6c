//! The record of who spoke when in a turn, and of the parts of its reply.
//!
//! In: a turn's [`Conversation`]. Out: a [`ConversationRecord`], a part of the turn's record.
//! Invariants: times in ms, as the caller hears them; `speech_ms` counts time in which both speak
//! once.

use super::level::tenth_db;
use super::ms::Ms;
use crate::call::{Conversation, Floor, Silences, Spurt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Who spoke for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FloorRecord {
    /// Speech of the caller; pauses under 200 ms are part of it.
    pub(crate) caller_ms: Ms,
    /// Speech of the agent, as the caller hears it.
    pub(crate) agent_ms: Ms,
    /// Time in which anybody spoke.
    pub(crate) speech_ms: Ms,
    /// Time in which both spoke.
    pub(crate) overlap_ms: Ms,
    /// How often the agent began to speak while the caller was speaking.
    pub(crate) agent_came_in: usize,
    /// How often the caller began to speak while the agent was speaking.
    pub(crate) caller_came_in: usize,
}

/// Awkward silences: those in which it was the agent's turn to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SilencesRecord {
    pub(crate) count: usize,
    pub(crate) total_ms: Ms,
    pub(crate) longest_ms: Ms,
}

/// A part of a reply between two silences of at least 200 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpurtRecord {
    /// From the caller's end of speech; negative for an early reply.
    pub(crate) start_ms: Ms,
    pub(crate) length_ms: Ms,
    /// Silence between the previous spurt and this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap_ms: Option<Ms>,
    /// Level above the noise at its beginning, in dB, to a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snr_db: Option<f64>,
}

/// Who spoke when in a turn, and of what parts its reply consists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct ConversationRecord {
    /// From the start of the utterance until the turn was over.
    pub(crate) floor: FloorRecord,
    #[serde(default, skip_serializing_if = "SilencesRecord::is_none")]
    pub(crate) awkward: SilencesRecord,
    /// The spurts of the reply, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) spurts: Vec<SpurtRecord>,
    /// Number of the first spurt behind a filler, from 0; absent if there is no filler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) behind_filler: Option<usize>,
    /// Lengths of the pauses inside the caller's utterance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pauses_ms: Vec<Ms>,
    /// For an early reply: the length of the pause into which it fell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) early_pause_ms: Option<Ms>,
}

impl FloorRecord {
    /// Adds the figures of another call.
    pub(in crate::record) fn add(&mut self, other: &Self) {
        self.caller_ms = self.caller_ms + other.caller_ms;
        self.agent_ms = self.agent_ms + other.agent_ms;
        self.speech_ms = self.speech_ms + other.speech_ms;
        self.overlap_ms = self.overlap_ms + other.overlap_ms;
        self.agent_came_in += other.agent_came_in;
        self.caller_came_in += other.caller_came_in;
    }
}

impl From<&Floor> for FloorRecord {
    fn from(floor: &Floor) -> Self {
        Self {
            caller_ms: floor.caller.into(),
            agent_ms: floor.agent.into(),
            speech_ms: floor.speech().into(),
            overlap_ms: floor.overlap.into(),
            agent_came_in: floor.agent_came_in,
            caller_came_in: floor.caller_came_in,
        }
    }
}

impl SilencesRecord {
    fn is_none(&self) -> bool {
        self.count == 0
    }
}

impl From<&Silences> for SilencesRecord {
    fn from(silences: &Silences) -> Self {
        Self {
            count: silences.count,
            total_ms: silences.total.into(),
            longest_ms: silences.longest.into(),
        }
    }
}

impl ConversationRecord {
    /// The record of a turn whose caller stopped speaking at `speech_end`.
    pub(super) fn new(conversation: &Conversation, speech_end: Instant) -> Self {
        let spurts = &conversation.spurts;
        let before = std::iter::once(None).chain(spurts.iter().map(Some));
        let spurt = |(spurt, before): (&Spurt, Option<&Spurt>)| SpurtRecord {
            start_ms: Ms::between(speech_end, spurt.from),
            length_ms: Ms::between(spurt.from, spurt.to),
            gap_ms: before.map(|before| Ms::between(before.to, spurt.from)),
            snr_db: spurt.snr_db.and_then(tenth_db),
        };
        Self {
            floor: (&conversation.floor).into(),
            awkward: (&conversation.silences).into(),
            spurts: spurts.iter().zip(before).map(spurt).collect(),
            behind_filler: conversation.behind_filler,
            pauses_ms: conversation.pauses.iter().map(|p| Ms::from(*p)).collect(),
            early_pause_ms: conversation.early_pause.map(Ms::from),
        }
    }
}
