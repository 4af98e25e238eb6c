//! Detects the end of the caller's speech on a live stream.
//!
//! In: decoded samples with their position on the stream's timeline. Out: speech started, ended,
//! resumed. Invariants: the end equals that of [`speech_span`](super::speech_span) for the
//! utterance so far; memory is bounded by the hangover; gaps count as silence.

use super::level::{ActiveLevel, BELOW_ACTIVE_DB, NO_SPEECH_DBFS, WINDOW, loud_span, power_at};
use super::{FRAME, RATE, samples_in};
use std::collections::VecDeque;
use std::time::Duration;

/// A change between speech and silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpeechEvent {
    /// An utterance began. The position is coarse, because the level is not known yet.
    Started {
        /// First speech sample, on the stream's timeline.
        position: u64,
    },
    /// Silence has lasted for the length of the hangover.
    Ended {
        /// The sample after the last speech sample, on the stream's timeline.
        position: u64,
    },
    /// Speech resumed within a second of the position in `Ended`: the silence was a pause longer
    /// than the hangover.
    Resumed {
        /// First speech sample after the pause, on the stream's timeline.
        position: u64,
    },
}

/// Shortest hangover: the length of the longest Opus packet, so that no utterance begins and ends
/// within one packet.
pub(crate) const MIN_HANGOVER: Duration = Duration::from_millis(120);
/// Speech within this time of an end belongs to the same utterance: 1 s.
const RESUME: u64 = RATE as u64;
/// A step back in time by more than this starts a new timeline (an RTP reset): 5 s.
const STEP_BACK: u64 = 5 * RATE as u64;
/// Audio after a start that can mask what precedes it: 10 ms.
const MASKED: usize = 480;
/// Interval at which the level is updated during speech: 100 ms.
const LEVEL_EVERY: u64 = RATE as u64 / 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Quiet,
    Speaking,
    Ended(u64),
}

/// The detector for one stream.
#[derive(Debug)]
pub(crate) struct EndOfSpeech {
    hangover: u64,
    keep: usize,
    /// The last samples; at most twice `keep`.
    pcm: Vec<i16>,
    /// Position of the sample after the last one in `pcm`; `None` before the first sample.
    next: Option<u64>,
    meter: ActiveLevel,
    phase: Phase,
    /// Where the measurement of the utterance's level began.
    from: u64,
    /// Speech threshold as a mean square, derived from the level at `level_at`.
    power: f64,
    level_at: u64,
    /// Position after the last sample that exceeded `power`.
    loud_until: u64,
    events: VecDeque<SpeechEvent>,
}

impl EndOfSpeech {
    /// Creates a detector that reports the end of speech after `hangover` of silence, which is
    /// clamped to between [`MIN_HANGOVER`] and 10 s.
    pub(crate) fn new(hangover: Duration) -> Self {
        let hangover = samples_in(hangover.max(MIN_HANGOVER).min(Duration::from_secs(10)));
        let keep = hangover as usize + RATE as usize;
        Self {
            hangover,
            keep,
            pcm: Vec::with_capacity(2 * keep),
            next: None,
            meter: ActiveLevel::default(),
            phase: Phase::Quiet,
            from: 0,
            power: power_at(NO_SPEECH_DBFS - BELOW_ACTIVE_DB),
            level_at: 0,
            loud_until: 0,
            events: VecDeque::with_capacity(8),
        }
    }

    /// Takes samples, the first of which is at `position`. A gap before them counts as silence
    /// (DTX); samples already taken are skipped. Returns the oldest event not yet reported.
    pub(crate) fn push(&mut self, position: u64, pcm: &[i16]) -> Option<SpeechEvent> {
        let next = *self.next.get_or_insert(position);
        if position.saturating_add(STEP_BACK) < next {
            self.next = Some(position);
            self.forget(position);
            self.pcm.clear();
        }
        self.silence_until(position);
        let next = self.next.unwrap_or(position);
        let heard = (next - position.min(next)).min(pcm.len() as u64) as usize;
        for part in pcm[heard..].chunks(FRAME) {
            self.hear(part);
        }
        self.events.pop_front()
    }

    /// Takes silence up to `position`, where nothing arrived (DTX). Returns the oldest event not
    /// yet reported.
    pub(crate) fn advance(&mut self, position: u64) -> Option<SpeechEvent> {
        self.silence_until(position);
        self.events.pop_front()
    }

    /// Returns the oldest event not yet reported: a single `push` over a gap can produce two.
    pub(crate) fn poll(&mut self) -> Option<SpeechEvent> {
        self.events.pop_front()
    }

    /// The first speech sample of the utterance in progress, by the level of what has been heard of
    /// it; `None` if nobody speaks, or if its beginning is no longer kept.
    pub(crate) fn began(&self) -> Option<u64> {
        let oldest = self.next? - self.pcm.len() as u64;
        let (start, _) = self.span(self.from, self.next?, 0)?;
        let kept = oldest == 0 || start > oldest + WINDOW as u64;
        (self.phase == Phase::Speaking && kept).then(|| self.without_pre_echo(start))
    }

