//! What an ear reports of the agent's audio.
//!
//! In: nothing; these are the words between the ear and the call's state machine.
//! Holds: every instant is on the caller's monotonic clock and is the arrival of the
//! packet that holds the sample plus the sample's offset inside that packet.

use super::FRAME_TIME;
use crate::vocab::Confidence;
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

    /// So much earlier: inside the same packet, or in one that did not arrive and would have,
    /// 20 ms sooner for each packet between.
    pub(crate) fn before(self, back: Duration) -> Self {
        let beyond = back.saturating_sub(self.offset).as_nanos();
        let packets = beyond.div_ceil(FRAME_TIME.as_nanos());
        let sooner = FRAME_TIME * u32::try_from(packets).unwrap_or(u32::MAX);
        Self {
            arrival: self.arrival.checked_sub(sooner).unwrap_or(self.arrival),
            offset: (self.offset + sooner).saturating_sub(back),
        }
    }
}

/// The packets, sent one after the other, that led to an onset.
///
/// A sender without DTX sends all the time: its segment began with the stream, and says nothing
/// about the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Arrival of the first one: the stream's first, or the first after nothing was sent for
    /// more than 60 ms.
    pub first_packet: Option<Instant>,
    /// Arrival of the first one with audio (more than two bytes) since then, and since the last
    /// without (DTX).
    pub first_non_dtx: Option<Instant>,
}

impl Segment {
    /// The longest Opus packet without audio (DTX), in bytes.
    const DTX_BYTES: usize = 2;

    /// The next packet of the segment.
    pub(crate) fn packet(&mut self, arrival: Instant, bytes: usize) {
        self.first_packet.get_or_insert(arrival);
        let audio = bytes > Self::DTX_BYTES;
        self.first_non_dtx = audio.then(|| self.first_non_dtx.unwrap_or(arrival));
    }
}

/// The first audible sample of a talk spurt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Where it was heard.
    pub at: HeardAt,
    /// Confidence in it.
    pub confidence: Confidence,
    /// Lost audio touches the onset: it may have been earlier by up to this much.
    pub earlier_by_loss: Option<Duration>,
    /// … and later by up to this much: it was first heard then, and moved to the middle of
    /// what the loss leaves open.
    pub later_by_loss: Option<Duration>,
    /// Level of the spurt's first half second over the noise floor, in dB.
    pub snr_db: f32,
    /// What was sent up to it: from there to `at` the reply was silent (its lead-in).
    pub segment: Segment,
    /// The pause that it follows, where the spurt goes on after one; `None` for a spurt's first.
    pub after: Option<Pause>,
}

/// A pause inside a talk spurt: a silence of [`PAUSE`] to [`SPURT_GAP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The last audible sample before it.
    pub last_audible: HeardAt,
    /// The talk before it was cut off in mid-word, and what follows begins as new speech does:
    /// the agent stopped and said something else.
    pub cut: bool,
}

/// Something the ear noticed, in the order in which it became sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Heard {
    /// A talk spurt begins, or goes on after a pause; its exact onset follows (within 500 ms of
    /// audio).
    Triggered {
        /// Coarse instant of the trigger.
        at: HeardAt,
    },
    /// The refined onset of what the last `Triggered` announced.
    Onset(Onset),
    /// No audible sample for [`PAUSE`]. Told again, with a later sample, where a short sound
    /// followed that is no speech of its own, such as the release of a last consonant.
    Paused {
        /// The last audible sample so far.
        last_audible: HeardAt,
        /// The talk ended at full level, as where it is cut off in mid-word.
        hard: bool,
    },
    /// What the last `Triggered` announced is not the agent's (it is the caller's own echo). The
    /// spurt is over; nothing more comes of it.
    Dismissed,
    /// No audible sample for [`SPURT_GAP`] after `last_audible`. Comes after the spurt's `Onset`
    /// and `Paused`.
    Ended {
        /// The last audible sample of the spurt.
        last_audible: HeardAt,
        /// The packets stopped in mid-word, or where a stream that otherwise sends its silence
        /// too should have sent some: whoever sent them most likely broke down.
        broke_off: bool,
    },
}

/// Silence that ends a talk spurt, whoever speaks.
pub const SPURT_GAP: Duration = Duration::from_millis(700);

/// Silence that is told of as a pause. The gaps inside words (the closures of stop consonants)
/// are shorter.
pub const PAUSE: Duration = Duration::from_millis(130);
