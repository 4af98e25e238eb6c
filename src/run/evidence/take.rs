//! The audio kept for one turn until it is written, as packets rather than samples.
//!
//! In: a turn's result, the packets around it, the frames sent. Out: both channels and the turn's
//! entry in the index. Invariant: the left channel is the caller's microphone signal and the right
//! channel the caller's loudspeaker signal, so that the time from end of speech to onset is `ttfa`,
//! including playout.

use crate::audio::packets::{HeldPacket, Packets};
use crate::audio::replay::{Loudspeaker, Microphone, SaidFrame, Window};
use crate::audio::{AudioError, Codec, Onset, Pcm, RATE, time_of};
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

impl OnsetAt {
    /// Finds the packet among `packets` that contained the onset. `played`: the playout delay of
    /// that packet, if the turn has measured it.
    pub(super) fn located<'a>(
        packets: impl Iterator<Item = HeldPacket<'a>> + Clone,
        onset: &Onset,
        played: Option<Duration>,
    ) -> Self {
        // An onset next to a loss was moved earlier; it was detected later, in a packet that did
        // arrive.
        let heard = onset.at.wire() + onset.later_by_loss.unwrap_or_default();
        let exact = |held: &HeldPacket<'_>| held.packet.arrival == onset.at.arrival;
        let exact = packets.clone().find(exact);
        let before = || {
            let arrived = packets.filter(|held| held.packet.arrival <= heard);
            arrived.max_by_key(|held| held.packet.arrival)
        };
        let packet = match onset.later_by_loss {
            None => exact.or_else(before),
            Some(_) => before(),
        };
        Self {
            wire: onset.at.wire(),
            hold: played.or(packet.map(|held| held.hold)).unwrap_or_default(),
            packet: packet.map_or(onset.at.arrival, |held| held.packet.arrival),
        }
    }

    /// The onset at the loudspeaker and on the wire, as places in a file that begins at `start`.
    /// `speech_end`: the place of the end of speech.
    pub(super) fn places(&self, class: Class, start: Instant, speech_end: Ms) -> (Ms, Ms) {
        let wire = Ms::between(start, self.wire);
        match class {
            // The sum of the rounded parts equals the value in the record exactly.
            Class::Replied(ttfa) => (speech_end + ttfa, wire),
            _ => (Ms::between(start, self.wire + self.hold), wire),
        }
    }
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
        let whole = self.window.length;
        let left = Microphone::new(said, self.window, self.codec)?.part(whole)?;
        let onset = self.onset.map(|onset| onset.packet);
        let packets = self.packets.iter();
        let right = Loudspeaker::new(packets, self.window, self.codec, onset).part(whole)?;
        Ok((left, right))
    }

    /// The turn's entry in the index.
    pub(super) fn entry(&self, why: EvidenceReason, run_start: Instant) -> EvidenceTurn {
        let inside = |at: Instant| Ms::between(self.window.start, at);
        let speech_end_ms = inside(self.speech_end);
        let places = |onset: OnsetAt| onset.places(self.class, self.window.start, speech_end_ms);
        let (onset_ms, onset_wire_ms) = self.onset.map(places).unzip();
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
