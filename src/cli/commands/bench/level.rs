//! Runs the generator of one level, in a separate process.
//!
//! In: the number of calls and their minimum length; a server from the environment. Out: three
//! lines of JSON on stdout: before the first call, once all calls are under way, and the results.
//! Invariant: a level is an ordinary run with default settings; only its input and output are
//! specific to the bench.

use crate::call::Phase;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::session::drive::Drive;
use crate::cli::session::targets::{asks, of_embedded};
use crate::cli::session::watchdog;
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::sources::ScenarioSource;
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::record::{Generator, Journal, Outcome};
use crate::run::{Finished, RunEvent, Targets};
use crate::scenario::{Scenario, Unset};
use crate::targets::livekit::Livekit;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Approximate length of a turn: the utterance, the agent's delay, the reply, the pause after it.
pub(super) const TURN: Duration = Duration::from_millis(5_200);
/// The reference agent's reply: recorded speech, as a real agent would send.
pub(super) const REPLY: &str = "fixtures/opening-hours.wav";

/// Arguments of the generator process of a level.
#[derive(Debug, Args)]
pub(crate) struct LevelArgs {
    /// Callers
    #[arg(long)]
    pub calls: u32,
    /// Time from the first call's start to the last one's
    #[arg(long, value_parser = crate::cli::duration::parse_duration)]
    pub ramp: Duration,
    /// Minimum length of a call
    #[arg(long, value_parser = crate::cli::duration::parse_duration)]
    pub lasting: Duration,
    /// Ignore the agent's account of its session
    #[arg(long)]
    pub ignore_account: bool,
    /// Name of the agent to dispatch on the server in LIVEKIT_URL; without a name, the embedded
    /// agent is called
    #[arg(long)]
    pub agent_name: Option<String>,
}

/// A message from the generator process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// Sent before the first call, with the resident memory of the process.
    Begins { rss_bytes: u64 },
    /// Every call has joined and found its agent, or has failed.
    UnderWay,
    /// The run is over.
    Over(Box<Came>),
}

/// Results of a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Came {
    pub failed_calls: usize,
    /// The messages of the failures, without duplicates.
    pub failures: BTreeSet<String>,
    pub turns: usize,
    /// Replied turns with both the onset and the end of the reply detected.
    pub heard: usize,
    pub missed: usize,
    /// From the start of a call until it has joined and media flows.
    pub join_p50_ms: f64,
    pub join_max_ms: f64,
    /// From the first planned start until the last call has joined.
    pub all_joined_ms: f64,
    pub generator: Generator,
    /// Why this machine was the limit: health bounds that the generator exceeded, or calls that
    /// ended before the window did.
    pub invalid: Vec<String>,
}

/// Runs the level.
pub(super) fn execute(args: &LevelArgs) -> Exit {
    match level(args) {
        Ok(came) => {
            word(&Word::Over(Box::new(came)));
            Exit::Success
        }
        Err(trouble) => trouble.tell(),
    }
}

fn word(word: &Word) {
    // Numbers and text always have a JSON form.
    console::out(&(serde_json::to_string(word).unwrap_or_default() + "\n"));
}

/// Number of turns that make a call last at least `lasting`.
fn turns(lasting: Duration) -> usize {
    (lasting.as_secs_f64() / TURN.as_secs_f64()).ceil() as usize
}

pub(super) fn scenario_text(args: &LevelArgs) -> String {
    let target = match &args.agent_name {
        Some(name) => format!("{{kind: livekit, room_prefix: loadgen-bench, agent_name: {name}}}"),
        None => format!("{{kind: embedded, agent: {{delay: 400ms, reply: ../{REPLY}}}}}"),
    };
    let first =
        "    - {say: order, start: {after: call_start, delay: {min: 700ms, max: 1700ms}}}\n";
    let more =
        "    - {say: order, start: {after: agent_speech_end, delay: {min: 100ms, max: 300ms}}}\n";
    let account = match args.ignore_account {
        true => "ignore",
        false => "read",
    };
    format!(
        "version: 1\nname: bench-callers\nseed: {}\ntarget: {target}\n\
         utterances: {{order: {{file: ../fixtures/order-status.wav}}}}\n\
         call:\n  greeting: none\n  agent_account: {account}\n  turns:\n{first}{}load: {{calls: {}, ramp: {}ms}}\n",
        args.calls,
        more.repeat(turns(args.lasting)),
        args.calls,
        args.ramp.as_millis(),
    )
}

