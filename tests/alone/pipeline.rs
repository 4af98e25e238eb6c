//! The main use case against a full pipeline of VAD, speech recognition, LLM and speech synthesis.
//!
//! Needs Python with venv and espeak-ng; without them the test fails with a message.

use crate::support::reports::{Row, median};
use crate::support::{LivekitServer, Loadgen, PipelineAgent, Reports, full, in_repo};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const TURNS_PER_CALL: usize = 3;
/// Maximum median blind spot, in ms: how much longer the caller waits than the agent reports. On a
/// machine that is not busy, 600 is enough.
const BOUND_MS: f64 = 1_500.0;

/// Settings that put the agent's clock ahead and make it run too fast.
pub(crate) const WRONG_CLOCK: [(&str, &str); 2] = [
    ("PIPELINE_CLOCK_OFFSET_MS", "1700"),
    ("PIPELINE_CLOCK_DRIFT_PPM", "200"),
];
/// Error of the instant that the run's times are counted from, in ms: `run.json` has it on the wall
/// clock, the agent's log on the monotonic one.
pub(crate) const ZERO_MS: f64 = 1.0;

/// The agent's line about the same turn.
pub(crate) fn line_of<'a>(row: &Row, lines: &'a [Value]) -> &'a Value {
    let turn: u64 = row["turn"].parse().expect("a turn");
    let same = |line: &&Value| line["room"] == row["room"].as_str() && line["turn"] == turn;
    let found = lines.iter().find(same);
    found.unwrap_or_else(|| panic!("no line about {row:?} in {lines:#?}"))
}

/// The start of the run on the machine's monotonic clock, in s.
pub(crate) fn zero(run: &Path) -> f64 {
    let text = std::fs::read(run.join("run.json")).expect("readable");
    let facts: Value = serde_json::from_slice(&text).expect("JSON");
    let zero: jiff::Timestamp = facts["zero_at"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an instant");
    let read = |clock| {
        let time = clock_gettime(clock).expect("a clock");
        Duration::from(time).as_secs_f64()
    };
    let ahead = read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_MONOTONIC);
    zero.as_nanosecond() as f64 / 1e9 - ahead
}

/// Checks loadgen's record of the agent's account against the agent's own log: the delays are
/// equal, and each instant lies within its interval although the agent's clock is wrong.
fn check_account(rows: &[Row], lines: &[Value], zero: f64) {
    let (mut instants, mut inside, mut widths) = (0, 0, Vec::new());
    for row in rows {
        let line = line_of(row, lines);
        let figure = |name: &str| -> f64 {
            let text = &row[name];
            text.parse()
                .unwrap_or_else(|_| panic!("{name} is `{text}` in {row:?}"))
        };
        for name in [
            "transcription_delay",
            "end_of_turn_delay",
            "on_user_turn_completed_delay",
            "llm_node_ttft",
            "llm_node_ttfs",
            "tts_node_ttfb",
            "e2e_latency",
        ] {
            let said = line[name].as_f64().expect("a delay") * 1e3;
            let recorded = figure(&format!("{name}_ms"));
            assert!((said - recorded).abs() < 0.01, "{name}: {said} {recorded}");
        }
        let parts = [
            "blind_spot_front_ms",
            "e2e_latency_ms",
            "blind_spot_back_ms",
        ];
        let sum: f64 = parts.iter().map(|name| figure(name)).sum();
        assert!((sum - figure("ttfa_ms")).abs() < 50.0, "{row:?}");
        assert!(figure("transcript_delay_ms") > 0.0, "{row:?}");
        let width = figure("agent_clock_width_ms");
        widths.push(width);
        let number = |name: &str| line[name].as_f64().expect("a number");
        for (column, name) in [
            ("agent_heard_end_ms", "user_stopped_speaking_at"),
            ("agent_started_speaking_ms", "agent_started_speaking_at"),
        ] {
            let ago = number("logged_at") - number(name);
            let truth = (number("monotonic") - ago - zero) * 1e3;
            let off = figure(column) - truth;
            instants += 1;
            inside += usize::from(off.abs() <= width / 2.0 + ZERO_MS);
            println!("{} {column} error {off:.2} of {width:.2} ms", row["turn"]);
        }
    }
    let width = median(widths);
    println!("{inside} of {instants} instants inside their interval, median width {width:.2} ms");
    assert!(inside * 20 >= instants * 19, "{inside} of {instants}");
    assert!(width < if full() { 10.0 } else { 200.0 }, "{width} ms");
}

#[test]
fn the_agents_account_matches_its_log_and_ttfa_exceeds_e2e_latency() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = PipelineAgent::start_with(&server, &WRONG_CLOCK);
    let calls = if full() { 20 } else { 3 };
    let run = Loadgen::new(["run", "--out", "run"])
        .arg(in_repo("scenarios/pipeline.yaml"))
        .arg("--rooms")
        .arg(calls.to_string())
        .deadline(Duration::from_secs(900));
    let run = run.on(&server).run();

    let dir = run.dir().join("run");
    let reports = Reports::read(&dir);
    reports.assert_good(&run.finished);
    let turns = calls * TURNS_PER_CALL;
    assert_eq!(reports.count("/outcomes/replied"), turns as u64);
    assert_eq!(reports.turns.len(), turns);
    assert_eq!(server.rooms().len(), 0, "rooms are left");

    let lines = agent.wait_for_turns(turns, Duration::from_secs(20));
    check_account(&reports.turns, &lines, zero(&dir));
    let blind = |row: &Row| row["blind_spot_ms"].parse::<f64>().expect("checked above");
    for row in &reports.turns {
        let more = blind(row);
        assert!(more > 0.0, "heard before the agent spoke: {row:?}");
    }
    let difference = median(reports.turns.iter().map(blind).collect());
    println!("median blind spot {difference:.1} ms");
    assert!(difference < BOUND_MS, "{difference}");
}
