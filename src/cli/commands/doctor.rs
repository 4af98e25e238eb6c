//! `loadgen doctor`: checks everything that a run needs, before the run.
//!
//! In: a scenario, or only a server. Out: a line for each check, or JSON; an exit code. Invariants:
//! without a scenario, no agent is called unless one is named; warnings do not change the exit code.

mod show;

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::overrides::OverrideArgs;
use crate::cli::runtime::with_runtime;
use crate::cli::server::ServerArgs;
use crate::cli::session::conduct::{OpenedScenario, open_source};
use crate::cli::session::drive::failed;
use crate::cli::session::request::SessionRequest;
use crate::cli::settings;
use crate::cli::sources::ScenarioSource;
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::run::{
    Clock, DoctorSettings, JOIN_CONCURRENCY, Pulses, RunSettings, Section, Word, examine,
};
use clap::Args;
use tokio_util::sync::CancellationToken;

/// Arguments of `loadgen doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Scenario file, or a scenario that comes with loadgen; without one, only the server and this
    /// machine are checked, and an agent if --agent-name is given
    #[arg(value_name = "SCENARIO", add = completing::scenarios())]
    pub scenario: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Overrides of the scenario's values.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// The server that is checked, and its key.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// The scenario that is checked if none is given: one utterance to an agent on a LiveKit server.
const SCENARIO: &str = "version: 1\nname: doctor\ntarget: {kind: livekit}\n\
    utterances: {question: {file: ../fixtures/order-status.wav}}\n\
    call: {turns: [{say: question, start: {after: greeting, delay: 500ms}, timeout: 15s}]}\n\
    load: {calls: 1}\nsentinels: off\n";

pub(super) fn execute(args: DoctorArgs) -> Exit {
    examined(args).unwrap_or_else(|trouble| trouble.tell())
}

fn examined(args: DoctorArgs) -> Result<Exit, Trouble> {
    let request = SessionRequest {
        overrides: args.overrides.overrides(args.server.url.clone()),
        server: args.server.into(),
        ..SessionRequest::default()
    };
    let source = match &args.scenario {
        Some(scenario) => ScenarioSource::open(scenario)?,
        None => ScenarioSource::made("doctor", SCENARIO.to_owned(), &[])?,
    };
    let OpenedScenario {
        scenario,
        targets,
        source: _source,
        ..
    } = open_source(&request, source)?;
    let plan = Plan::new(&scenario);
    let stop = CancellationToken::new();
    let settings = DoctorSettings {
        run: RunSettings {
            targets,
            run_id: settings::random_id(),
            clock: Clock::System,
            own: None,
            sentinel: None,
            evidence: None,
            impairments: None,
            abort: Vec::new(),
            pulses: Pulses::default(),
            telemetry: None,
            stop: stop.clone(),
            join_concurrency: JOIN_CONCURRENCY,
        },
        agent: args.scenario.is_some() || args.overrides.agent_name.is_some(),
        calibrated: crate::cli::calibration::known().map(|known| known.trusted_callers),
    };
    let screen = console::screen();
    let mut sections = Vec::new();
    let mut tell = |section: Section| {
        if !args.json {
            console::out(&show::section(&section, screen.style));
        }
        sections.push(section);
    };
    let examining = examine(&scenario, &plan, &settings, &mut tell);
    with_runtime(stop.clone(), examining)?.map_err(|e| failed(&e, None))?;
    let printed = match args.json {
        true => console::data([show::json(&sections)]),
        false => console::data([show::conclusion(&sections)]),
    };
    if stop.is_cancelled() {
        let hint = "run it again without stopping it";
        return Err(Trouble::new(Exit::Stopped, "the checks were stopped", hint));
    }
    let lines = sections.iter().flat_map(|section| &section.lines);
    let worst = lines.map(|line| line.word).max();
    Ok(printed.or(match worst {
        Some(Word::Fail) => Exit::Error,
        _ => Exit::Success,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Unset;

    #[test]
    fn the_scenario_without_a_file_is_valid() {
        let source = ScenarioSource::made("doctor", SCENARIO.to_owned(), &[]);
        let source = source.unwrap_or_else(|t| panic!("{t:?}"));
        let scenario = source.check(&|_| Ok(None), Unset::Absent);
        let scenario = scenario.unwrap_or_else(|t| panic!("{t:?}"));
        assert_eq!(Plan::new(&scenario).concurrency(), 1);
    }
}
