//! Agents whose language models differ from a plain pipeline's: speech to speech, and a fallback.
//!
//! In: the pipeline agent, one worker for all models. Out: loadgen's record of the turns, compared
//! with the agent's own log. Invariant: figures that an agent does not report are empty.

use crate::support::reports::Row;
use crate::support::{LivekitServer, Loadgen, PipelineAgent, in_repo, poll};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const TURNS_PER_CALL: usize = 2;
/// Delays that livekit-agents reports only for the turns of a pipeline.
const OF_PIPELINES: [&str; 6] = [
    "transcription_delay_ms",
    "end_of_turn_delay_ms",
    "llm_node_ttft_ms",
    "llm_node_ttfs_ms",
    "tts_node_ttfb_ms",
    "unexplained_ms",
];

/// The turns of a variant, in order.
fn of<'a>(turns: &'a [Row], variant: &str) -> Vec<&'a Row> {
    let rows: Vec<&Row> = turns
        .iter()
        .filter(|row| row["variant"] == variant)
        .collect();
    assert_eq!(rows.len(), TURNS_PER_CALL, "{variant}");
    rows
}

/// The lines about a variant's call with this `event`, in the order in which they were written.
fn lines<'a>(rows: &[&Row], log: &'a [Value], event: &str) -> Vec<&'a Value> {
    let room = rows[0]["room"].as_str();
    let same = |line: &&Value| line["room"] == room && line["event"] == event;
    log.iter().filter(same).collect()
}

fn check_speech_to_speech(turns: &[Row], log: &[Value]) {
    for variant in ["realtime", "realtime-vad"] {
        for row in of(turns, variant) {
            for name in OF_PIPELINES {
                assert_eq!(row[name], "", "{name} of {row:?}");
            }
            for name in ["agent_started_speaking_ms", "transcript_delay_ms"] {
                assert_ne!(row[name], "", "{name} of {row:?}");
            }
            assert!(row["path"].contains("model "), "{row:?}");
        }
    }
    // Without a VAD, the session cannot determine when the caller stopped speaking.
    for row in of(turns, "realtime") {
        assert_eq!(row["e2e_latency_ms"], "", "{row:?}");
    }
    let with_vad = of(turns, "realtime-vad");
    let told = lines(&with_vad, log, "turn");
    assert_eq!(told.len(), TURNS_PER_CALL, "{told:#?}");
    for (row, line) in with_vad.into_iter().zip(told) {
        let said = line["e2e_latency"].as_f64().expect("a delay") * 1e3;
        let recorded: f64 = row["e2e_latency_ms"].parse().expect("a reported delay");
        assert!((said - recorded).abs() < 0.01, "{said} {recorded}");
    }
    let tools = of(turns, "realtime");
    for (row, line) in tools.iter().zip(lines(&tools, log, "tool")) {
        let at = |name: &str| line[name].as_f64().expect("an instant");
        let took = at("ended_at") - at("started_at");
        let recorded: f64 = row["tool_call_ms"].parse().expect("a reported delay");
        assert!((recorded - took * 1e3).abs() < 1.0, "{recorded} {line}");
    }
    assert_eq!(lines(&tools, log, "tool").len(), TURNS_PER_CALL);
}

/// Checks that the recorded usage of a variant's call equals the session's final counts.
fn check_usage(run: &Path, variant: &str, log: &[Value]) {
    let text = std::fs::read_to_string(run.join("calls.jsonl")).expect("readable");
    let mut calls = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let call = calls
        .rfind(|call: &Value| call["variant"] == variant)
        .expect("a call");
    let session = log
        .iter()
        .find(|line| line["event"] == "call" && line["room"] == call["room"]);
    let session = session.unwrap_or_else(|| panic!("no line about {call}"));
    let sum = |models: &Value, figure: &str| -> u64 {
        let models = models.as_array().expect("a list").iter();
        models
            .filter_map(|model| model.pointer(figure)?.as_u64())
            .sum()
    };
    for (recorded, logged) in [
        ("/used/output_tokens", "/output_tokens"),
        ("/used/characters", "/characters_count"),
    ] {
        let (recorded, logged) = (
            sum(&call["usage"], recorded),
            sum(&session["usage"], logged),
        );
        assert!(
            recorded > 0 && recorded == logged,
            "{recorded} {logged}: {call}"
        );
    }
}

fn check_fallback(turns: &[Row], log: &[Value]) {
    let rows = of(turns, "fallback");
    for row in &rows {
        for name in OF_PIPELINES {
            assert_ne!(row[name], "", "{name} of {row:?}");
        }
    }
    let told = lines(&rows, log, "turn");
    let models: Vec<&str> = told
        .iter()
        .filter_map(|line| line["llm_model"].as_str())
        .collect();
    assert_eq!(models, ["scripted-llm", "scripted-llm-fallback"]);
    for line in told {
        assert!(line["llm_input_tokens"].as_u64() > Some(0), "{line}");
        assert!(line["llm_output_tokens"].as_u64() > Some(0), "{line}");
    }
}

#[test]
fn figures_that_other_language_models_do_not_report_are_empty() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = PipelineAgent::start_with(
        &server,
        &[
            ("LIVEKIT_AGENT_NAME", "habits"),
            ("PIPELINE_IDLE_PROCESSES", "3"),
        ],
    );
    let (run, reports) = crate::answered(|| {
        let run = Loadgen::new(["run", "--out", "run"])
            .arg(in_repo("tests/habits/models.yaml"))
            .deadline(Duration::from_secs(240));
        run.on(&server).run()
    });
    let turns = &reports.turns;
    agent.wait_for_turns(turns.len(), Duration::from_secs(20));
    // The agent logs the line about a whole call when the call's session is closed.
    let is_closed = |row: &Row, log: &[Value]| {
        let is_own = |line: &Value| line["event"] == "call" && line["room"] == row["room"].as_str();
        log.iter().any(is_own)
    };
    let log = poll(Duration::from_secs(30), || {
        let log = agent.lines();
        turns.iter().all(|row| is_closed(row, &log)).then_some(log)
    });
    let log = log.unwrap_or_else(|| agent.lines());
    check_speech_to_speech(turns, &log);
    check_fallback(turns, &log);
    check_usage(&run.dir().join("run"), "fallback", &log);
}
