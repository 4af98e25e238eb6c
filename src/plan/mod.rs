//! Turns a scenario and its seed into the calls of a run, each with its timing.
//!
//! In: a checked scenario. Out: a [`Plan`], which returns each call by its index. Pure.
//! Invariants: the same scenario and seed give the same calls, byte for byte, regardless of the
//! order of requests; a call does not change with the number of calls or of warm-up calls.

mod consent;
mod draw;
mod estimate;
mod planned;
mod shape;
mod show;
mod turns;

pub(crate) use consent::{Consent, is_private};
pub(crate) use estimate::Estimate;
pub(crate) use planned::{PlannedTurn, Said};
pub(crate) use show::{json_line, summary};

use crate::scenario::{Extent, Load, Networks, ONE, Scenario, Shape, Stage, TurnConfig};
use crate::vocab::UtteranceKind;
use draw::{Domain, Draw};
use std::sync::Arc;
use std::time::Duration;
use turns::Drawn;

/// When a call starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// This long after the start of the call's phase. The warm-up phase starts with the run, the
    /// measured phase once the warm-up calls have ended.
    At(Duration),
    /// As soon as another call of the same phase has ended.
    AfterSlot,
}

/// One call of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCall {
    /// Position in the plan, from 0; warm-up calls come first.
    pub(crate) index: u64,
    /// Whether this is a warm-up call; warm-up calls are not counted.
    pub(crate) warmup: bool,
    /// When the call starts.
    pub start: Start,
    /// Index into [`Scenario::variants`].
    pub(crate) variant: usize,
    /// Index of the call's block, from 0; `None` for warm-up calls, or if there is only one
    /// variant. A block contains each variant once (the last block may contain fewer).
    pub(crate) block: Option<u64>,
    /// Which of the scenario's sounds ([`Scenario::sounds`]) the call has, as drawn.
    pub(crate) sound: usize,
    /// Which of the scenario's networks ([`Networks::mix`]) the call has, as drawn; `None` if there
    /// are none.
    pub(crate) network: Option<usize>,
    /// Suffix of the room's name, unique in the plan: `c00042`, `w00003`.
    pub(crate) room: String,
    /// The turns, in order.
    pub(crate) turns: Vec<PlannedTurn>,
}

impl PlannedCall {
    /// The text that the caller sends in a turn; empty if it sends none.
    pub(crate) fn text(&self, turn: usize) -> Arc<str> {
        let turn = self.turns.get(turn);
        turn.and_then(PlannedTurn::text).unwrap_or_default()
    }
}

/// A target concurrency that changes over time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stages<'a>(&'a [Stage]);

impl Stages<'_> {
    /// Target concurrency `since` after the start; `None` once the stages are over.
    pub(crate) fn target_at(self, since: Duration) -> Option<u32> {
        shape::target_at(self.0, since)
    }

    /// The first instant from `since` on at which the target reaches `level` calls at once.
    pub(crate) fn next_rise(self, level: u32, since: Duration) -> Option<Duration> {
        shape::next_rise(self.0, level, since)
    }
}

/// Every call of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    seed: u64,
    load: Load,
    /// Arrival instants of an open load; empty for a closed one.
    arrivals: Arc<[Duration]>,
    warmup: u64,
    variants: Vec<String>,
    names: Vec<String>,
    kinds: Vec<UtteranceKind>,
    /// Number of sounds from which each call has one.
    sounds: u64,
    /// Networks from which each call has one.
    networks: Networks,
    turns: Vec<TurnConfig>,
    estimate: Estimate,
}

