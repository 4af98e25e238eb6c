//! A run inside a command: the runtime, the run's id, signals.
//!
//! In: a checked scenario, its plan, where its calls go. Out: what the run came to.
//! Holds: every command that makes calls makes them here, in one way.

use super::exit::Exit;
use super::say::{self, Trouble};
use super::settings;
use crate::plan::Plan;
use crate::record::Journal;
use crate::run::{self, Door, Finished, RunError, RunEvent, Settings};
use crate::scenario::Scenario;
use crate::target::OwnAgent;
use tokio_util::sync::CancellationToken;

/// What is to be driven.
pub(super) struct Drive<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) plan: &'a Plan,
    pub(super) door: Door,
    /// An agent of our own to be called at the door's server.
    pub(super) own: Option<OwnAgent>,
    /// The agent of the sentinels.
    pub(super) sentinel: Option<OwnAgent>,
}

impl Drive<'_> {
    /// Carries the plan out, until its end or a signal.
    pub(super) fn drive(
        self,
        journal: &mut Journal,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<Finished, Trouble> {
        let stop = CancellationToken::new();
        let settings = Settings {
            door: self.door,
            run_id: settings::random_id(),
            own: self.own,
            sentinel: self.sentinel,
            stop: stop.clone(),
        };
        say::with_runtime(stop, async {
            run::run(self.scenario, self.plan, &settings, journal, tell).await
        })?
        .map_err(|e| failed(&e))
    }
}

fn failed(e: &RunError) -> Trouble {
    let exit = match e {
        RunError::Canary(crate::call::Failure::Stopped)
        | RunError::Embedded(crate::call::Failure::Stopped) => Exit::Stopped,
        RunError::Unreadable { .. } | RunError::Unusable { .. } => Exit::InvalidScenario,
        _ => Exit::Error,
    };
    Trouble::new(exit, e.to_string(), e.hint())
}
