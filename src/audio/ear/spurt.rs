//! Finds talk spurts on the track: the causal trigger, the refined onset, the end.
//!
//! In: the track as it grows, and the length of its silence. Out: `Triggered`, `Onset` and
//! `Paused`, repeated if the spurt continues after a pause, then `Ended`. Invariants: steady noise
//! is added to the floor and is not a spurt; the floor is frozen while a spurt lasts, for ten
//! minutes at most; nothing is allocated.

use super::background::{LOUDEST_DBFS, is_background};
use super::burst::{HOP, SUSTAINED};
use super::condition::Condition;
use super::floor::{Floor, LOWEST};
use super::levels::Levels;
use super::refine::{QUIETEST_DBFS, Refined, SPREAD_AT_MOST_DB, Under};
use super::talk::{AfterPause, Step, Talk};
use super::track::Track;
use crate::audio::level::dbfs_of;
use crate::audio::{Confidence, Heard, Onset, Pause, RATE, time_of};
use std::collections::VecDeque;

/// A loud window is at least this far above the noise floor, in dB, and outside its spread.
const OVER_FLOOR_DB: f32 = 6.0;
/// Four loud windows among the last five make a candidate.
const CANDIDATE: u32 = 4;
const OF_WINDOWS: u32 = 0b1_1111;
/// This many loud windows make a candidate a spurt: about 50 ms. Shorter sounds are clicks.
const SPURT_WINDOWS: u32 = 12;
/// Like [`SPURT_WINDOWS`], for a background that contains clicks, which may merge: about 80 ms.
const SPURT_WINDOWS_CLICKS: u32 = 18;
/// A spurt may begin with a syllable too short to be a spurt itself, followed by a pause of up to
/// 150 ms.
const SYLLABLE_NEAR: u64 = 7200;
/// A sound that may be background noise is observed for 300 ms before it is reported.
const DECIDE_AFTER: u64 = 14_400;
/// Intervals at which the sound is checked again: 50 ms before it is reported, 250 ms afterwards.
const DECIDE_EVERY: u64 = 2400;
const BACKGROUND_EVERY: u64 = 12_000;
/// Steady noise of this many windows ends a spurt: 750 ms.
const BACKGROUND: usize = 150;
/// A window this far above the mean level of a steady noise is not part of that noise, in dB.
const OVER_BACKGROUND_DB: f32 = 5.0;
/// If a sender sends silence for this long, it also sends the silence after its speech: 500 ms,
/// longer than the pause before the first word of a recording.
const SENDS_SILENCE: u64 = 24_000;
/// An encoder with DTX sends at least this much silence after speech before it pauses: 150 ms.
const STOPS_AT_ONCE: u64 = 7200;
/// A spurt is ended at this length: ten minutes.
const LONGEST: u64 = 600 * RATE as u64;
/// A loss that ends at most this long before an onset affects the onset: 40 ms. Gains are coded as
/// differences, so the codec may output near-silence for a whole packet after a lost one.
const LOSS_NEAR: u64 = 1920;
/// An onset at least this far above the noise floor is certain, in dB.
const CERTAIN_DB: f32 = 20.0;

#[derive(Debug, Clone, Copy)]
struct Spurt {
    /// Start of the first loud window.
    from: u64,
    /// Noise floor at that time.
    under: Under,
    announced: bool,
    /// The speech since the onset; `None` until the onset is reported.
    heard: Option<Talk>,
    /// When to check again whether the sound is background noise.
    look_at: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Quiet,
    Rising { from: u64, loud: u32, under: Under },
    Spurt(Spurt),
}

/// The talk spurt detector.
#[derive(Debug)]
pub(super) struct Spurts {
    /// End of the next window.
    next: u64,
    /// Energy of the last hop.
    half: i64,
    /// End of the last audio that was not received.
    hole: u64,
    /// Which of the last windows were loud; the most recent is bit 0.
    loud: u32,
    floor: Floor,
    levels: Levels,
    state: State,
    /// No onset is placed before this position, which is the end of the last spurt.
    not_before: u64,
    /// Position of the last reported onset.
    onset: Option<u64>,
    /// Whether the last reported spurt was dismissed but is still audible. No new spurt begins
    /// until that sound pauses.
    muted: bool,
    /// Start and end of a sound too short for a spurt and too long for a click.
    syllable: Option<(u64, u64)>,
    /// Start of the silence received since the last spurt.
    silent_from: Option<u64>,
    /// Whether the sender keeps sending packets during silence.
    sends_silence: bool,
    events: VecDeque<Heard>,
}

