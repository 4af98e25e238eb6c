//! One step of the search: so many calls at once, long enough to be judged.
//!
//! In: a number of calls. Out: the ttfa of the turns that began while all of them were there.
//! Holds: turns of the ramp and of the last calls' end are in no figure.

use super::super::drive::Drive;
use super::super::exit::Exit;
use super::super::say::Trouble;
use crate::plan::Plan;
use crate::record::{Ms, Samples, TurnRecord};
use crate::run::{Door, Finished};
use crate::scenario::{Extent, Load, Scenario};
use crate::stats::capacity::{Promise, Standing};
use crate::stats::{Distribution, Sample};
use serde::Serialize;
use std::time::Duration;

/// Calls start so far apart.
const APART: Duration = Duration::from_millis(25);
/// A step that is not clear is measured for so long at most, in lengths of the first.
const ROUNDS: u32 = 4;
/// A step lasts at least for so many lengths of a call, so that calls come and go in it.
const CALLS: f64 = 1.5;

/// What a step came to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    /// Calls at once.
    pub calls: u32,
    /// The answer, measured again.
    pub recheck: bool,
    /// Turns behind the figures.
    pub turns: usize,
    /// Of these, turns that were missed or failed.
    pub failed: usize,
    /// The promised quantile; null where it lies among those.
    pub quantile_ms: Option<Ms>,
    /// Its 95 % interval; a null end is +∞, both are null where there are too few turns.
    pub lower_ms: Option<Ms>,
    /// Upper end.
    pub upper_ms: Option<Ms>,
    /// The promise is kept.
    pub keeps: bool,
    /// Its interval is not clear of the bound: judged by the point estimate.
    pub weak: bool,
    /// Why the generator itself could not carry this.
    pub generator_limit: Option<String>,
}

/// Takes steps.
pub(super) struct Taker {
    pub scenario: Scenario,
    pub door: Door,
    /// Turns that a step is to have.
    pub turns: usize,
    pub promise: Promise,
}

impl Taker {
    /// The scenario with `calls` at once, for `rounds` of a step's length.
    pub(super) fn loaded(&self, calls: u32, rounds: u32) -> Scenario {
        let call = Plan::new(&self.scenario).estimate().call;
        let turns = self.scenario.call.turns.len().max(1);
        let of_a_call = call.div_f64(turns as f64);
        let needed = of_a_call.mul_f64(self.turns as f64 / f64::from(calls));
        let window = needed.max(call.mul_f64(CALLS)) * rounds;
        let ramp = APART * (calls - 1);
        Scenario {
            load: Load {
                // The first call's first turn is due a call's beginning after the ramp.
                extent: Extent::Duration(ramp + window),
                ramp,
                ..Load::calls(1, calls)
            },
            warmup: 0,
            thresholds: Vec::new(),
            ..self.scenario.clone()
        }
    }

    /// Measures `calls` at once, again for longer while that leaves it open.
    pub(super) fn take(&self, calls: u32, recheck: bool, nth: u64) -> Result<Measured, Trouble> {
        let mut turns = Vec::new();
        let mut rounds = 1;
        loop {
            let scenario = Scenario {
                seed: self
                    .scenario
                    .seed
                    .wrapping_add(nth * 100 + u64::from(rounds)),
                ..self.loaded(calls, rounds)
            };
            let finished = self.drive(&scenario)?;
            turns.extend(within(&scenario.load, &finished));
            let limit = finished.invalid.first().cloned();
            let measured = self.judge(calls, recheck, &turns, limit);
            let clear = !measured.weak || measured.generator_limit.is_some();
            if clear || rounds >= ROUNDS {
                return Ok(measured);
            }
            rounds *= 2;
        }
    }

    fn drive(&self, scenario: &Scenario) -> Result<Finished, Trouble> {
        let folder = tempfile::tempdir().map_err(|e| {
            let message = format!("cannot make a temporary folder: {e}");
            let hint = "set TMPDIR to a folder with room in it";
            Trouble::new(Exit::Error, message, hint)
        })?;
        let drive = Drive {
            scenario,
            plan: &Plan::new(scenario),
            door: self.door.clone(),
            own: None,
            sentinel: None,
            join_concurrency: None,
        };
        drive.quietly(folder.path(), "search")
    }

    fn judge(
        &self,
        calls: u32,
        recheck: bool,
        turns: &[TurnRecord],
        generator_limit: Option<String>,
    ) -> Measured {
        let all = Samples::of(turns.len(), &[], turns).all_turns;
        let failed = all.infinite();
        let standing = self.promise.judge(&all, failed);
        let ms = |s: Option<Sample>| s.and_then(Ms::from_sample);
        let interval = all.interval(self.promise.quantile, 0.95).ok();
        Measured {
            calls,
            recheck,
            turns: all.count(),
            failed,
            quantile_ms: ms(all.quantile(self.promise.quantile)),
            lower_ms: ms(interval.map(|i| i.lower)),
            upper_ms: ms(interval.map(|i| i.upper)),
            keeps: match standing {
                Standing::Keeps => true,
                Standing::Breaks => false,
                Standing::Unclear => leans(&self.promise, &all),
            },
            weak: standing == Standing::Unclear,
            generator_limit,
        }
    }
}

fn leans(promise: &Promise, all: &Distribution) -> bool {
    promise.lean(all)
}

/// The turns that were to begin while all calls were there: those of calls that failed before
/// count by their call's planned start.
fn within(load: &Load, finished: &Finished) -> Vec<TurnRecord> {
    let Extent::Duration(until) = load.extent else {
        return finished.turns.clone();
    };
    let (from, until) = (Ms::from(load.ramp), Ms::from(until));
    let planned_start = |call: usize| {
        let found = finished.calls.iter().find(|c| c.call == call);
        found.map(|c| c.planned_start_ms)
    };
    let inside = |t: &&TurnRecord| {
        let at = t.started_ms.or(t.planned_ms);
        at.or_else(|| planned_start(t.call))
            .is_some_and(|at| at >= from && at < until)
    };
    finished.turns.iter().filter(inside).cloned().collect()
}
