//! Runs one step of the search: a given concurrency, for long enough to judge it.
//!
//! In: the concurrency. Out: the ttfa of the turns that started while all calls were active.
//! Invariant: turns during the ramp, those after the run stops starting calls, and those that ask
//! for no spoken reply are excluded.

use super::observed::{ObservedMean, ObservedMeans};
use crate::cli::exit::Exit;
use crate::cli::session::drive::Drive;
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::record::{CallRecord, Ms, Samples, TurnRecord};
use crate::run::{Finished, Targets};
use crate::scenario::{Extent, Load, Scenario};
use crate::stats::Sample;
use crate::stats::capacity::{Promise, PromiseVerdict};
use crate::vocab::{Metric, Outcome};
use serde::Serialize;
use std::cell::Cell;
use std::time::Duration;

/// Time between successive call starts in the ramp.
const APART: Duration = Duration::from_millis(25);
/// An inconclusive step is extended to at most this many times the requested number of turns.
const ROUNDS: usize = 4;
/// Minimum length of a step, in call lengths, so that calls start and end within it.
const CALLS: f64 = 1.5;

/// Result of a step.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    /// Concurrent calls.
    pub calls: u32,
    /// This step measures the capacity a second time, to confirm it.
    pub recheck: bool,
    /// Number of turns that the figures are based on.
    pub turns: usize,
    /// Number of those turns that were missed or failed.
    pub failed: usize,
    /// The quantile of the SLO; null if it falls on a missed or failed turn.
    pub quantile_ms: Option<Ms>,
    /// Lower end of the quantile's 95 % confidence interval. Null is +∞; both ends are null if
    /// there are too few turns.
    pub lower_ms: Option<Ms>,
    /// Upper end of the confidence interval.
    pub upper_ms: Option<Ms>,
    /// Whether the SLO is met.
    pub keeps: bool,
    /// The interval was inconclusive: judged by the point estimate.
    pub weak: bool,
    /// Why the generator itself could not sustain this load.
    pub generator_limit: Option<String>,
    /// Means of the observed series while all calls were active; empty if nothing is observed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<ObservedMean>,
}

/// Runs the steps.
pub(super) struct Taker {
    pub scenario: Scenario,
    pub targets: Targets,
    /// Minimum number of turns per step.
    pub turns: usize,
    pub promise: Promise,
    /// Mean time per turn in the last step.
    pub turn: Cell<Option<Duration>>,
}

impl Taker {
    /// The scenario with `calls` concurrent calls, for long enough to yield `turns` turns.
    pub(super) fn loaded(&self, calls: u32, turns: usize) -> Scenario {
        let a_call = judged_turns(&self.scenario).max(1) as f64;
        let (call, turn) = match self.turn.get() {
            Some(turn) => (turn.mul_f64(a_call), turn),
            // No step has run yet; the first one will show how long a turn takes.
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

    /// Measures `calls` concurrent calls, and continues while the result is inconclusive.
    pub(super) fn take(&self, calls: u32, recheck: bool, nth: u64) -> Result<Measured, Trouble> {
        let (mut turns, mut wanted) = (Vec::new(), self.turns);
        let mut observed = ObservedMeans::default();
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
            let new = within(&scenario.load, &finished.calls, &finished.turns);
            let (from, until) = window(&scenario.load);
            observed.add(&finished.observed, from, until);
            self.learn(&scenario.load, new.len());
            let nothing = new.is_empty();
            turns.extend(new);
            let limit = finished.invalid.first().cloned();
            let enough = turns.len() >= wanted;
            let measured = Measured {
                observed: observed.means(),
                ..self.judge(calls, recheck, &turns, limit)
            };
            let open = measured.weak && wanted < self.turns * ROUNDS;
            if nothing || measured.generator_limit.is_some() || enough && !open {
                return Ok(measured);
            }
            if enough {
                wanted *= 2;
            }
        }
    }

    /// Derives the length of a turn from the number of turns that a load produced.
    fn learn(&self, load: &Load, turns: usize) {
        if let (Extent::Duration(until), true) = (load.extent, turns > 0) {
            let window = until.saturating_sub(load.ramp);
            let a_turn = window.mul_f64(f64::from(load.concurrency) / turns as f64);
            self.turn.set(Some(a_turn));
        }
    }

    fn drive(&self, scenario: &Scenario) -> Result<Finished, Trouble> {
        let folder = tempfile::tempdir().map_err(|e| {
            let message = format!("cannot create a temporary folder: {e}");
            let hint = "set TMPDIR to a folder with enough free space";
            Trouble::new(Exit::Error, message, hint)
        })?;
        let drive = Drive {
            scenario,
            plan: &Plan::new(scenario),
            targets: self.targets.clone(),
            own: None,
            sentinel: None,
            evidence: None,
            impairments: None,
            abort: Vec::new(),
            telemetry: None,
            join_concurrency: None,
            checked_by: None,
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
                PromiseVerdict::Keeps => true,
                PromiseVerdict::Breaks => false,
                PromiseVerdict::Unclear => self.promise.lean(all),
            },
            weak: standing == PromiseVerdict::Unclear,
            generator_limit,
            observed: Vec::new(),
        }
    }
}

/// Number of turns of a call that the SLO judges: those that ask for a spoken reply.
pub(super) fn judged_turns(scenario: &Scenario) -> usize {
    let turns = scenario.call.turns.iter();
    turns.filter(|turn| turn.expect.asks_for_reply()).count()
}

/// The time during which all calls were active.
fn window(load: &Load) -> (Ms, Ms) {
    let until = match load.extent {
        Extent::Duration(until) => until,
        Extent::Calls(_) => Duration::MAX,
    };
    (Ms::from(load.ramp), Ms::from(until))
}

/// The turns that ask for a spoken reply, took place, and were due while all calls were active. If a turn has no
/// timestamp because its call failed first, the planned start of the call is used.
fn within(load: &Load, calls: &[CallRecord], turns: &[TurnRecord]) -> Vec<TurnRecord> {
    let taken = |t: &&TurnRecord| t.expect.asks_for_reply() && t.outcome != Outcome::Skipped;
    let turns = turns.iter().filter(taken);
    if let Extent::Calls(_) = load.extent {
        return turns.cloned().collect();
    }
    let (from, until) = window(load);
    let planned_start = |call: usize| {
        let found = calls.iter().find(|c| c.call == call);
        found.map(|c| c.planned_start_ms)
    };
    let inside = |t: &&TurnRecord| {
        let at = t.started_ms.or(t.planned_ms);
        at.or_else(|| planned_start(t.call))
            .is_some_and(|at| at >= from && at < until)
    };
    turns.filter(inside).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::Run;
    use crate::vocab::Expect;

    #[test]
    fn only_turns_that_ask_for_a_spoken_reply_fill_a_step() {
        let mut run = Run::default();
        run.good(2);
        run.turns[1].expect = Expect::RespondText;
        run.turns[4].expect = Expect::Stop;
        for extent in [Extent::Calls(2), Extent::Duration(Duration::from_secs(60))] {
            let load = Load {
                extent,
                ..Load::calls(2, 2)
            };
            let counted = within(&load, &run.calls, &run.turns);
            let expected = [0, 2, 3, 5].map(|k: usize| run.turns[k].clone());
            assert_eq!(counted, expected, "{extent:?}");
        }
    }
}