fn level(args: &LevelArgs) -> Result<Came, Trouble> {
    let source = ScenarioSource::made("bench-callers", scenario_text(args), &[])?;
    let scenario = source.check(&|_| Ok(None), Unset::Absent)?;
    let plan = Plan::new(&scenario);
    let targets = targets(args, &scenario)?;
    let folder = tempfile::tempdir().map_err(|e| {
        let message = format!("cannot create a temporary folder: {e}");
        Trouble::new(
            Exit::Error,
            message,
            "set TMPDIR to a folder with enough free space",
        )
    })?;
    let journal = folder.path().join("turns.jsonl");
    let mut journal = Journal::create(&journal).map_err(|e| Trouble::record(&e))?;
    let mut there = HashSet::new();
    let mut tell = |event| {
        let came = match event {
            RunEvent::Phase {
                call,
                phase: Phase::Waiting | Phase::Failed,
            } => there.insert(call),
            RunEvent::Notice(text) => {
                console::warn(&text);
                false
            }
            _ => false,
        };
        if came && there.len() == args.calls as usize {
            word(&Word::UnderWay);
        }
    };
    let usage = crate::os::usage(std::process::id());
    word(&Word::Begins {
        rss_bytes: usage.map_or(0, |u| u.rss_bytes),
    });
    let drive = Drive {
        scenario: &scenario,
        plan: &plan,
        targets,
        own: None,
        sentinel: None,
        evidence: None,
        impairments: None,
        abort: Vec::new(),
        telemetry: None,
        join_concurrency: None,
        checked_by: None,
    };
    let watchdog = watchdog::watch(folder.path())?;
    let finished = drive.drive(watchdog.pulses(), &mut journal, &mut tell)?;
    match finished.stopped {
        true => Err(Trouble::new(
            Exit::Stopped,
            "the bench was stopped",
            "run it again without stopping it",
        )),
        false => Ok(came(&finished)),
    }
}

fn targets(args: &LevelArgs, scenario: &Scenario) -> Result<Targets, Trouble> {
    if args.agent_name.is_none() {
        return Ok(of_embedded(scenario, Vec::new())?.into());
    }
    let none = ServerFlags::default();
    let (address, credentials) = settings::server(&none, &Environment::load()?, &none)?;
    let server = Livekit {
        address,
        credentials,
        room_prefix: "loadgen-bench".into(),
        asks: asks(scenario),
    };
    Ok(server.into())
}

fn came(finished: &Finished) -> Came {
    let of = |outcome| move |t: &&crate::record::TurnRecord| t.outcome == outcome;
    let replied = finished.turns.iter().filter(of(Outcome::Replied));
    let calls = &finished.calls;
    let mut joins: Vec<f64> = calls
        .iter()
        .filter_map(|c| Some(c.join_ms?.as_f64()))
        .collect();
    joins.sort_by(f64::total_cmp);
    let ready = calls
        .iter()
        .filter_map(|c| Some(c.planned_start_ms.as_f64() + c.join_ms?.as_f64()));
    let first = calls.iter().map(|c| c.planned_start_ms.as_f64());
    let all_joined = ready.fold(0.0, f64::max) - first.fold(f64::INFINITY, f64::min);
    Came {
        failures: calls
            .iter()
            .filter_map(|c| Some(c.failure.as_ref()?.message.clone()))
            .collect(),
        failed_calls: calls.iter().filter(|c| c.failure.is_some()).count(),
        turns: finished.turns.len(),
        heard: replied
            .filter(|t| t.ttfa_wire_ms.is_some() && t.reply_end_ms.is_some())
            .count(),
        missed: finished.turns.iter().filter(of(Outcome::Missed)).count(),
        join_p50_ms: joins.get(joins.len() / 2).copied().unwrap_or_default(),
        join_max_ms: joins.last().copied().unwrap_or_default(),
        all_joined_ms: all_joined.max(0.0),
        generator: finished.generator.clone(),
        invalid: finished.invalid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::AccountUse;

    #[test]
    fn every_level_is_a_valid_scenario_of_full_concurrency() {
        for (calls, agent) in [(1, None), (400, Some("bench-1".to_owned()))] {
            let account = match calls {
                1 => AccountUse::Read,
                _ => AccountUse::Ignore,
            };
            let args = LevelArgs {
                calls,
                ramp: Duration::from_millis(10) * calls,
                lasting: Duration::from_secs(30),
                agent_name: agent,
                ignore_account: account == AccountUse::Ignore,
            };
            let source = ScenarioSource::made("bench", scenario_text(&args), &[])
                .expect("the sounds are unpacked");
            let scenario = match source.check(&|_| Ok(None), Unset::Absent) {
                Ok(s) => s,
                Err(t) => panic!("{t:?}"),
            };
            assert_eq!(scenario.call.agent_account, account);
            assert_eq!(scenario.call.turns.len(), 7);
            assert_eq!(Plan::new(&scenario).concurrency(), u64::from(calls));
        }
    }
}
