//! `loadgen calibrate`: measures the error of the latency figures on this machine.
//!
//! In: numbers of callers, optionally a server. Out: a table or JSON, and `calibration.json`.
//! Invariants: the ground truth is the reference agent's own timestamps, on the same monotonic
//! clock; a level for which the machine is too slow is reported as invalid, not hidden.

use crate::audio::chirp::{CHIRP, chirp};
use crate::audio::{RATE, time_of};
use crate::cli::calibration;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::server::ServerArgs;
use crate::cli::session::agent_flags::SHORTEST_KEPT;
use crate::cli::session::drive::Drive;
use crate::cli::session::targets::{asks, of_embedded};
use crate::cli::session::truth::{REPLY, Truth, own_agent, truth_arguments};
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::sources::ScenarioSource;
use crate::cli::trouble::Trouble;
use crate::os::{cores, cpu_limit};
use crate::plan::Plan;
use crate::record::{
    CALIBRATION_VERSION, Calibration, CalibrationLevel, MEASUREMENT_VERSION, write_durably,
};
use crate::run::Targets;
use crate::scenario::Unset;
use crate::targets::livekit::{Credentials, Livekit};
use crate::vocab::{Address, duration};
use clap::Args;
use std::io::Cursor;
use std::time::Duration;

/// Arguments of `loadgen calibrate`.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Concurrent callers, one level after the other
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "1,10,50,100,200",
          value_parser = crate::cli::number::whole(1..=2_000))]
    pub levels: Vec<u32>,
    /// At least 500 turns per level, so that each has a p99 (takes about twenty minutes)
    #[arg(long)]
    pub full: bool,
    /// Delay of the reference agent
    #[arg(long, value_name = "DURATION", default_value = "400ms", value_parser = parse_delay)]
    pub delay: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Start even a level that is large enough to need confirmation
    #[arg(long)]
    pub yes: bool,
    /// The server to call through; without --url, the embedded agent is called.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Turns per call in a quick run: calls of about 35 s, at 1.7 s per turn.
const QUICK_TURNS: u64 = 20;
/// Minimum number of turns per level in a full run.
const FULL_TURNS: u64 = 500;
/// Time beyond the agent's delay after which a turn times out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Prefix of room and agent names.
const ROOMS: &str = "loadgen-calibrate";
/// File name of the utterance, next to the built-in sounds.
const CHIRP_WAV: &str = "chirp.wav";

fn parse_delay(text: &str) -> Result<Duration, String> {
    let kept = duration::format(SHORTEST_KEPT);
    match crate::cli::duration::parse_duration(text)? {
        delay if delay < SHORTEST_KEPT => {
            Err(format!("the agent cannot guarantee a delay under {kept}"))
        }
        delay => Ok(delay),
    }
}

