//! Assigns the frames of an utterance to send slots and measures how late its end of speech is
//! sent.
//!
//! In: send slots and send stamps. Out: frame numbers; lateness. Invariant: frame k is sent in the
//! slot due at media start + (k+1)·20 ms, or not at all.

use super::{TurnScript, later};
use crate::audio::FRAME_TIME;
use std::time::{Duration, Instant};

/// Delay with which the last speech sample leaves a decoder: the codec's look-ahead (6.5 ms) and
/// its smearing of an abrupt end (2 ms). The packet that carries that sample determines when the
/// agent receives the end of speech.
const CODEC_TAIL: Duration = Duration::from_micros(6_500 + 2_000);

/// An utterance being sent.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    media_start: Instant,
    /// End of speech, from the start of the utterance.
    speech_end: Duration,
    /// Length of the utterance.
    frames: usize,
    /// Number of frames whose slots have passed.
    passed: usize,
}

impl Sending {
    pub(super) fn new(media_start: Instant, script: &TurnScript) -> Self {
        Self {
            media_start,
            speech_end: script.speech_end,
            frames: script.frames,
            passed: 0,
        }
    }

    /// The frame for the slot due at `due`; `None` once the utterance is over. A skipped slot skips
    /// its frame.
    pub(super) fn frame(&mut self, due: Instant) -> Option<usize> {
        let half = FRAME_TIME / 2;
        let since = (due + half).saturating_duration_since(self.media_start);
        let slot = usize::try_from(since.as_nanos() / FRAME_TIME.as_nanos()).unwrap_or(usize::MAX);
        let frame = slot.saturating_sub(1).max(self.passed);
        self.passed = frame.saturating_add(1).min(self.frames);
        (frame < self.frames).then_some(frame)
    }

    /// Send lateness of the packet that was due at `due` and sent at `actual`; `None` for packets
    /// that do not determine when the agent receives the end of speech.
    pub(super) fn lateness(&self, due: Instant, actual: Instant) -> Option<Duration> {
        let [first, last] = [Duration::ZERO, CODEC_TAIL].map(|tail| {
            let captured = self.speech_end.saturating_add(tail);
            later(self.media_start, self.slot_of(captured))
        });
        let half = FRAME_TIME / 2;
        // Without an utterance there is no end of speech to be late.
        let decides = self.frames > 0 && first < due + half && due < last + half;
        decides.then(|| actual.saturating_duration_since(due))
    }

    /// Time from media start to the slot of the packet that holds the audio captured at `captured`.
    fn slot_of(&self, captured: Duration) -> Duration {
        let speech = captured.as_nanos();
        let slots = usize::try_from(speech.div_ceil(FRAME_TIME.as_nanos())).unwrap_or(usize::MAX);
        let slots = slots.clamp(1, self.frames.max(1));
        FRAME_TIME * u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Says no more.
    pub(super) fn stop(&mut self) {
        self.frames = self.passed;
    }

    /// Whether the slots of all frames have passed.
    pub(super) fn is_over(&self) -> bool {
        self.passed >= self.frames
    }

    /// The slot of the last frame.
    pub(super) fn end(&self) -> Instant {
        let frames = u32::try_from(self.frames).unwrap_or(u32::MAX);
        later(self.media_start, FRAME_TIME * frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Anchor, Expect};

    const FRAMES: usize = 10;

    /// Ten frames; speech ends in the fourth, 5 ms before the end of that frame.
    fn sending(start: Instant) -> Sending {
        let script = TurnScript {
            anchor: Anchor::CallStart,
            silence: Duration::ZERO,
            delay: Duration::ZERO,
            expect: Expect::Respond,
            timeout: Duration::ZERO,
            frames: FRAMES,
            speech_start: Duration::ZERO,
            speech_end: Duration::from_millis(75),
            segments: None,
            filler: None,
            awkward: Duration::from_secs(3),
        };
        Sending::new(start, &script)
    }

    #[test]
    fn a_skipped_slot_skips_its_frame() {
        let start = Instant::now();
        let mut sending = sending(start);
        let slots = [1, 2, 5, 5, 9, 10, 11];
        let frames = slots.map(|slot| sending.frame(start + FRAME_TIME * slot));
        let expected = [0, 1, 4, 5, 8, 9].map(Some);
        assert_eq!((&frames[..6], frames[6]), (&expected[..], None));
        assert!(sending.is_over());
        assert_eq!(sending.end(), start + FRAME_TIME * FRAMES as u32);
    }

    #[test]
    fn only_packets_with_the_end_of_speech_have_a_lateness() {
        let start = Instant::now();
        let sending = sending(start);
        let late = Duration::from_millis(3);
        // The codec's look-ahead moves the end of speech into the fifth packet.
        for slot in 1..=FRAMES as u32 {
            let due = start + FRAME_TIME * slot;
            let expected = [4, 5].contains(&slot).then_some(late);
            assert_eq!(sending.lateness(due, due + late), expected, "{slot}");
        }
    }
}
