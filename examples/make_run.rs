//! Writes the folder of a made-up run of any size, to measure how long reports take; the same seed
//! gives the same bytes.
//!
//! In: a new folder, the number of turns, a seed. Out: the files of a run, without its reports.
//! Invariant: the journal and the summary are made by the same code as those of a real run.

use jiff::Timestamp;
use loadgen::record::{
    CALL_VERSION, CallRecord, Ending, Generator, Journal, MEASUREMENT_VERSION, Ms, PlannedGate,
    RunFacts, RunFolder, RunRecord, RunStart, START_VERSION, Summary, TURN_VERSION, TurnRecord,
};
use loadgen::report::Format;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal};
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// Turns of each call.
const TURNS: usize = 5;
const STARTED: &str = "2026-01-31T12:00:00.000Z";
const ZERO: &str = "2026-01-31T12:00:02.350014Z";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, turns, rest @ ..] = arguments.as_slice() else {
        return Err("usage: make_run FOLDER TURNS [SEED]".into());
    };
    let seed = rest.first().map_or(Ok(1), |seed| seed.parse())?;
    make(Path::new(folder), turns.parse()?, seed)
}

fn make(folder: &Path, turns: usize, seed: u64) -> Result<(), Box<dyn Error>> {
    let folder = RunFolder::create(Some(folder), Timestamp::now(), "made-up")?;
    let mut journal = Journal::create(&folder.file("turns.jsonl"))?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let planned = turns.div_ceil(TURNS);
    let start = start(seed, planned);
    folder.write("run.json", start.to_json().as_bytes())?;
    folder.write("scenario.yaml", SCENARIO.as_bytes())?;
    let (mut calls, mut all) = (Vec::new(), Vec::new());
    for call in 0..planned {
        let made = call_of(call, &mut random)?;
        let turns = (0..TURNS).map(|turn| turn_of(&made, turn, &mut random));
        let turns = turns.collect::<Result<Vec<_>, _>>()?;
        for turn in &turns {
            journal.append(turn)?;
        }
        journal.append_call(&made)?;
        calls.push(made);
        all.extend(turns);
    }
    journal.sync()?;
    let summary = Summary::build(&facts(&start, planned), &calls, &all, &[]);
    let record = RunRecord::new(summary, all, calls, Some(SCENARIO.to_owned()));
    for file in Format::Json.files(&record) {
        folder.write(file.name, &file.bytes)?;
    }
    Ok(())
}

const SCENARIO: &str = "\
version: 1
name: made-up
target: {kind: embedded}
utterances: {order: {file: order.wav}}
call: {turns: [{say: order}, {say: order}, {say: order}, {say: order}, {say: order}]}
load: {calls: 2000, concurrency: 200}
";

fn start(seed: u64, planned: usize) -> RunStart {
    RunStart {
        version: START_VERSION,
        name: "made-up".into(),
        seed,
        target: "embedded".into(),
        started_at: STARTED.into(),
        zero_at: Some(ZERO.into()),
        measurement_version: MEASUREMENT_VERSION,
        loadgen_version: env!("CARGO_PKG_VERSION").into(),
        playout_model: "neteq-dm-1".into(),
        planned_calls: Some(planned),
        turns_per_call: TURNS,
        network: None,
        prices: None,
        gates: Vec::<PlannedGate>::new(),
    }
}

fn facts(start: &RunStart, planned: usize) -> RunFacts<'_> {
    RunFacts {
        name: &start.name,
        seed: start.seed,
        target: &start.target,
        started_at: &start.started_at,
        zero_at: start.zero_at.as_deref(),
        measurement_version: start.measurement_version,
        duration: Duration::from_millis(500 * planned as u64 + 60_000),
        loadgen_version: &start.loadgen_version,
        planned_calls: planned,
        planned_turns: planned * TURNS,
        ending: Ending::Finished,
        invalid: Vec::new(),
        generator: Generator::default(),
        steady: Vec::new(),
        network: None,
        sentinels: None,
    }
}

