//! Executes a plan: media threads, dispatcher, run clock, shutdown and generator health.
//!
//! In: a scenario, its plan, the targets, a journal. Out: records, and events while the run is in
//! progress. Invariants: a run ends within seconds of a stop, with a result for every turn of every
//! call that started; nothing here depends on the code that writes reports.

mod abort;
mod background;
mod call;
mod call_branches;
mod call_claims;
mod call_opinions;
mod call_report;
mod caller;
mod clock;
mod collect;
mod connection_log;
mod dispatch;
mod doctor;
mod error;
mod event;
mod evidence;
mod finished;
mod generator;
mod health;
mod hearing;
mod impairments;
mod limits;
mod line;
mod mixes;
pub(crate) mod observe;
mod opinions;
mod preflight;
mod read;
mod reply_audio;
mod room;
mod sentinels;
mod shared;
mod signalling;
mod sounds;
mod targets;
mod telemetry;
mod turn_reports;
mod watchdog;

pub use abort::AbortGate;
pub use clock::Clock;
pub use error::RunError;
pub use event::{RunEvent, Vitals};
pub use finished::Finished;
pub use targets::Targets;
pub use telemetry::TelemetryInbox;
pub use watchdog::{Alarm, Pulses, Watchdog, WatchedPart};

pub(crate) use doctor::{DoctorSettings, Line, Section, Word, examine};
pub(crate) use read::read_at_most;
pub(crate) use sounds::{MAX_SIDECAR, load_said, load_utterance};
pub(crate) use telemetry::{MetricKind, MetricPoint, ReceivedSpan};

use crate::call::Failure;
use crate::os::{cores, release_free_memory};
use crate::plan::Plan;
use crate::record::{Generator, Journal, Ms, SteadySpan, create_private};
use crate::scenario::Scenario;
use crate::targets::{Media, Notice, OwnAgent};
use crate::vocab::Decode;
use abort::AbortWatch;
use clock::now;
use collect::Collector;
use evidence::Desk;
use generator::{Meter, Tidy};
use health::HealthWatch;
use impairments::ImpairmentLog;
use mixes::Sounds;
use opinions::Opinions;
use shared::Shared;
use signalling::Signalling;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use targets::OpenTargets;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Capacity of the channel from the calls to the collector.
const REPORTS: usize = 4_096;
/// Number of calls for which one media thread is dimensioned; determines the number of media
/// threads.
const CALLS_PER_THREAD: usize = 400;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The targets that calls connect to.
    pub targets: Targets,
    /// Run id of at least eight letters and digits; part of every room name.
    pub run_id: String,
    /// Source of the wall clock.
    pub clock: Clock,
    /// A reference agent to start on a LiveKit server and to call on that server (calibration).
    pub own: Option<OwnAgent>,
    /// The reference agent of the sentinel calls; `None` if there are no sentinel calls.
    pub sentinel: Option<OwnAgent>,
    /// Folder for the evidence: the audio of the turns that the scenario selects.
    pub evidence: Option<PathBuf>,
    /// File for the log of the simulated networks, if the scenario keeps one.
    pub impairments: Option<PathBuf>,
    /// Gates that end the run as soon as its records refute them.
    pub abort: Vec<AbortGate>,
    /// Heartbeats of the parts of the run; a watchdog checks them.
    pub pulses: Pulses,
    /// Where the agents' telemetry arrives, if it is received.
    pub telemetry: Option<Arc<TelemetryInbox>>,
    /// Cancelling this token stops the run.
    pub stop: CancellationToken,
    /// Maximum number of joins in progress. Further calls wait for a slot, and the wait counts
    /// towards their own join time. The wait never delays another call's planned start.
    pub join_concurrency: usize,
}

/// Default of [`RunSettings::join_concurrency`].
pub const JOIN_CONCURRENCY: usize = 100;
/// Reason reported for a run that hung: its figures are not reliable.
const HUNG: &str = "a part of the generator did not move for a minute, so the run was ended";

/// Ensures that this process may open the files and sockets that a plan needs, and that memory and
/// ports suffice for the plan. Raises the soft limit on files if necessary.
///
/// # Errors
/// [`RunError::Descriptors`], [`RunError::Memory`] or [`RunError::Ports`] if the plan does not fit.
pub(crate) fn allow(plan: &Plan, targets: &Targets) -> Result<(), RunError> {
    limits::allow(plan.concurrency(), targets.descriptors(), plan.is_open())?;
    // An open load may need fewer descriptors than its upper bound.
    match plan.is_open() {
        true => Ok(()),
        false => room::check(plan.concurrency(), targets.ports()),
    }
}

