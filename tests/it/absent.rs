//! Diagnoses of absent agents: real workers whose agents are inaudible for different reasons, on
//! one real server, all at once.
//!
//! Needs Python with venv, as the pipeline agent does.

use crate::support::{LivekitServer, Loadgen, Reports, Run, Shared, SilentAgents, in_repo};
use std::collections::BTreeMap;
use std::time::Duration;

/// The server and the worker that all tests here share.
static AGENTS: Shared<(SilentAgents, LivekitServer)> = Shared::new();

fn agents() -> std::sync::Arc<(SilentAgents, LivekitServer)> {
    AGENTS.get(|| {
        let server = LivekitServer::start();
        (SilentAgents::start(&server), server)
    })
}

/// A scenario of one short turn, with these `target` and `call` keys, and `more` at its end.
fn scenario(target: &str, call: &str, more: &str) -> String {
    let fixtures = in_repo("fixtures").display().to_string();
    format!(
        "version: 1
name: absent
target: {{kind: livekit, {target}}}
utterances: {{yes: {{file: {fixtures}/yes.wav}}}}
call:
  greeting: none
  agent_timeout: 9s
  {call}
  turns:
    - {{say: yes, start: {{after: call_start}}, timeout: 8s}}
health: {{tick_lateness: 10s, own_drops: 100000, signalling_lateness: 10s}}
sentinels: off
{more}
"
    )
}

fn run(text: &str) -> Run {
    let agents = agents();
    let run = Loadgen::new(["run", "absent.yaml", "--out", "run"]);
    std::fs::write(run.dir().join("absent.yaml"), text).expect("writable");
    run.on(&agents.1).deadline(Duration::from_secs(90)).run()
}

/// The cause, message and hint of each variant's call.
fn causes(run: &Run) -> BTreeMap<String, [String; 3]> {
    let reports = Reports::read(&run.dir().join("run"));
    let calls = std::fs::read_to_string(run.dir().join("run/calls.jsonl")).expect("a journal");
    let lines = calls.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line
    });
    let ended = lines.filter(|call| call["failure"].is_object());
    let causes: BTreeMap<_, _> = ended
        .map(|call| {
            let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
            let failure = &call["failure"];
            let told = ["cause", "message", "hint"].map(|field| text(&failure[field]));
            (text(&call["variant"]), told)
        })
        .collect();
    assert_eq!(reports.rooms().len(), causes.len(), "{causes:#?}");
    causes
}

#[test]
fn each_cause_of_an_absent_agent_is_reported() {
    let expected = [
        ("no-track", "agent_silent", "has published no audio track"),
        (
            "raises",
            "agent_not_joined",
            "did not join the room within 9s",
        ),
        (
            "returns",
            "agent_not_joined",
            "did not join the room within 9s",
        ),
        ("starts-slowly", "agent_not_joined", "did not join the room"),
        (
            "rejects",
            "agent_job_rejected",
            "a worker rejected the job of agent `silent`",
        ),
        ("leaves", "agent_left_early", "left again after "),
        (
            "other-kind",
            "agent_other_kind",
            "`recorder-1` (kind EGRESS)",
        ),
        (
            "other-source",
            "agent_other_source",
            "source SCREEN_SHARE_AUDIO",
        ),
    ];
    let variants = expected.map(|(mode, ..)| format!("  - {{name: {mode}, metadata: {mode}}}\n"));
    let count = expected.len();
    let more = format!(
        "load: {{calls: {count}, concurrency: {count}}}\nvariants:\n{}",
        variants.concat()
    );
    let run = run(&scenario("agent_name: silent", "", &more));
    run.finished.assert_code(1);
    let causes = causes(&run);
    for (mode, cause, words) in expected {
        let [told, message, hint] = &causes[mode];
        assert_eq!(told, cause, "{mode}: {message}");
        assert!(message.contains(words), "{mode}: {message}");
        assert!(!hint.is_empty());
    }
}

#[test]
fn the_preflight_call_reports_a_missing_worker() {
    let one = "load: {calls: 1}";
    let named = run(&scenario("agent_name: nobody", "", one));
    named.finished.assert_code(1);
    let told = &named.finished.stderr;
    let words = "no worker took the job of agent `nobody` within 9s";
    assert!(told.contains(words), "{told}");
    let automatic = run(&scenario("", "", one));
    automatic.finished.assert_code(1);
    let told = &automatic.finished.stderr;
    assert!(told.contains("no worker took the job within 9s"), "{told}");
    assert!(told.contains("set `target.agent_name`"), "{told}");
}

#[test]
fn an_unknown_track_or_identity_lists_the_existing_ones() {
    let more = "load: {calls: 1}";
    let target = "agent_name: silent, metadata: other-name";
    let track = run(&scenario(target, "agent_track: speech", more));
    let [cause, message, _] = &causes(&track)["default"];
    assert_eq!(cause, "agent_other_track", "{message}");
    assert!(message.contains("no audio track in the room has the name `speech`"));
    assert!(message.contains("only `voice` of `agent-AJ_"), "{message}");

    let identity = run(&scenario(target, "agent_identity: somebody", more));
    identity.finished.assert_code(1);
    let told = &identity.finished.stderr;
    assert!(told.contains("`call.agent_identity` `somebody`"), "{told}");
    assert!(told.contains("(kind AGENT)"), "{told}");
}