impl Plan {
    /// Plans a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            seed: scenario.seed,
            load: scenario.load.clone(),
            arrivals: shape::arrivals(&scenario.load, scenario.seed).into(),
            warmup: u64::from(scenario.warmup),
            variants: scenario.variants.iter().map(|v| v.name.clone()).collect(),
            names: scenario.utterances.iter().map(|u| u.name.clone()).collect(),
            kinds: scenario.utterances.iter().map(|u| u.kind).collect(),
            sounds: scenario.sounds() as u64,
            networks: scenario.networks.clone(),
            turns: scenario.call.turns.clone(),
            estimate: estimate::estimate(scenario),
        }
    }

    /// The call at `index`, from 0; warm-up calls come first. `None` after the last call; a load
    /// that is bounded by a duration has no last call.
    pub(crate) fn call(&self, index: u64) -> Option<PlannedCall> {
        let warmup = index < self.warmup;
        let number = if warmup { index } else { index - self.warmup };
        if !warmup && self.measured().is_some_and(|calls| number >= calls) {
            return None;
        }
        let drawn = Drawn {
            seed: self.seed,
            warmup,
            number,
            round: number / self.variants.len() as u64,
            names: &self.names,
            kinds: &self.kinds,
        };
        Some(PlannedCall {
            index,
            warmup,
            start: self.start(warmup, number),
            variant: self.variant(warmup, number),
            block: self.block(warmup, number),
            sound: self.sound(warmup, number),
            network: self.network(warmup, number),
            room: format!("{}{number:05}", if warmup { 'w' } else { 'c' }),
            turns: drawn.turns(&self.turns),
        })
    }

    /// Every call in order; endless if [`Plan::measured`] is `None`.
    pub fn calls(&self) -> impl Iterator<Item = PlannedCall> + '_ {
        (0..).map_while(|index| self.call(index))
    }

    /// Number of measured calls; `None` for a closed load that is bounded by a duration.
    pub fn measured(&self) -> Option<u64> {
        match (&self.load.shape, self.load.extent) {
            (Shape::Arrival(_), _) => Some(self.arrivals.len() as u64),
            (_, Extent::Calls(calls)) => Some(u64::from(calls)),
            (_, Extent::Duration(_)) => None,
        }
    }

    /// Whether the load is open: calls arrive at a given rate, and a call that arrives while
    /// [`Plan::concurrency`] calls are in progress is dropped.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.load.shape, Shape::Arrival(_))
    }

    /// The stages of the load, if it has any.
    pub(crate) fn stages(&self) -> Option<Stages<'_>> {
        match &self.load.shape {
            Shape::Stages(stages) => Some(Stages(stages)),
            _ => None,
        }
    }

    /// Target concurrency `since` after the start of the measured calls; for an open load, its
    /// maximum concurrency.
    pub(crate) fn target_at(&self, since: Duration) -> u64 {
        if let Some(stages) = self.stages() {
            return stages.target_at(since).map_or(0, u64::from);
        }
        if self.duration().is_some_and(|end| since >= end) {
            return 0;
        }
        let (slots, ramp) = (self.concurrency(), self.load.ramp.as_nanos());
        if self.is_open() || since.as_nanos() >= ramp {
            return slots;
        }
        // The same spacing as in `start`. The result is at most `slots`, which fits a u32.
        (since.as_nanos() * u128::from(slots) / ramp) as u64 + 1
    }

    /// Spans in which the load is steady, relative to the start of the measured calls; the last
    /// span may have no end.
    pub(crate) fn steady(&self) -> Vec<(Duration, Option<Duration>)> {
        shape::steady(&self.load)
    }

    /// Number of warm-up calls.
    pub(crate) fn warmup(&self) -> u64 {
        self.warmup
    }

    /// Time during which new measured calls are started; `None` if the number of calls is fixed.
    pub(crate) fn duration(&self) -> Option<Duration> {
        match self.load.extent {
            Extent::Calls(_) => None,
            Extent::Duration(duration) => Some(duration),
        }
    }

    /// The maximum number of calls at once.
    pub(crate) fn concurrency(&self) -> u64 {
        u64::from(self.load.concurrency)
    }

    /// The estimated size of the run, for agents of typical speed.
    pub(crate) fn estimate(&self) -> Estimate {
        self.estimate
    }

    /// Estimated total length of all calls, in minutes.
    pub(crate) fn call_minutes(&self) -> f64 {
        self.estimate.call_minutes()
    }

    /// When a call of a phase starts. The first calls of all slots start during the ramp, evenly
    /// spaced.
    fn start(&self, warmup: bool, number: u64) -> Start {
        if let (false, Some(at)) = (warmup, self.arrivals.get(number as usize)) {
            return Start::At(*at);
        }
        if !warmup && self.stages().is_some() {
            return Start::AfterSlot;
        }
        let slots = self.concurrency();
        let ramped = if warmup {
            slots.min(self.warmup)
        } else {
            slots
        };
        if number >= ramped {
            return Start::AfterSlot;
        }
        let nanos = self.load.ramp.as_nanos() * u128::from(number) / u128::from(slots);
        // At most the ramp, which is at most 365 days: far below 2^64 ns.
        Start::At(Duration::from_nanos(nanos as u64))
    }

    /// Index of the call's variant. Variants are assigned in blocks that contain each variant once,
    /// in a random order per block. At any moment all variants have had about the same number of
    /// calls.
    fn variant(&self, warmup: bool, number: u64) -> usize {
        let count = self.variants.len() as u64;
        let mut order: Vec<usize> = (0..self.variants.len()).collect();
        Draw::new(self.seed, Domain::block(warmup), number / count).shuffle(&mut order);
        order[(number % count) as usize]
    }

    /// Index of the call's sound. Drawn apart from the call's other draws, so that it changes none
    /// of them.
    fn sound(&self, warmup: bool, number: u64) -> usize {
        Draw::new(self.seed, Domain::sound(warmup), number).below(self.sounds) as usize
    }

    /// Index of the call's network, drawn apart like its sound.
    fn network(&self, warmup: bool, number: u64) -> Option<usize> {
        let mut draw = Draw::new(self.seed, Domain::network(warmup), number);
        self.networks.pick(draw.below(ONE.into()) as u32)
    }

    fn block(&self, warmup: bool, number: u64) -> Option<u64> {
        let count = self.variants.len() as u64;
        (!warmup && count > 1).then(|| number / count)
    }
}

#[cfg(test)]
mod tests;
