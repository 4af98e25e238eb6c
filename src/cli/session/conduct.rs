//! Conducts `loadgen run`: scenario → plan → run → record → reports → exit code.
//!
//! In: a request. Out: files in a run folder, a table on stdout, an exit code.
//! Invariant: nothing is written before the scenario, settings and consent have been checked.

use super::after_run::AfterRun;
use super::conditions;
use super::drive::Drive;
use super::gates;
use super::request::SessionRequest;
use super::sentinels;
use super::start;
use super::targets;
use super::watchdog;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::live::{LiveOutputs, RunLabels};
use crate::cli::reports;
use crate::cli::settings::Environment;
use crate::cli::sources::{ScenarioSource, warn_of_doubts};
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::record::{
    Conditions, EVIDENCE_FOLDER, Ending, Journal, MEASUREMENT_VERSION, RunFacts, RunFolder,
    RunRecord, Summary,
};
use crate::report::Format;
use crate::run::{Finished, Pulses, RunEvent, Targets, WatchedPart};
use crate::scenario::{self, Scenario, TargetConfig, Unset, redacted};

/// Conducts the requested session.
pub(crate) fn conduct(request: &SessionRequest) -> Exit {
    match prepare(request) {
        Ok(ready) => ready.conduct(request),
        Err(trouble) => trouble.tell(),
    }
}

/// A run about to begin.
struct Ready {
    conditions: Conditions,
    after: AfterRun,
    source: ScenarioSource,
    scenario: Scenario,
    plan: Plan,
    targets: Targets,
    /// The user's API secret, from a flag or the environment.
    secret: Option<String>,
}

/// A scenario as it will run, and the targets of its calls.
pub(crate) struct OpenedScenario {
    pub(crate) source: ScenarioSource,
    pub(crate) scenario: Scenario,
    pub(crate) targets: Targets,
    /// The user's API secret, from a flag or the environment.
    pub(crate) secret: Option<String>,
}

/// Opens and checks a request's scenario, with the flags and the environment applied.
pub(crate) fn open(request: &SessionRequest) -> Result<OpenedScenario, Trouble> {
    open_source(request, ScenarioSource::open(&request.scenario)?)
}

/// Checks a scenario that has been opened, with the flags and the environment applied.
pub(crate) fn open_source(
    request: &SessionRequest,
    source: ScenarioSource,
) -> Result<OpenedScenario, Trouble> {
    let env = Environment::load()?;
    // A variable that a flag replaces need not be set.
    let from_flags = |name: &str| match name {
        "LIVEKIT_URL" => request.server.url.as_ref(),
        "LIVEKIT_API_KEY" => request.server.api_key.as_ref(),
        "LIVEKIT_API_SECRET" => request.server.api_secret.as_ref(),
        _ => None,
    };
    let lookup = |name: &str| env.flag_or(from_flags(name), name);
    let scenario = source.check(&lookup, Unset::Problem)?;
    warn_of_doubts(&scenario, &request.scenario);
    let scenario = request
        .overrides
        .apply(&scenario)
        .map_err(|e| Trouble::new(Exit::Usage, e.to_string(), e.hint()))?;
    let lost = |v: &&scenario::Variant| v.metadata.is_some() && v.agent_name.is_none();
    if let Some(variant) = scenario.variants.iter().find(lost) {
        let message = format!(
            "the metadata of variant `{}` would not be sent to any agent",
            variant.name
        );
        let hint =
            "metadata is sent only with an explicit dispatch: set `agent_name` or use --agent-name";
        return Err(Trouble::new(Exit::InvalidScenario, message, hint));
    }
    let targets = targets::resolve(&scenario, &request.server, &env)?;
    let secret = lookup("LIVEKIT_API_SECRET")?;
    Ok(OpenedScenario {
        source,
        scenario,
        targets,
        secret,
    })
}

/// Refuses a load that needs the user's consent, unless `yes` is set.
pub(crate) fn ask_consent(plan: &Plan, targets: &Targets, yes: bool) -> Result<(), Trouble> {
    let mut asked = targets
        .all()
        .filter_map(|target| plan.needs_consent(target.host()));
    match asked.next().filter(|_| !yes) {
        Some(consent) => {
            let (message, hint) = (consent.to_string(), consent.hint());
            Err(Trouble::new(Exit::Usage, message, hint))
        }
        None => Ok(()),
    }
}

