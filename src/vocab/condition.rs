//! What broke in the audio of a reply, as its caller received it, and how the reply was resumed.
//!
//! In: nothing. Out: plain figures, which `audio` finds, calls carry and records write. Invariant:
//! what did not occur is zero, false or absent.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// Defects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefectSum {
    /// How often it occurred.
    pub count: u32,
    /// Length of the longest occurrence; zero if there is none.
    pub longest: Duration,
    /// The sum of all.
    pub total: Duration,
}

impl DefectSum {
    /// Adds a defect of this length.
    pub(crate) fn add(&mut self, length: Duration) {
        self.count = self.count.saturating_add(1);
        self.longest = self.longest.max(length);
        self.total = self.total.saturating_add(length);
    }
}

/// The condition of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReplyCondition {
    /// Holes that the sender accounts for.
    pub sender_stalls: DefectSum,
    /// Holes that the network accounts for.
    pub network_stalls: DefectSum,
    /// Audio that was due for playout before it arrived.
    pub underruns: DefectSum,
    /// Audio that arrived ahead of time; the lengths are those of the lead.
    pub bursts: DefectSum,
    /// Whether a talk spurt began in mid-voice.
    pub truncated_head: bool,
    /// Whether a talk spurt ended in mid-voice.
    pub truncated_tail: bool,
    /// Largest change of the level inside a talk spurt, in dB, if there was one.
    pub level_jump_db: Option<f32>,
    /// Active level, in dBFS, once the reply has ended.
    pub level_dbfs: Option<f32>,
    /// Length of the clipped parts.
    pub clipped: Duration,
    /// Length of the sound, pauses left out.
    pub active: Duration,
    /// The two channels of a stereo stream disagree, if they do.
    pub stereo: Option<StereoDefect>,
}

/// What is wrong with a stereo stream.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StereoDefect {
    /// Only one channel carries the voice.
    OneSided,
    /// The channels are in antiphase: they cancel each other when they are mixed.
    Antiphase,
}

/// How an agent spoke on that had stopped although it should have carried on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Resumed {
    /// With something that it had not said in this reply before: where it was, or with new words.
    WentOn,
    /// From an earlier place in its reply.
    WentBack,
    /// With the beginning of its reply.
    BeganAnew,
    /// The sound does not tell.
    Unknown,
}

named!(pub for StereoDefect, Resumed);

/// A reply is clipped if more than this share of its sound is, in percent.
const CLIPPED_PERCENT: u32 = 1;

impl ReplyCondition {
    /// The longest stall of either kind.
    pub fn longest_stall(&self) -> Duration {
        self.sender_stalls.longest.max(self.network_stalls.longest)
    }

    /// Whether so much of the sound is clipped that it is audible.
    pub fn is_clipped(&self) -> bool {
        self.clipped.saturating_mul(100) > self.active.saturating_mul(CLIPPED_PERCENT)
    }
}