impl Spurts {
    pub(super) fn new() -> Self {
        Self {
            next: HOP,
            half: 0,
            hole: 0,
            loud: 0,
            floor: Floor::new(),
            levels: Levels::new(),
            state: State::Quiet,
            not_before: 0,
            onset: None,
            muted: false,
            syllable: None,
            silent_from: None,
            sends_silence: false,
            events: VecDeque::with_capacity(16),
        }
    }

    /// Returns the oldest event not yet reported.
    pub(super) fn poll(&mut self) -> Option<Heard> {
        self.events.pop_front()
    }

    /// Whether a spurt that has been reported is in progress.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_audible(&self) -> bool {
        matches!(
            self.state,
            State::Spurt(Spurt {
                announced: true,
                ..
            })
        )
    }

    /// Position of the last reported onset.
    pub(super) fn onset(&self) -> Option<u64> {
        self.onset
    }

    /// Records that audio up to `position` was not received and must not change the floor.
    pub(super) fn hole_until(&mut self, position: u64) {
        self.hole = position;
    }

    /// Skips to the track's end without examining the windows: the track has been silent for longer
    /// than the gap that ends a spurt.
    pub(super) fn jump(&mut self, track: &Track) {
        self.next = (track.end() / HOP + 1) * HOP;
        self.half = 0;
        self.loud = 0;
    }

    /// Examines the windows added to the track; `condition` takes the energies of their hops.
    pub(super) fn run(&mut self, track: &Track, condition: &mut Condition) {
        while self.next <= track.end() {
            let hop = track.energy(self.next - HOP, self.next);
            condition.hop(track, self.next, hop);
            self.window(track, self.next, hop);
            self.next += HOP;
        }
    }

    /// Position of the next event if only silence follows the track's end.
    pub(super) fn deadline(&self) -> Option<u64> {
        let State::Spurt(spurt) = &self.state else {
            return None;
        };
        Some(match spurt.heard {
            None => Refined::ready(spurt.from),
            Some(talk) => talk.deadline(),
        })
    }

    /// Handles the events due by `now` if nothing was received after the track's end.
    pub(super) fn silent_until(&mut self, track: &Track, now: u64) {
        while let State::Spurt(spurt) = self.state
            && let Some(at) = self.deadline().filter(|at| *at <= now)
        {
            match spurt.heard {
                None => self.decide(track, spurt, track.end()),
                Some(talk) if talk.is_over(at) => self.end(track, talk.last()),
                Some(mut talk) => {
                    let step = talk.step(track, at);
                    self.follow(track, spurt, talk, step, track.end());
                }
            }
        }
    }

    fn window(&mut self, track: &Track, end: u64, hop: i64) {
        let energy = self.half + hop;
        self.half = hop;
        let level = (dbfs_of(energy as f64 / (2 * HOP) as f64) as f32).max(LOWEST);
        let received = end >= self.hole + 2 * HOP;
        self.levels.push(received.then_some(level));

        let under = match self.state {
            State::Quiet => Under {
                level: self.floor.level(),
                sigma: self.floor.sigma(),
                peaks: self.floor.peaks(),
            },
            State::Rising { under, .. } => under,
            State::Spurt(spurt) => return self.during(track, end, spurt),
        };
        let is_loud = level >= under.exceeded(OVER_FLOOR_DB).max(QUIETEST_DBFS);
        self.loud = (self.loud << 1 | u32::from(is_loud)) & OF_WINDOWS;
        let loud_of_five = self.loud.count_ones();
        match self.state {
            State::Quiet if self.muted => self.muted = loud_of_five > 1,
            State::Quiet if loud_of_five >= CANDIDATE => {
                let windows = u64::from(u32::BITS - self.loud.leading_zeros());
                let from = end.saturating_sub((windows + 1) * HOP);
                let near = |&(start, end): &(u64, u64)| {
                    end + SYLLABLE_NEAR >= from && start + 2 * SYLLABLE_NEAR >= from
                };
                let from = self.syllable.filter(near).map_or(from, |(start, _)| start);
                self.state = State::Rising {
                    from,
                    loud: loud_of_five,
                    under,
                };
            }
            State::Quiet if !is_loud && received => {
                self.floor.push(level);
                let from = *self.silent_from.get_or_insert(end);
                self.sends_silence |= end >= from + SENDS_SILENCE;
            }
            State::Rising { from, loud, .. } if loud_of_five <= 1 => {
                if loud >= SUSTAINED {
                    self.syllable = Some((from, end));
                }
                // The sound is too short for a spurt, so its windows belong to the background.
                self.settle(((end - from) / HOP) as usize, false);
            }
            State::Rising { from, loud, under } => {
                let loud = loud + u32::from(is_loud);
                self.state = State::Rising { from, loud, under };
                let needed = if under.clicks() {
                    SPURT_WINDOWS_CLICKS
                } else {
                    SPURT_WINDOWS
                };
                if loud >= needed {
                    let spurt = Spurt {
                        from,
                        under,
                        announced: false,
                        heard: None,
                        look_at: end,
                    };
                    self.during(track, end, spurt);
                }
            }
            _ => {}
        }
    }

    /// Handles a window of the current spurt.
    fn during(&mut self, track: &Track, end: u64, mut spurt: Spurt) {
        self.state = State::Spurt(spurt);
        let Some(mut talk) = spurt.heard else {
            if end >= Refined::ready(spurt.from) {
                self.decide(track, spurt, end);
            } else if !spurt.announced && end >= spurt.look_at {
                spurt.look_at = end + DECIDE_EVERY;
                self.state = State::Spurt(spurt);
                let loud = self.levels.last().is_some_and(|l| l >= LOUDEST_DBFS);
                if (loud || end >= spurt.from + DECIDE_AFTER)
                    && self.stands_out(spurt, end)
                    && !self.is_noise(track, spurt.from, end)
                {
                    self.announce(track, spurt);
                }
            }
            return;
        };
        talk = self.follow(track, spurt, talk, None, end);
        if talk.is_over(end) || end >= spurt.from + LONGEST {
            self.end(track, talk.last());
        } else if end >= spurt.look_at {
            spurt.look_at = end + BACKGROUND_EVERY;
            spurt.heard = Some(talk);
            self.state = State::Spurt(spurt);
            self.end_in_noise(track, end);
        }
    }

    /// Whether the windows of a spurt so far, except its first few, are steady noise.
    fn is_noise(&self, track: &Track, from: u64, end: u64) -> bool {
        let windows = ((end - from) / HOP) as usize;
        let levels = self.levels.of_last(windows.saturating_sub(4));
        is_background(track, levels, from + 2 * HOP, end)
    }

    /// Whether the spurt's loudest 100 ms are clearly louder than the background's own peaks.
    fn stands_out(&self, spurt: Spurt, end: u64) -> bool {
        let under = spurt.under;
        let bound = under.level + (OVER_FLOOR_DB + under.peaks).min(SPREAD_AT_MOST_DB);
        self.levels
            .reach(((end - spurt.from) / HOP) as usize, bound)
    }

    fn announce(&mut self, track: &Track, mut spurt: Spurt) {
        if let Some(at) = track.heard_at(spurt.from) {
            spurt.announced = true;
            self.state = State::Spurt(spurt);
            self.events.push_back(Heard::Triggered { at });
        }
    }

    /// Decides, after half a second, whether the sound is noise, and if not reports its onset.
    fn decide(&mut self, track: &Track, mut spurt: Spurt, until: u64) {
        let end = until.min(Refined::ready(spurt.from));
        if !spurt.announced {
            let windows = ((end - spurt.from) / HOP) as usize;
            if self.is_noise(track, spurt.from, end) {
                return self.settle(windows, true);
            }
            if !self.stands_out(spurt, end) {
                return self.settle(windows, false);
            }
            self.announce(track, spurt);
            spurt.announced = true;
        }
        let refined = Refined::of(track, spurt.from, self.not_before, spurt.under);
        self.tell_onset(track, &refined, None);
        spurt.look_at = track.end() + BACKGROUND_EVERY;
        let talk = Talk::new(&refined, spurt.under);
        self.follow(track, spurt, talk, None, until);
    }

    /// Reports the steps of a talk up to `until`, beginning with `step`.
    fn follow(
        &mut self,
        track: &Track,
        mut spurt: Spurt,
        mut talk: Talk,
        step: Option<Step>,
        until: u64,
    ) -> Talk {
        let mut next = step.or_else(|| talk.catch_up(track, until));
        while let Some(step) = next {
            match step {
                Step::Paused { last, hard } => {
                    if let Some(last_audible) = track.heard_by(last) {
                        self.events.push_back(Heard::Paused { last_audible, hard });
                    }
                }
                Step::Resumed { from } => {
                    if let Some(at) = track.heard_at(from) {
                        self.events.push_back(Heard::Triggered { at });
                    }
                }
                Step::Onset(refined, after) => {
                    self.tell_onset(track, &refined, Some(after));
                }
            }
            next = talk.catch_up(track, until);
        }
        spurt.heard = Some(talk);
        self.state = State::Spurt(spurt);
        talk
    }

    fn tell_onset(&mut self, track: &Track, refined: &Refined, after: Option<AfterPause>) {
        let Refined {
            position, snr_db, ..
        } = *refined;
        let Some(at) = track.heard_at(position) else {
            return;
        };
        let confidence = match snr_db >= CERTAIN_DB {
            true => Confidence::High,
            false => Confidence::Low,
        };
        let lost = track.lost_before(position, LOSS_NEAR);
        let pause = after.and_then(|after| {
            Some(Pause {
                last_audible: track.heard_by(after.last)?,
                cut: after.cut,
            })
        });
        self.onset = Some(position);
        self.events.push_back(Heard::Onset(Onset {
            at,
            confidence,
            earlier_by_loss: lost.map(|from| time_of(position - from)),
            later_by_loss: None,
            snr_db,
            segment: track.segment_at(position),
            after: pause,
        }));
    }

    /// Discards the last reported spurt and the events still queued for it.
    pub(super) fn dismiss(&mut self) {
        let of_it = |heard: &Heard| matches!(heard, Heard::Paused { .. } | Heard::Ended { .. });
        while self.events.front().is_some_and(of_it) {
            self.events.pop_front();
        }
        let State::Spurt(spurt) = self.state else {
            return;
        };
        self.not_before = spurt.heard.map_or(spurt.from, |heard| heard.last() + 1);
        self.state = State::Quiet;
        self.loud = OF_WINDOWS;
        self.muted = true;
    }

    /// Ends the spurt; `last` is its last audible sample.
    fn end(&mut self, track: &Track, last: u64) {
        if let Some(last_audible) = track.heard_by(last) {
            let mut broke_off = false;
            if let State::Spurt(Spurt {
                heard: Some(talk), ..
            }) = &self.state
                && !talk.is_paused()
            {
                let at_once = track.end() < last + STOPS_AT_ONCE;
                broke_off = talk.breaks_off(track) || self.sends_silence && at_once;
                let hard = false;
                self.events.push_back(Heard::Paused { last_audible, hard });
            }
            self.events.push_back(Heard::Ended {
                last_audible,
                broke_off,
            });
        }
        self.not_before = last + 1;
        self.silent_from = None;
        let quiet = (self.next.saturating_sub(last) / HOP) as usize;
        self.settle(quiet.saturating_sub(2), false);
    }

    /// Ends the spurt if its latest part is only steady noise.
    fn end_in_noise(&mut self, track: &Track, end: u64) {
        let Some(from) = end.checked_sub(BACKGROUND as u64 * HOP) else {
            return;
        };
        let levels = self.levels.of_last(BACKGROUND);
        if levels.clone().count() < BACKGROUND || !is_background(track, levels.clone(), from, end) {
            return;
        }
        let mean = levels.sum::<f32>() / BACKGROUND as f32;
        let noise = self.levels.below(mean + OVER_BACKGROUND_DB);
        let State::Spurt(Spurt { from, .. }) = self.state else {
            return;
        };
        self.end(track, end.saturating_sub(noise as u64 * HOP).max(from));
    }

    /// Returns to the quiet state and adds the last `windows` to the noise floor. `anew`: whether
    /// to clear the floor first.
    fn settle(&mut self, windows: usize, anew: bool) {
        if anew {
            self.floor.clear();
        }
        for level in self.levels.of_last(windows) {
            self.floor.push(level);
        }
        self.loud = 0;
        self.state = State::Quiet;
    }
}
