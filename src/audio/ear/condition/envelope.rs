//! Finds cut beginnings and ends of sounds, and silence inserted between voiced sounds.
//!
//! In: the energies of the track's hops of 5 ms. Out: positions of cuts and of inserted silence;
//! the level of each talk spurt. Invariants: an edge next to lost audio is not judged; samples are
//! read only at edges; the active level follows ITU-T P.56 in hops; memory is allocated once.

use super::cut::{is_head, is_inserted, is_tail};
use super::edge::{BEHIND, Edge, SILENT_DBFS};
use crate::audio::condition::Defect;
use crate::audio::ear::burst::HOP;
use crate::audio::ear::track::Track;
use crate::audio::level::{dbfs_of, power_at};
use crate::audio::time_of;
use std::collections::VecDeque;

/// Silence of this length may have been inserted: 25 ms. After a hard cut, a codec rings for up to
/// 25 ms more, and the shortest hole that counts is 60 ms.
const HOLE: u64 = 1200;
/// Silence of this length ends a talk spurt, and what follows begins a new one: 1 s.
const SPURT_ENDS: u64 = 48_000;
/// The end of a silence is judged this long after it, when the samples are there: 160 ms.
const JUDGE_AFTER: u64 = BEHIND as u64 * 48;
/// The beginning of a talk spurt is judged once its level is known: after 500 ms.
const LEVEL_AFTER: u64 = 24_000;
/// Number of sounds that wait to be judged, and of ends of sounds that are kept for that.
const WAITING: usize = 4;
/// Lost audio this close to an edge makes it doubtful: 20 ms, for the decoder's memory.
const DOUBT: u64 = 960;
/// Loud hops are at most this far below the active level, and at least this loud, in dB and dBFS.
const LOUD_BELOW_DB: f64 = 25.0;
const LOUD_DBFS: f64 = -55.0;
/// There was sound right before a position if a hop of the last 50 ms was loud.
const RECENT: u64 = 2400;
/// P.56: margin of 15.9 dB as a factor of power, and hangover of 200 ms in hops.
const MARGIN: f64 = 0.0257;
const HANGOVER: u32 = 40;
/// A talk spurt whose level is used has this many active hops: 150 ms.
const ACTIVE: u32 = 30;
/// Samples from here on are at full scale, and this many in a row are clipped.
const FULL_SCALE: i16 = 32_600;
const IN_A_ROW: u32 = 3;

/// What a hop completed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// The hop is loud.
    pub(super) loud: bool,
    /// A talk spurt that began in mid-voice here.
    pub(super) head: Option<u64>,
    /// Silence inserted between voiced sounds.
    pub(super) silence: Option<Inserted>,
    /// A sound that ended in mid-voice here.
    pub(super) tail: Option<u64>,
    /// The level of the talk spurt that ended, and where it ended.
    pub(super) ended: Option<(u64, Defect)>,
}

/// A silence that was inserted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inserted {
    /// Where the silence behind the sound begins.
    pub(super) silent: u64,
    /// Where the hole begins: a codec rings, and the silence begins later.
    pub(super) from: u64,
    /// Where the sound goes on.
    pub(super) to: u64,
}

/// A silence behind a sound.
#[derive(Debug, Clone, Copy)]
struct Silence {
    from: u64,
    /// Whether its beginning was examined.
    judged: bool,
    /// Whether the end of the talk spurt was reported.
    told: bool,
}

impl Silence {
    fn at(from: u64) -> Self {
        Self {
            from,
            judged: false,
            told: false,
        }
    }
}

/// A sound behind a silence, still to be judged.
#[derive(Debug, Clone, Copy)]
struct Rise {
    at: u64,
    /// Where the silence began; `None` if the sound begins a talk spurt.
    silent: Option<u64>,
}

impl Rise {
    fn due(&self) -> u64 {
        let wait = if self.silent.is_some() {
            JUDGE_AFTER
        } else {
            LEVEL_AFTER
        };
        self.at + wait
    }
}

/// Level of a talk spurt.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    energy: f64,
    hops: u32,
    hang: u32,
    clipped: u32,
}

