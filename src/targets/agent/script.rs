//! What the agent sends while it says something: each packet, when it is due, and what to log once
//! it has left.
//!
//! In: a clip. Out: a script, shared by all calls that follow it. Invariants: packets are in the
//! order of the clip's frames; positions are samples of the clip's decoded audio.

use super::clip::{Clip, DTX_BYTES};
use crate::audio::{FRAME, FRAME_TIME, RATE, time_of};
use crate::vocab::FaultKind;
use std::sync::Arc;
use std::time::Duration;

/// A packet of a script: what it holds, and when it is sent.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub payload: Arc<[u8]>,
    /// When it is due, from the start of the script.
    pub at: Duration,
    /// Its RTP time, from the start of the script.
    pub media: Duration,
    /// How many sequence numbers are missing before it.
    pub left_out: u64,
    /// Its number among the clip's frames.
    pub frame: usize,
}

impl Item {
    /// Position of its first sample.
    fn start(&self) -> u64 {
        (self.frame * FRAME) as u64
    }
}

/// What happens at a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    /// The first audible sample.
    Onset,
    /// A fault begins, or has just ended if it is one of missing or late packets.
    Fault(Planted),
    /// The sample after the last audible one.
    End,
}

/// A fault in a script.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Planted {
    pub kind: FaultKind,
    /// Where it begins, from the first audible sample, on the timeline of the audio.
    pub media: Duration,
    pub length: Duration,
    pub gain_db: Option<f64>,
    /// Packets that are missing, or that are sent at once.
    pub packets: usize,
}

/// The packets of an utterance.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub clip: Arc<Clip>,
    pub items: Vec<Item>,
    /// What to log, in order of position.
    pub marks: Vec<(u64, Mark)>,
    /// Number of samples of the same reply before the clip, if the clip is the rest of a reply.
    pub said: u64,
}

impl Script {
    /// Plays a clip as it is.
    pub(super) fn plain(clip: Arc<Clip>) -> Self {
        let numbered = clip.frames.iter().enumerate();
        let items = numbered.filter(|(_, payload)| payload.len() > DTX_BYTES);
        let items = items.map(|(frame, payload)| Item {
            payload: payload.clone(),
            at: FRAME_TIME * frame as u32,
            media: FRAME_TIME * frame as u32,
            left_out: 0,
            frame,
        });
        Self {
            items: items.collect(),
            marks: vec![(clip.onset, Mark::Onset), (clip.end, Mark::End)],
            clip,
            said: 0,
        }
    }

    /// Adds a mark in its place.
    pub(super) fn mark(&mut self, position: u64, mark: Mark) {
        let at = self.marks.partition_point(|(p, _)| *p <= position);
        self.marks.insert(at, (position, mark));
    }

    /// When the sample at `position` is on the wire, from the start of the script. A position that
    /// is not sent counts as the next one that is.
    pub(super) fn wire(&self, position: u64) -> Duration {
        let end = |item: &&Item| item.start() + FRAME as u64 > position;
        match self.items.iter().find(end) {
            Some(item) => item.at + time_of(position.saturating_sub(item.start())),
            None => self.items.last().map_or(Duration::ZERO, |last| {
                last.at + time_of(position.saturating_sub(last.start()))
            }),
        }
    }

    /// When the first audible sample is on the wire, from the start of the script.
    pub(super) fn onset(&self) -> Duration {
        self.wire(self.clip.onset)
    }

    /// When the last audible sample is on the wire, from the start of the script.
    pub(super) fn end(&self) -> Duration {
        let marks = self.marks.iter().rev();
        let mut ends = marks.filter(|(_, mark)| *mark == Mark::End);
        ends.next()
            .map_or(Duration::ZERO, |(end, _)| self.wire(end.saturating_sub(1)))
    }

    /// The marks from the one numbered `next` on that belong to item number `item`, each with its
    /// offset in that packet.
    pub(super) fn due(&self, next: usize, item: usize) -> impl Iterator<Item = (Duration, Mark)> {
        let start = self.items.get(item).map_or(0, Item::start);
        let is_last = item + 1 >= self.items.len();
        let marks = self.marks.get(next..).unwrap_or_default();
        marks
            .iter()
            // The sample after the last audible one may be the first of the next packet.
            .take_while(move |(position, mark)| {
                let inside = position - u64::from(*mark == Mark::End);
                is_last || inside < start + FRAME as u64
            })
            .map(move |(position, mark)| (time_of(position.saturating_sub(start)), *mark))
    }

    /// The place of a position in the whole reply, from its first audible sample.
    pub(super) fn place(&self, position: u64) -> Duration {
        let onset = if self.said == 0 { self.clip.onset } else { 0 };
        time_of((self.said + position).saturating_sub(onset))
    }

    /// Length of the clip after its first audible sample.
    pub(super) fn length(&self) -> Duration {
        let all = (self.clip.frames.len() * FRAME) as u64;
        time_of(all.saturating_sub(self.clip.onset))
    }

    /// Number of the item with the first frame at or after `frame`.
    pub(super) fn item_of(&self, frame: usize) -> usize {
        self.items.partition_point(|item| item.frame < frame)
    }
}

/// Number of samples in a whole number of frames that lasts at least `time`.
pub(super) fn frames_in(time: Duration) -> usize {
    let samples = time.as_nanos() * u128::from(RATE) / 1_000_000_000;
    (samples as usize).div_ceil(FRAME)
}
