//! Sentinel calls: calls to loadgen's own agent, reported separately, which a scenario can disable.

use crate::support::{LivekitServer, Loadgen, OldServer, Reports, Run, Shared, Small, in_repo};
use serde_json::Value;
use std::path::Path;

/// Maximum error of the median sentinel turn on a busy machine, in ms; 1 is enough on an idle one.
const BOUND: f64 = 100.0;

static SERVER: Shared<LivekitServer> = Shared::new();

/// Calls of one turn to the embedded agent.
fn embedded(more: &str) -> Run {
    let run = Loadgen::new(["run", "short.yaml", "--out", "run"]);
    let text = format!(
        "version: 1\nname: short\n\
         target: {{kind: embedded, agent: {{delay: 300ms, reply_length: 200ms}}}}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call: {{greeting: none, turns: [{{say: yes, start: {{after: call_start, delay: 100ms}}, timeout: 4s}}]}}\n\
         thresholds: {{failed: [rate<=0], missed: [rate<=0]}}\n{more}",
        in_repo("fixtures/yes.wav").display(),
    );
    std::fs::write(run.dir().join("short.yaml"), text).expect("writable");
    run.run()
}

/// Calls of two turns through `url` to the agent `name`.
fn livekit(server: &LivekitServer, url: &str, name: &str, more: &'static str) -> Run {
    let small = Small {
        calls: 3,
        turns: 2,
        more,
        ..Small::default()
    };
    let run = Loadgen::new(["run", "small.yaml", "--agent-name", name, "--out", "run"]);
    small.write(run.dir());
    run.on(server).env("LIVEKIT_URL", url).run()
}

/// Checks the run's own counts, which exclude sentinel calls.
#[track_caller]
fn only_its_own(reports: &Reports, run: &Run, calls: u64, turns: u64) {
    reports.assert_good(&run.finished);
    for (pointer, count) in [
        ("/calls/planned", calls),
        ("/calls/started", calls),
        ("/calls/completed", calls),
        ("/calls/dropped", 0),
        ("/outcomes/planned", turns),
        ("/outcomes/replied", turns),
        ("/metrics/ttfa/count", turns),
        ("/metrics/join/count", calls),
        ("/metrics/all_turns/count", turns),
    ] {
        assert_eq!(reports.count(pointer), count, "{pointer}");
    }
    assert_eq!(reports.turns.len() as u64, turns, "turns.csv");
    assert_eq!(reports.journal.len() as u64, turns, "turns.jsonl");
    assert_eq!(reports.rooms().len() as u64, calls, "rooms");
    let done = format!("done {calls}/{calls}, failed 0 | turns {turns},");
    let said = &run.finished.stderr;
    assert!(said.contains(&done), "{done} is not in:\n{said}");
}

/// Checks that there were `calls` sentinel calls, and that their figures are close to the truth.
#[track_caller]
fn watched(reports: &Reports, calls: u64) {
    let sentinels = &reports.summary["sentinels"];
    println!("{sentinels}");
    assert_eq!(sentinels["calls"], calls, "{sentinels}");
    assert_eq!(sentinels["failed"], 0, "{sentinels}");
    let turns = sentinels["turns"].as_u64().expect("a count");
    let unmatched = sentinels["unmatched"].as_u64().expect("a count");
    assert!(turns >= calls, "{sentinels}");
    assert_eq!(turns + unmatched, reports.sentinels.len() as u64);
    let off = sentinels["p50_abs_ms"].as_f64().expect("a figure");
    assert!(off <= BOUND, "{sentinels}");
    for line in &reports.sentinels {
        let room = line["room"].as_str().expect("a room");
        assert!(room.contains("-s0000"), "{room}");
        assert_eq!(line["variant"], "sentinel");
    }
}

#[track_caller]
fn unwatched(reports: &Reports) {
    assert_eq!(reports.summary["sentinels"], Value::Null);
    assert!(reports.sentinels.is_empty(), "{:?}", reports.sentinels);
}

fn truth(folder: &Path) -> bool {
    folder.join("sentinel-truth.jsonl").exists()
}

#[test]
fn an_embedded_run_has_one_sentinel_call_in_a_hundred_unless_off() {
    let run = embedded("load: {calls: 101, concurrency: 40, ramp: 1s}\n");
    let reports = Reports::read(&run.dir().join("run"));
    only_its_own(&reports, &run, 101, 101);
    watched(&reports, 2);
    assert!(truth(reports.folder()));
    let details = Loadgen::new(["report", "--details"])
        .arg(reports.folder())
        .run();
    let table = &details.finished.stdout;
    assert!(table.contains("sentinels   2 calls, "), "{table}");

    let run = embedded("load: {calls: 2}\nsentinels: off\n");
    let reports = Reports::read(&run.dir().join("run"));
    only_its_own(&reports, &run, 2, 2);
    unwatched(&reports);
    assert!(!truth(reports.folder()));
    let details = Loadgen::new(["report", "--details"])
        .arg(reports.folder())
        .run();
    assert!(!details.finished.stdout.contains("sentinels"));
}

#[test]
fn sentinel_calls_go_through_the_server_and_leave_no_room() {
    let server = SERVER.get(LivekitServer::start);
    let near = ["--agent-name", "near", "--reply-length", "300ms"];
    let agent = Loadgen::agent(&server, &[&near[..], &["--truth", "t"]].concat());
    let run = livekit(&server, &server.url(), "near", "");
    let reports = Reports::read(&run.dir().join("run"));
    only_its_own(&reports, &run, 3, 6);
    watched(&reports, 1);

    let prefix = reports.room_prefix();
    let rooms = server.rooms().into_iter().map(|r| r.name);
    let left: Vec<String> = rooms.filter(|r| r.starts_with(&prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
    let told = std::fs::read_to_string(agent.dir().join("t")).expect("a truth file");
    assert!(
        !told.contains("-s0000"),
        "the agent under test joined a sentinel call: {told}"
    );
}

#[test]
fn a_sentinel_agent_that_cannot_register_causes_a_warning() {
    let server = SERVER.get(LivekitServer::start);
    let _agent = Loadgen::agent(
        &server,
        &["--agent-name", "alone", "--reply-length", "300ms"],
    );
    let front = OldServer::without(&server.address(), "/agent");
    let run = livekit(&server, &front.url(), "alone", "sentinels: on\n");
    let reports = Reports::read(&run.dir().join("run"));
    only_its_own(&reports, &run, 3, 6);
    unwatched(&reports);
    let said = &run.finished.stderr;
    assert!(said.contains("warning: no sentinel calls"), "{said}");
    assert!(front.paths().contains(&"/agent".to_owned()));
}

#[test]
fn calibrate_refuses_a_delay_that_the_agent_cannot_guarantee() {
    let run = embedded("load: {calls: 1}\nsentinels: off\n");
    assert!(!run.finished.stderr.contains("cannot guarantee"));
    let calibrated = Loadgen::new(["calibrate", "--delay", "100ms"]).run();
    calibrated.assert_code(2);
    let said = &calibrated.finished.stderr;
    assert!(
        said.contains("the agent cannot guarantee a delay under 180ms"),
        "{said}"
    );
}