/// Executes a plan.
///
/// # Errors
/// [`RunError`] if no call of the plan could be made. A failed call is not an error.
pub async fn run(
    scenario: &Scenario,
    plan: &Plan,
    settings: &RunSettings,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    allow(plan, &settings.targets)?;
    let mut notice = |text: String| tell(RunEvent::Notice(text));
    let peak = plan.concurrency() as usize;
    let (shared, inbox) = open(scenario, peak, settings, &mut notice).await?;
    let result = with_own_agents(&shared, plan, settings, inbox, journal, tell).await;
    if scenario.call.decode == Decode::Level && result.is_ok() && !shared.levels.load(Relaxed) {
        tell(RunEvent::Notice(
            "`call.decode: level`: the agent's packets carry no audio level, so everything was decoded".into(),
        ));
    }
    let refused = matches!(
        &result,
        Err(RunError::Preflight(Failure::Target(failure))) if failure.unreached
    );
    let mut notice = |text| tell(RunEvent::Notice(text));
    // A runtime that hangs would never finish closing, so the next run deletes the remaining rooms.
    match settings.pulses.is_over() {
        true => notice("the rooms of this run are left for the next run to delete".into()),
        false => shared.targets.close(refused, &mut notice).await,
    }
    // Free the memory of the calls before the records are read back.
    drop(shared);
    release_free_memory();
    result.map(|mut finished| {
        if let Some((counts, inbox)) = finished.spans.as_mut().zip(settings.telemetry.as_ref()) {
            inbox.count_late(counts);
        }
        finished.read_back(journal, tell);
        finished
    })
}

/// Loads the sounds and opens the targets for at most `peak` concurrent calls; returns what the
/// calls share, and the receiver of their reports.
async fn open(
    scenario: &Scenario,
    peak: usize,
    settings: &RunSettings,
    notice: Notice<'_>,
) -> Result<(Arc<Shared>, mpsc::Receiver<call_report::CallReport>), RunError> {
    let sounds = Sounds::load(scenario, settings.targets.codec())?;
    let media = Media::new(peak.div_ceil(CALLS_PER_THREAD).min(cores()));
    let opening = OpenTargets::open(&settings.targets, &settings.run_id, &media, notice);
    let targets = tokio::select! {
        targets = opening => targets?,
        () = settings.stop.cancelled() => return Err(RunError::Preflight(Failure::Stopped)),
    };
    let opinions = opinions(scenario, settings)?;
    let evidence = evidence(scenario, settings)?;
    let (reports, inbox) = mpsc::channel(REPORTS);
    let shared = Shared {
        scenario: scenario.clone(),
        sounds,
        opinions,
        evidence,
        targets,
        media,
        impairments: OnceLock::new(),
        measured: OnceLock::new(),
        sentinels: OnceLock::new(),
        joins: Arc::new(Semaphore::new(settings.join_concurrency.max(1))),
        levels: Arc::default(),
        several: AtomicBool::new(false),
        no_voice: AtomicBool::new(false),
        reports,
        stop: settings.stop.clone(),
    };
    Ok((Arc::new(shared), inbox))
}

/// Chooses where second opinions are computed: in virtual time, nothing may run outside the
/// runtime.
fn opinions(scenario: &Scenario, settings: &RunSettings) -> Result<Opinions, RunError> {
    let tone = scenario.call.reply_tone;
    match settings.clock {
        Clock::System => Opinions::start(tone, settings.pulses.clone()).map_err(RunError::Thread),
        Clock::Virtual(_) => Ok(Opinions::at_once(tone)),
    }
}

/// Starts the thread that keeps evidence, if the scenario enables it. Virtual time has no evidence:
/// the thread could not keep up, and would keep different turns in each run.
fn evidence(scenario: &Scenario, settings: &RunSettings) -> Result<Option<Desk>, RunError> {
    let path = settings.evidence.as_deref();
    let wanted = path
        .filter(|_| settings.clock == Clock::System)
        .zip(scenario.evidence);
    let desk = wanted.map(|(path, asked)| Desk::start(path, asked, settings.pulses.clone()));
    desk.transpose()
}

/// Starts to log what the simulated networks do, if the scenario asks for it.
fn log_impairments(
    shared: &Shared,
    settings: &RunSettings,
    run_start: Instant,
) -> Result<(), RunError> {
    let wanted = shared.scenario.networks.log && shared.scenario.is_impaired();
    let Some(path) = settings.impairments.as_ref().filter(|_| wanted) else {
        return Ok(());
    };
    let file = create_private(path).map_err(RunError::Impairments)?;
    let log = ImpairmentLog::start(file, run_start)?;
    // Nothing else sets it.
    let _ = shared.impairments.set(log);
    Ok(())
}

