//! The recording of a whole call until it is written, as packets rather than samples.
//!
//! In: the pieces of a call. Out: both channels, part after part, and the call's entry in the
//! index. Invariants: the left channel is the caller's microphone and the right one its
//! loudspeaker, as in the recordings of turns, from the first frame sent to the hanging up; an hour
//! of a call is never in memory as samples.

use super::piece::{CallEnd, Frame, Piece, TakenTurn};
use super::take::{Class, OnsetAt};
use crate::audio::packets::HeldPacket;
use crate::audio::replay::{Loudspeaker, Microphone, SaidFrame, Window};
use crate::audio::{AudioError, Pcm, RATE, Third, samples_in, time_of};
use crate::record::{EvidenceCall, EvidenceFolder, EvidencePlace, EvidenceReason, Ms, wav_bytes};
use std::time::Instant;

/// Samples per part that is rendered: ten seconds.
const PART: usize = 10 * RATE as usize;
/// Maximum number of turns whose places are in the index.
pub(super) const PLACES: usize = 500;

/// The recording of a call that has ended.
#[derive(Debug)]
pub(super) struct Recording {
    pub call: usize,
    pieces: Vec<Piece>,
    end: CallEnd,
    window: Window,
}

/// A turn, and where its onset is.
type Placed = (TakenTurn, Option<OnsetAt>);

impl Recording {
    /// `None` if nothing was sent or received.
    pub(super) fn new(pieces: Vec<Piece>, end: CallEnd) -> Option<Self> {
        let call = pieces.first()?.call;
        let first_sent = pieces.iter().find_map(|piece| piece.sent.first());
        let first_heard = pieces.iter().find_map(|piece| piece.packets.iter().next());
        let start = first_sent
            .map(|frame| frame.captured)
            .into_iter()
            .chain(first_heard.map(|held| held.packet.arrival))
            .min()?;
        let samples = samples_in(end.at.saturating_duration_since(start)) as usize;
        Some(Self {
            call,
            pieces,
            end,
            window: Window {
                start,
                // A whole number of samples of the file.
                length: samples / 3 * 3,
            },
        })
    }

    /// Approximate memory use in bytes.
    pub(super) fn weight(&self) -> usize {
        self.pieces.iter().map(Piece::weight).sum()
    }

    /// Size of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        wav_bytes(self.window.length / 3)
    }

    fn packets(&self) -> impl Iterator<Item = HeldPacket<'_>> + Clone {
        self.pieces.iter().flat_map(|piece| piece.packets.iter())
    }

    fn sent(&self) -> impl Iterator<Item = SaidFrame<'_>> {
        let frames = self.pieces.iter().flat_map(|piece| &piece.sent);
        frames.map(|Frame { captured, payload }| SaidFrame {
            // One encoder after another, but one decoder, as at the agent.
            turn: 0,
            captured: *captured,
            payload,
        })
    }

    /// The turns in which the caller spoke, with the onsets of their replies.
    pub(super) fn placed(&self) -> Vec<Placed> {
        let locate = |turn: &TakenTurn| {
            let onset = turn.onset?;
            Some(OnsetAt::located(self.packets(), &onset, turn.playout_delay))
        };
        let turns = self.end.turns.iter();
        turns.map(|turn| (*turn, locate(turn))).collect()
    }

    /// Both channels, part after part.
    pub(super) fn parts(
        &self,
        placed: &[Placed],
    ) -> Result<impl FnMut() -> Result<Option<[Pcm; 2]>, AudioError>, AudioError> {
        let codec = self.pieces.first().map(|piece| piece.codec);
        let codec = codec.unwrap_or_default();
        let onsets = placed
            .iter()
            .filter_map(|(_, onset)| Some(onset.as_ref()?.packet));
        let mut left = Microphone::new(self.sent(), self.window, codec)?;
        let mut right = Loudspeaker::new(self.packets(), self.window, codec, onsets);
        let mut thirds = Some([Third::new(), Third::new()]);
        Ok(move || {
            let Some(both) = &mut thirds else {
                return Ok(None);
            };
            let sides = [left.part(PART)?, right.part(PART)?];
            let is_end = sides[0].is_empty();
            let [l, r] = both;
            let out = [l.part(&sides[0]), r.part(&sides[1])];
            Ok(Some(match thirds.take_if(|_| is_end) {
                Some(ends) => ends.map(Third::end),
                None => out,
            }))
        })
    }

    /// The call's entry in the index.
    pub(super) fn entry(&self, placed: &[Placed], run_start: Instant) -> EvidenceCall {
        let start = self.window.start;
        let place = |(turn, onset): &Placed| {
            let speech_end_ms = Ms::between(start, turn.speech_end);
            let class = turn.class.unwrap_or(Class::Other);
            let places = onset.map(|onset| onset.places(class, start, speech_end_ms));
            let (onset_ms, onset_wire_ms) = places.unzip();
            EvidencePlace {
                turn: turn.turn,
                started_ms: Ms::between(start, turn.started),
                speech_end_ms,
                onset_ms,
                onset_wire_ms,
            }
        };
        EvidenceCall {
            file: EvidenceFolder::call_name(self.call),
            call: self.call,
            why: self.why(),
            sample_rate: Third::RATE,
            start_ms: Ms::between(run_start, start),
            length_ms: time_of(self.window.length as u64).into(),
            turns: placed.iter().take(PLACES).map(place).collect(),
            cut: self.pieces.iter().any(|piece| piece.cut),
        }
    }

    fn why(&self) -> EvidenceReason {
        match (self.end.failed, self.end.slowest()) {
            (0, Some(_)) => EvidenceReason::Slowest,
            (0, None) => EvidenceReason::All,
            _ => EvidenceReason::Failed,
        }
    }
}
