//! `loadgen calibrate`: the error of the latency figures on this machine.
//!
//! In: levels of callers, optionally a server. Out: a table or JSON, and `calibration.json`.
//! Holds: the truth is the reference agent's own stamps, taken on the same monotonic clock;
//! a machine that is too slow is said to be, not measured around.

use super::carry_out::door_of;
use super::exit::Exit;
use super::say::{self, Trouble};
use super::server::ServerArgs;
use super::settings::{self, Environment, ServerFlags};
use super::sources::Source;
use super::truth::{self, ChildAgent};
use crate::plan::Plan;
use crate::record::{CALIBRATION_VERSION, Calibration, CalibrationLevel, Journal};
use crate::run::{self, Door, Settings, state_folder};
use crate::scenario::Unset;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is measured, and against what.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Callers at once, one level after the other
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "1,10,50,100,200",
          value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub levels: Vec<u32>,
    /// At least 500 turns a level, so that each has a p99 (takes about an hour)
    #[arg(long)]
    pub full: bool,
    /// Delay of the reference agent
    #[arg(long, value_name = "DURATION", default_value = "400ms", value_parser = super::parse_duration)]
    pub delay: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Confirm a level that is too large to be started unasked
    #[arg(long)]
    pub yes: bool,
    /// Through this server; without --url, against the embedded agent.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Turns of each call in a quick run: about 45 s of calls, with 2 s a turn.
const QUICK_TURNS: u64 = 20;
/// Turns of a level in a full run.
const FULL_TURNS: u64 = 500;
/// The file in the state folder.
const FILE: &str = "calibration.json";

/// Measures and reports.
pub(super) fn execute(args: CalibrateArgs) -> Exit {
    match calibrate(&args) {
        Ok(done) => {
            let text = match args.json {
                true => json(&done),
                false => table(&done),
            };
            say::out(&text);
            match save(&done) {
                Ok(()) if done.trusted_callers > 0 => Exit::Success,
                Ok(()) => Exit::InvalidRun,
                Err(trouble) => trouble.tell(),
            }
        }
        Err(trouble) => trouble.tell(),
    }
}