/// Executes the plan; starts our own reference agents first and stops them afterwards.
async fn with_own_agents(
    shared: &Arc<Shared>,
    plan: &Plan,
    settings: &RunSettings,
    inbox: mpsc::Receiver<call_report::CallReport>,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    let own = match &settings.own {
        Some(own) => Some(shared.own_agent(own).await.map_err(RunError::Target)?),
        None => None,
    };
    let result = execute(shared, plan, settings, inbox, journal, tell).await;
    // Stopping the agents flushes their ground truth to disk.
    let sentinels = shared.sentinels.get().map(|sentinels| &sentinels.agent);
    // A runtime that hangs would never finish closing the agents; they exit when their input
    // closes.
    let closed = !settings.pulses.is_over();
    for agent in sentinels.into_iter().chain(&own).filter(|_| closed) {
        let mut notice = |text| tell(RunEvent::Notice(text));
        agent.close(false, &mut notice).await;
    }
    result
}

/// Executes the plan: preflight calls, then all planned calls; then gathers the remaining results.
async fn execute(
    shared: &Arc<Shared>,
    plan: &Plan,
    settings: &RunSettings,
    mut inbox: mpsc::Receiver<call_report::CallReport>,
    journal: &mut Journal,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<Finished, RunError> {
    preflight::meet(shared, plan, tell).await?;
    if let Some(own) = &settings.sentinel {
        sentinels::prepare(shared, own, tell).await;
    }
    let meter = Meter::start();
    let zero = settings.clock.zero();
    let (run_start, zero_at) = (zero.at, zero.wall);
    tell(RunEvent::Started {
        at: run_start,
        zero_at,
    });
    log_impairments(shared, settings, run_start)?;
    let mut collector = Collector::new(&shared.scenario, run_start, journal);
    collector.receive(settings.telemetry.clone());
    let signalling = Signalling::watch(settings.clock, &settings.pulses);
    let observers = observers(shared, settings, run_start)?;
    let followed = until_over(
        (shared, plan, settings),
        &signalling,
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
    drop(observers);
    take_rest(shared, &mut inbox, &mut collector, tell);
    let evidence = gather_evidence(shared, settings, run_start, tell).await;
    let vitals = generator::vitals(shared.media.health(), signalling.lateness());
    let generator = generator::figures(&vitals, &meter, rss);
    tell(RunEvent::Vitals(Box::new(vitals.clone())));
    let duration = now() - run_start;
    let stopped = shared.stop.is_cancelled() && aborted.is_none();
    last_spans(shared, settings, aborted.is_some(), &mut collector, tell).await;
    Ok(Finished {
        duration,
        spans: collector.spans(),
        stopped,
        aborted,
        steady: shared.measured.get().map_or_else(Vec::new, |measured| {
            steady_spans(plan, *measured, run_start)
        }),
        invalid: invalid(settings, &watch, (&vitals, &generator), &collector),
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
        observed: Vec::new(),
    })
}

/// Results gathered while the calls of a run were in progress.
struct Followed {
    /// Peak resident memory of the process, in bytes.
    rss: u64,
    watch: HealthWatch,
    /// The gate that ended the run.
    aborted: Option<String>,
}

/// Starts the calls and follows them until the last has ended.
async fn until_over(
    (shared, plan, settings): (&Arc<Shared>, &Plan, &RunSettings),
    signalling: &Signalling,
    run_start: Instant,
    inbox: &mut mpsc::Receiver<call_report::CallReport>,
    collector: &mut Collector<'_>,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Followed {
    let mut dispatch = tokio::spawn(dispatch::dispatch(shared.clone(), plan.clone(), run_start));
    let mut rss = generator::resident_bytes();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut watch = HealthWatch::new(shared.scenario.health);
    let mut tidy = Tidy::default();
    let mut stopping = false;
    let mut abort = AbortWatch::new(&settings.abort);
    let mut aborted = None;
    let signalling_at_work = settings.pulses.work(WatchedPart::Signalling);
    loop {
        tokio::select! {
            // Report the stop before reporting the calls that are left out because of it.
            biased;
            () = shared.stop.cancelled(), if !stopping => {
                stopping = true;
                tell(RunEvent::Stopping);
            }
            () = settings.pulses.over() => break,
            // A panic in the dispatcher has already been printed; calls that it leaves open are
            // closed later.
            _ = &mut dispatch => break,
            _ = second.tick() => {
                let at_work = settings.pulses.work(WatchedPart::Collector);
                collector.sync();
                drop(at_work);
                collector.look_at_telemetry(tell);
                tidy.look(collector.started());
                let vitals = generator::vitals(shared.media.health(), signalling.lateness());
                rss = rss.max(vitals.resident_bytes);
                watch.look(&vitals, collector.under_way());
                tell(RunEvent::Vitals(Box::new(vitals)));
                let notice = shared.evidence.as_ref().and_then(Desk::notice);
                notice.into_iter().for_each(|text| tell(RunEvent::Notice(text)));
                if !stopping && let Some(name) = refuted(shared, plan, run_start, &mut abort, collector) {
                    tell(RunEvent::Notice(format!("{name} is refuted: the run ends here")));
                    aborted = Some(name);
                    shared.stop.cancel();
                }
            }
            Some(report) = inbox.recv() => {
                let at_work = settings.pulses.work(WatchedPart::Collector);
                let mut events = Vec::new();
                collector.take(report, &mut |event| events.push(event));
                // Displaying events can block for an unlimited time on a paused terminal, so it does
                // not count as work.
                drop(at_work);
                for event in events {
                    abort.take(&event);
                    tell(event);
                }
            }
        }
    }
    drop(signalling_at_work);
    Followed {
        rss,
        watch,
        aborted,
    }
}

/// The gate that the measured turns so far refute.
fn refuted(
    shared: &Shared,
    plan: &Plan,
    run_start: Instant,
    abort: &mut AbortWatch,
    collector: &Collector<'_>,
) -> Option<String> {
    let measured = *shared.measured.get()?;
    let steady = steady_spans(plan, measured, run_start);
    let gate = abort.look(now() - measured, &steady, || collector.open())?;
    Some(gate.threshold.name())
}

/// Takes the reports that are still waiting, and closes the calls that never reported their end.
fn take_rest(
    shared: &Shared,
    inbox: &mut mpsc::Receiver<call_report::CallReport>,
    collector: &mut Collector<'_>,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) {
    while let Ok(report) = inbox.try_recv() {
        collector.take(report, tell);
    }
    collector.close(|call, start| call::cut_off(shared, call, start), tell);
    collector.tell_absent(tell);
}

/// Waits a short time for the spans that agents send when their last calls end, and attaches them. A
/// signal ends the wait, unless a gate has ended the run: that has cancelled the same token.
async fn last_spans(
    shared: &Shared,
    settings: &RunSettings,
    aborted: bool,
    collector: &mut Collector<'_>,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) {
    let complete = async {
        while collector.awaits_spans() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            collector.look_at_telemetry(tell);
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(telemetry::LAST_SPANS, complete) => {}
        () = shared.stop.cancelled(), if !aborted => {}
        () = settings.pulses.over() => {}
    }
    collector.close_telemetry(tell);
}

/// Starts to observe what the scenario asks for.
fn observers(
    shared: &Shared,
    settings: &RunSettings,
    run_start: Instant,
) -> Result<Option<observe::Observers>, RunError> {
    let observed = &shared.scenario.observe;
    observe::start(observed, run_start, settings.clock, &shared.reports)
}

/// Why the figures are not reliable; empty if they are reliable.
fn invalid(
    settings: &RunSettings,
    watch: &HealthWatch,
    (vitals, generator): (&Vitals, &Generator),
    collector: &Collector<'_>,
) -> Vec<String> {
    let held_back = generator::held_back(generator);
    [
        hung(settings),
        watch.doubts(vitals, held_back.as_deref()),
        collector.own_failures(),
    ]
    .concat()
}

/// Why the figures are not reliable if the run was ended because it hung.
fn hung(settings: &RunSettings) -> Vec<String> {
    let over = settings.pulses.is_over().then(|| HUNG.to_owned());
    over.into_iter().collect()
}

/// Waits until the evidence and the log of the simulated networks are written, and forwards the
/// notices about them.
async fn gather_evidence(
    shared: &Shared,
    settings: &RunSettings,
    run_start: Instant,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Option<evidence::EvidenceResult> {
    let done = match &shared.evidence {
        Some(desk) => {
            let _at_work = settings.pulses.work(WatchedPart::Evidence);
            tokio::select! {
                done = desk.finish(run_start) => done,
                () = settings.pulses.over() => None,
            }
        }
        None => None,
    };
    let mut notices = done
        .as_ref()
        .map_or_else(Vec::new, |done| done.notices.clone());
    if let Some(log) = shared.impairments.get() {
        notices.extend(log.finish().await);
    }
    for text in notices {
        tell(RunEvent::Notice(text));
    }
    done
}

/// Periods of steady load, relative to the start of the run; empty if the load is steady
/// throughout.
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
