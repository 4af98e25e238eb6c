//! Captures the evidence of one caller, on its media thread.
//!
//! In: the agent's packets, the sent frames, ended turns. Out: a [`Take`] for each turn in which
//! the caller spoke, queued without blocking, and the whole call if calls are kept. Invariants:
//! audio of turns is dropped once it is older than the oldest turn in progress needs; memory is
//! bounded by [`PacketRing`], [`FRAMES`] and the [`Recorder`].

use super::queue::Sink;
use super::recorder::Recorder;
use super::take::{Class, LONGEST, OnsetAt, SentFrame, Take};
use crate::audio::packets::{HeldPacket, PacketRing};
use crate::audio::replay::Window;
use crate::audio::{Codec, FRAME_TIME, Packet, samples_in};
use crate::call::{CallResult, StreamId, TurnResult};
use crate::scenario::EvidenceSelection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long before its utterance a file starts.
const LEAD: Duration = Duration::from_millis(500);
/// Maximum length of an utterance that is kept, counted backwards from its end of speech.
const SPEECH: Duration = Duration::from_secs(20);
/// Maximum length of a reply that is kept.
const REPLY: Duration = Duration::from_secs(5);
/// How long before the start of a file packets are kept: the longest playout delay plus the
/// decoder's history.
const BEFORE: Duration = Duration::from_millis(2_500);
/// Maximum number of sent frames that are kept; they cover more than [`LONGEST`].
const FRAMES: usize = 3_200;

/// A turn in progress.
#[derive(Debug)]
struct Open {
    turn: usize,
    /// Start of its file.
    from: Instant,
}

/// The evidence of one call in progress.
#[derive(Debug)]
pub(in crate::run) struct Capture {
    call: usize,
    codec: Codec,
    ring: PacketRing,
    refused: u64,
    said: VecDeque<SentFrame>,
    open: VecDeque<Open>,
    /// Whether the audio of turns is kept.
    turns: bool,
    /// Records the whole call, if calls are kept.
    recorder: Option<Recorder>,
    to: Sink,
}

impl Capture {
    /// `to` receives the audio of this call.
    pub(super) fn new(call: usize, codec: Codec, asked: EvidenceSelection, to: Sink) -> Self {
        Self {
            turns: asked.keeps_turns(),
            recorder: (asked.calls > 0).then(|| Recorder::new(call, codec, to.clone())),
            call,
            codec,
            ring: PacketRing::new(codec),
            refused: 0,
            said: VecDeque::new(),
            open: VecDeque::new(),
            to,
        }
    }

    /// Records a packet of one of the agent's streams, with its playout delay.
    pub(in crate::run) fn heard(&mut self, stream: StreamId, packet: Packet<'_>, hold: Duration) {
        let held = HeldPacket {
            packet,
            hold,
            stream,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.heard(&held);
        }
        if !self.turns {
            return;
        }
        let oldest = self.open.iter().map(|open| open.from).min();
        let wanted = oldest.unwrap_or_else(|| sooner(packet.arrival, LEAD));
        self.ring.forget_before(sooner(wanted, BEFORE));
        self.ring.push(&held);
    }

    /// Records any frame that the caller sends, silence included, if calls are kept. `captured`:
    /// capture time of its first sample.
    pub(in crate::run) fn sent(&mut self, captured: Instant, payload: &Arc<[u8]>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.sent(captured, payload);
        }
    }

    /// Records frame `frame` of the utterance of turn `turn`. `captured`: capture time of its first
    /// sample; `speech_end`: the end of speech, counted from the start of the utterance.
    pub(in crate::run) fn said(
        &mut self,
        (turn, frame): (usize, usize),
        captured: Instant,
        speech_end: Duration,
        payload: &Arc<[u8]>,
    ) {
        if !self.turns {
            return;
        }
        if self.open.back().is_none_or(|open| open.turn != turn) {
            let before = FRAME_TIME * u32::try_from(frame).unwrap_or(u32::MAX);
            let start = sooner(captured, before);
            let from = sooner(start + speech_end, speech_end.min(SPEECH) + LEAD);
            self.open.push_back(Open { turn, from });
        }
        let wanted = self.open.iter().map(|open| open.from).min();
        while self.said.len() == FRAMES
            || self
                .said
                .front()
                .zip(wanted)
                .is_some_and(|(s, w)| s.captured < w)
        {
            self.said.pop_front();
        }
        self.said.push_back(SentFrame {
            turn,
            captured,
            payload: payload.clone(),
        });
    }

    /// Passes the audio of an ended turn to the evidence thread.
    pub(in crate::run) fn ended(&mut self, turn: &TurnResult, now: Instant) {
        let Some(at) = self.open.iter().position(|open| open.turn == turn.turn) else {
            return; // The caller never spoke in this turn.
        };
        let Some(open) = self.open.remove(at) else {
            return;
        };
        let Some(speech_end) = turn.speech_end else {
            return;
        };
        let packets = self.ring.copied();
        let located = |onset| OnsetAt::located(packets.iter(), &onset, turn.playout_delay);
        let onset = turn.onset.map(located);
        let end = onset.map_or(now, |o| now.min(o.wire + o.hold + REPLY));
        let end = end.max(speech_end).min(open.from + LONGEST);
        let length = end.saturating_duration_since(open.from);
        let refused = self.ring.refused();
        let take = Take {
            call: self.call,
            turn: turn.turn,
            codec: self.codec,
            class: Class::of(turn),
            window: Window {
                start: open.from,
                length: samples_in(length) as usize,
            },
            speech_end,
            onset,
            said: self.said_between(open.from, end),
            cut: refused > self.refused,
            packets,
        };
        self.refused = refused;
        self.to.offer(take);
    }

    /// The run was stopped: turns that end from now on are not kept.
    pub(in crate::run) fn stopped(&mut self) {
        self.turns = false;
        self.open.clear();
    }

    /// The call is over.
    pub(in crate::run) fn finished(self, result: &CallResult, now: Instant) {
        if let Some(recorder) = self.recorder {
            recorder.finished(result, now);
        }
    }

    fn said_between(&self, from: Instant, to: Instant) -> Vec<SentFrame> {
        let inside = |s: &&SentFrame| s.captured + FRAME_TIME > from && s.captured < to;
        self.said.iter().filter(inside).cloned().collect()
    }

    /// Numbers of bytes, packets and frames held.
    #[cfg(test)]
    pub(in crate::run) fn size(&self) -> (usize, usize, usize) {
        let (bytes, packets) = self.ring.size();
        (bytes, packets, self.said.len())
    }
}

fn sooner(at: Instant, by: Duration) -> Instant {
    at.checked_sub(by).unwrap_or(at)
}
