//! What broke in a reply's audio, as a part of its turn's record.
//!
//! In: the condition of a reply. Out: its record. Invariants: times are in ms, to the
//! microsecond; what did not occur is absent, because most replies are whole.

use super::ms::Ms;
use crate::vocab::{self, ReplyCondition, StereoDefect};
use serde::{Deserialize, Serialize};

/// Defects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DefectSum {
    /// How often it occurred.
    pub(crate) count: u32,
    /// Length of the longest occurrence; zero if there is none.
    pub(crate) longest_ms: Ms,
    /// The sum of all.
    pub(crate) total_ms: Ms,
}

impl From<vocab::DefectSum> for DefectSum {
    fn from(sum: vocab::DefectSum) -> Self {
        Self {
            count: sum.count,
            longest_ms: sum.longest.into(),
            total_ms: sum.total.into(),
        }
    }
}

/// The condition of the talk spurts of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplyAudio {
    /// Holes of 60 ms or more that the sender accounts for.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) sender_stalls: DefectSum,
    /// Holes of 60 ms or more that the network accounts for.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) network_stalls: DefectSum,
    /// Audio that was due for playout before it arrived.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) underruns: DefectSum,
    /// Audio that arrived ahead of time, by the lead.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) bursts: DefectSum,
    /// The reply began in mid-voice.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) truncated_head: bool,
    /// The reply ended in mid-voice.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) truncated_tail: bool,
    /// Audibly much of the reply is at full scale.
    #[serde(skip_serializing_if = "did_not_occur")]
    pub(crate) clipped: bool,
    /// Active level in dBFS, to a tenth, once the reply has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level_dbfs: Option<f64>,
    /// Largest sudden change of the level, in dB, to a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level_jump_db: Option<f64>,
    /// What is wrong with the channels of a stereo stream, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stereo: Option<StereoDefect>,
}

/// Whether a part of the record is zero or false.
fn did_not_occur<T: Default + PartialEq>(part: &T) -> bool {
    *part == T::default()
}

impl From<&ReplyCondition> for ReplyAudio {
    fn from(condition: &ReplyCondition) -> Self {
        let tenth = |db: f32| (f64::from(db) * 10.0).round() / 10.0;
        Self {
            sender_stalls: condition.sender_stalls.into(),
            network_stalls: condition.network_stalls.into(),
            underruns: condition.underruns.into(),
            bursts: condition.bursts.into(),
            truncated_head: condition.truncated_head,
            truncated_tail: condition.truncated_tail,
            clipped: condition.is_clipped(),
            level_dbfs: condition.level_dbfs.map(tenth),
            level_jump_db: condition.level_jump_db.map(tenth),
            stereo: condition.stereo,
        }
    }
}

impl ReplyAudio {
    /// The longest stall of either kind; zero if there is none.
    pub(crate) fn longest_stall(&self) -> Ms {
        self.sender_stalls
            .longest_ms
            .max(self.network_stalls.longest_ms)
    }

    /// Whether there is a stall of either kind.
    pub(crate) fn is_stalled(&self) -> bool {
        self.sender_stalls.count + self.network_stalls.count > 0
    }
}

#[cfg(test)]
impl ReplyAudio {
    /// A reply with so many stalls of 420 ms.
    pub(in crate::record) fn stalled(sender: u32, network: u32) -> Self {
        let stalls = |count: u32| DefectSum {
            count,
            longest_ms: Ms::from_micros(if count > 0 { 420_000 } else { 0 }),
            total_ms: Ms::from_micros(i64::from(count) * 420_000),
        };
        Self {
            sender_stalls: stalls(sender),
            network_stalls: stalls(network),
            ..Self::default()
        }
    }
}
