//! Finds cut beginnings and ends of sounds, and silence inserted between voiced sounds.
//!
//! In: the energies of the track's hops of 5 ms. Out: positions of cuts and of inserted silence;
//! the level of each talk spurt. Invariants: an edge next to lost audio is not judged; samples are
//! read only at edges; the active level follows ITU-T P.56 in hops.

use super::edge::{Edge, SILENT_DBFS, inserted_score, likeness};
use crate::audio::condition::Defect;
use crate::audio::ear::burst::HOP;
use crate::audio::ear::track::Track;
use crate::audio::level::{dbfs_of, power_at};
use crate::audio::time_of;

/// Silence of this length is a stall if it was inserted: 55 ms. Codecs smear both of its ends.
const HOLE: u64 = 2640;
/// Silence of this length ends a talk spurt, and what follows begins a new one: 1 s.
const SPURT_ENDS: u64 = 48_000;
/// Both ends of a silence are judged this long after it, when the samples are there: 110 ms.
const JUDGE_AFTER: u64 = 5280;
/// The beginning of a talk spurt is judged once its level is known: after 500 ms.
const LEVEL_AFTER: u64 = 24_000;
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

/// A cut begins or ends in voiced sound, at this autocorrelation at least.
const VOICED: f32 = 0.5;
/// Scores from which on an edge is a cut, and a silence was inserted. See [`Edge::head_score`].
const HEAD: f32 = 21.6;
const TAIL: f32 = -5.2;
const INSERTED: f32 = 0.9;

/// What a hop completed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// The hop is loud.
    pub(super) loud: bool,
    /// A talk spurt that began in mid-voice here.
    pub(super) head: Option<u64>,
    /// Silence inserted between voiced sounds.
    pub(super) silence: Option<(u64, u64)>,
    /// A sound that ended in mid-voice here.
    pub(super) tail: Option<u64>,
    /// The level of the talk spurt that ended, and where it ended.
    pub(super) ended: Option<(u64, Defect)>,
}

/// A silence behind a sound.
#[derive(Debug, Clone, Copy)]
struct Silence {
    from: u64,
    /// How the sound before it ended, once the silence is long enough; not if that is doubtful.
    end: Option<Edge>,
    judged: bool,
    told: bool,
}

/// A sound behind a silence, still to be judged.
#[derive(Debug, Clone, Copy)]
struct Rise {
    at: u64,
    silence: Option<Silence>,
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
    fn add(&mut self, energy: f64) {
        let mean = self.energy / f64::from(self.hops.max(1));
        if energy >= MARGIN * mean && energy >= power_at(LOUD_DBFS) * HOP as f64 {
            self.hang = HANGOVER;
        }
        if self.hang > 0 {
            self.hang -= 1;
            self.energy += energy;
            self.hops += 1;
        }
    }

    fn dbfs(&self) -> Option<f64> {
        let mean = self.energy / f64::from(self.hops.max(1)) / HOP as f64;
        (self.hops >= ACTIVE).then(|| dbfs_of(mean))
    }
}

/// The envelope of one stream.
#[derive(Debug)]
pub(super) struct Envelope {
    quiet: f64,
    loud: f64,
    last_loud: Option<u64>,
    silence: Option<Silence>,
    rise: Option<Rise>,
    /// Lost audio: the last two stretches.
    lost: [(u64, u64); 2],
    level: Level,
    began: u64,
}

impl Envelope {
    pub(super) fn new() -> Self {
        Self {
            quiet: power_at(SILENT_DBFS) * HOP as f64,
            loud: power_at(LOUD_DBFS) * HOP as f64,
            last_loud: None,
            silence: Some(Silence {
                from: 0,
                end: None,
                judged: true,
                told: true,
            }),
            rise: None,
            lost: [(0, 0); 2],
            level: Level::default(),
            began: 0,
        }
    }

    /// Whether there was sound right before a position.
    pub(super) fn sounding(&self, at: u64) -> bool {
        self.last_loud.is_some_and(|last| last + RECENT >= at)
    }

    /// This part of the track was lost, or is about to be.
    pub(super) fn lost(&mut self, from: u64, to: u64) {
        self.lost = [self.lost[1], (from, to)];
    }

