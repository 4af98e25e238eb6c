//! Observation of endpoints, processes and the real server during a run.

use crate::support::{
    LivekitServer, Loadgen, MetricsServer, Reports, SilentPort, free_tcp_port, in_repo, poll,
};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Four calls of a few seconds each, one after another.
const SCENARIO: &str = "\
version: 1
name: observing
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}
    - {say: yes, start: {delay: 100ms}, timeout: 4s}
load: {calls: 4, concurrency: 1}
sentinels: off
";

/// Number of requests that the worker's endpoint answers.
const ANSWERS: usize = 4;

fn write(run: &Loadgen, more: &str) {
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SCENARIO.replace("FIXTURES", &fixtures) + more;
    std::fs::write(run.dir().join("it.yaml"), text).expect("writable");
}

/// The readings of one observed source, in order.
fn readings(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("observed.jsonl")).expect("observed.jsonl");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["name"] == name).collect()
}

/// The metrics in a worker's nth answer.
fn worker(nth: usize) -> String {
    format!(
        "# TYPE process_cpu_seconds_total counter\n\
         process_cpu_seconds_total {}.5\n\
         # TYPE lk_agents_worker_load gauge\n\
         lk_agents_worker_load{{nodename=\"a\"}} 0.25\n\
         lk_agents_worker_load{{nodename=\"b\"}} 0.5\n\
         # TYPE queue_depth gauge\n\
         queue_depth {nth}\n\
         # TYPE unrelated gauge\n\
         unrelated 1\n",
        nth * 2
    )
}

#[test]
fn an_endpoint_that_stops_answering_leaves_a_gap_and_the_run_passes() {
    let metrics = MetricsServer::start(ANSWERS, worker);
    let silent = SilentPort::start();
    let run = Loadgen::new(["run", "it.yaml", "--out", "run"]);
    write(
        &run,
        "target: {kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}\n\
         observe:\n\
         \x20 - {name: worker, url: \"${METRICS_URL}\", series: [queue_depth]}\n\
         \x20 - {name: silent, url: \"${SILENT_URL}\"}\n\
         \x20 - {name: tests, pid: \"${TESTS_PID}\", children: true}\n",
    );
    let run = run
        .env("METRICS_URL", metrics.url())
        .env("SILENT_URL", silent.url().replace("ws:", "http:"))
        .env("TESTS_PID", std::process::id().to_string())
        .run();
    let folder = run.dir().join("run");
    let reports = Reports::read(&folder);
    reports.assert_good(&run.finished);
    assert!(metrics.requests() > ANSWERS, "{}", metrics.requests());

    let of_worker = readings(&folder, "worker");
    let (good, gone) = of_worker.split_at(ANSWERS);
    for (nth, reading) in good.iter().enumerate() {
        assert_eq!(reading["gauges"]["queue_depth"], nth as f64, "{reading}");
        assert_eq!(reading["gauges"]["lk_agents_worker_load"], 0.75);
        let cpu = &reading["counters"]["process_cpu_seconds_total"];
        assert_eq!(cpu, (nth * 2) as f64 + 0.5);
        assert!(reading["gauges"].get("unrelated").is_none(), "{reading}");
    }
    assert!(!gone.is_empty(), "{of_worker:?}");
    for reading in gone {
        assert!(reading["gap"].is_string() && reading.get("gauges").is_none());
    }
    for reading in readings(&folder, "silent") {
        assert_eq!(reading["gap"], "no answer within a second");
    }
    let of_tests = readings(&folder, "tests");
    assert!(of_tests.len() >= ANSWERS, "{of_tests:?}");
    for reading in &of_tests {
        let memory = reading["gauges"]["process_resident_memory_bytes"].as_f64();
        assert!(memory > Some(1e6), "{reading}");
    }

    let said = &run.finished.stderr;
    assert!(said.contains("`silent` never answered"), "{said}");
    assert!(!said.contains("`worker` never"), "{said}");
    is_in_the_report(&folder, &metrics.address());
}

/// Checks the report page, and that `loadgen report` can make it again, even without the readings.
fn is_in_the_report(folder: &Path, address: &str) {
    let page = || std::fs::read_to_string(folder.join("report.html")).expect("a page");
    let first = page();
    for title in [
        "worker: CPU, cores",
        "worker: load, of 1",
        "worker: queue_depth",
        "tests: memory, MiB",
        "× no value",
        "without a value during the whole run: silent.",
    ] {
        assert!(first.contains(title), "{title} is not in the page");
    }
    let again = |code| {
        let report = Loadgen::new(["report", "--quiet"]).arg(folder).run();
        report.assert_code(code);
        page()
    };
    assert_eq!(again(0), first, "made again");
    for file in std::fs::read_dir(folder).expect("a folder").flatten() {
        let text = std::fs::read(file.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let name = file.file_name();
        assert!(!text.contains(address), "{name:?} contains the address");
    }
    std::fs::remove_file(folder.join("observed.jsonl")).expect("removable");
    assert!(!again(0).contains("worker: CPU, cores"));
}

#[test]
fn the_real_server_is_observed() {
    let port = free_tcp_port();
    let server = LivekitServer::start_with(&format!("prometheus:\n  port: {port}\n"));
    let _agent = Loadgen::agent(&server, &["--delay", "300ms"]);
    let run = Loadgen::new(["run", "it.yaml", "--out", "run"]);
    write(
        &run,
        &format!(
            "target: {{kind: livekit}}\n\
             observe:\n\
             \x20 - {{name: server, url: \"http://127.0.0.1:{port}\"}}\n\
             \x20 - {{name: process, pid: {}}}\n",
            server.pid()
        ),
    );
    let run = run.on(&server).run();
    let folder = run.dir().join("run");
    Reports::read(&folder).assert_good(&run.finished);
    let largest = |name: &str, kind: &str, series: &str| {
        let readings = readings(&folder, name);
        let values = readings.iter().filter_map(|r| r[kind][series].as_f64());
        values.fold(0.0, f64::max)
    };
    assert!(largest("server", "gauges", "livekit_room_total") >= 1.0);
    assert!(largest("server", "gauges", "livekit_participant_total") >= 1.0);
    for name in ["server", "process"] {
        assert!(largest(name, "counters", "process_cpu_seconds_total") > 0.0);
        assert!(largest(name, "gauges", "process_resident_memory_bytes") > 1e6);
    }
}

#[test]
fn a_process_that_ends_during_the_run_leaves_a_gap() {
    let mut shell = std::process::Command::new("/bin/sh")
        .args(["-c", "read _"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let run = Loadgen::new(["run", "it.yaml", "--out", "run"]);
    write(
        &run,
        &format!(
            "target: {{kind: embedded, agent: {{delay: 300ms, reply_length: 300ms}}}}\n\
             observe: [{{name: shell, pid: {}}}]\n",
            shell.id()
        ),
    );
    let running = run.spawn();
    let folder = running.dir().join("run");
    let seen = poll(Duration::from_secs(30), || {
        let text = std::fs::read_to_string(folder.join("observed.jsonl"));
        text.is_ok_and(|text| text.lines().count() >= 2)
            .then_some(())
    });
    drop(shell.stdin.take());
    let _ = shell.wait();
    let run = running.finish();
    assert_eq!(seen, Some(()), "two readings before the end");
    Reports::read(&run.dir().join("run")).assert_good(&run.finished);
    let readings = readings(&run.dir().join("run"), "shell");
    assert!(readings[0]["gap"].is_null(), "{readings:?}");
    let last = readings.last().expect("readings");
    assert_eq!(last["gap"], "no such process", "{readings:?}");
}
