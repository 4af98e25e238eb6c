//! The reference agent's account of its calls, through the real server: recorded beside the
//! caller's own figures, and absent if the agent does not send it or the scenario ignores it.

use crate::support::reports::Row;
use crate::support::{LivekitServer, Loadgen, Reports, Running, Shared, Small};
use serde_json::Value;
use std::path::Path;

/// Tolerance for the time between two instants on a busy machine, in ms.
const BOUND: f64 = 300.0;

/// A server without an agent: every test starts an agent under its own name.
static SERVER: Shared<LivekitServer> = Shared::new();

/// Columns that the reference agent fills.
const TOLD: [&str; 7] = [
    "agent_heard_end_ms",
    "agent_started_speaking_ms",
    "end_of_turn_delay_ms",
    "e2e_latency_ms",
    "transcript_delay_ms",
    "blind_spot_ms",
    "blind_spot_front_ms",
];
/// Columns that the reference agent leaves empty, because it has no models.
const NOT_TOLD: [&str; 4] = [
    "transcription_delay_ms",
    "llm_node_ttft_ms",
    "tts_node_ttfb_ms",
    "unexplained_ms",
];

/// Runs three calls of two turns each with an agent that has these flags; adds `key` to `call`.
fn run(name: &str, flags: &[&str], key: &str) -> (Running, Reports) {
    let server = SERVER.get(LivekitServer::start);
    let own = ["--agent-name", name, "--reply-length", "700ms"];
    let agent = Loadgen::agent(&server, &[&own, flags].concat());
    let run = Loadgen::new(["run", "small.yaml", "--agent-name", name, "--out", "run"]);
    let small = Small {
        turns: 2,
        calls: 3,
        ..Small::default()
    };
    let text = small.yaml();
    let text = text.replace("  greeting: none\n", &format!("  greeting: none\n{key}"));
    std::fs::write(run.dir().join("small.yaml"), text).expect("a writable folder");
    let run = run.on(&server).run();
    let reports = Reports::read(&run.dir().join("run"));
    reports.assert_good(&run.finished);
    assert_eq!(reports.turns.len(), 6);
    (agent, reports)
}

fn figure(row: &Row, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

/// The true delay of a turn, in ms, from the agent's truth file.
fn truth(path: &Path, row: &Row) -> f64 {
    let text = std::fs::read_to_string(path).expect("a truth file");
    let turn = row["turn"].parse().ok();
    let mut lines = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
    let line = lines.find(|line| {
        let same = line["room"] == row["room"] && line["turn"].as_u64() == turn;
        same && line["event"] == "reply"
    });
    let line = line.unwrap_or_else(|| panic!("no truth for {row:?}"));
    let ns = |name: &str| line[name].as_f64().expect("nanoseconds");
    let offset = line["onset_offset_ms"].as_f64().expect("an offset");
    (ns("reply_packet_ns") - ns("speech_end_ns")) / 1e6 + offset
}

#[test]
fn every_turn_has_the_agents_account_which_matches_its_truth_file() {
    let (agent, reports) = run("tells", &["--truth", "truth.jsonl"], "");
    for row in &reports.turns {
        for column in TOLD {
            assert_ne!(row[column], "", "{column}: {row:?}");
        }
        for column in NOT_TOLD {
            assert_eq!(row[column], "", "{column}: {row:?}");
        }
        let told = figure(row, "e2e_latency_ms");
        let truth = truth(&agent.dir().join("truth.jsonl"), row);
        assert!((told - truth).abs() < 1.0, "{told} {truth}");
        let spot = figure(row, "blind_spot_ms");
        // The blind spot consists only of the path to the agent and back and the playout delay.
        let known = figure(row, "ttfa_ms") - truth;
        assert!((spot - known).abs() < 1.0, "{spot} {known}");
        assert!((-5.0..BOUND).contains(&spot), "{spot}");
        let front = figure(row, "blind_spot_front_ms");
        assert!((-BOUND..BOUND).contains(&front), "{front}");
        let noticed = figure(row, "end_of_turn_delay_ms");
        assert!((60.0..400.0 + BOUND).contains(&noticed), "{noticed}");
        assert!(figure(row, "transcript_delay_ms") > 0.0);
    }
    let answered = |row: &&Row| !row["agent_clock_width_ms"].is_empty();
    assert!(
        reports.turns.iter().any(|row| answered(&row)),
        "the agent answers requests"
    );
}

#[track_caller]
fn assert_nothing_told(reports: &Reports) {
    for row in &reports.turns {
        for column in TOLD.iter().chain(&NOT_TOLD) {
            assert_eq!(row[*column], "", "{column}: {row:?}");
        }
    }
}

#[test]
fn an_agent_that_sends_no_session_stream_has_no_account() {
    let (_agent, reports) = run("silent", &["--session", "off"], "");
    assert_nothing_told(&reports);
}

#[test]
fn a_scenario_may_ignore_the_account() {
    let (_agent, reports) = run("ignored", &[], "  agent_account: ignore\n");
    assert_nothing_told(&reports);
}
