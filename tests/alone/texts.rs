//! Turns in which the caller sends a text to a stock agent, with a voice and without one.
//!
//! In: the pipeline agent. Out: times until its replies' texts begin and end. Invariant: the lower
//! bounds follow from the agent's settings, the upper ones are generous.

use crate::answered;
use crate::support::program::Run;
use crate::support::reports::{Reports, Row};
use crate::support::{LivekitServer, Loadgen, PipelineAgent, in_repo};
use std::time::Duration;

/// More than any reply takes on a busy machine, in ms.
const GENEROUS_MS: f64 = 25_000.0;

fn figure(row: &Row, name: &str) -> f64 {
    let text = &row[name];
    let number = text.parse();
    number.unwrap_or_else(|_| panic!("{name} is `{text}` in {row:?}"))
}

/// A run of this scenario in which every turn is answered.
fn run(server: &LivekitServer, name: &str) -> (Run, Reports) {
    answered(|| {
        let run = Loadgen::new(["run", "--out", "run"])
            .arg(in_repo(&format!("tests/habits/{name}.yaml")))
            .deadline(Duration::from_secs(240));
        run.on(server).run()
    })
}

/// The reply begins no earlier than the agent's language model, and takes at least `length_ms`.
fn check_text(row: &Row, model_ms: f64, length_ms: f64) {
    let (ttft, reply) = (figure(row, "text_ttft_ms"), figure(row, "text_reply_ms"));
    // The model's own timer may be a little early.
    assert!((model_ms - 20.0..GENEROUS_MS).contains(&ttft), "{row:?}");
    assert!(
        reply - ttft >= length_ms && reply < 2.0 * GENEROUS_MS,
        "{row:?}"
    );
    assert!(row["utterance"].starts_with("say_text"), "{row:?}");
    assert_eq!(row["expect"], "respond_text");
    for absent in ["ttfa_ms", "ttfa_wire_ms", "lead_in_ms", "blind_spot_ms"] {
        assert_eq!(row[absent], "", "{absent} of {row:?}");
    }
}

/// Nothing but the scenario has the words that were sent.
fn check_words(reports: &Reports) {
    for name in [
        "turns.jsonl",
        "turns.csv",
        "summary.json",
        "run.json",
        "calls.jsonl",
    ] {
        let text = std::fs::read_to_string(reports.folder().join(name)).expect(name);
        for words in ["where is my order", "it come", "warehouse this morning"] {
            assert!(!text.contains(words), "{name} has `{words}`");
        }
    }
}

#[test]
fn texts_are_answered_by_text_and_by_voice() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let _agent = PipelineAgent::start_with(
        &server,
        &[
            ("LIVEKIT_AGENT_NAME", "texts"),
            ("PIPELINE_IDLE_PROCESSES", "2"),
        ],
    );
    let (_folder, reports) = run(&server, "texts");
    for row in &reports.turns {
        match &*row["variant"] {
            "fast" => check_text(row, 300.0, 50.0),
            // At least eight words, at ten a second.
            _ => check_text(row, 1_500.0, 600.0),
        }
        assert_eq!(row["reply_matches"], "true", "{row:?}");
    }
    assert_eq!(reports.turns.len(), 4);
    assert!(reports.number("/metrics/text_ttft/p50_ms") > 250.0);
    check_words(&reports);

    let (_other, reports) = run(&server, "texts-and-speech");
    let [first, spoken, last] = &reports.turns[..] else {
        panic!("three turns: {:?}", reports.turns);
    };
    // The text comes in step with the speech: eight words or more take at least a second.
    check_text(first, 300.0, 1_000.0);
    check_text(last, 300.0, 1_000.0);
    // What the agent said in answer to the text was over when the caller spoke.
    let pause = figure(spoken, "started_ms") - figure(first, "reply_end_ms");
    assert!(pause >= 1_000.0, "{pause}: {spoken:?}");
    let ttfa = figure(spoken, "ttfa_ms");
    assert!((500.0..GENEROUS_MS).contains(&ttfa), "{spoken:?}");
    assert_eq!(spoken["text_ttft_ms"], "");
    let said = reports.journal.iter().any(|turn| {
        let reply = turn["agent"]["reply_text"].as_str();
        reply.is_some_and(|text| text.contains("warehouse"))
    });
    assert!(said, "{:?}", reports.journal);
}
