//! The condition of a reply's audio: what broke in it, as its caller received it.
//!
//! In: findings, each at its instant, and the onsets of talk spurts. Out: the condition of the
//! talk spurts of one reply. Invariants: nothing comes from the agent; at most [`FINDINGS`]
//! findings are kept; a finding belongs to the last talk spurt that began before it.

use crate::vocab::{ReplyCondition, StereoDefect};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of findings kept; the oldest is dropped first.
const FINDINGS: usize = 128;
/// Number of talk spurts whose onsets are kept.
const SPURTS: usize = 32;
/// A finding at most this long before an onset belongs to the spurt that begins there: onsets are
/// refined after the findings.
const SLACK: Duration = Duration::from_millis(60);

/// What accounts for a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StallKind {
    /// The sender: packets that are late against media time although their sequence is unbroken,
    /// or silence inserted between voiced sounds.
    Sender,
    /// The network: packets are missing from the sequence.
    Network,
}

/// A defect of the received audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Defect {
    /// A hole of this length.
    Stall(StallKind, Duration),
    /// Audio of this length was due for playout before it arrived.
    Underrun(Duration),
    /// Audio arrived this far ahead of the time that passed.
    Burst(Duration),
    /// The channels of a stereo stream disagree.
    Stereo(StereoDefect),
    /// A sound began at full level, in mid-voice.
    TruncatedHead,
    /// A sound ended at full level, in mid-voice, and did not go on.
    TruncatedTail,
    /// The level changed by this much, in dB.
    LevelJump(f32),
    /// The level of a talk spurt, and how much of it is clipped.
    Level {
        /// Active level in dBFS.
        dbfs: f32,
        /// Length of the sound.
        active: Duration,
        /// Length of the clipped part.
        clipped: Duration,
    },
}

/// A defect, with the instant at which it was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    /// Where it begins, on the caller's clock.
    pub(super) at: Instant,
    /// What it is.
    pub(super) defect: Defect,
}

/// Adds a defect to the condition of a reply.
fn add(reply: &mut ReplyCondition, defect: Defect) {
    match defect {
        Defect::Stall(StallKind::Sender, length) => reply.sender_stalls.add(length),
        Defect::Stall(StallKind::Network, length) => reply.network_stalls.add(length),
        Defect::Underrun(length) => reply.underruns.add(length),
        Defect::Burst(lead) => reply.bursts.add(lead),
        Defect::TruncatedHead => reply.truncated_head = true,
        Defect::TruncatedTail => reply.truncated_tail = true,
        Defect::Stereo(defect) => reply.stereo = Some(defect),
        Defect::LevelJump(db) => {
            let larger = |other: f32| if db.abs() > other.abs() { db } else { other };
            reply.level_jump_db = Some(reply.level_jump_db.map_or(db, larger));
        }
        Defect::Level {
            dbfs,
            active,
            clipped,
        } => {
            let (before, now) = (reply.active.as_secs_f32(), active.as_secs_f32());
            let power = |dbfs: f32| 10f32.powf(dbfs / 10.0);
            let sum = reply.level_dbfs.map_or(0.0, power) * before + power(dbfs) * now;
            reply.active = reply.active.saturating_add(active);
            reply.clipped = reply.clipped.saturating_add(clipped);
            if before + now > 0.0 {
                reply.level_dbfs = Some(10.0 * (sum / (before + now)).log10());
            }
        }
    }
}

/// The part of a call in which a reply is looked for.
#[derive(Debug, Clone, Copy)]
pub struct ReplyWindow {
    /// The caller begins to speak; earlier talk spurts belong to earlier turns.
    pub from: Instant,
    /// The caller's end of speech. What happens to speech that began before it may be the agent's
    /// reaction to the caller.
    pub speech_end: Instant,
    /// The next turn begins, if it has.
    pub until: Option<Instant>,
}

/// The most recent findings about one stream.
#[derive(Debug)]
pub(super) struct Findings {
    found: VecDeque<Finding>,
    onsets: VecDeque<Instant>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            found: VecDeque::with_capacity(FINDINGS),
            onsets: VecDeque::with_capacity(SPURTS),
        }
    }
}

impl Findings {
    /// Adds a finding; beyond [`FINDINGS`] it displaces the oldest.
    pub(super) fn add(&mut self, at: Instant, defect: Defect) {
        if self.found.len() == FINDINGS {
            self.found.pop_front();
        }
        self.found.push_back(Finding { at, defect });
    }

    /// Removes the tail found at `at`: the sound went on.
    pub(super) fn withdraw_tail(&mut self, at: Instant) {
        let is_it = |f: &Finding| f.at == at && f.defect == Defect::TruncatedTail;
        self.found.retain(|f| !is_it(f));
    }

    /// The last finding, for one that grows.
    pub(super) fn last(&mut self) -> Option<&mut Finding> {
        self.found.back_mut()
    }

    /// A talk spurt began.
    pub(super) fn onset(&mut self, at: Instant) {
        if self.onsets.len() == SPURTS {
            self.onsets.pop_front();
        }
        self.onsets.push_back(at);
    }

    /// The condition of the talk spurts that began inside the window; `None` if there are none.
    pub(super) fn reply(&self, window: &ReplyWindow) -> Option<ReplyCondition> {
        let before_next = |at: Instant| window.until.is_none_or(|until| at < until);
        let mut reply = ReplyCondition::default();
        let mut spurts = 0;
        for (k, &began) in self.onsets.iter().enumerate() {
            if began < window.from || !before_next(began) {
                continue;
            }
            spurts += 1;
            let from = began.checked_sub(SLACK).unwrap_or(began);
            let to = self
                .onsets
                .get(k + 1)
                .and_then(|next| next.checked_sub(SLACK));
            let inside =
                |f: &&Finding| f.at >= from && to.is_none_or(|to| f.at < to) && before_next(f.at);
            for finding in self.found.iter().filter(inside) {
                let at_onset = finding.at < began + SLACK;
                let counts = match finding.defect {
                    Defect::TruncatedHead => at_onset,
                    Defect::TruncatedTail => began >= window.speech_end,
                    _ => true,
                };
                if counts {
                    add(&mut reply, finding.defect);
                }
            }
        }
        (spurts > 0).then_some(reply)
    }
}
