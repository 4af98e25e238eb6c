//! Runs against the agent in this process, in virtual time.
//!
//! In: a scenario's text, the agent. Out: the records of the run. Invariant: the runtime has one
//! thread and a paused clock, so a run takes no longer than its work.

use loadgen::plan::Plan;
use loadgen::record::Journal;
use loadgen::run::{Clock, Finished, JOIN_CONCURRENCY, Pulses, Settings, run};
use loadgen::scenario::{Scenario, Unset, check};
use loadgen::targets::in_process::InProcess;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The checked scenario; paths in it are complete.
///
/// # Panics
/// The text is no scenario.
pub fn scenario(text: &str) -> Scenario {
    let unknown_length = |_: &Path, _| Ok(None);
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

/// Carries the scenario out in virtual time.
///
/// # Panics
/// The run cannot be carried out.
pub fn carried_out(scenario: &Scenario, agent: InProcess) -> Finished {
    stopped_after(scenario, agent, None)
}

/// The same; the user stops the run `after` its start.
///
/// # Panics
/// The run cannot be carried out.
pub fn stopped_after(scenario: &Scenario, agent: InProcess, after: Option<Duration>) -> Finished {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let stop = CancellationToken::new();
    let settings = Settings {
        targets: agent.into(),
        run_id: "0123abcd".into(),
        pulses: Pulses::default(),
        clock: Clock::Virtual(jiff::Timestamp::UNIX_EPOCH),
        own: None,
        sentinel: None,
        evidence: None,
        abort: Vec::new(),
        stop: stop.clone(),
        join_concurrency: JOIN_CONCURRENCY,
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut journal = Journal::create(&folder.path().join("turns.jsonl")).expect("a journal");
    let plan = Plan::new(scenario);
    let result = runtime.block_on(async {
        if let Some(after) = after {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                stop.cancel();
            });
        }
        run(scenario, &plan, &settings, &mut journal, &mut |_| {}).await
    });
    result.unwrap_or_else(|e| panic!("{e}"))
}