impl Level {
    /// Adds a hop; returns whether it is active, so that the level has changed. `least`: energy of
    /// the faintest hop that is speech.
    fn add(&mut self, energy: f64, least: f64) -> bool {
        let mean = self.energy / f64::from(self.hops.max(1));
        if energy >= MARGIN * mean && energy >= least {
            self.hang = HANGOVER;
        }
        let is_active = self.hang > 0;
        if is_active {
            self.hang -= 1;
            self.energy += energy;
            self.hops += 1;
        }
        is_active
    }

    fn dbfs(&self) -> Option<f64> {
        let mean = self.energy / f64::from(self.hops.max(1)) / HOP as f64;
        (self.hops >= ACTIVE).then(|| dbfs_of(mean))
    }
}

/// The envelope of one stream.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Energies of a hop: below the first it is quiet; the second is that of the faintest speech.
    quiet: f64,
    least: f64,
    /// From this energy on a hop is loud.
    loud: f64,
    last_loud: Option<u64>,
    silence: Option<Silence>,
    rises: VecDeque<Rise>,
    /// How sounds ended, each with the position at which the silence behind it begins.
    endings: VecDeque<(u64, Edge)>,
    /// Lost audio: the last two stretches.
    lost: [(u64, u64); 2],
    level: Level,
    /// End of the last hop.
    end: u64,
}

impl Envelope {
    pub(super) fn new() -> Self {
        let least = power_at(LOUD_DBFS) * HOP as f64;
        Self {
            quiet: power_at(SILENT_DBFS) * HOP as f64,
            least,
            loud: least,
            last_loud: None,
            silence: Some(Silence {
                from: 0,
                judged: true,
                told: true,
            }),
            rises: VecDeque::with_capacity(WAITING),
            endings: VecDeque::with_capacity(WAITING),
            lost: [(0, 0); 2],
            level: Level::default(),
            end: 0,
        }
    }

    /// Whether there was sound right before a position.
    pub(super) fn sounding(&self, at: u64) -> bool {
        self.last_loud
            .is_some_and(|last| last.saturating_add(RECENT) >= at)
    }

    /// This part of the track was lost or left out, or is about to be.
    pub(super) fn lost(&mut self, from: u64, to: u64) {
        self.lost = [self.lost[1], (from, to)];
    }

    fn is_doubtful(&self, at: u64) -> bool {
        self.lost.iter().any(|&(from, to)| {
            to > from && at.saturating_add(DOUBT) >= from && at <= to.saturating_add(DOUBT)
        })
    }

    /// Takes the hop that ends at `end`.
    pub(super) fn hop(&mut self, track: &Track, end: u64, energy: i64) -> Heard {
        let from = end.saturating_sub(HOP);
        let energy_sum = energy as f64;
        self.end = end;
        let mut heard = Heard {
            loud: energy_sum >= self.loud,
            ..Heard::default()
        };
        if energy_sum < self.quiet {
            self.quiet_hop(track, (from, end), &mut heard);
        } else if let Some(silence) = self.silence.take() {
            self.sound_begins(from, silence);
        }
        if heard.loud {
            self.last_loud = Some(end);
            if is_clipped(track, from, energy) {
                self.level.clipped += 1;
            }
        }
        let is_active = self.level.add(energy_sum, self.least);
        if let Some(level) = self.level.dbfs().filter(|_| is_active) {
            self.loud = power_at((level - LOUD_BELOW_DB).max(LOUD_DBFS)) * HOP as f64;
        }
        while let Some(due) = self.rises.iter().position(|rise| end >= rise.due()) {
            self.judge_rise(track, due, &mut heard);
        }
        heard
    }

    fn sound_begins(&mut self, at: u64, silence: Silence) {
        let length = at.saturating_sub(silence.from);
        let begins = length >= SPURT_ENDS || silence.from == 0;
        if begins {
            self.level = Level::default();
            self.loud = self.least;
        } else if length < HOLE {
            return;
        }
        if self.rises.len() == WAITING {
            self.rises.pop_front();
        }
        self.rises.push_back(Rise {
            at,
            silent: (!begins).then_some(silence.from),
        });
    }

    fn quiet_hop(&mut self, track: &Track, (from, end): (u64, u64), heard: &mut Heard) {
        let silence = self.silence.unwrap_or(Silence::at(from));
        let length = end.saturating_sub(silence.from);
        self.is_silent(track, silence, length, heard);
    }

