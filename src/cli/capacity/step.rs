//! One step of the search: so many calls at once, long enough to be judged.
//!
//! In: a number of calls. Out: the ttfa of the turns that began while all of them were there.
//! Holds: turns of the ramp and of the last calls' end are in no figure.

use super::super::drive::Drive;
use super::super::exit::Exit;
use super::super::say::Trouble;
use crate::plan::Plan;
use crate::record::{Ms, Samples, TurnRecord};
use crate::run::{Doors, Finished};
use crate::scenario::{Extent, Load, Scenario};
use crate::stats::Sample;
use crate::stats::capacity::{Promise, Standing};
use crate::vocab::Metric;
use serde::Serialize;
use std::cell::Cell;
use std::time::Duration;

/// Calls start so far apart.
const APART: Duration = Duration::from_millis(25);
/// A step that is not clear gets so many times its turns at most.
const ROUNDS: usize = 4;
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
    pub doors: Doors,
    /// Turns that a step is to have.
    pub turns: usize,
    pub promise: Promise,
    /// How long a turn took in the last step.
    pub turn: Cell<Option<Duration>>,
}

impl Taker {
    /// The scenario with `calls` at once, long enough for so many turns.
    pub(super) fn loaded(&self, calls: u32, turns: usize) -> Scenario {
        let a_call = self.scenario.call.turns.len().max(1) as f64;
        let (call, turn) = match self.turn.get() {
            Some(turn) => (turn.mul_f64(a_call), turn),
            // Nothing is known yet: the first step shows how long a turn takes.
            None => (Plan::new(&self.scenario).estimate().call, Duration::ZERO),
        };
        let needed = turn.mul_f64(turns as f64 / f64::from(calls));
        let window = needed.max(call.mul_f64(CALLS));
        let ramp = APART * (calls - 1);
        Scenario {
            load: Load {
                extent: Extent::Duration(ramp + window),
                ramp,
                ..Load::calls(1, calls)
            },
            warmup: 0,
            thresholds: Vec::new(),
            ..self.scenario.clone()
        }
    }

    /// Measures `calls` at once, for longer while that leaves it open.
    pub(super) fn take(&self, calls: u32, recheck: bool, nth: u64) -> Result<Measured, Trouble> {
        let (mut turns, mut wanted) = (Vec::new(), self.turns);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let missing = wanted.saturating_sub(turns.len());
            let loaded = self.loaded(calls, missing);
            let scenario = Scenario {
                seed: self.scenario.seed.wrapping_add(nth * 100 + attempt),
                ..loaded
            };
            let finished = self.drive(&scenario)?;
            let new = within(&scenario.load, &finished);
            self.learn(&scenario.load, new.len());
            let nothing = new.is_empty();
            turns.extend(new);
            let limit = finished.invalid.first().cloned();
            let enough = turns.len() >= wanted;
            let measured = self.judge(calls, recheck, &turns, limit);
            let open = measured.weak && wanted < self.turns * ROUNDS;
            if nothing || measured.generator_limit.is_some() || enough && !open {
                return Ok(measured);
            }
            if enough {
                wanted *= 2;
            }
        }
    }

    /// How long a turn of a call takes, by what came of a load.
    fn learn(&self, load: &Load, turns: usize) {
        if let (Extent::Duration(until), true) = (load.extent, turns > 0) {
            let window = until.saturating_sub(load.ramp);
            let a_turn = window.mul_f64(f64::from(load.concurrency) / turns as f64);
            self.turn.set(Some(a_turn));
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
            doors: self.doors.clone(),
            own: None,
            sentinel: None,
            evidence: None,
            abort: Vec::new(),
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
        let samples = Samples::of(turns.len(), &[], turns);
        let all = samples.all(Metric::Ttfa);
        let failed = all.infinite();
        let standing = self.promise.judge(all, failed);
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
                Standing::Unclear => self.promise.lean(all),
            },
            weak: standing == Standing::Unclear,
            generator_limit,
        }
    }
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