/// Rounds to the microsecond, the precision of the files.
fn ms(ms: f64) -> Value {
    json!((ms * 1e3).round() / 1e3)
}

/// The record of a call; one call in a hundred fails.
fn call_of(call: usize, random: &mut ChaCha8Rng) -> Result<CallRecord, Box<dyn Error>> {
    let start = 500.0 * call as f64;
    let failed = random.random_bool(0.01);
    let variant = ["base", "fast", "new"][call % 3];
    let failure = json!({
        "cause": "agent_left",
        "message": "the agent left the call",
        "hint": "look at the agent's log: it closed its session or crashed",
    });
    let replied = if failed { 0 } else { TURNS };
    Ok(serde_json::from_value(json!({
        "version": CALL_VERSION, "call": call, "room": format!("loadgen-made-up-c{call:05}"),
        "variant": variant, "warmup": false,
        "planned_start_ms": ms(start), "started_ms": ms(start + 0.3), "lateness_ms": ms(0.3),
        "join_ms": ms(random.random_range(80.0..300.0)),
        "agent_present_ms": ms(random.random_range(200.0..300.0)),
        "agent_audible_ms": ms(random.random_range(300.0..900.0)),
        "greeting_ms": ms(random.random_range(200.0..700.0)),
        "ended_ms": ms(start + 60_000.0),
        "outcome": if failed { "failed" } else { "completed" },
        "failure": failed.then_some(failure), "echoes": 0,
        "turns": {"planned": TURNS, "replied": replied, "missed": 0, "early": 0,
                  "failed": TURNS - replied},
    }))?)
}

/// The record of a turn. In a call that did not fail, one turn in fifty is missed and one in fifty
/// is early.
fn turn_of(
    call: &CallRecord,
    turn: usize,
    random: &mut ChaCha8Rng,
) -> Result<TurnRecord, Box<dyn Error>> {
    let outcome = match (call.failure.is_some(), random.random_range(0..50)) {
        (true, _) => "failed",
        (_, 0) => "missed",
        (_, 1) => "early",
        _ => "replied",
    };
    let replied = outcome == "replied";
    // A median of 800 ms with a long tail, as real agents have.
    let wire = LogNormal::new(800_f64.ln(), 0.4)?.sample(random);
    let wire = Ms::from_micros((wire * 1e3) as i64);
    let playout = Ms::from_micros(random.random_range(20_000..80_000));
    let planned = call.planned_start_ms.as_f64() + 2_000.0 + 11_000.0 * turn as f64;
    let end = planned + 2_300.0;
    let said = ["order", "thanks", "cancel"][turn % 3];
    let some = |value: f64| if replied { ms(value) } else { Value::Null };
    Ok(serde_json::from_value(json!({
        "version": TURN_VERSION, "call": call.call, "room": call.room, "turn": turn,
        "utterance": said, "variant": call.variant,
        "warmup": false, "expect": "respond", "outcome": outcome,
        "planned_ms": ms(planned), "started_ms": ms(planned + 0.2), "speech_end_ms": ms(end),
        "ttfa_ms": some((wire + playout).as_f64()), "ttfa_wire_ms": some(wire.as_f64()),
        "playout_ms": some(playout.as_f64()), "playout_model": replied.then_some("neteq-dm-1"),
        "early_by_ms": (outcome == "early").then(|| ms(random.random_range(20.0..400.0))),
        "reply_end_ms": some(end + wire.as_f64() + random.random_range(900.0..4_000.0)),
        "send_lateness_ms": ms(random.random_range(0.0..1.5)),
        "snr_db": replied.then_some(41.3), "confidence": replied.then_some("high"),
        "first_packet_ms": some(wire.as_f64() - 12.0), "lead_in_ms": some(12.0),
        "second_opinion": replied.then_some(true), "second_apart_ms": some(4.0),
        "failure": (outcome == "failed").then_some("agent_left"),
    }))?)
}
