//! The spans that a stock livekit-agents worker exports to loadgen, compared with what the same
//! worker says about its turns in the room, and with its log.

use crate::pipeline::{WRONG_CLOCK, ZERO_MS, line_of, zero};
use crate::support::reports::{Row, journal};
use crate::support::{
    LivekitServer, Loadgen, PipelineAgent, Reports, free_tcp_port, full, in_repo,
};
use serde_json::Value;
use std::time::Duration;

/// How far apart the agent's span of a piece of work and its own figure about it may be, in ms: what
/// passes between two lines of its code, on a machine that is not busy and on one that is.
const PROMISED_MS: f64 = 10.0;
const GENEROUS_MS: f64 = 100.0;

fn apart_ms() -> f64 {
    if full() { PROMISED_MS } else { GENEROUS_MS }
}

/// A figure of a turn's `agent` object.
fn figure(turn: &Value, name: &str) -> f64 {
    let value = turn["agent"][name].as_f64();
    value.unwrap_or_else(|| panic!("no {name} in {turn:#}"))
}

/// The span of this name that begins nearest to `at`, in ms from the end of speech.
fn span<'a>(turn: &'a Value, name: &str, at: f64) -> &'a Value {
    let spans = turn["agent"]["spans"].as_array();
    let named = spans.into_iter().flatten().filter(|s| s["name"] == name);
    let apart = |s: &&Value| (s["start_ms"].as_f64().expect("an instant") - at).abs();
    let nearest = named.min_by(|a, b| apart(a).total_cmp(&apart(b)));
    nearest.unwrap_or_else(|| panic!("no {name} in {turn:#}"))
}

/// The row of `turns.csv` about a turn of the journal.
fn row_of<'a>(turn: &Value, rows: &'a [Row]) -> &'a Row {
    let (call, number) = (turn["call"].to_string(), turn["turn"].to_string());
    let mut rows = rows.iter();
    let found = rows.find(|row| row["call"] == call && row["turn"] == number);
    found.unwrap_or_else(|| panic!("no row about {turn:#}"))
}

/// Checks the spans of a turn against what the agent says about it in the room: both come from the
/// same clock, so they agree to what passes between two lines of code.
fn check_turn(turn: &Value) {
    let zero = turn["speech_end_ms"].as_f64().expect("it spoke");
    let since = |name| figure(turn, name) - zero;
    let near = |what: &str, span: &Value, bound: &str, expected: f64| {
        let at = span[bound].as_f64().expect("an instant");
        println!("{what}: {at:.3}, as told in the room {expected:.3} ms");
        assert!((at - expected).abs() <= apart_ms(), "{what} in {turn:#}");
    };
    let heard = since("heard_end_ms");
    let wait = span(turn, "eou_wait", heard);
    near("eou_wait begins", wait, "start_ms", heard);
    let decided = heard + figure(turn, "end_of_turn_delay_ms");
    near("eou_wait ends", wait, "end_ms", decided);
    let speaks = since("started_speaking_ms");
    let speaking = span(turn, "agent_speaking", speaks);
    near("agent_speaking", speaking, "start_ms", speaks);
    let asked = since("model_asked_ms");
    let model = span(turn, "llm_node", asked);
    near("llm_node", model, "start_ms", asked);
    // The synthesis begins when it is given the first token.
    let token = asked + figure(turn, "llm_node_ttft_ms");
    let voice = span(turn, "tts_node", token);
    near("tts_node", voice, "start_ms", token);
    for (span, attribute, name) in [
        (model, "lk.response.ttft", "llm_node_ttft_ms"),
        (voice, "lk.response.ttfb", "tts_node_ttfb_ms"),
    ] {
        let said = span["attributes"][attribute].as_f64().expect("a figure") * 1e3;
        assert!((said - figure(turn, name)).abs() < 0.01, "{turn:#}");
    }
    assert_eq!(model["attributes"]["gen_ai.request.model"], "scripted-llm");
}

/// Checks the beginning of the agent's speech against its log, which has that instant on the
/// caller's clock. `zero`: the start of the run on it.
fn check_log(turn: &Value, line: &Value, zero: f64) {
    let number = |name: &str| line[name].as_f64().expect("a number");
    let ago = number("logged_at") - number("agent_started_speaking_at");
    let truth = (number("monotonic") - ago - zero) * 1e3;
    let end = turn["speech_end_ms"].as_f64().expect("it spoke");
    let speaks = span(turn, "agent_speaking", truth - end)["start_ms"].as_f64();
    let off = speaks.expect("an instant") + end - truth;
    let width = figure(turn, "spans_width_ms");
    println!("agent_speaking off by {off:.2} of {width:.2} ms");
    assert!(
        off.abs() <= width / 2.0 + ZERO_MS + 1.0,
        "{off} of {width} ms"
    );
}

#[test]
fn the_spans_of_a_stock_agent_are_placed_where_it_says_that_it_worked() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let port = free_tcp_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let exporting = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let agent = PipelineAgent::start_with(&server, &[&WRONG_CLOCK[..], &exporting].concat());
    let calls = if full() { 10 } else { 2 };
    let run = Loadgen::new(["run", "--out", "run", "--otlp-listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg(in_repo("scenarios/pipeline.yaml"))
        .arg("--rooms")
        .arg(calls.to_string())
        .deadline(Duration::from_secs(600));
    let run = run.on(&server).run();
    let dir = run.dir().join("run");
    let reports = Reports::read(&dir);

    let turns = journal(&dir);
    assert_eq!(turns.len(), 3 * calls);
    let lines = agent.wait_for_turns(turns.len(), Duration::from_secs(20));
    let zero = zero(&dir);
    let mut checked = 0;
    for turn in &turns {
        // On a busy machine an utterance can become two, of which the agent tells too little.
        let told = ["model_asked_ms", "started_speaking_ms", "heard_end_ms"];
        if told.iter().any(|name| turn["agent"][*name].is_null()) {
            continue;
        }
        check_turn(turn);
        checked += 1;
        check_log(turn, line_of(row_of(turn, &reports.turns), &lines), zero);
    }
    assert!(
        checked * 2 > turns.len(),
        "only {checked} of {}",
        turns.len()
    );

    let count = |name: &str| reports.count(&format!("/agent_spans/{name}"));
    let recorded = turns
        .iter()
        .filter_map(|turn| turn["agent"]["spans"].as_array());
    let recorded: usize = recorded.map(Vec::len).sum();
    assert_eq!(count("in_turns"), recorded as u64);
    assert_eq!(
        (count("unplaced"), count("dropped"), count("refused")),
        (0, 0, 0)
    );
    // The agent sends its metrics at the end of each call.
    let observed = std::fs::read_to_string(dir.join("observed.jsonl")).expect("metrics came");
    assert!(observed.contains("\"name\":\"pipeline\""), "{observed}");
    assert!(
        observed.contains("lk.agents.turn.e2e_latency_count"),
        "{observed}"
    );
}
