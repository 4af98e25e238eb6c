//! Executes a plan: media threads, dispatcher, run clock, shutdown and generator health.
//!
//! In: a scenario, its plan, the targets, a journal. Out: records, and events while it runs.
//! Invariants: a run ends within seconds of a stop, with a result for every turn of every call
//! that started; nothing here depends on reports.

mod abort;
mod absent;
mod caller;
mod canary;
mod collect;
mod dispatch;
mod door;
mod doors;
mod error;
mod event;
mod evidence;
mod generator;
mod health;
mod hearing;
mod ledger;
mod one;
mod opinions;
mod sentinel;
mod sounds;
mod zero;

pub use abort::AbortGate;
pub use door::Door;
pub use doors::Doors;
pub use error::RunError;
pub use event::{RunEvent, Vitals};
pub use ledger::state_folder;
pub use sentinel::SentinelTurns;
pub use sounds::load_utterance;

use crate::call::Failure;
use crate::net::Engine;
use crate::plan::Plan;
use crate::record::{
    CallRecord, Evidence, Generator, Journal, Ms, RecordError, SteadySpan, TurnRecord, last_of_each,
};
use crate::scenario::Scenario;
use crate::target::OwnAgent;
use crate::vocab::Decode;
use abort::AbortWatch;
use collect::Collector;
use doors::OpenDoors;
use evidence::Desk;
use generator::{Meter, Tidy};
use health::Watch;
use one::Shared;
use opinions::Opinions;
use sentinel::OwnDoor;
use sounds::Sounds;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use zero::Zero;

/// Capacity of the channel from the calls to the collector.
const REPORTS: usize = 4_096;
/// Calls that one media thread is meant to carry; determines the number of media threads.
const CALLS_PER_THREAD: usize = 400;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The targets that calls connect to.
    pub doors: Doors,
    /// At least eight letters and digits; part of every room name.
    pub run_id: String,
    /// A reference agent to start on a LiveKit server and to call there (calibration).
    pub own: Option<OwnAgent>,
    /// The reference agent of the sentinel calls; `None` for no sentinel calls.
    pub sentinel: Option<OwnAgent>,
    /// Folder for the evidence: the audio of the turns that the scenario asks to keep.
    pub evidence: Option<PathBuf>,
    /// Gates that end the run as soon as its records refute them.
    pub abort: Vec<AbortGate>,
    /// Cancelling this token stops the run.
    pub stop: CancellationToken,
    /// Maximum number of joins in progress. Further calls wait for a place, and the wait counts
    /// towards their own join time; it never delays another call's planned start.
    pub join_concurrency: usize,
}

/// Default of [`Settings::join_concurrency`].
pub const JOIN_CONCURRENCY: usize = 100;

/// Result of a run.
#[derive(Debug)]
pub struct Finished {
    /// Every turn that ended, read back from the journal.
    pub turns: Vec<TurnRecord>,
    /// Results of the sentinel calls; `None` if the run had none.
    pub sentinels: Option<SentinelTurns>,
    /// The instant that all instants in the records are relative to.
    pub run_start: Instant,
    /// The same instant on the wall clock.
    pub zero_at: jiff::Timestamp,
    /// Every call that started, and every planned call that did not.
    pub calls: Vec<CallRecord>,
    /// From the first planned instant to the last call's end.
    pub duration: Duration,
    /// The user stopped the run.
    pub stopped: bool,
    /// Name of the gate that ended the run, if one did.
    pub aborted: Option<String>,
    /// Periods of level load; empty if the load was always level.
    pub steady: Vec<SteadySpan>,
    /// Reasons why the figures are not reliable.
    pub invalid: Vec<String>,
    /// The generator's own health.
    pub generator: Generator,
    /// Index of the audio that was kept, if evidence was asked for.
    pub evidence: Option<Evidence>,
    /// Why the journal is incomplete, if it is.
    pub journal_error: Option<RecordError>,
}

