//! The events that an [`Ear`](super::Ear) reports about the agent's audio.
//!
//! These types connect the ear to the call's state machine. Invariant: every instant is on the
//! caller's monotonic clock and is the arrival of the packet that holds the sample plus the
//! sample's offset inside that packet.

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

    /// Moves the position earlier by `back`: inside the same packet, or into an earlier packet that
    /// did not arrive. Each packet further back is assumed to have been due 20 ms earlier.
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

/// The uninterrupted run of packets that led to an onset.
///
/// A sender without DTX never stops sending, so its only segment begins with the stream and is
/// unrelated to the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Arrival of the first packet: the stream's first, or the first after a pause in sending of
    /// more than 60 ms.
    pub first_packet: Option<Instant>,
    /// Arrival of the first packet with audio (more than two bytes) since `first_packet` and since
    /// the last packet without audio (DTX).
    pub(crate) first_non_dtx: Option<Instant>,
}

impl Segment {
    /// Largest Opus packet without audio (DTX), in bytes.
    const DTX_BYTES: usize = 2;

    /// Adds the next packet of the segment.
    pub(crate) fn packet(&mut self, arrival: Instant, bytes: usize) {
        self.first_packet.get_or_insert(arrival);
        let audio = bytes > Self::DTX_BYTES;
        self.first_non_dtx = audio.then(|| self.first_non_dtx.unwrap_or(arrival));
    }
}

/// The first audible sample of a talk spurt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Position of the sample.
    pub at: HeardAt,
    /// Confidence in the onset.
    pub confidence: Confidence,
    /// If audio was lost next to the onset: the onset may have been earlier by up to this much.
    pub earlier_by_loss: Option<Duration>,
    /// If audio was lost next to the onset: the onset may have been later by up to this much, which
    /// is how far the detected onset was moved back into the gap that the loss left.
    pub later_by_loss: Option<Duration>,
    /// Level of the spurt's first half second above the noise floor, in dB.
    pub snr_db: f32,
    /// The packets that led to the onset. From the segment's first packet to `at` the reply was
    /// silent (its lead-in).
    pub segment: Segment,
    /// The pause before this onset; `None` for the first onset of a spurt.
    pub after: Option<Pause>,
}

/// A pause inside a talk spurt: a silence of 130 ms to [`SPURT_GAP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The last audible sample before the pause.
    pub(crate) last_audible: HeardAt,
    /// Whether the speech before the pause was cut off mid-word and the next sound starts like new
    /// speech: the agent stopped and then said something else.
    pub(crate) cut: bool,
}

/// An event reported by the ear. Events are reported in the order in which they become certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Heard {
    /// A talk spurt begins, or continues after a pause; its exact onset follows once about 500 ms
    /// of audio have arrived.
    Triggered {
        /// Coarse instant at which the sound began.
        at: HeardAt,
    },
    /// The refined onset for the last `Triggered`.
    Onset(Onset),
    /// No audible sample for 130 ms. Reported again, with a later sample, if a short sound follows
    /// that is not speech on its own, such as the release of a final consonant.
    Paused {
        /// The last audible sample so far.
        last_audible: HeardAt,
        /// Whether the speech ended at full level, as if cut off mid-word.
        hard: bool,
    },
    /// The spurt of the last `Triggered` is not the agent's speech but an echo of the caller. The
    /// spurt is over, and no more events about it follow.
    Dismissed,
    /// No audible sample for [`SPURT_GAP`] after `last_audible`. Follows the spurt's `Onset` and
    /// `Paused`.
    Ended {
        /// The last audible sample of the spurt.
        last_audible: HeardAt,
        /// Whether the packets stopped mid-word, or without the silence that this stream otherwise
        /// contains: the sender most likely failed.
        broke_off: bool,
    },
}

/// Silence that ends a talk spurt, whether the agent's or the caller's.
pub const SPURT_GAP: Duration = Duration::from_millis(700);

/// Silence that is reported as a pause. The gaps inside words (the closures of stop consonants)
/// are shorter.
pub(crate) const PAUSE: Duration = Duration::from_millis(130);
