//! Runs against the agent in this process, in virtual time.
//!
//! In: a scenario's text, the agent, the journal's storage. Out: the records of the run, and its
//! events. Invariant: the runtime has one thread and a paused clock, so a run takes only its
//! computing time.

use loadgen::plan::Plan;
use loadgen::record::{Journal, RecordError, Storage};
use loadgen::run::{Clock, Finished, JOIN_CONCURRENCY, Pulses, RunEvent, RunSettings, run};
use loadgen::scenario::{Scenario, SoundFile, Unset, check};
use loadgen::targets::in_process::InProcess;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The checked scenario; paths in it are absolute.
///
/// # Panics
/// If the text is not a valid scenario.
pub fn scenario(text: &str) -> Scenario {
    let unknown_length = |_: &SoundFile<'_>| Ok(None);
    let path = Path::new("/scenario.yaml");
    let checked = check(
        text.as_bytes(),
        path,
        &|_| None,
        Unset::Problem,
        &unknown_length,
    );
    checked.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// Settings of a run against `agent`, without sentinels, evidence or gates that end it.
pub fn settings(agent: InProcess, clock: Clock) -> RunSettings {
    RunSettings {
        targets: agent.into(),
        run_id: "0123abcd".into(),
        pulses: Pulses::default(),
        clock,
        own: None,
        sentinel: None,
        evidence: None,
        impairments: None,
        abort: Vec::new(),
        telemetry: None,
        stop: CancellationToken::new(),
        join_concurrency: JOIN_CONCURRENCY,
    }
}

/// Runs the scenario in virtual time.
///
/// # Panics
/// If the run cannot be carried out.
pub fn carried_out(scenario: &Scenario, agent: InProcess) -> Finished {
    observed(scenario, agent, None, &on_a_file).finished
}

/// A run's records, events and files.
pub struct Observed {
    /// The run's records.
    pub finished: Finished,
    /// Events that the run reported while it was in progress.
    pub events: Vec<RunEvent>,
    /// Result of syncing the journal at the end.
    pub synced: Result<(), RecordError>,
    /// The journal's folder.
    pub folder: TempDir,
}

/// Creates the storage of a journal file.
pub type Open<'a> = &'a dyn Fn(&Path) -> io::Result<Box<dyn Storage>>;

/// Stores a journal file as an ordinary file.
///
/// # Errors
/// If the file cannot be created.
pub fn on_a_file(path: &Path) -> io::Result<Box<dyn Storage>> {
    Ok(Box::new(File::create_new(path)?))
}

/// Runs the scenario in virtual time; `open` creates the journal's storage. If `after` is given,
/// the run is stopped that long after its start, as if by the user.
///
/// # Panics
/// If the run cannot be carried out.
pub fn observed(
    scenario: &Scenario,
    agent: InProcess,
    after: Option<Duration>,
    open: Open<'_>,
) -> Observed {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let stop = CancellationToken::new();
    let settings = RunSettings {
        stop: stop.clone(),
        ..settings(agent, Clock::Virtual(jiff::Timestamp::UNIX_EPOCH))
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let turns = folder.path().join("turns.jsonl");
    let mut journal = Journal::create_on(&turns, open).expect("a journal");
    let mut events = Vec::new();
    let mut tell = |event| events.push(event);
    let plan = Plan::new(scenario);
    let result = runtime.block_on(async {
        if let Some(after) = after {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                stop.cancel();
            });
        }
        run(scenario, &plan, &settings, &mut journal, &mut tell).await
    });
    Observed {
        finished: result.unwrap_or_else(|e| panic!("{e}")),
        events,
        synced: journal.sync(),
        folder,
    }
}