/// Measures every level, prints the results and saves them.
pub(super) fn execute(args: CalibrateArgs) -> Exit {
    match calibrate(&args) {
        Ok(done) => {
            let text = match args.json {
                true => json(&done),
                false => table(&done),
            };
            let printed = console::data([text]);
            match save(&done) {
                Ok(()) if printed != Exit::Success => printed,
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
        Some(_) => Some(settings::server(&flags, &env, &ServerFlags::default())?),
    };
    let target = server
        .as_ref()
        .map_or("embedded".to_owned(), |(a, _)| format!("livekit {a}"));
    let started = jiff::Timestamp::now();
    let mut measured = Vec::new();
    for callers in levels {
        console::say(&format!(
            "calibrating with {callers} callers against {target}"
        ));
        measured.push(level(args, callers, server.as_ref())?);
    }
    Ok(Calibration {
        version: CALIBRATION_VERSION,
        measured_at: started.to_string(),
        target,
        loadgen_version: env!("CARGO_PKG_VERSION").into(),
        measurement_version: MEASUREMENT_VERSION,
        cores: cores(),
        cpu_limit_cores: cpu_limit(),
        trusted_callers: Calibration::trusted(&measured),
        levels: measured,
    })
}

/// Scenario of a level: short turns, a short tone as the reply, all callers at once.
fn scenario_text(args: &CalibrateArgs, callers: u32, agent: Option<&str>) -> String {
    let turns = match args.full {
        true => FULL_TURNS.div_ceil(u64::from(callers)).max(QUICK_TURNS),
        false => QUICK_TURNS,
    };
    let target = match agent {
        Some(name) => {
            format!("{{kind: livekit, room_prefix: {ROOMS}, agent_name: {name}}}")
        }
        None => format!(
            "{{kind: embedded, agent: {{delay: {}, reply_length: {}}}}}",
            duration::format(args.delay),
            duration::format(REPLY)
        ),
    };
    let timeout = duration::format(args.delay + PATIENCE);
    let turn = |after: &str, min: u32, max: u32| {
        format!(
            "    - {{say: chirp, start: {{after: {after}, delay: {{min: {min}ms, max: {max}ms}}}}, timeout: {timeout}}}\n"
        )
    };
    format!(
        "version: 1\nname: calibrate\nseed: {callers}\ntarget: {target}\n\
         utterances: {{chirp: {{file: ../fixtures/{CHIRP_WAV}, speech_end: {}}}}}\n\
         call:\n  greeting: none\n  turns:\n{}{}\
         load: {{calls: {callers}, ramp: {}ms}}\n",
        duration::format(time_of(CHIRP as u64)),
        turn("call_start", 700, 900),
        turn("previous_turn", 50, 250).repeat(turns as usize - 1),
        20 * callers,
    )
}

/// The calibration chirp as a WAV file.
fn chirp_wav() -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut wav, spec)?;
    for sample in chirp() {
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    Ok(wav.into_inner())
}

fn source(text: String) -> Result<ScenarioSource, Trouble> {
    let wav = chirp_wav().map_err(|e| {
        let message = format!("cannot generate the calibration chirp: {e}");
        Trouble::new(Exit::Error, message, "check that there is free memory")
    })?;
    ScenarioSource::made("calibrate", text, &[(CHIRP_WAV, &wav)])
}

fn level(
    args: &CalibrateArgs,
    callers: u32,
    server: Option<&(Address, Credentials)>,
) -> Result<CalibrationLevel, Trouble> {
    let folder = tempfile::tempdir().map_err(|e| no_folder(&e))?;
    let truth_file = folder.path().join("truth.jsonl");
    let own = match server {
        None => None,
        Some(_) => Some(own_agent(ROOMS, args.delay, &truth_file)?),
    };
    let name = own.as_ref().map(|own| own.name.as_str());
    let source = source(scenario_text(args, callers, name))?;
    let scenario = source.check(&|_| Ok(None), Unset::Absent)?;
    let plan = Plan::new(&scenario);
    let host = server.map(|(a, _)| a.host());
    if let Some(consent) = plan.needs_consent(host).filter(|_| !args.yes) {
        return Err(Trouble::new(
            Exit::Usage,
            consent.to_string(),
            consent.hint(),
        ));
    }
    let targets: Targets = match server {
        None => of_embedded(&scenario, truth_arguments(&truth_file))?.into(),
        Some((address, credentials)) => Livekit {
            address: address.clone(),
            credentials: credentials.clone(),
            room_prefix: ROOMS.into(),
            asks: asks(&scenario),
        }
        .into(),
    };
    let drive = Drive {
        scenario: &scenario,
        plan: &plan,
        targets,
        own,
        sentinel: None,
        evidence: None,
        impairments: None,
        abort: Vec::new(),
        telemetry: None,
        join_concurrency: None,
        checked_by: None,
    };
    let finished = drive.quietly(folder.path(), "calibration")?;
    let truth = Truth::read(&truth_file)?;
    Ok(CalibrationLevel::of(
        u64::from(callers),
        &finished.turns,
        &|turn| truth.wire_ms(turn, finished.run_start),
        &finished.generator,
        finished.invalid.is_empty(),
    ))
}

fn no_folder(e: &std::io::Error) -> Trouble {
    Trouble::new(
        Exit::Error,
        format!("cannot create a temporary folder: {e}"),
        "set TMPDIR to a folder with enough free space",
    )
}

fn json(done: &Calibration) -> String {
    // A struct of numbers and text always has a JSON form.
    serde_json::to_string_pretty(done).map_or_else(|e| e.to_string(), |t| t + "\n")
}

fn processor(done: &Calibration) -> String {
    match done.cpu_limit_cores {
        Some(limit) => format!("{limit} cores' worth of time (the container's limit)"),
        None if done.cores == 1 => "1 core".to_owned(),
        None => format!("{} cores", done.cores),
    }
}

fn table(done: &Calibration) -> String {
    let mut text = format!(
        "error of ttfa_wire (and of ttfa minus its stated playout), ms: measured minus true, {}, {}\n\n\
         {:>8} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}  {}\n",
        done.target,
        processor(done),
        "callers",
        "turns",
        "bias",
        "p50",
        "p95",
        "p99",
        "worst",
        "tick p99",
        "valid"
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
        0 => "\nfigures measured on this machine are not reliable at any of these levels\n"
            .to_owned(),
        n => format!("\nfigures measured on this machine are reliable up to {n} callers\n"),
    }
}

fn save(done: &Calibration) -> Result<(), Trouble> {
    let Some(path) = calibration::path() else {
        console::warn("the calibration is not saved: neither XDG_STATE_HOME nor HOME is set");
        return Ok(());
    };
    write_durably(&path, json(done).as_bytes()).map_err(|e| {
        let message = format!("cannot write {}: {e}", path.display());
        Trouble::new(
            Exit::Error,
            message,
            "set XDG_STATE_HOME to a writable folder",
        )
    })
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
            let args = Line::try_parse_from(line)
                .expect("valid arguments")
                .calibrate;
            for agent in [None, Some("loadgen-calibrate-1")] {
                let text = scenario_text(&args, callers, agent);
                let source = source(text)
                    .map_err(|t| format!("{t:?}"))
                    .expect("unpacked");
                let scenario = match source.check(&|_| Ok(None), Unset::Absent) {
                    Ok(s) => s,
                    Err(t) => panic!("{t:?}"),
                };
                assert_eq!(scenario.call.turns.len(), turns);
                assert_eq!(Plan::new(&scenario).concurrency(), u64::from(callers));
            }
        }
    }
}
