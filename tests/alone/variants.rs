//! Effect of an agent's settings on the delays in its account and on the critical path.
//!
//! In: the pipeline agent with settings that lengthen different steps of its replies. Out:
//! loadgen's record, compared with the agent's own log. Invariant: every figure agrees with the
//! log, and the step that a setting lengthens is longer on the path.

use crate::support::reports::{Row, median};
use crate::support::{LivekitServer, Loadgen, PipelineAgent, full, in_repo, poll};
use serde_json::Value;
use std::time::Duration;

/// Delays that the agent reports and logs under the same names.
const DELAYS: [&str; 5] = [
    "transcription_delay",
    "end_of_turn_delay",
    "llm_node_ttft",
    "llm_node_ttfs",
    "tts_node_ttfb",
];
/// Duration of the tool call, in ms.
const TOOL_MS: f64 = 700.0;

/// The steps of a row's critical path, with their durations in ms.
fn path(row: &Row) -> Vec<(&str, f64)> {
    let steps = row["path"].split("; ").map(|step| {
        let (name, ms) = step.split_once(' ').unwrap_or_else(|| panic!("{row:?}"));
        (name, ms.parse().expect("a duration"))
    });
    steps.collect()
}

/// Mean duration of a step in a variant's turns, in ms; 0 for a turn whose path lacks the step.
fn mean(rows: &[&Row], step: &str) -> f64 {
    let of = |row: &&Row| -> f64 {
        let steps = path(row);
        steps
            .iter()
            .filter(|(name, _)| *name == step)
            .map(|(_, ms)| ms)
            .sum()
    };
    rows.iter().map(of).fold(0.0, |sum, ms| sum + ms) / rows.len() as f64
}

/// Checks that each figure of a turn is the one in the agent's log, and that the path adds up.
fn check_row(row: &Row, log: &[Value]) {
    let same =
        |line: &&Value| line["room"] == row["room"].as_str() && line["turn"] == row_turn(row);
    let turn = log.iter().filter(same).find(|line| line["event"] == "turn");
    let turn = turn.unwrap_or_else(|| panic!("no line about {row:?}"));
    for name in DELAYS {
        let said = turn[name].as_f64().expect("a delay") * 1e3;
        let recorded: f64 = row[&format!("{name}_ms")]
            .parse()
            .expect("a reported delay");
        assert!((said - recorded).abs() < 0.01, "{name}: {said} {recorded}");
    }
    let tool = log.iter().filter(same).find(|line| line["event"] == "tool");
    match tool {
        Some(tool) => {
            let at = |name: &str| tool[name].as_f64().expect("an instant");
            let took = (at("ended_at") - at("started_at")) * 1e3;
            let recorded: f64 = row["tool_call_ms"].parse().expect("a reported delay");
            assert!((took - recorded).abs() < 1.0, "{took} {recorded}");
        }
        None => assert_eq!(row["tool_call_ms"], "", "{row:?}"),
    }
    let ttfa: f64 = row["ttfa_ms"].parse().expect("a reply");
    let sum: f64 = path(row).iter().map(|(_, ms)| ms).sum();
    assert!((ttfa - sum).abs() < 0.01, "{ttfa} {sum}: {row:?}");
}

fn row_turn(row: &Row) -> u64 {
    row["turn"].parse().expect("a turn")
}

#[test]
fn each_setting_lengthens_its_step_of_the_critical_path() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = PipelineAgent::start_with(
        &server,
        &[
            ("LIVEKIT_AGENT_NAME", "habits"),
            ("PIPELINE_IDLE_PROCESSES", "3"),
        ],
    );
    let [calls, at_once] = if full() { ["50", "2"] } else { ["5", "4"] };
    let (_run, reports) = crate::answered(|| {
        let run = Loadgen::new(["run", "--out", "run"])
            .arg(in_repo("tests/habits/settings.yaml"))
            .arg(format!("--rooms={calls}"))
            .arg(format!("--concurrency={at_once}"))
            .deadline(Duration::from_secs(900));
        run.on(&server).run()
    });
    let is_logged = |row: &Row, log: &[Value]| {
        let own = |line: &&Value| line["room"] == row["room"].as_str();
        let mut lines = log.iter().filter(own);
        lines.any(|line| line["event"] == "turn" && line["turn"] == row_turn(row))
    };
    let log = poll(Duration::from_secs(20), || {
        let log = agent.lines();
        let all = reports.turns.iter().all(|row| is_logged(row, &log));
        all.then_some(log)
    });
    let log = log.unwrap_or_else(|| agent.lines());
    for row in &reports.turns {
        check_row(row, &log);
    }
    let of = |variant: &str| -> Vec<&Row> {
        let rows = reports.turns.iter().filter(|row| row["variant"] == variant);
        rows.collect()
    };
    let (base, vad) = (of("base"), of("vad-800"));
    for step in [
        "late_end",
        "end_of_turn",
        "tool",
        "llm",
        "tts",
        "unexplained",
        "delivery",
    ] {
        let of_all =
            ["base", "vad-800", "tool-700", "late", "preemptive"].map(|v| mean(&of(v), step));
        println!("{step}: {of_all:.1?}");
    }
    // With 0.5 s more silence, the end of the turn comes 0.5 s later.
    let more = mean(&vad, "end_of_turn") - mean(&base, "end_of_turn");
    assert!((300.0..900.0).contains(&more), "{more} ms");
    let tool = mean(&of("tool-700"), "tool");
    assert!((TOOL_MS..TOOL_MS + 300.0).contains(&tool), "{tool} ms");
    assert_eq!(mean(&base, "tool"), 0.0);
    // Detecting the end of the turn takes longer than the model's response: if the request is sent
    // before the end is certain, the caller does not wait for the model.
    let (late, preemptive) = (mean(&of("late"), "llm"), mean(&of("preemptive"), "llm"));
    assert!(
        late > 200.0 && preemptive < late / 2.0,
        "{late} {preemptive}"
    );
    let ttfa = |variant: &str| {
        median(
            of(variant)
                .iter()
                .map(|row| row["ttfa_ms"].parse().expect("a reply"))
                .collect(),
        )
    };
    println!(
        "ttfa: {:.0?}",
        ["base", "vad-800", "tool-700", "late", "preemptive"].map(ttfa)
    );
}