fn prepare(request: &SessionRequest) -> Result<Ready, Trouble> {
    let OpenedScenario {
        source,
        scenario,
        targets,
        secret,
    } = open(request)?;
    let conditions = conditions::of_scenario(&scenario)?;
    let after = AfterRun::prepare(request, &conditions)?;
    let plan = Plan::new(&scenario);
    ask_consent(&plan, &targets, request.yes)?;
    warn_of_calibration(&plan);
    Ok(Ready {
        conditions,
        after,
        source,
        scenario,
        plan,
        targets,
        secret,
    })
}

/// Warns if the plan exceeds the concurrency that this machine was calibrated for.
fn warn_of_calibration(plan: &Plan) {
    let Some(known) = crate::cli::calibration::known() else {
        return;
    };
    let (wanted, trusted) = (plan.concurrency(), known.trusted_callers);
    if wanted > trusted {
        console::warn(&format!(
            "{wanted} callers at once, but calibration found this machine reliable only up to {trusted}\n  \
             hint: `loadgen calibrate` repeats the calibration; the report states whether the run is valid"
        ));
    }
}

impl Ready {
    fn conduct(self, request: &SessionRequest) -> Exit {
        let mut live = match self.live(request) {
            Ok(live) => live,
            Err(trouble) => return trouble.tell(),
        };
        let telemetry = live.telemetry();
        let started = jiff::Timestamp::now();
        let made = RunFolder::create(request.out.as_deref(), started, &self.scenario.name);
        let folder = match made {
            Ok(folder) => folder,
            Err(e) => return Trouble::record(&e).tell(),
        };
        let mut start = start::describe(&self.scenario, &self.plan, &self.targets, started);
        let opened = Journal::create(&folder.file("turns.jsonl")).and_then(|journal| {
            folder.write("scenario.yaml", &self.scenario_text())?;
            folder.write("run.json", start.to_json().as_bytes())?;
            Ok(journal)
        });
        let mut journal = match opened {
            Ok(journal) => journal,
            Err(e) => return ended_before_it_began(&folder, &Trouble::record(&e)),
        };
        let sentinel = match sentinels::agent(self.scenario.sentinels, &self.targets, &folder) {
            Ok(sentinel) => sentinel,
            Err(trouble) => return ended_before_it_began(&folder, &trouble),
        };
        let mut tell = |event: RunEvent| {
            if let RunEvent::Started { zero_at, .. } = event {
                start.zero_at = Some(start::zero(zero_at));
                // Written as soon as `zero_at` is known, so that a killed run has it too.
                if let Err(e) = folder.write("run.json", start.to_json().as_bytes()) {
                    live.take(RunEvent::Notice(format!(
                        "cannot add `zero_at` to run.json: {e}"
                    )));
                }
            }
            live.take(event);
        };
        let drive = Drive {
            scenario: &self.scenario,
            plan: &self.plan,
            targets: self.targets.clone(),
            own: None,
            sentinel,
            evidence: Some(folder.file(EVIDENCE_FOLDER)),
            impairments: Some(folder.file("impairments.csv")),
            abort: gates::that_abort(&self.scenario.thresholds),
            telemetry,
            join_concurrency: request.join_concurrency,
            checked_by: Some(&request.scenario),
        };
        let watchdog = match watchdog::watch(folder.path()) {
            Ok(watchdog) => watchdog,
            Err(trouble) => return ended_before_it_began(&folder, &trouble),
        };
        let pulses = watchdog.pulses();
        let result = drive.drive(pulses, &mut journal, &mut tell);
        let rest = live.over();
        let exit = match result {
            Ok(finished) => {
                let into = (&folder, &mut journal, pulses);
                self.report(request, started, finished, into)
            }
            Err(trouble) => ended_before_it_began(&folder, &trouble),
        };
        rest.finish();
        exit
    }

    /// Opens the progress display, the metrics server and the span export.
    fn live(&self, request: &SessionRequest) -> Result<LiveOutputs, Trouble> {
        let names = self.scenario.variants.iter().map(|v| v.name.as_str());
        let shown = RunLabels {
            scenario: &self.scenario.name,
            target: &self.targets.describe(),
            variants: &names.collect::<Vec<_>>(),
            plan: &self.plan,
        };
        LiveOutputs::open(&request.live, shown, request.output.quiet)
    }

