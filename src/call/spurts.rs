//! What the agent has been saying, as far as the ear has told.
//!
//! In: [`Heard`], in the ear's order. Out: the spurt under way and the ends of earlier ones.
//! Holds: a spurt that the ear forgot to end is replaced by the next one.

use crate::audio::{Heard, Onset};
use std::time::Instant;

/// A talk spurt under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spurt {
    /// Coarse instant of its trigger.
    trigger: Instant,
    /// When we were told of the trigger.
    pub(super) noticed: Instant,
    /// The refined onset, once known.
    pub(super) onset: Option<Onset>,
    /// Beginning of the spurt before it.
    before: Option<Instant>,
}

impl Spurt {
    /// Its first audible sample, as well as it is known.
    pub(super) fn began(&self) -> Instant {
        self.onset.map_or(self.trigger, |o| o.at.wire())
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Spurts {
    /// The spurt under way.
    pub(super) current: Option<Spurt>,
    /// Beginning of the latest spurt, under way or over.
    pub(super) last_began: Option<Instant>,
    /// Last audible sample of the first spurt that ended.
    pub(super) first_end: Option<Instant>,
    /// Last audible sample of the latest spurt that ended.
    pub(super) last_end: Option<Instant>,
}

impl Spurts {
    /// Takes a report in; returns the spurt it speaks of, or `None` for an end of
    /// nothing and for one that is not the agent's.
    pub(super) fn heard(&mut self, now: Instant, heard: &Heard) -> Option<Spurt> {
        let spurt = match *heard {
            Heard::Triggered { at } => Spurt {
                trigger: at.wire(),
                noticed: now,
                onset: None,
                before: self.last_began,
            },
            Heard::Onset(onset) => {
                let fresh = Spurt {
                    trigger: onset.at.wire(),
                    noticed: now,
                    onset: None,
                    before: self.last_began,
                };
                let announced = self.current.filter(|s| s.onset.is_none());
                Spurt {
                    onset: Some(onset),
                    ..announced.unwrap_or(fresh)
                }
            }
            Heard::Dismissed => {
                let dismissed = self.current.take()?;
                self.last_began = dismissed.before;
                return None;
            }
            Heard::Ended { last_audible } => {
                let ended = self.current.take()?;
                self.first_end.get_or_insert(last_audible.wire());
                self.last_end = Some(last_audible.wire());
                return Some(ended);
            }
        };
        self.current = Some(spurt);
        self.last_began = Some(spurt.began());
        Some(spurt)
    }

    /// When we noticed a spurt whose onset is still to come.
    pub(super) fn pending_since(&self) -> Option<Instant> {
        let pending = self.current.filter(|s| s.onset.is_none());
        pending.map(|s| s.noticed)
    }
}
