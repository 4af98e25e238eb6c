//! A piece of a call's recording: a few seconds of packets received and frames sent.
//!
//! In: the result of a call that has ended. Out: what its recording needs of it. Invariant: a piece
//! is as small as what was received and sent: the payloads of sent frames are shared.

use super::take::Class;
use crate::audio::packets::Packets;
use crate::audio::{Codec, Onset};
use crate::call::{CallResult, Outcome, TurnResult};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A frame that the caller sent, with the capture time of its first sample.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub captured: Instant,
    pub payload: Arc<[u8]>,
}

/// A turn of a recorded call in which the caller spoke or sent a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenTurn {
    pub turn: usize,
    /// `None` for a turn that counts neither as replied nor as failed.
    pub class: Option<Class>,
    /// Start of the utterance.
    pub started: Instant,
    pub speech_end: Instant,
    pub onset: Option<Onset>,
    pub playout_delay: Option<Duration>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct CallEnd {
    /// When the caller hung up.
    pub at: Instant,
    pub turns: Vec<TakenTurn>,
    /// Number of missed, early and failed turns; 0 if the caller never said anything.
    pub failed: usize,
}

/// A piece of a call.
#[derive(Debug)]
pub(super) struct Piece {
    pub call: usize,
    pub codec: Codec,
    pub packets: Packets,
    pub sent: Vec<Frame>,
    /// An earlier piece of the call was lost because the queue was full.
    pub cut: bool,
    /// Present in the last piece of a call.
    pub end: Option<CallEnd>,
}

impl Piece {
    pub(super) fn empty(call: usize, codec: Codec) -> Self {
        Self {
            call,
            codec,
            packets: Packets::default(),
            sent: Vec::new(),
            cut: false,
            end: None,
        }
    }

    /// Approximate memory use in bytes.
    pub(super) fn weight(&self) -> usize {
        let turns = self.end.as_ref().map_or(0, |end| end.turns.len());
        self.packets.weight()
            + self.sent.len() * size_of::<Frame>()
            + turns * size_of::<TakenTurn>()
            + size_of::<Self>()
    }
}

impl CallEnd {
    pub(super) fn of(result: &CallResult, at: Instant) -> Self {
        let turns: Vec<TakenTurn> = result.turns.iter().filter_map(TakenTurn::of).collect();
        let is_failed = |turn: &&TurnResult| {
            matches!(
                turn.outcome,
                Outcome::Missed | Outcome::Early | Outcome::Failed
            )
        };
        let failed = match turns.is_empty() {
            true => 0,
            false => result.turns.iter().filter(is_failed).count(),
        };
        Self { at, turns, failed }
    }

    /// The longest `ttfa` of the call, by the rule by which turns are selected.
    pub(super) fn slowest(&self) -> Option<crate::record::Ms> {
        let ttfa = self.turns.iter().filter_map(|turn| match turn.class {
            Some(Class::Replied(ttfa)) => Some(ttfa),
            _ => None,
        });
        ttfa.max()
    }
}

impl TakenTurn {
    fn of(turn: &TurnResult) -> Option<Self> {
        Some(Self {
            turn: turn.turn,
            class: match turn.outcome {
                Outcome::CutOff | Outcome::NotRun | Outcome::Skipped => None,
                _ => Some(Class::of(turn)),
            },
            started: turn.media_start?,
            speech_end: turn.speech_end?,
            onset: turn.onset,
            playout_delay: turn.playout_delay,
        })
    }
}

/// Packet number `k` of a stream that begins at `start`.
#[cfg(test)]
pub(super) fn nth_packet(
    start: Instant,
    k: u32,
    payload: &[u8],
) -> crate::audio::packets::HeldPacket<'_> {
    use crate::audio::{FRAME_TIME, Packet};
    crate::audio::packets::HeldPacket {
        packet: Packet {
            arrival: start + FRAME_TIME * k,
            kernel_stamp: true,
            rtp_time: 960 * k,
            sequence: u64::from(k),
            level: None,
            payload,
        },
        hold: FRAME_TIME,
        stream: 0,
    }
}