    /// The scenario as written, with any API secrets removed so that it can be published.
    fn scenario_text(&self) -> Vec<u8> {
        let target = match &self.scenario.target {
            TargetConfig::Livekit(livekit) => livekit.api_secret.as_ref(),
            TargetConfig::Embedded(_) => None,
        };
        let own = |v: &'_ scenario::Variant| v.server.as_ref()?.api_secret.clone();
        let variants = self.scenario.variants.iter().filter_map(own);
        let secrets: Vec<_> = target.cloned().into_iter().chain(variants).collect();
        let secrets = secrets.iter().map(|secret| secret.0.as_str());
        // A secret that was moved to the environment may have been left in a comment.
        let secrets: Vec<&str> = secrets.chain(self.secret.as_deref()).collect();
        let text = String::from_utf8_lossy(self.source.text());
        let withheld = "# This scenario is not kept: its API secret could not be removed.\n";
        let kept = redacted(&text, &secrets);
        kept.unwrap_or_else(|| withheld.to_owned()).into_bytes()
    }

    /// Writes every report, then shows the summary even if writing failed.
    fn report(
        &self,
        request: &SessionRequest,
        started: jiff::Timestamp,
        finished: Finished,
        (folder, journal, pulses): (&RunFolder, &mut Journal, &Pulses),
    ) -> Exit {
        let at_work = pulses.work(WatchedPart::Report);
        let summary = self.summarise(request, started, &finished, folder);
        let scenario = String::from_utf8_lossy(&self.scenario_text()).into_owned();
        let record = RunRecord {
            evidence: finished.evidence,
            ..RunRecord::new(summary, finished.turns, finished.calls, Some(scenario))
        }
        .with_observed(finished.observed)
        .with_waves(folder.path());
        let written = journal.sync().and_then(|()| {
            let progress = || pulses.beat(WatchedPart::Report);
            progress();
            reports::write(folder, &record, &Format::ALL, progress)
        });
        // From here on, this thread may block on a slow reader of its output.
        drop(at_work);
        let there = written.is_ok().then_some(folder);
        let printed = reports::show(&record, request.output, there, self.after.lines_left());
        // Whatever was shown above, a failure to save turns or reports is an error.
        let unsafe_journal = finished.journal_error.as_ref();
        for e in unsafe_journal.into_iter().chain(written.as_ref().err()) {
            Trouble::record(e).tell();
        }
        let lost = written.is_err() || finished.journal_error.is_some();
        let exit = Exit::of_run(record.summary.verdict.status, lost).or(printed);
        self.after.conclude(exit, request, folder, &record)
    }

    fn summarise(
        &self,
        request: &SessionRequest,
        started: jiff::Timestamp,
        finished: &Finished,
        folder: &RunFolder,
    ) -> Summary {
        let measured = finished.calls.iter().filter(|c| !c.warmup).count();
        let calls = self.plan.measured().map_or(measured, |n| n as usize);
        let facts = RunFacts {
            name: &self.scenario.name,
            seed: self.scenario.seed,
            target: &self.targets.describe(),
            started_at: &format!("{started:.3}"),
            zero_at: Some(&start::zero(finished.zero_at)),
            measurement_version: MEASUREMENT_VERSION,
            duration: finished.duration,
            loadgen_version: env!("CARGO_PKG_VERSION"),
            planned_calls: calls,
            planned_turns: calls * self.scenario.call.turns.len(),
            ending: match &finished.aborted {
                Some(gate) => Ending::Aborted(gate.clone()),
                None if finished.stopped => Ending::Stopped,
                None => Ending::Finished,
            },
            invalid: finished.invalid.clone(),
            generator: finished.generator.clone(),
            steady: finished.steady.clone(),
            network: start::network(&self.scenario),
            sentinels: sentinels::summarise(finished, folder),
        };
        let thresholds = gates::from_thresholds(&self.scenario.thresholds, request.gate_on);
        let built = Summary::build(&facts, &finished.calls, &finished.turns, &thresholds);
        let priced = built.priced(self.scenario.prices.as_ref(), &finished.calls);
        Summary {
            conditions: Some(self.conditions.clone()),
            agent_spans: finished.spans,
            ..priced
        }
    }
}

/// Reports an error that occurred before the first call, and removes the files that the run has
/// created, since they hold no results.
fn ended_before_it_began(folder: &RunFolder, trouble: &Trouble) -> Exit {
    folder.discard();
    trouble.tell()
}
