//! The lines of the truth file.
//!
//! In: what happened. Out: JSON objects. Invariants: instants are nanoseconds on CLOCK_MONOTONIC;
//! an audible instant is that at which its packet was handed to the kernel, plus the sample's
//! offset in it. The fields of `reply` are those that a line without `event` had.

use super::script::Planted;
use crate::vocab::FaultKind;
use serde::Serialize;
use std::time::Duration;

/// A line of the truth file: what the agent did, and in which room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TruthLine {
    pub room: String,
    #[serde(flatten)]
    pub told: Told,
}

/// What happened in a call. `turn` is the index of the reply concerned, from 0; `None` is the
/// greeting.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Told {
    /// A reply became audible.
    Reply {
        /// Index of the caller's turn, from 0.
        turn: u32,
        /// Arrival of the packet that contained the caller's last speech sample.
        last_speech_packet_ns: u64,
        /// Capture time of the caller's last speech sample.
        speech_end_ns: u64,
        /// When the packet with the reply's first audible sample was handed to the kernel.
        reply_packet_ns: u64,
        /// Offset of that sample in the packet's decoded audio.
        onset_offset_ms: f64,
        /// The delay that was scheduled for the reply.
        delay_ms: f64,
    },
    /// What the agent was saying has ended.
    ReplyEnd {
        turn: Option<u32>,
        part: &'static str,
        last_audible_ns: u64,
    },
    /// The agent stopped because its caller interrupted it.
    Stop {
        turn: Option<u32>,
        /// Capture time of the first sample of the caller's speech.
        caller_start_ns: u64,
        last_audible_ns: u64,
        /// The requested delay; absent if the agent was to stop as soon as it noticed.
        #[serde(skip_serializing_if = "Option::is_none")]
        asked_ms: Option<f64>,
        /// Where in the reply it stopped, from its first audible sample.
        media_ms: f64,
    },
    /// The agent ignored an interruption.
    Ignored {
        turn: Option<u32>,
        caller_start_ns: u64,
    },
    /// The agent went on with the reply that had been interrupted.
    Resumed(Again),
    /// The agent began the interrupted reply anew.
    Restarted(Again),
    /// The agent took a pause for the end of the turn.
    Early {
        turn: u32,
        /// Capture time of the last speech sample before the pause.
        pause_start_ns: u64,
        /// Capture time of the first one after it.
        pause_end_ns: u64,
    },
    /// A filler became audible.
    Filler { turn: u32, audible_ns: u64 },
    /// The answer behind a filler became audible.
    Answer {
        turn: u32,
        audible_ns: u64,
        /// The requested gap.
        gap_ms: f64,
    },
    /// Audio is late, silent or missing in the middle of a reply.
    Hole {
        turn: Option<u32>,
        kind: FaultKind,
        /// Where, from the reply's first audible sample, without the holes themselves.
        media_ms: f64,
        length_ms: f64,
        /// When the first sample after the hole was due to be heard; of digital silence, the first
        /// sample of the silence.
        at_ns: u64,
    },
    /// Packets that were held back have left at once.
    Burst {
        turn: Option<u32>,
        media_ms: f64,
        length_ms: f64,
        packets: usize,
        at_ns: u64,
    },
    /// The reply began inside a sound.
    CutHead(Piece),
    /// The reply ended inside a sound.
    CutTail(Piece),
    /// A piece of the reply is said twice, the second time from `at_ns` + `length_ms` on.
    Repeat(Piece),
    /// The reply is amplified and clipped.
    Clipped(Louder),
    /// The level of the reply changes.
    Level(Louder),
    /// The agent did not answer a turn.
    Silent { turn: u32, speech_end_ns: u64 },
    /// The agent left the call.
    HungUp { turn: u32, at_ns: u64 },
    /// The agent began to publish its track again.
    Republished { turn: u32, at_ns: u64 },
    /// The agent sent its first packet, with which a server publishes the track.
    Published { at_ns: u64 },
}

/// The agent spoke again after an interruption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Again {
    pub turn: Option<u32>,
    /// First and last sample of the caller's interruption.
    pub caller_start_ns: u64,
    pub caller_end_ns: u64,
    pub audible_ns: u64,
    pub pause_ms: f64,
    /// Where in the reply it went on, from its first audible sample.
    pub media_ms: f64,
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Piece {
    pub turn: Option<u32>,
    pub media_ms: f64,
    pub length_ms: f64,
    pub at_ns: u64,
}

/// A piece of a reply whose level is different.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Louder {
    pub turn: Option<u32>,
    pub media_ms: f64,
    pub length_ms: f64,
    pub gain_db: f64,
    pub at_ns: u64,
}

pub(super) fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Told {
    /// A fault of a reply, whose place in the audio was sent at `at_ns`.
    pub(super) fn fault(turn: Option<u32>, planted: &Planted, at_ns: u64) -> Self {
        let Planted { kind, packets, .. } = *planted;
        let (media_ms, length_ms) = (in_ms(planted.media), in_ms(planted.length));
        let piece = Piece {
            turn,
            media_ms,
            length_ms,
            at_ns,
        };
        let louder = Louder {
            turn,
            media_ms,
            length_ms,
            gain_db: planted.gain_db.unwrap_or_default(),
            at_ns,
        };
        match kind {
            FaultKind::Hole | FaultKind::DigitalSilence | FaultKind::Loss => Self::Hole {
                turn,
                kind,
                media_ms,
                length_ms,
                at_ns,
            },
            FaultKind::Burst => Self::Burst {
                turn,
                media_ms,
                length_ms,
                packets,
                at_ns,
            },
            FaultKind::CutHead => Self::CutHead(piece),
            FaultKind::CutTail => Self::CutTail(piece),
            FaultKind::Repeat => Self::Repeat(piece),
            FaultKind::Clipping => Self::Clipped(louder),
            FaultKind::LevelJump => Self::Level(louder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_flat_object_with_the_event_and_the_fields_of_before() {
        let line = TruthLine {
            room: "r".into(),
            told: Told::Reply {
                turn: 3,
                last_speech_packet_ns: 1,
                speech_end_ns: 2,
                reply_packet_ns: 3,
                onset_offset_ms: 0.5,
                delay_ms: 400.0,
            },
        };
        let text = serde_json::to_string(&line).expect("json");
        let expected = "{\"room\":\"r\",\"event\":\"reply\",\"turn\":3,\"last_speech_packet_ns\":1,\
                        \"speech_end_ns\":2,\"reply_packet_ns\":3,\"onset_offset_ms\":0.5,\
                        \"delay_ms\":400.0}";
        assert_eq!(text, expected);
    }

    #[test]
    fn every_kind_of_fault_has_a_line_of_its_own_or_a_kind_of_hole() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in FaultKind::ALL {
            let planted = Planted {
                kind: *kind,
                media: Duration::from_millis(500),
                length: Duration::from_millis(40),
                gain_db: None,
                packets: 2,
            };
            let value = serde_json::to_value(Told::fault(Some(1), &planted, 7)).expect("json");
            assert_eq!(
                (&value["media_ms"], &value["at_ns"]),
                (&500.0.into(), &7.into())
            );
            assert!(seen.insert(format!("{}{}", value["event"], value["kind"])));
        }
    }
}