    /// A silence has lasted for `length`: the end of the sound before it is examined, and the talk
    /// spurt ends, each once.
    fn is_silent(&mut self, track: &Track, mut silence: Silence, length: u64, heard: &mut Heard) {
        if length >= HOLE && !silence.judged {
            silence.judged = true;
            self.examine_end(track, silence.from);
        }
        if length >= SPURT_ENDS && !silence.told {
            silence.told = true;
            self.spurt_ends(silence.from, heard);
        }
        self.silence = Some(silence);
    }

    /// Examines how the sound before `at` ended.
    fn examine_end(&mut self, track: &Track, at: u64) {
        let Some(active) = self.level.dbfs().filter(|_| !self.is_doubtful(at)) else {
            return;
        };
        let back = |distance: i64| {
            let at = at.checked_add_signed(-1 - distance);
            at.map_or(0, |at| track.at(at))
        };
        let Some(edge) = Edge::of(back, active) else {
            return;
        };
        if self.endings.len() == WAITING {
            self.endings.pop_front();
        }
        self.endings.push_back((at, edge));
    }

    /// How the sound ended behind which there is silence from `at` on, if it was examined.
    fn ending(&self, at: u64) -> Option<&Edge> {
        let ending = self.endings.iter().find(|(from, _)| *from == at)?;
        Some(&ending.1)
    }

    fn spurt_ends(&mut self, from: u64, heard: &mut Heard) {
        let cut = self.ending(from).is_some_and(is_tail);
        heard.tail = cut.then_some(from);
        if let Some(dbfs) = self.level.dbfs() {
            let time = |hops: u32| time_of(u64::from(hops) * HOP);
            let level = Defect::Level {
                dbfs: dbfs as f32,
                active: time(self.level.hops),
                clipped: time(self.level.clipped),
            };
            heard.ended = Some((from, level));
        }
    }

    fn judge_rise(&mut self, track: &Track, waiting: usize, heard: &mut Heard) {
        let Some(rise) = self.rises.remove(waiting) else {
            return;
        };
        let Some(active) = self.level.dbfs().filter(|_| !self.is_doubtful(rise.at)) else {
            return;
        };
        let before = rise.silent.map(|from| (from, self.ending(from)));
        if matches!(before, Some((_, None))) {
            return;
        }
        let forth = |distance: i64| {
            let at = rise.at.checked_add_signed(distance);
            at.map_or(0, |at| track.at(at))
        };
        let Some(edge) = Edge::of(forth, active) else {
            return;
        };
        let Some((silent, Some(before))) = before else {
            heard.head = is_head(&edge).then_some(rise.at);
            return;
        };
        if is_inserted(before, &edge, rise.at.saturating_sub(silent)) {
            let shift = |ms: i32| i64::from(ms) * 48;
            heard.silence = Some(Inserted {
                silent,
                from: silent.saturating_add_signed(-shift(before.reached)),
                to: rise.at.saturating_add_signed(shift(edge.reached)),
            });
        }
    }

    /// Settles the end of a spurt after which nothing more was received.
    pub(super) fn settle(&mut self, track: &Track) -> Heard {
        let mut heard = Heard::default();
        while let Some(first) = self
            .rises
            .iter()
            .position(|rise| rise.silent.is_none() && self.end >= rise.at + JUDGE_AFTER)
        {
            self.judge_rise(track, first, &mut heard);
        }
        let silence = self.silence.unwrap_or(Silence::at(self.end));
        // Nothing more comes, so that the silence counts as endless.
        self.is_silent(track, silence, u64::MAX, &mut heard);
        heard
    }
}

/// Whether a hop contains samples in a row at full scale.
fn is_clipped(track: &Track, from: u64, energy: i64) -> bool {
    let least = i64::from(FULL_SCALE) * i64::from(FULL_SCALE) * i64::from(IN_A_ROW);
    if energy < least {
        return false;
    }
    let mut run = 0;
    (from..from + HOP).any(|at| {
        let full = track.at(at).unsigned_abs() >= FULL_SCALE.unsigned_abs();
        run = if full { run + 1 } else { 0 };
        run >= IN_A_ROW
    })
}