fn calibrate(args: &CalibrateArgs) -> Result<Calibration, Trouble> {
    let mut levels = args.levels.clone();
    levels.sort_unstable();
    levels.dedup();
    let env = Environment::load()?;
    let flags: ServerFlags = args.server.clone().into();
    let server = match flags.url {
        None => None,
        Some(_) => Some(
            settings::server(&flags, &env, &ServerFlags::default())
                .map_err(|e| Trouble::new(Exit::Usage, e.to_string(), e.hint()))?,
        ),
    };
    let target = server
        .as_ref()
        .map_or("embedded".to_owned(), |(a, _)| format!("livekit {a}"));
    let started = jiff::Timestamp::now();
    let mut measured = Vec::new();
    for callers in levels {
        eprintln!("calibrating with {callers} callers against {target}");
        measured.push(level(args, callers, server.as_ref())?);
    }
    Ok(Calibration {
        version: CALIBRATION_VERSION,
        measured_at: started.to_string(),
        target,
        loadgen_version: env!("CARGO_PKG_VERSION").into(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        trusted_callers: Calibration::trusted(&measured),
        levels: measured,
    })
}

/// The scenario of a level: short turns, a short tone, everybody at once.
fn scenario_text(args: &CalibrateArgs, callers: u32, agent: Option<&str>) -> String {
    let turns = match args.full {
        true => FULL_TURNS.div_ceil(u64::from(callers)).max(QUICK_TURNS),
        false => QUICK_TURNS,
    };
    let ms = args.delay.as_secs_f64() * 1e3;
    let target = match agent {
        Some(name) => {
            format!("{{kind: livekit, room_prefix: loadgen-calibrate, agent_name: {name}}}")
        }
        None => format!("{{kind: embedded, agent: {{delay: {ms}ms, reply_length: 300ms}}}}"),
    };
    let turn = "    - {say: yes, start: {after: previous_turn, delay: {min: 50ms, max: 250ms}}, timeout: 5s}\n";
    let first = "    - {say: yes, start: {after: call_start, delay: {min: 700ms, max: 900ms}}, timeout: 5s}\n";
    format!(
        "version: 1\nname: calibrate\nseed: {callers}\ntarget: {target}\n\
         utterances: {{yes: {{file: ../fixtures/yes.wav}}}}\n\
         call:\n  greeting: none\n  turns:\n{first}{}\
         load: {{calls: {callers}, ramp: {}ms}}\n",
        turn.repeat(turns as usize - 1),
        20 * callers,
    )
}

fn level(
    args: &CalibrateArgs,
    callers: u32,
    server: Option<&(
        crate::target::livekit::Address,
        crate::target::livekit::Credentials,
    )>,
) -> Result<CalibrationLevel, Trouble> {
    let folder = tempfile::tempdir().map_err(|e| no_folder(&e))?;
    let truth_file = folder.path().join("truth.jsonl");
    let name = format!("loadgen-calibrate-{}", settings::random_id());
    let source = Source::made(
        "calibrate",
        scenario_text(args, callers, server.map(|_| name.as_str())),
    )?;
    let scenario = source.check(&|_| None, Unset::Absent)?;
    let plan = Plan::new(&scenario);
    let host = server.map(|(a, _)| a.host());
    if let Some(consent) = plan.needs_consent(host).filter(|_| !args.yes) {
        return Err(Trouble::new(
            Exit::Usage,
            consent.to_string(),
            consent.hint(),
        ));
    }
    let truth_argument = format!("--truth={}", truth_file.display());
    let (door, agent) = match server {
        None => (door_of(&scenario, vec![truth_argument])?, None),
        Some((address, credentials)) => {
            let delay = format!("--delay={}ms", args.delay.as_secs_f64() * 1e3);
            let more = [delay, "--reply-length=300ms".into(), truth_argument];
            let agent = ChildAgent::start(address, credentials, &name, &more)?;
            let door = Door::Livekit {
                address: address.clone(),
                credentials: credentials.clone(),
                room_prefix: "loadgen-calibrate".into(),
            };
            (door, Some(agent))
        }
    };
    let finished = run_quietly(&scenario, &plan, door, folder.path())?;
    // The agent's end brings its truth to the disk.
    drop(agent);
    let truth = truth::read(&truth_file)?;
    Ok(CalibrationLevel::of(
        u64::from(callers),
        &finished.turns,
        &truth,
        &finished.generator,
        finished.invalid.is_empty(),
    ))
}

fn no_folder(e: &std::io::Error) -> Trouble {
    Trouble::new(
        Exit::Error,
        format!("cannot make a temporary folder: {e}"),
        "set TMPDIR to a folder with room in it",
    )
}

fn run_quietly(
    scenario: &crate::scenario::Scenario,
    plan: &Plan,
    door: Door,
    folder: &Path,
) -> Result<run::Finished, Trouble> {
    let mut journal =
        Journal::create(&folder.join("turns.jsonl")).map_err(|e| Trouble::record(&e))?;
    let stop = CancellationToken::new();
    let settings = Settings {
        door,
        run_id: settings::random_id(),
        stop: stop.clone(),
        join_concurrency: run::JOIN_CONCURRENCY,
    };
    let mut tell = |event: run::RunEvent| {
        if let run::RunEvent::Notice(text) = event {
            eprintln!("warning: {text}");
        }
    };
    let finished = say::with_runtime(stop, async {
        run::run(scenario, plan, &settings, &mut journal, &mut tell).await
    })?
    .map_err(|e| super::carry_out::failed(&e))?;
    match finished.stopped {
        true => Err(Trouble::new(
            Exit::Stopped,
            "calibration was stopped",
            "run it again without stopping it",
        )),
        false => Ok(finished),
    }
}

fn json(done: &Calibration) -> String {
    // A struct of numbers and text always has a JSON form.
    serde_json::to_string_pretty(done).map_or_else(|e| e.to_string(), |t| t + "\n")
}

fn table(done: &Calibration) -> String {
    let mut text = format!(
        "error of ttfa_wire (and of ttfa less its stated playout), ms: measured less true, {}\n\n\
         {:>8} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}  {}\n",
        done.target, "callers", "turns", "bias", "p50", "p95", "p99", "worst", "tick p99", "valid"
    );
    let ms = |v: Option<crate::record::Ms>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    for l in &done.levels {
        let e = &l.ttfa_wire;
        let bias = e
            .bias_ms
            .map_or_else(|| "–".to_owned(), |b| format!("{b:+.2}"));
        text += &format!(
            "{:>8} {:>7} {bias:>8} {:>8} {:>8} {:>8} {:>8} {:>10}  {}\n",
            l.callers,
            l.turns,
            ms(e.p50_abs_ms),
            ms(e.p95_abs_ms),
            ms(e.p99_abs_ms),
            ms(e.max_abs_ms),
            format!("{:.2}", l.tick_lateness_p99_ms),
            match (l.valid, l.unmatched) {
                (true, 0) => "yes".to_owned(),
                (true, n) => format!("yes, {n} turns without a figure"),
                (false, _) => "no: the generator was too slow".to_owned(),
            },
        );
    }
    text + &match done.trusted_callers {
        0 => "\nthis machine can not be trusted with any of these levels\n".to_owned(),
        n => format!("\nthis machine can be trusted with up to {n} callers\n"),
    }
}

/// Where the calibration of this machine is.
pub(super) fn path() -> Option<PathBuf> {
    Some(state_folder()?.join(FILE))
}

fn save(done: &Calibration) -> Result<(), Trouble> {
    let Some(path) = path() else {
        eprintln!("warning: without a home directory the calibration is not kept");
        return Ok(());
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("json.tmp");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&temporary, json(done)))
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|e| {
            let message = format!("cannot write {}: {e}", path.display());
            Trouble::new(
                Exit::Error,
                message,
                "set XDG_STATE_HOME to a folder that can be written",
            )
        })
}

/// What was measured on this machine, if anything was.
pub(super) fn known() -> Option<Calibration> {
    let text = std::fs::read(path()?).ok()?;
    let known: Calibration = serde_json::from_slice(&text).ok()?;
    (known.version == CALIBRATION_VERSION).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        calibrate: CalibrateArgs,
    }

    #[test]
    fn every_level_is_a_valid_scenario() {
        for (line, callers, turns) in [
            (vec!["x"], 1, 20),
            (vec!["x", "--full"], 1, 500),
            (vec!["x", "--full"], 200, 20),
        ] {
            let args = Line::try_parse_from(line).expect("arguments").calibrate;
            for agent in [None, Some("loadgen-calibrate-1")] {
                let text = scenario_text(&args, callers, agent);
                let source = Source::made("calibrate", text).expect("source");
                let scenario = match source.check(&|_| None, Unset::Absent) {
                    Ok(s) => s,
                    Err(t) => panic!("{t:?}"),
                };
                assert_eq!(scenario.call.turns.len(), turns);
                assert_eq!(Plan::new(&scenario).concurrency(), u64::from(callers));
            }
        }
    }
}