    fn is_doubtful(&self, at: u64) -> bool {
        self.lost
            .iter()
            .any(|&(from, to)| to > from && at + DOUBT >= from && at <= to + DOUBT)
    }

    /// Takes the hop that ends at `end`.
    pub(super) fn hop(&mut self, track: &Track, end: u64, energy: i64) -> Heard {
        let from = end - HOP;
        let energy_sum = energy as f64;
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
        self.level.add(energy_sum);
        if let Some(level) = self.level.dbfs() {
            self.loud = power_at((level - LOUD_BELOW_DB).max(LOUD_DBFS)) * HOP as f64;
        }
        self.judge_rise(track, end, &mut heard);
        heard
    }

    fn sound_begins(&mut self, at: u64, silence: Silence) {
        let length = at - silence.from;
        if length >= SPURT_ENDS || silence.from == 0 {
            self.level = Level::default();
            self.loud = power_at(LOUD_DBFS) * HOP as f64;
            self.began = at;
            self.rise = Some(Rise { at, silence: None });
        } else if length >= HOLE {
            self.rise = Some(Rise {
                at,
                silence: Some(silence),
            });
        }
    }

    fn quiet_hop(&mut self, track: &Track, (from, end): (u64, u64), heard: &mut Heard) {
        let mut silence = self.silence.unwrap_or(Silence {
            from,
            end: None,
            judged: false,
            told: false,
        });
        let length = end - silence.from;
        if length >= HOLE && !silence.judged {
            silence.judged = true;
            silence.end = self.ending(track, silence.from);
        }
        if length >= SPURT_ENDS && !silence.told {
            silence.told = true;
            self.spurt_ends(&silence, heard);
        }
        self.silence = Some(silence);
    }

    fn ending(&self, track: &Track, at: u64) -> Option<Edge> {
        let active = self.level.dbfs().filter(|_| !self.is_doubtful(at))?;
        let back = |distance: i64| track.at(at.saturating_add_signed(-1 - distance));
        Edge::of(back, active)
    }

    fn spurt_ends(&mut self, silence: &Silence, heard: &mut Heard) {
        heard.tail = silence
            .end
            .filter(|end| end.voicing >= VOICED && end.tail_score() >= TAIL)
            .map(|_| silence.from);
        if let Some(dbfs) = self.level.dbfs() {
            let time = |hops: u32| time_of(u64::from(hops) * HOP);
            let level = Defect::Level {
                dbfs: dbfs as f32,
                active: time(self.level.hops),
                clipped: time(self.level.clipped),
            };
            heard.ended = Some((silence.from, level));
        }
    }

    fn judge_rise(&mut self, track: &Track, end: u64, heard: &mut Heard) {
        let Some(rise) = self.rise else { return };
        let wait = if rise.silence.is_some() {
            JUDGE_AFTER
        } else {
            LEVEL_AFTER
        };
        if end < rise.at + wait {
            return;
        }
        self.rise = None;
        let Some(active) = self.level.dbfs().filter(|_| !self.is_doubtful(rise.at)) else {
            return;
        };
        let forth = |distance: i64| track.at(rise.at.saturating_add_signed(distance));
        let Some(edge) = Edge::of(forth, active) else {
            return;
        };
        match rise.silence {
            None if edge.voicing >= VOICED && edge.head_score() >= HEAD => {
                heard.head = Some(rise.at)
            }
            Some(Silence {
                from,
                end: Some(before),
                ..
            }) if before.voicing.min(edge.voicing) >= VOICED => {
                let alike = likeness(
                    |k| track.at(from.saturating_sub(1 + k as u64)),
                    |k| track.at(rise.at + k as u64),
                );
                if inserted_score(&before, &edge, alike) >= INSERTED {
                    heard.silence = Some((from, rise.at));
                }
            }
            _ => {}
        }
    }

    /// Settles the end of a spurt after which nothing more was received.
    pub(super) fn settle(&mut self, track: &Track) -> Heard {
        let mut heard = Heard::default();
        let end = track.end();
        let mut silence = self.silence.unwrap_or(Silence {
            from: end,
            end: None,
            judged: false,
            told: false,
        });
        if !silence.judged {
            silence.judged = true;
            silence.end = self.ending(track, silence.from);
        }
        if !silence.told {
            silence.told = true;
            self.spurt_ends(&silence, &mut heard);
        }
        self.silence = Some(silence);
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
