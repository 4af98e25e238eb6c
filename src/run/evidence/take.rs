//! The audio kept for one turn until it is written, as packets rather than samples.
//!
//! In: a turn's result, the packets around it, the frames sent. Out: both channels and the turn's
//! entry in the index. Invariant: the left channel is the caller's microphone signal and the right
//! channel the caller's loudspeaker signal, so that the time from end of speech to onset is `ttfa`,
//! including playout.

use crate::audio::packets::Packets;
use crate::audio::replay::{SaidFrame, Window, loudspeaker, microphone};
use crate::audio::{AudioError, Codec, Pcm, RATE, time_of};
use crate::call::{Outcome, TurnResult};
use crate::record::{EvidenceFolder, EvidenceReason, EvidenceTurn, Ms, wav_bytes};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum length of a file.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// A frame that the caller sent, with the capture time of its first sample.
#[derive(Debug, Clone)]
pub(super) struct SentFrame {
    pub turn: usize,
    pub captured: Instant,
    pub payload: Arc<[u8]>,
}

/// The class by which a turn is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The agent replied with this `ttfa`.
    Replied(Ms),
    /// The turn was missed, early or failed.
    Failed,
    /// Neither slow nor failed: an interruption at which the agent stopped.
    Other,
}

impl Class {
    pub(super) fn of(turn: &TurnResult) -> Self {
        match (&turn.outcome, turn.ttfa_wire, turn.playout_delay) {
            // As in the record, each part is rounded before the sum.
            (Outcome::Replied, Some(wire), Some(playout)) => {
                Self::Replied(Ms::from(wire) + Ms::from(playout))
            }
            (Outcome::Replied, ..) => Self::Other,
            _ => Self::Failed,
        }
    }
}

/// The position of the reply's onset.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnsetAt {
    pub wire: Instant,
    /// Playout delay of the packet.
    pub hold: Duration,
    /// Arrival of the packet that contained the onset.
    pub packet: Instant,
}

/// One turn's audio as it was sent and received.
#[derive(Debug)]
pub(super) struct Take {
    pub call: usize,
    pub turn: usize,
    pub codec: Codec,
    pub class: Class,
    pub window: Window,
    pub speech_end: Instant,
    pub onset: Option<OnsetAt>,
    pub packets: Packets,
    pub said: Vec<SentFrame>,
    /// Some packets were dropped because the ring was full.
    pub cut: bool,
}

impl Take {
    /// Indices of the call and of the turn.
    pub(super) fn key(&self) -> (usize, usize) {
        (self.call, self.turn)
    }

    /// Size of the turn's file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        wav_bytes(self.window.length)
    }

    /// Approximate memory use in bytes; the payloads of sent frames are shared and therefore not
    /// counted.
    pub(super) fn weight(&self) -> usize {
        self.packets.weight() + self.said.len() * size_of::<SentFrame>()
    }

    /// The caller's channel, then the agent's channel.
    pub(super) fn channels(&self) -> Result<(Pcm, Pcm), AudioError> {
        let said = self.said.iter().map(|frame| SaidFrame {
            turn: frame.turn,
            captured: frame.captured,
            payload: &frame.payload,
        });
        let left = microphone(said, self.window, self.codec)?;
        let onset = self.onset.map(|onset| onset.packet);
        let right = loudspeaker(&self.packets, self.window, self.codec, onset)?;
        Ok((left, right))
    }

    /// The turn's entry in the index.
    pub(super) fn entry(&self, why: EvidenceReason, run_start: Instant) -> EvidenceTurn {
        let inside = |at: Instant| Ms::between(self.window.start, at);
        let speech_end_ms = inside(self.speech_end);
        let onset_wire_ms = self.onset.map(|o| inside(o.wire));
        let onset_ms = match (self.class, self.onset) {
            // The sum of the rounded parts equals the value in the record exactly.
            (Class::Replied(ttfa), Some(_)) => Some(speech_end_ms + ttfa),
            (_, onset) => onset.map(|o| inside(o.wire + o.hold)),
        };
        EvidenceTurn {
            file: EvidenceFolder::name(self.call, self.turn),
            call: self.call,
            turn: self.turn,
            why,
            sample_rate: RATE,
            start_ms: Ms::between(run_start, self.window.start),
            length_ms: time_of(self.window.length as u64).into(),
            speech_end_ms,
            onset_ms,
            onset_wire_ms,
            cut: self.cut,
        }
    }
}
