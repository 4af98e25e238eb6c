//! Tracks a talk spurt after its onset: its last audible sample, its pauses and resumptions.
//!
//! In: the windows of a spurt. Out: [`Step`]s. Invariants: a pause is reported once [`PAUSE`] of
//! silence has been received, not counting lost audio; the onset after a pause is found like the
//! onset of a new spurt, by the level of the sound after it, and is never before the pause.

use super::burst::{Audible, HOP};
use super::refine::{Refined, Under};
use super::track::Track;
use crate::audio::level::dbfs_of;
use crate::audio::{PAUSE, SPURT_GAP, samples_in};
use std::time::Duration;

/// Length of the audio that is checked at the end of a talk for a hard cut, and at its beginning
/// for a soft start: 15 ms.
const EDGE: u64 = 720;
/// Silence of this length after the last audible sample is ignored: the codec smears a hard end.
const STOPS: Duration = Duration::from_millis(10);
/// A talk that ends further than this below its loudest sound has faded out, in dB.
const FADED_DB: f64 = 20.0;
/// The level at the end is compared with the loudest window of the last 250 ms.
const NEAR_END: u64 = 12_000;
/// A talk that is cut off in mid-word ends at most this far below its loudest sound, in dB.
/// Finished words fade by 20 dB, but not always gradually: with 3 dB, the pause after a sentence
/// was mistaken for a cut in 2 of 60 agents that continued to speak. An undetected cut is less
/// harmful: it only leads to a flag.
const HARD_DB: f64 = 1.0;
/// New speech begins at least this far below the level at which the talk was cut off, in dB. Speech
/// that only stalled continues in mid-word, at the level at which it broke off.
const SOFT_START_DB: f64 = 10.0;
/// The levels of a voice's windows have at least this standard deviation, in dB. A tone is
/// excluded because it always ends at full level.
const VOICE_SPREAD_DB: f64 = 1.5;

/// A change in a talk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Paused { last: u64, hard: bool },
    Resumed { from: u64 },
    Onset(Refined, AfterPause),
}

/// The pause before an onset.
#[derive(Debug, Clone, Copy)]
pub(super) struct AfterPause {
    pub(super) last: u64,
    pub(super) cut: bool,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Speaking,
    Paused {
        last: u64,
        hard: bool,
    },
    /// The talk is audible again from about `from` on; its onset is refined after half a second.
    Resuming {
        from: u64,
        pause: AfterPause,
    },
}

/// The state of a talk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    audible: Audible,
    under: Under,
    began: u64,
    stage: Stage,
    /// End of the last window examined.
    seen: u64,
}

impl Talk {
    /// Starts a talk at `refined`. [`Talk::catch_up`] examines the part that is already on the
    /// track.
    pub(super) fn new(refined: &Refined, under: Under) -> Self {
        let first = refined.position;
        Self {
            audible: Audible::new(refined.power, first),
            under,
            began: first,
            stage: Stage::Speaking,
            seen: first.next_multiple_of(HOP) + HOP,
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.audible.last()
    }

    /// Position at which the next step is due if nothing more arrives. That step is never a pause:
    /// only the next packet shows whether packets were lost or never sent.
    pub(super) fn deadline(&self) -> u64 {
        match self.stage {
            Stage::Speaking | Stage::Paused { .. } => self.last() + samples_in(SPURT_GAP),
            Stage::Resuming { from, .. } => Refined::ready(from),
        }
    }

    /// Whether enough silence has been received since `last` for a pause.
    fn was_silent(track: &Track, last: u64, end: u64) -> bool {
        let needed = samples_in(PAUSE);
        end >= last + needed && end - last - track.lost_within(last, end) >= needed
    }

    /// Whether a pause has been reported and the talk has not resumed.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.stage, Stage::Paused { .. })
    }

    /// Whether the audio ends in mid-word and nothing was received after it. An agent that finishes
    /// normally sends some silence at the end.
    pub(super) fn breaks_off(&self, track: &Track) -> bool {
        let (last, end) = (self.last(), track.end());
        if !matches!(self.stage, Stage::Speaking) || end > last + samples_in(STOPS) {
            return false;
        }
        let from = end.saturating_sub(NEAR_END).max(self.began);
        let levels = (from..end.saturating_sub(HOP))
            .step_by(HOP as usize)
            .map(|at| level(track, at, at + 2 * HOP));
        let loudest = levels.fold(f64::NEG_INFINITY, f64::max);
        level(track, end.saturating_sub(EDGE), end) >= loudest - FADED_DB
    }

