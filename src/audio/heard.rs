//! What an ear reports of the agent's audio.
//!
//! In: nothing; these are the words between the ear and the call's state machine.
//! Holds: every instant is on the caller's monotonic clock and is the arrival of the
//! packet that holds the sample plus the sample's offset inside that packet.

use std::time::{Duration, Instant};

/// A sample of received audio, placed on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardAt {
    /// Arrival of the packet that holds the sample.
    pub arrival: Instant,
    /// Offset of the sample inside that packet's decoded audio.
    pub offset: Duration,
}

impl HeardAt {
    /// The instant of the sample on the wire: arrival + offset.
    pub fn wire(&self) -> Instant {
        self.arrival + self.offset
    }
}

/// How far an onset can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// At least 20 dB between the reply and the noise floor.
    High,
    /// Less than that: the first audible sample is a matter of opinion.
    Low,
}

/// The first audible sample of a talk spurt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Where it was heard.
    pub at: HeardAt,
    /// Trust in it.
    pub confidence: Confidence,
    /// Lost audio touches the onset: it may have been earlier by up to this much.
    pub earlier_by_loss: Option<Duration>,
    /// Level of the spurt's first half second over the noise floor, in dB.
    pub snr_db: f32,
}

/// Something the ear noticed, in the order in which it became sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Heard {
    /// A talk spurt is under way; its exact onset follows (within 500 ms of audio).
    Triggered {
        /// Coarse instant of the trigger.
        at: HeardAt,
    },
    /// The refined onset of the spurt announced by the last `Triggered`.
    Onset(Onset),
    /// No audible sample for [`SPURT_GAP`] after `last_audible`. Comes after the spurt's `Onset`.
    Ended {
        /// The last audible sample of the spurt.
        last_audible: HeardAt,
    },
}

/// Silence that ends a talk spurt (DESIGN section 8: the agent's last audible sample
/// followed by 700 ms of silence).
pub const SPURT_GAP: Duration = Duration::from_millis(700);