/// Executes a plan.
///
/// # Errors
/// [`RunError`] when no call of the plan could be made. A failed call is not an error.
pub async fn run(
    scenario: &Scenario,
    plan: &Plan,
    settings: &Settings,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    let sounds = Sounds::load(&scenario.utterances)?;
    let peak = plan.concurrency() as usize;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let engine = Engine::start(peak.div_ceil(CALLS_PER_THREAD).min(cores))?;
    let mut notice = |text: String| tell(RunEvent::Notice(text));
    let doors = tokio::select! {
        doors = OpenDoors::open(&settings.doors, &settings.run_id, &mut notice) => doors?,
        () = settings.stop.cancelled() => return Err(RunError::Canary(Failure::Stopped)),
    };
    let opinions = Opinions::start(scenario.call.reply_tone).map_err(RunError::Thread)?;
    let wanted = settings.evidence.as_deref().zip(scenario.evidence);
    let evidence = wanted.map(|(path, asked)| Desk::start(path, asked));
    let (reports, inbox) = mpsc::channel(REPORTS);
    let shared = Arc::new(Shared {
        engine,
        scenario: scenario.clone(),
        sounds,
        opinions,
        evidence: evidence.transpose()?,
        doors,
        measured: OnceLock::new(),
        sentinels: OnceLock::new(),
        joins: Arc::new(Semaphore::new(settings.join_concurrency.max(1))),
        levels: Arc::default(),
        several: AtomicBool::new(false),
        no_voice: AtomicBool::new(false),
        reports,
        stop: settings.stop.clone(),
    });
    let result = with_own_agents(&shared, plan, settings, inbox, journal, tell).await;
    if scenario.call.decode == Decode::Level && result.is_ok() && !shared.levels.load(Relaxed) {
        tell(RunEvent::Notice(
            "`call.decode: level`: the agent's packets carry no audio level, so everything was decoded".into(),
        ));
    }
    let refused = matches!(&result, Err(RunError::Canary(f)) if never_met(f));
    shared
        .doors
        .close(refused, &mut |text| tell(RunEvent::Notice(text)))
        .await;
    // Free the memory of the calls before the records are read back.
    drop(shared);
    generator::give_back();
    result.map(|mut finished| {
        finished.read_back(journal, tell);
        finished
    })
}

impl Finished {
    /// Merges the records of the journal with those that could not be written to it.
    fn read_back(&mut self, journal: &Journal, tell: &mut (dyn FnMut(RunEvent) + Send)) {
        let (mut turns, mut calls) = match journal.read_back() {
            Ok(read) => read,
            Err(e) => {
                tell(RunEvent::Notice(format!("the journal cannot be read: {e}")));
                self.journal_error.get_or_insert(e);
                Default::default()
            }
        };
        turns.append(&mut self.turns);
        (self.turns, turns) = last_of_each(turns).into_iter().partition(|t| !t.sentinel);
        if let Some(sentinels) = &mut self.sentinels {
            sentinels.turns = turns;
        }
        // The journal may contain a call's start without its end.
        let unwritten: HashSet<usize> = self.calls.iter().map(|c| c.call).collect();
        calls.retain(|c| !unwritten.contains(&c.call));
        self.calls.append(&mut calls);
    }
}

/// Executes the plan; starts our own reference agents before it and stops them afterwards.
async fn with_own_agents(
    shared: &Arc<Shared>,
    plan: &Plan,
    settings: &Settings,
    inbox: mpsc::Receiver<collect::Report>,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    let own = match &settings.own {
        Some(own) => Some(start_own(shared, own).await.map_err(RunError::Embedded)?),
        None => None,
    };
    let result = carry_out(shared, plan, settings, inbox, journal, tell).await;
    // Stopping the agents flushes their ground truth to disk.
    if let Some(sentinels) = shared.sentinels.get() {
        sentinels.door.stop().await;
    }
    if let Some(own) = own {
        own.stop().await;
    }
    result
}

/// Starts one of our reference agents, unless the run is stopped meanwhile.
async fn start_own(shared: &Shared, own: &OwnAgent) -> Result<OwnDoor, Failure> {
    tokio::select! {
        started = shared.doors.first().own_agent(own) => started,
        () = shared.stop.cancelled() => Err(Failure::Stopped),
    }
}

/// Whether the server refused every connection, so that none of our rooms can exist.
fn never_met(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::TokenRefused { .. }
            | Failure::NotLiveKit { .. }
            | Failure::Unreachable { .. }
            | Failure::Tls { .. }
    )
}

async fn carry_out(
    shared: &Arc<Shared>,
    plan: &Plan,
    settings: &Settings,
    mut inbox: mpsc::Receiver<collect::Report>,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    canary::meet(shared, plan, tell).await?;
    if let Some(own) = &settings.sentinel {
        sentinel::prepare(shared, own, tell).await;
    }
    let meter = Meter::start();
    let Zero {
        at: run_start,
        wall: zero_at,
    } = Zero::now();
    tell(RunEvent::Started {
        at: run_start,
        zero_at,
    });
    let mut collector = Collector::new(&shared.scenario, run_start, journal);
    let followed = follow(
        (shared, plan, settings),
        run_start,
        &mut inbox,
        &mut collector,
        tell,
    );
    let Followed {
        rss,
        watch,
        aborted,
    } = followed.await;
    while let Ok(report) = inbox.try_recv() {
        collector.take(report, tell);
    }
    collector.close(|call, start| one::cut_off(shared, call, start), tell);
    let evidence = gather_evidence(shared, run_start, tell).await;
    let vitals = generator::vitals(shared.engine.health());
    let health = &vitals.health;
    let generator = generator::figures(health, &meter, rss.max(vitals.resident_bytes));
    tell(RunEvent::Vitals(Box::new(vitals.clone())));
    Ok(Finished {
        duration: meter.elapsed(),
        stopped: shared.stop.is_cancelled() && aborted.is_none(),
        aborted,
        steady: shared.measured.get().map_or_else(Vec::new, |measured| {
            steady_spans(plan, *measured, run_start)
        }),
        invalid: watch.doubts(health),
        generator,
        evidence: evidence.map(|done| done.evidence),
        journal_error: collector.journal_error.take(),
        sentinels: shared
            .sentinels
            .get()
            .map(|_| std::mem::take(&mut collector.sentinels)),
        run_start,
        zero_at,
        turns: std::mem::take(&mut collector.unwritten.turns),
        calls: std::mem::take(&mut collector.unwritten.calls),
    })
}

