//! Checks everything that a run needs, before the run: the way to each server, a call to each
//! agent, this machine.
//!
//! In: a scenario, its plan, the targets. Out: sections with a line for each check, as soon as each
//! is done. Invariants: the calls are made by the code that makes a run's calls, and leave nothing
//! behind; every step has a time limit; what depends on a failed step is skipped, and does not fail.

mod attempt;
mod check;
mod machine;
mod reached;
mod server;

pub(crate) use check::{Check, Line, Section, Word};

use super::error::RunError;
use super::shared::Shared;
use super::{RunSettings, Targets, open};
use crate::plan::{Plan, PlannedCall};
use crate::scenario::Scenario;
use crate::targets::Examination;
use attempt::{Goal, attempt};
use machine::{Machine, Needs};
use std::collections::HashSet;
use std::time::Duration;

/// What a doctor looks at besides the scenario.
#[derive(Debug, Clone)]
pub(crate) struct DoctorSettings {
    /// The settings of a run, of which the targets, the id and the token for stopping are used.
    pub(crate) run: RunSettings,
    /// Call an agent; otherwise only join a room.
    pub(crate) agent: bool,
    /// Number of callers up to which `loadgen calibrate` found the figures to be right.
    pub(crate) calibrated: Option<u64>,
}

/// Makes all checks, and tells the results of each thing that was checked.
///
/// # Errors
/// [`RunError`] if a sound of the scenario cannot be used, or a thread cannot be started.
pub(crate) async fn examine(
    scenario: &Scenario,
    plan: &Plan,
    settings: &DoctorSettings,
    tell: &mut (dyn FnMut(Section) + Send),
) -> Result<(), RunError> {
    let targets = &settings.run.targets;
    let calibrated = settings.calibrated;
    let looked = tokio::task::spawn_blocking(move || Machine::look(calibrated)).await;
    let (failed, round_trip) = servers(targets, tell).await;
    match failed {
        Some(because) => tell(Section {
            of: "a call".to_owned(),
            lines: vec![Line::skipped(Check::Join, because)],
        }),
        None => calls(scenario, plan, settings, round_trip, tell).await?,
    }
    // Looking at the machine does not panic.
    if let Ok(machine) = looked {
        let needs = Needs {
            calls: plan.concurrency(),
            open: plan.is_open(),
            descriptors: targets.descriptors(),
            ports: targets.ports(),
        };
        tell(Section {
            of: "this machine".to_owned(),
            lines: machine::lines(&machine, needs),
        });
    }
    Ok(())
}

/// Examines each server; returns the first check that failed, and the round-trip time to the last
/// server.
async fn servers(
    targets: &Targets,
    tell: &mut (dyn FnMut(Section) + Send),
) -> (Option<Check>, Option<Duration>) {
    let (mut failed, mut round_trip) = (None, None);
    for target in targets.all() {
        let Some(found) = target.examine().await else {
            continue;
        };
        round_trip = round_trip_of(&found);
        let now = jiff::Timestamp::now().as_second();
        let lines = server::lines(&found, now);
        let bad = lines.iter().find(|line| line.word == Word::Fail);
        failed = failed.or(bad.map(|line| line.check));
        tell(Section {
            of: target.describe(),
            lines,
        });
    }
    (failed, round_trip)
}

fn round_trip_of(found: &Examination) -> Option<Duration> {
    match &found.http {
        Some(Ok(facts)) => Some(facts.round_trip),
        _ => None,
    }
}

/// Makes a call to each agent of the variants on each target, and a second one to see how fast an
/// agent is that has just been called.
async fn calls(
    scenario: &Scenario,
    plan: &Plan,
    settings: &DoctorSettings,
    round_trip: Option<Duration>,
    tell: &mut (dyn FnMut(Section) + Send),
) -> Result<(), RunError> {
    let mut ignore = |_| {};
    let opened = open(scenario, 1, &settings.run, &mut ignore).await;
    let shared = match opened {
        Ok((shared, _reports)) => shared,
        Err(RunError::Target(failure)) => {
            let line = Line::fail(Check::Join, failure.to_string(), failure.hint());
            tell(Section {
                of: "a call".to_owned(),
                lines: vec![line],
            });
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let goal = match settings.agent {
        true => Goal::Reply,
        false => Goal::Room,
    };
    let mut called = HashSet::new();
    for variant in 0..scenario.variants.len() {
        let number = shared.targets.number(variant);
        let same = shared.targets.of_variant(variant).preflight(variant);
        let is_new = called.insert((number, same));
        // A plan without calls needs no agent.
        let Some(first) = plan.call(0).filter(|_| is_new) else {
            continue;
        };
        let planned = PlannedCall { variant, ..first };
        let lines = call(&shared, &planned, goal, round_trip).await;
        let of = match scenario.variants.len() {
            1 => "a call".to_owned(),
            _ => format!("a call of variant {}", scenario.variants[variant].name),
        };
        tell(Section { of, lines });
        if settings.run.stop.is_cancelled() {
            break;
        }
    }
    shared.targets.close(false, &mut |_| {}).await;
    Ok(())
}

/// Calls the agent of a variant, twice if it can be reached.
async fn call(
    shared: &Shared,
    planned: &PlannedCall,
    goal: Goal,
    round_trip: Option<Duration>,
) -> Vec<Line> {
    let variant = planned.variant;
    let first = attempt(shared, planned, &format!("doctor-{variant}"), goal).await;
    let again = match first.agent.is_some() && !shared.stop.is_cancelled() {
        true => {
            let name = format!("doctor-{variant}-again");
            Some(attempt(shared, planned, &name, Goal::Agent).await)
        }
        false => None,
    };
    reached::lines(goal, &first, again.as_ref(), round_trip)
}
