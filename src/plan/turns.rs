//! Draws the turns of a call: what is said, after which pause, how often a loop is taken.
//!
//! In: the turns of the scenario, the seed, the call's number. Out: one [`PlannedTurn`] for each,
//! so that a turn has the same index in every call. Invariant: changing one turn does not change
//! what is drawn for the others.

use super::draw::{Domain, Draw};
use super::planned::{PlannedLeaving, PlannedTurn, Said};
use crate::scenario::{Delay, LoopPass, Pick, Saying, TurnConfig};
use crate::vocab::UtteranceKind;
use std::time::Duration;

/// What the turns of a call depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) seed: u64,
    pub(super) warmup: bool,
    /// Number of the call in its phase.
    pub(super) number: u64,
    /// Number of the round: calls of the same round take the same entry of a list in order. Calls
    /// of a block are one round, so that variants are compared by what they were told.
    pub(super) round: u64,
    /// Names of the utterances.
    pub(super) names: &'a [String],
    /// What the utterances are.
    pub(super) kinds: &'a [UtteranceKind],
}

impl Drawn<'_> {
    pub(super) fn turns(self, written: &[TurnConfig]) -> Vec<PlannedTurn> {
        let mut draw = Draw::new(self.seed, Domain::call(self.warmup), self.number);
        // Everything besides what is said and the pause before it has draws of its own.
        let mut course = Draw::new(self.seed, Domain::course(self.warmup), self.number);
        let mut loops: Vec<u32> = Vec::new();
        let turns = written.iter().map(|turn| {
            let passes = turn.pass.map(|at| {
                if loops.len() == at.group {
                    let spread = u64::from(at.max - at.min) + 1;
                    loops.push(at.min + course.below(spread) as u32);
                }
                (at, loops[at.group])
            });
            let leaving = turn.hang_up.as_ref().map(|leaving| PlannedLeaving {
                anchor: leaving.anchor,
                silence: leaving.silence,
                delay: pause(leaving.delay, &mut course),
            });
            self.turn(turn, &mut draw, passes, leaving)
        });
        turns.collect()
    }

    fn turn(
        self,
        turn: &TurnConfig,
        draw: &mut Draw,
        passes: Option<(LoopPass, u32)>,
        hang_up: Option<PlannedLeaving>,
    ) -> PlannedTurn {
        // Always two draws per turn, even if unused.
        let nth = self.picked(turn, draw);
        let (said, say) = match &turn.say {
            Saying::Utterances(of) => (Said::Utterance(of[nth]), self.names[of[nth]].clone()),
            Saying::Texts(texts) => {
                // The text itself is in no record.
                let name = match texts.len() {
                    1 => "say_text".to_owned(),
                    _ => format!("say_text[{nth}]"),
                };
                (Said::Text(texts[nth].clone()), name)
            }
            Saying::Nothing => (Said::Nothing, NOTHING.to_owned()),
        };
        let kind = match said {
            Said::Utterance(index) => self.kinds[index],
            Said::Text(_) | Said::Nothing => UtteranceKind::Speech,
        };
        PlannedTurn {
            said,
            say,
            kind,
            anchor: turn.anchor,
            delay: pause(turn.delay, draw),
            expect: turn.expect,
            timeout: turn.timeout,
            pass: passes.map(|(at, passes)| (at.pass, passes)),
            hang_up,
        }
    }

    /// Index of the thing that the caller says.
    fn picked(self, turn: &TurnConfig, draw: &mut Draw) -> usize {
        let most = turn.say.len() as u64;
        match &turn.pick {
            Pick::Random => draw.below(most) as usize,
            Pick::InOrder => {
                draw.below(most);
                let pass = turn.pass.map_or(0, |at| u64::from(at.pass));
                (self.round.wrapping_add(pass) % most) as usize
            }
            Pick::Weighted(weights) => {
                let total = weights.iter().map(|weight| u64::from(*weight)).sum();
                let mut left = draw.below(total);
                let taken = weights.iter().position(|weight| {
                    let weight = u64::from(*weight);
                    let hit = left < weight;
                    left = left.saturating_sub(weight);
                    hit
                });
                taken.unwrap_or_default()
            }
        }
    }
}

/// Name, in records, of what the caller says in a turn in which it says nothing. No utterance has
/// this name.
const NOTHING: &str = "(nothing)";

/// A pause, from one draw.
fn pause(delay: Delay, draw: &mut Draw) -> Duration {
    match delay {
        Delay::Between { min, max } => {
            let spread = max.saturating_sub(min).as_micros() as u64;
            min + Duration::from_micros(draw.below(spread + 1))
        }
        Delay::Normal { mean, sd } => {
            let drawn = mean.as_secs_f64() + sd.as_secs_f64() * draw.normal();
            // A number that is too large becomes the largest one; delays are far below that.
            Duration::from_micros((drawn.max(0.0) * 1e6).round() as u64)
        }
    }
}
