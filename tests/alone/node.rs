//! The account of a Node agent. The library for Node reports fewer figures of a turn than the one
//! for Python.
//!
//! Needs Node.js 20, npm and espeak-ng. Without Node.js, the test is skipped and prints a message.

use crate::pipeline::line_of;
use crate::support::reports::Row;
use crate::support::{LivekitServer, Loadgen, NodeAgent, Reports, in_repo};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const CALLS: usize = 2;
const TURNS_PER_CALL: usize = 3;
/// Maximum error of an instant, in ms: the agent's timestamps are whole milliseconds.
const STAMP_MS: f64 = 2.0;

/// Figures that @livekit/agents reports: the column (in ms) and the name in the agent's log (in s).
const TOLD: [(&str, &str); 6] = [
    ("transcription_delay_ms", "transcription_delay"),
    ("end_of_turn_delay_ms", "end_of_turn_delay"),
    (
        "on_user_turn_completed_delay_ms",
        "on_user_turn_completed_delay",
    ),
    ("llm_node_ttft_ms", "llm_node_ttft"),
    ("tts_node_ttfb_ms", "tts_node_ttfb"),
    ("e2e_latency_ms", "e2e_latency"),
];

fn figure(row: &Row, name: &str) -> f64 {
    let text = &row[name];
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{name} is `{text}` in {row:?}"))
}

/// The start of the run on the wall clock, in ms.
fn zero_ms(run: &Path) -> f64 {
    let text = std::fs::read(run.join("run.json")).expect("readable");
    let facts: Value = serde_json::from_slice(&text).expect("JSON");
    let zero: jiff::Timestamp = facts["zero_at"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an instant");
    zero.as_nanosecond() as f64 / 1e6
}

/// Checks a turn's figures against the agent's log; unreported figures must be empty.
fn check_turn(row: &Row, line: &Value, zero_ms: f64) {
    for (column, name) in TOLD {
        let said = line[name].as_f64().expect("a delay") * 1e3;
        let recorded = figure(row, column);
        assert!(
            (said - recorded).abs() < 0.01,
            "{column}: {said} {recorded}"
        );
    }
    assert_eq!(row["llm_node_ttfs_ms"], "", "{row:?}");
    let steps = row["path"]
        .split("; ")
        .filter_map(|step| step.split_once(' '));
    let sum: f64 = steps
        .map(|(_, ms)| ms.parse::<f64>().expect("a duration"))
        .sum();
    assert!((sum - figure(row, "ttfa_ms")).abs() < 0.01, "{sum} {row:?}");

    let width = figure(row, "agent_clock_width_ms");
    for (column, name) in [
        ("agent_heard_end_ms", "user_stopped_speaking_at"),
        ("agent_started_speaking_ms", "agent_started_speaking_at"),
    ] {
        let truth = line[name].as_f64().expect("an instant") * 1e3 - zero_ms;
        let off = figure(row, column) - truth;
        println!(
            "turn {} {column} error {off:.2} of {width:.2} ms",
            row["turn"]
        );
        assert!(
            off.abs() <= width / 2.0 + STAMP_MS,
            "{column}: {off} {row:?}"
        );
    }
    let parts = [
        "blind_spot_front_ms",
        "e2e_latency_ms",
        "blind_spot_back_ms",
    ];
    let sum: f64 = parts.iter().map(|name| figure(row, name)).sum();
    assert!((sum - figure(row, "ttfa_ms")).abs() < 50.0, "{row:?}");
    assert!(figure(row, "transcript_delay_ms") > 0.0, "{row:?}");
    assert!(figure(row, "blind_spot_ms") > 0.0, "{row:?}");
}

#[test]
fn a_node_agents_account_matches_its_log_and_unreported_figures_are_empty() {
    if !NodeAgent::is_possible() {
        println!("SKIPPED: Node.js 20 is not installed");
        return;
    }
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = NodeAgent::start(&server);
    let run = Loadgen::new(["run", "--out", "run"])
        .arg(in_repo("scenarios/pipeline.yaml"))
        .arg(format!("--rooms={CALLS}"))
        .arg(format!("--concurrency={CALLS}"))
        .deadline(Duration::from_secs(240));
    let run = run.on(&server).run();

    let dir = run.dir().join("run");
    let reports = Reports::read(&dir);
    reports.assert_good(&run.finished);
    let turns = CALLS * TURNS_PER_CALL;
    assert_eq!(reports.count("/outcomes/replied"), turns as u64);
    let lines = agent.wait_for_turns(turns, Duration::from_secs(20));
    for row in &reports.turns {
        check_turn(row, line_of(row, &lines), zero_ms(&dir));
    }
}
