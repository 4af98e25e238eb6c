//! Finds, while it listens, where the caller's speech ended.
//!
//! In: decoded samples with their place on the stream's timeline. Out: speech started, ended,
//! went on. Holds: the end is what [`speech_span`](super::speech_span) gives for the utterance
//! heard so far; memory is bounded by the hangover; gaps are silence.

use super::level::{ActiveLevel, BELOW_ACTIVE_DB, NO_SPEECH_DBFS, WINDOW, loud_span, power_at};
use super::{FRAME, RATE, samples_in};
use std::collections::VecDeque;
use std::time::Duration;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEvent {
    /// An utterance began. Coarse: its level is not known yet.
    Started {
        /// First speech sample so far, on the stream's timeline.
        position: u64,
    },
    /// Nothing was said for the hangover.
    Ended {
        /// The sample after the last speech sample, on the stream's timeline.
        position: u64,
    },
    /// Speech went on within a second of `Ended`: it was a pause longer than the hangover.
    Resumed {
        /// First speech sample after the pause.
        position: u64,
    },
}

/// Shortest hangover: the longest Opus packet, so that no utterance begins and ends in one.
pub const MIN_HANGOVER: Duration = Duration::from_millis(120);
/// Speech this soon after an end belongs to the same utterance.
const RESUME: u64 = RATE as u64;
/// A timeline that steps back by more than this starts anew (an RTP reset).
const STEP_BACK: u64 = 5 * RATE as u64;
/// While speech goes on the level is looked at this often.
const LEVEL_EVERY: u64 = RATE as u64 / 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Quiet,
    Speaking,
    Ended(u64),
}

/// A listener to one stream.
#[derive(Debug)]
pub struct EndOfSpeech {
    hangover: u64,
    keep: usize,
    /// The last samples; at most twice `keep`.
    pcm: Vec<i16>,
    /// Place of the sample after the last one in `pcm`; `None` before the first.
    next: Option<u64>,
    meter: ActiveLevel,
    phase: Phase,
    /// Where the utterance's level began to be measured.
    from: u64,
    /// Mean square of a speech window, by the level when it was last looked at.
    power: f64,
    level_at: u64,
    /// The sample after the last one that was loud by `power`.
    loud_until: u64,
    events: VecDeque<SpeechEvent>,
}

impl EndOfSpeech {
    /// A listener that reports the end after `hangover` of silence (at least [`MIN_HANGOVER`]).
    pub fn new(hangover: Duration) -> Self {
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

    /// Hears samples whose first is at `position`. What is missing before it was silence (DTX);
    /// what was heard already is skipped. Returns the oldest event not yet told.
    pub fn push(&mut self, position: u64, pcm: &[i16]) -> Option<SpeechEvent> {
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

    /// Nothing came up to `position` (DTX). Returns the oldest event not yet told.
    pub fn advance(&mut self, position: u64) -> Option<SpeechEvent> {
        self.silence_until(position);
        self.events.pop_front()
    }

    /// The oldest event not yet told: `push` over a gap can find two.
    pub fn poll(&mut self) -> Option<SpeechEvent> {
        self.events.pop_front()
    }

    /// The turn is over: what is said from now on is a new utterance, not the last one resumed.
    pub fn next_utterance(&mut self) {
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
        // By now the utterance is over and nothing but silence is remembered.
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

    /// Takes at most a frame, which follows what was heard.
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

    /// Takes the level of the utterance so far; false while there is none.
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

    /// The hangover seems to be over: looks again with the level of the whole utterance.
    fn end(&mut self, now: u64) {
        self.level();
        // Nothing loud in all that is kept: the end is at least as old as that.
        let end = self
            .span(self.from, now, 0)
            .map_or(self.loud_until, |(_, end)| end);
        self.loud_until = end;
        if now - end >= self.hangover {
            self.phase = Phase::Ended(end);
            self.events.push_back(SpeechEvent::Ended { position: end });
        }
    }

    /// Loud samples in `from..to`, seen with `before` samples of context.
    fn span(&self, from: u64, to: u64, before: u64) -> Option<(u64, u64)> {
        let oldest = to - self.pcm.len() as u64;
        let from = from.saturating_sub(before).max(self.from).max(oldest);
        let slice = &self.pcm[(from - oldest) as usize..];
        loud_span(slice, self.power).map(|(a, b)| (from + a as u64, from + b as u64))
    }
}

#[cfg(test)]
mod tests;