/// Observations of a run while its calls were in progress.
struct Followed {
    /// Peak resident memory of the process, in bytes.
    rss: u64,
    watch: Watch,
    /// The gate that ended the run.
    aborted: Option<String>,
}

/// Starts the calls and follows them until the last has ended.
async fn follow(
    (shared, plan, settings): (&Arc<Shared>, &Plan, &Settings),
    run_start: Instant,
    inbox: &mut mpsc::Receiver<collect::Report>,
    collector: &mut Collector<'_>,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Followed {
    let mut dispatch = tokio::spawn(dispatch::dispatch(shared.clone(), plan.clone(), run_start));
    let mut rss = generator::resident_bytes();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut watch = Watch::new(shared.scenario.health);
    let mut tidy = Tidy::default();
    let mut stopping = false;
    let mut abort = AbortWatch::new(&settings.abort);
    let mut aborted = None;
    loop {
        tokio::select! {
            // Report the stop before the calls that it leaves out.
            biased;
            () = shared.stop.cancelled(), if !stopping => {
                stopping = true;
                tell(RunEvent::Stopping);
            }
            // A panic of the dispatcher has been printed; calls it leaves open are closed later.
            _ = &mut dispatch => break,
            _ = second.tick() => {
                collector.sync();
                tidy.look(collector.started());
                let vitals = generator::vitals(shared.engine.health());
                rss = rss.max(vitals.resident_bytes);
                watch.look(&vitals.health, collector.under_way());
                tell(RunEvent::Vitals(Box::new(vitals)));
                let notice = shared.evidence.as_ref().and_then(Desk::notice);
                notice.into_iter().for_each(|text| tell(RunEvent::Notice(text)));
                if let (false, Some(measured)) = (stopping, shared.measured.get()) {
                    let steady = steady_spans(plan, *measured, run_start);
                    let refuted = abort.look(measured.elapsed(), &steady, || collector.open());
                    if let Some(name) = refuted.map(|gate| gate.threshold.name()) {
                        tell(RunEvent::Notice(format!("{name} is refuted: the run ends here")));
                        aborted = Some(name);
                        shared.stop.cancel();
                    }
                }
            }
            Some(report) = inbox.recv() => collector.take(report, &mut |event| {
                abort.take(&event);
                tell(event);
            }),
        }
    }
    Followed {
        rss,
        watch,
        aborted,
    }
}

/// Waits until the evidence is written and forwards the notices about it.
async fn gather_evidence(
    shared: &Shared,
    run_start: Instant,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Option<evidence::Done> {
    let done = match &shared.evidence {
        Some(desk) => desk.finish(run_start).await,
        None => None,
    };
    for text in done.iter().flat_map(|done| &done.notices) {
        tell(RunEvent::Notice(text.clone()));
    }
    done
}

/// Periods of level load, relative to the start of the run; empty if the load is always level.
fn steady_spans(plan: &Plan, measured: Instant, run_start: Instant) -> Vec<SteadySpan> {
    let spans = plan.steady();
    if spans == [(Duration::ZERO, None)] {
        return Vec::new();
    }
    let since = |offset: Duration| Ms::between(run_start, measured) + Ms::from(offset);
    let span = |(from, until): (Duration, Option<Duration>)| SteadySpan {
        from_ms: since(from),
        until_ms: until.map(since),
    };
    spans.into_iter().map(span).collect()
}

/// A scenario with two turns, for tests that need no agent.
#[cfg(test)]
fn test_scenario(load: &str) -> Scenario {
    let text = format!(
        "version: 1\nname: test\ntarget: {{kind: livekit, url: 'ws://localhost:7880'}}\n\
         utterances: {{a: {{file: a.wav}}}}\ncall:\n  turns:\n    - {{say: a, start: {{after: call_start}}}}\n    \
         - {{say: a}}\nload: {load}\n"
    );
    let length = |_: &std::path::Path, _| Ok(Some(Duration::from_secs(1)));
    let path = std::path::Path::new("test.yaml");
    let unset = crate::scenario::Unset::Problem;
    crate::scenario::check(text.as_bytes(), path, &|_| None, unset, &length).expect("a scenario")
}