    /// Whether the silence since the last audible sample ends the spurt at `end`.
    pub(super) fn is_over(&self, end: u64) -> bool {
        let resuming = matches!(self.stage, Stage::Resuming { .. });
        !resuming && end >= self.last() + samples_in(SPURT_GAP)
    }

    /// Examines the new windows up to `until` and returns the first step found. Call this
    /// repeatedly until it returns `None`.
    pub(super) fn catch_up(&mut self, track: &Track, until: u64) -> Option<Step> {
        while self.seen + HOP <= until {
            let end = self.seen + HOP;
            let energy = track.energy(end - 2 * HOP, end);
            self.seen = end;
            self.audible.window(track, end, energy);
            let step = self.step(track, end);
            if step.is_some() {
                return step;
            }
        }
        None
    }

    /// Returns the step that is due at `end`, if any.
    pub(super) fn step(&mut self, track: &Track, end: u64) -> Option<Step> {
        let last = self.last();
        match self.stage {
            Stage::Speaking if Self::was_silent(track, last, end) => {
                let hard = self.is_hard(track, last);
                self.stage = Stage::Paused { last, hard };
                Some(Step::Paused { last, hard })
            }
            Stage::Paused { last: before, hard } if self.audible.sustained() > before => {
                let from = self.resumption(track, before, end);
                let pause = AfterPause {
                    last: before,
                    cut: hard,
                };
                self.stage = Stage::Resuming { from, pause };
                Some(Step::Resumed { from })
            }
            // Only a short sound followed the pause: its last sample becomes the end of the talk.
            Stage::Paused { last: before, .. }
                if last > before && Self::was_silent(track, last, end) =>
            {
                self.stage = Stage::Paused { last, hard: false };
                Some(Step::Paused { last, hard: false })
            }
            Stage::Resuming { from, pause } if end >= Refined::ready(from) => {
                Some(self.resume(track, from, pause))
            }
            _ => None,
        }
    }

    /// Approximate position after `before` at which the talk is audible again.
    fn resumption(&self, track: &Track, before: u64, end: u64) -> u64 {
        let from = end.saturating_sub(NEAR_END).max(before + 1);
        let loud =
            |at: &u64| track.energy(*at, at + HOP) as f64 >= self.audible.power() * HOP as f64;
        (from..end)
            .step_by(HOP as usize / 4)
            .find(loud)
            .unwrap_or(from)
    }

    fn resume(&mut self, track: &Track, from: u64, pause: AfterPause) -> Step {
        let middle = pause.last + (from - pause.last) / 2;
        let refined = Refined::of(track, from, middle, self.under);
        let start = level(track, refined.position, refined.position + EDGE);
        let ended = level(track, pause.last.saturating_sub(EDGE), pause.last);
        let pause = AfterPause {
            cut: pause.cut && ended - start >= SOFT_START_DB,
            ..pause
        };
        *self = Self::new(&refined, self.under);
        Step::Onset(refined, pause)
    }

    /// Whether the talk that ends at `last` was cut off: it is a voice and ends at full level.
    fn is_hard(&self, track: &Track, last: u64) -> bool {
        let from = last.saturating_sub(NEAR_END).max(self.began);
        let too_short = last < from + 2 * NEAR_END / 5;
        if too_short || track.lost_within(last, last + EDGE) > 0 {
            return false;
        }
        let levels = (from..last - HOP)
            .step_by(HOP as usize)
            .map(|at| level(track, at, at + 2 * HOP));
        let loudest = levels.clone().fold(f64::NEG_INFINITY, f64::max);
        level(track, last - EDGE, last) >= loudest - HARD_DB
            && standard_deviation(levels) >= VOICE_SPREAD_DB
    }
}

fn level(track: &Track, from: u64, to: u64) -> f64 {
    let length = to.saturating_sub(from).max(1);
    dbfs_of((track.energy(from, to) as f64).max(1.0) / length as f64)
}

fn standard_deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
    (squares / count).sqrt()
}
