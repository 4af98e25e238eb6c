//! Executes a plan for a command: sets up the runtime, the run's id and signal handling.
//!
//! In: a checked scenario, its plan, its targets. Out: the finished run.
//! Invariant: every command that makes calls makes them through this module.

use super::watchdog;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::runtime::with_runtime;
use crate::cli::settings;
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::record::Journal;
use crate::run::{
    self, AbortGate, Clock, Finished, JOIN_CONCURRENCY, Pulses, RunError, RunEvent, RunSettings,
    Targets, TelemetryInbox,
};
use crate::scenario::Scenario;
use crate::targets::OwnAgent;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) struct Drive<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) plan: &'a Plan,
    pub(crate) targets: Targets,
    /// Our own agent, to be called through the first target's server.
    pub(crate) own: Option<OwnAgent>,
    pub(crate) sentinel: Option<OwnAgent>,
    pub(crate) evidence: Option<PathBuf>,
    /// File for the log of the simulated networks, if the scenario keeps one.
    pub(crate) impairments: Option<PathBuf>,
    /// Gates that end the run as soon as its turns refute them.
    pub(crate) abort: Vec<AbortGate>,
    /// Where the agents' telemetry arrives, if it is received.
    pub(crate) telemetry: Option<Arc<TelemetryInbox>>,
    /// Maximum number of concurrent joins, if not the default.
    pub(crate) join_concurrency: Option<usize>,
    /// The scenario to which `loadgen doctor` can be applied if the first call fails.
    pub(crate) checked_by: Option<&'a str>,
}

impl Drive<'_> {
    /// Executes the plan until it ends or a signal arrives.
    pub(crate) fn drive(
        self,
        pulses: &Pulses,
        journal: &mut Journal,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<Finished, Trouble> {
        let stop = CancellationToken::new();
        let checked_by = self.checked_by;
        let settings = RunSettings {
            targets: self.targets,
            clock: Clock::System,
            run_id: settings::random_id(),
            own: self.own,
            sentinel: self.sentinel,
            evidence: self.evidence,
            impairments: self.impairments,
            abort: self.abort,
            join_concurrency: self.join_concurrency.unwrap_or(JOIN_CONCURRENCY),
            telemetry: self.telemetry,
            pulses: pulses.clone(),
            stop: stop.clone(),
        };
        with_runtime(stop, async {
            run::run(self.scenario, self.plan, &settings, journal, tell).await
        })?
        .map_err(|e| failed(&e, checked_by))
    }
}

impl Drive<'_> {
    /// Executes the plan without progress output, for commands that need several runs; warnings are
    /// still printed. The journal is written to `folder`; `what` is the name of the work in the
    /// error that is returned if a signal stops it.
    pub(crate) fn quietly(self, folder: &Path, what: &str) -> Result<Finished, Trouble> {
        let mut journal =
            Journal::create(&folder.join("turns.jsonl")).map_err(|e| Trouble::record(&e))?;
        let mut tell = |event: RunEvent| {
            if let RunEvent::Notice(text) = event {
                console::warn(&text);
            }
        };
        let watchdog = watchdog::watch(folder)?;
        let finished = self.drive(watchdog.pulses(), &mut journal, &mut tell)?;
        match finished.stopped {
            true => Err(Trouble::new(
                Exit::Stopped,
                format!("the {what} was stopped"),
                "run it again without stopping it",
            )),
            false => Ok(finished),
        }
    }
}

/// The message for a run that could not be carried out. `scenario`: what `loadgen doctor` can be
/// applied to.
pub(crate) fn failed(e: &RunError, scenario: Option<&str>) -> Trouble {
    let exit = match e {
        RunError::Preflight(crate::call::Failure::Stopped)
        | RunError::Target(crate::call::Failure::Stopped) => Exit::Stopped,
        RunError::Unreadable { .. } | RunError::Unusable { .. } => Exit::InvalidScenario,
        _ => Exit::Error,
    };
    let hint = match (e, scenario) {
        (RunError::Preflight(_) | RunError::Target(_), Some(scenario)) if exit == Exit::Error => {
            let scenario = shlex::try_quote(scenario).unwrap_or("SCENARIO".into());
            let doctor = format!("`loadgen doctor {scenario}` shows each step up to a reply");
            format!("{}; {doctor}", e.hint())
        }
        _ => e.hint(),
    };
    Trouble::new(exit, e.to_string(), hint)
}
