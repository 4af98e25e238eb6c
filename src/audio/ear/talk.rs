//! A talk spurt after its onset: until when it is audible, its pauses, and how it goes on.
//!
//! In: the windows of a spurt. Out: [`Step`]s. Invariants: a pause is told once [`PAUSE`] of
//! silence has been received, lost audio not counted; the onset after it is judged by the level
//! of what follows, exactly as the onset of a new spurt is, and is never before the pause began.

use super::burst::{Audible, HOP};
use super::refine::{Refined, Under};
use super::track::Track;
use crate::audio::level::dbfs_of;
use crate::audio::{PAUSE, SPURT_GAP, samples_in};
use std::time::Duration;

/// The end of a talk whose level tells a hard cut, and the beginning that tells a soft start:
/// 15 ms.
const EDGE: u64 = 720;
/// So little silence behind the last audible sample is none: the codec smears a hard end.
const STOPS: Duration = Duration::from_millis(10);
/// A talk whose last audio is so much under its loudest had come to an end.
const FADED_DB: f64 = 20.0;
/// The loudest windows of the last 250 ms are what a hard cut is compared with.
const NEAR_END: u64 = 12_000;
/// A talk that is cut off in mid-word ends within this of its loudest sound, in dB. Words that
/// are finished fade by 20 dB, but not always gradually: at 3 dB, 2 of 60 agents that talked on
/// after a sentence were taken to have been cut off; a cut that is not recognised is only flagged.
const HARD_DB: f64 = 1.0;
/// What begins as new speech begins this far under the level at which the talk was cut off, in
/// dB. A voice that stalls goes on in mid-word, as loud as it broke off.
const SOFT_START_DB: f64 = 10.0;
/// Windows of a voice spread by more, in dB; a tone always ends at full level.
const VOICE_SPREAD_DB: f64 = 1.5;

/// Something that a talk shows.
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
    /// Audible again from about `from` on; refined once half a second of it is there.
    Resuming {
        from: u64,
        pause: AfterPause,
    },
}

/// The talk so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    audible: Audible,
    under: Under,
    began: u64,
    stage: Stage,
    /// End of the last window looked at.
    seen: u64,
}

impl Talk {
    /// A talk that begins at `refined`; what the track holds of it already is looked at by
    /// [`Talk::catch_up`].
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

    /// The last audible sample.
    pub(super) fn last(&self) -> u64 {
        self.audible.last()
    }

    /// Where, if nothing more arrives, the next step is due. That is no pause: whether the packets
    /// are lost or were never sent is known with the next one.
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

    /// Whether a pause was told, and nothing since.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.stage, Stage::Paused { .. })
    }

    /// Whether the audio ends in mid-word, with nothing received behind it: what stops speaking
    /// as it should sends silence first.
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

    /// Looks at the windows up to `until` that were not looked at yet. One step at a time: call
    /// it until there is none.
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

    /// What is due at `end` by what has been heard.
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
            // A short sound behind the pause, and nothing after it: the talk ends with it.
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

    /// About where the talk is audible again behind `before`.
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

    /// Whether the talk that ends at `last` was cut off: at full level, and a voice.
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