    /// The position at which sound that was detected at `start` begins, without the codec's
    /// pre-echo, which smears a sharp start over the samples before it: sound more than 20 dB below
    /// the loudest 2 ms of the next 10 ms is inaudible, as in the onset detector.
    pub(crate) fn without_pre_echo(&self, start: u64) -> u64 {
        let next = self.next.unwrap_or(0);
        let oldest = next - self.pcm.len() as u64;
        let Some(from) = start.checked_sub(oldest) else {
            return start;
        };
        let near = self.pcm.get(from as usize..).unwrap_or_default();
        let near = &near[..near.len().min(MASKED + WINDOW)];
        let mean = |window: &[i16]| {
            let squares = window.iter().map(|x| f64::from(*x).powi(2));
            squares.sum::<f64>() / WINDOW as f64
        };
        let loudest = near.windows(WINDOW).map(mean).fold(0.0, f64::max);
        let power = loudest / 10f64.powf(BELOW_ACTIVE_DB / 10.0);
        let begins = loud_span(near, power).filter(|_| loudest > 0.0);
        begins.map_or(start, |(begins, _)| start + begins as u64)
    }

    /// Ends the turn: speech from now on is a new utterance, not a resumption of the last one.
    pub(crate) fn next_utterance(&mut self) {
        self.forget(self.next.unwrap_or(0));
    }

    fn silence_until(&mut self, position: u64) {
        let Some(next) = self.next else { return };
        let missing = position.saturating_sub(next);
        let heard = missing.min(self.keep as u64 + RESUME);
        let mut left = heard as usize;
        while left > 0 {
            let part = left.min(FRAME);
            self.hear(&[0; FRAME][..part]);
            left -= part;
        }
        // At this point the utterance is over and the buffer holds only silence.
        if missing > heard {
            self.next = Some(position);
            self.forget(position);
        }
    }

    fn forget(&mut self, from: u64) {
        self.meter = ActiveLevel::default();
        self.phase = Phase::Quiet;
        self.from = from;
        self.power = power_at(NO_SPEECH_DBFS - BELOW_ACTIVE_DB);
        self.level_at = 0;
    }

    /// Takes at most one frame, contiguous with the samples before it.
    fn hear(&mut self, part: &[i16]) {
        if self.pcm.len() + part.len() > 2 * self.keep {
            self.pcm.drain(..self.pcm.len() - self.keep);
        }
        self.pcm.extend_from_slice(part);
        let now = self.next.unwrap_or(0) + part.len() as u64;
        self.next = Some(now);
        self.meter.push(part);

        let fresh = self.span(now - part.len() as u64, now, WINDOW as u64);
        if let Some((_, end)) = fresh {
            self.loud_until = end;
        }
        match self.phase {
            Phase::Quiet => {
                if fresh.is_some() && self.level() {
                    self.start(now);
                }
            }
            Phase::Speaking => {
                if now - self.level_at > LEVEL_EVERY && fresh.is_some() {
                    self.level();
                }
                if now - self.loud_until >= self.hangover {
                    self.end(now);
                }
            }
            Phase::Ended(end) => {
                if let Some((start, _)) = fresh.filter(|(_, until)| *until > end) {
                    self.phase = Phase::Speaking;
                    self.events
                        .push_back(SpeechEvent::Resumed { position: start });
                } else if now - end > RESUME {
                    self.forget(now);
                }
            }
        }
    }

    /// Updates the threshold from the level of the utterance so far. Returns `false` while that
    /// level is too low for speech.
    fn level(&mut self) -> bool {
        let Some(level) = self.meter.level().filter(|&level| level >= NO_SPEECH_DBFS) else {
            return false;
        };
        self.power = power_at(level - BELOW_ACTIVE_DB);
        self.level_at = self.next.unwrap_or(0);
        true
    }

    fn start(&mut self, now: u64) {
        if let Some((start, end)) = self.span(self.from, now, 0) {
            self.phase = Phase::Speaking;
            self.loud_until = end;
            self.events
                .push_back(SpeechEvent::Started { position: start });
        }
    }

    /// Called when the hangover seems to be over: checks again with the level of the whole
    /// utterance.
    fn end(&mut self, now: u64) {
        self.level();
        // If nothing in the buffer is loud, speech ended before the oldest sample in it.
        let end = self
            .span(self.from, now, 0)
            .map_or(self.loud_until, |(_, end)| end);
        self.loud_until = end;
        if now - end >= self.hangover {
            self.phase = Phase::Ended(end);
            self.events.push_back(SpeechEvent::Ended { position: end });
        }
    }

    /// Span of the loud samples in `from..to`, with `before` samples of context ahead of it.
    fn span(&self, from: u64, to: u64, before: u64) -> Option<(u64, u64)> {
        let oldest = to - self.pcm.len() as u64;
        let from = from.saturating_sub(before).max(self.from).max(oldest);
        let slice = &self.pcm[(from - oldest) as usize..];
        loud_span(slice, self.power).map(|(a, b)| (from + a as u64, from + b as u64))
    }
}

#[cfg(test)]
mod tests;
