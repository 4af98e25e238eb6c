//! Live monitoring of a run: a real Prometheus scrapes it and answers the dashboard's queries, and
//! a collector receives its spans; neither affects the run.

mod collector;
pub(crate) mod prometheus;

use crate::support::process::Stream;
use crate::support::reports::journal;
use crate::support::{Finished, Loadgen, Running, in_repo, poll};
use collector::{Collector, Span};
use prometheus::{Prometheus, get};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Duration;

/// Short calls of two variants; a test appends the load.
const ENDLESS: &str = "\
version: 1
name: endless
target: {kind: embedded, agent: {delay: 200ms, reply_length: 300ms}}
utterances:
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}
    - {say: yes, start: {after: agent_speech_end, delay: 100ms}, timeout: 4s}
variants: [{name: plain}, {name: other-voice}]
sentinels: off
";
const MANY: &str = "load: {duration: 2m, concurrency: 4, ramp: 1s}\n";
const ONE: &str = "load: {calls: 1}\n";

fn prepared(load: &str, more: &[&str]) -> Loadgen {
    let run = Loadgen::new(["run", "live.yaml", "--out", "run"].iter().chain(more));
    let fixtures = in_repo("fixtures").display().to_string();
    let text = ENDLESS.replace("FIXTURES", &fixtures) + load;
    std::fs::write(run.dir().join("live.yaml"), text).expect("writable");
    run
}

/// The address that a run prints for its metrics.
pub(crate) fn address(run: &mut Running) -> String {
    let patience = Duration::from_secs(20);
    let process = run.process();
    process.wait_for_line(Stream::Err, "metrics on http://", patience);
    let said = process.output(Stream::Err);
    let after = said.split("metrics on http://").nth(1).expect("printed");
    after.split('/').next().expect("a path").to_owned()
}

#[test]
fn a_run_in_progress_is_scraped_and_traced() {
    let collector = Collector::start();
    let endpoint = collector.url();
    let flags = [
        "--metrics-listen",
        "127.0.0.1:0",
        "--otlp-endpoint",
        &endpoint,
    ];
    let mut run = prepared(MANY, &flags).spawn();
    let address = address(&mut run);
    let prometheus = Prometheus::scraping(&address);

    let (status, text) = get(&address, "/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(get(&address, "/other").0, 404);

    let replied = "min(sum by (variant) (rate(loadgen_turns_total{outcome=\"replied\"}[1m])))";
    prometheus.wait_until(replied, |rate| rate > 0.0);
    prometheus.wait_until("loadgen_target_calls", |calls| calls == 4.0);
    prometheus.wait_until("sum(rate(loadgen_join_seconds_count[1m]))", |rate| {
        rate > 0.0
    });
    the_dashboard_is_answered(&prometheus);

    run.send_signal(libc::SIGINT);
    let run = run.finish();
    run.assert_code(105);
    assert!(
        std::net::TcpStream::connect(&address).is_err(),
        "the metrics server ends with the run"
    );
    let said = &run.finished.stderr;
    assert!(!said.contains("spans"), "every span arrived: {said}");
    the_spans_are_those_of_the_journal(&collector.spans(), &journal(&run.dir().join("run")));
}

/// A collector that never answers delays the end of a run by seconds. A signal ends the wait and
/// does not change the exit code.
#[test]
fn a_signal_ends_the_wait_for_a_collector() {
    // The listener's backlog accepts connections, and nothing answers on them.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", mute.local_addr().expect("bound"));
    for stopped in [false, true] {
        // On a busy machine, writing the reports can take as long as the wait.
        let ended_it = (0..5).any(|_| signalled_at_the_end(&endpoint, stopped));
        assert!(ended_it, "stopped before: {stopped}");
    }
}

/// Runs until the reports are written, interrupted by SIGINT if `stopped`, then sends SIGTERM;
/// returns whether SIGTERM ended the wait for the collector.
fn signalled_at_the_end(endpoint: &str, stopped: bool) -> bool {
    let load = if stopped { MANY } else { ONE };
    let mut run = prepared(load, &["--otlp-endpoint", endpoint]).spawn();
    if stopped {
        let folder = run.dir().join("run");
        let begun = || (journal(&folder).len() > 2).then_some(());
        poll(Duration::from_secs(60), begun).expect("turns end");
        run.send_signal(libc::SIGINT);
    }
    let patience = Duration::from_secs(60);
    let process = run.process();
    process.wait_for_line(Stream::Out, "report.html", patience);
    // Let the wait begin: a second signal before then would end the process at once.
    std::thread::sleep(Duration::from_millis(100));
    run.send_signal(libc::SIGTERM);
    let run = run.finish();
    let code = run.finished.code.expect("the process is not killed");
    match stopped {
        true => assert_eq!(code, 105, "{:?}", run.finished),
        false => assert_well_or_late(&run.finished),
    }
    assert!(folder_is_whole(&run.dir().join("run")));
    run.finished.stderr.contains("a signal ended the wait")
}

/// Checks that the run ended well; 110 is correct on a machine so busy that the generator was late.
#[track_caller]
fn assert_well_or_late(run: &Finished) {
    assert!([Some(0), Some(110)].contains(&run.code), "{run:?}");
}

fn folder_is_whole(folder: &std::path::Path) -> bool {
    ["summary.json", "report.html", "turns.csv"]
        .iter()
        .all(|name| folder.join(name).exists())
}

/// Checks that every query parses and returns values, unless it counts failures by cause.
fn the_dashboard_is_answered(prometheus: &Prometheus) {
    let text = std::fs::read_to_string(in_repo("deploy/grafana/loadgen.json")).expect("readable");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut asked = 0;
    for target in panels
        .iter()
        .filter_map(|p| p["targets"].as_array())
        .flatten()
    {
        assert_eq!(target["datasource"]["uid"], "${datasource}");
        let expression = target["expr"].as_str().expect("an expression");
        let plain = expression
            .replace("$__rate_interval", "1m")
            .replace("$variant", ".*")
            .replace("$job", ".*");
        assert!(!plain.contains('$'), "an unknown variable: {expression}");
        let answers = prometheus.query(&plain);
        asked += 1;
        let rare = plain.contains("by (cause)");
        assert!(rare || !answers.is_empty(), "no answer: {plain}");
        let latency = plain.starts_with("histogram_quantile") && plain.contains("ttfa");
        for value in answers.iter().filter(|_| latency) {
            assert!((0.1..10.0).contains(value), "{value} s: {plain}");
        }
    }
    assert!(asked >= 20, "{asked} expressions");
    let named = |name: &str| {
        dashboard["templating"]["list"]
            .as_array()
            .is_some_and(|list| list.iter().any(|v| v["name"] == name))
    };
    assert!(["datasource", "job", "variant"].into_iter().all(named));
}

fn ms(turn: &Value, field: &str) -> f64 {
    turn[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field}: {turn}"))
}

fn the_spans_are_those_of_the_journal(spans: &[Span], turns: &[Value]) {
    let by_id: BTreeMap<_, _> = spans.iter().map(|s| (s.id.clone(), s)).collect();
    assert_eq!(by_id.len(), spans.len(), "span ids are unique");
    let named = |name: &'static str| spans.iter().filter(move |s| s.name == name);
    let replied: Vec<&Value> = turns.iter().filter(|t| t["outcome"] == "replied").collect();
    assert!(replied.len() >= 4, "{} replies", replied.len());
    for turn in &replied {
        let of = |s: &&Span| {
            s.attribute("loadgen.room") == turn["room"]
                && s.attribute("loadgen.turn") == turn["turn"]
        };
        let own = named("turn")
            .find(of)
            .unwrap_or_else(|| panic!("no span: {turn}"));
        assert_eq!(own.attribute("loadgen.variant"), turn["variant"]);
        assert_eq!(own.attribute("loadgen.outcome"), "replied");
        let call = by_id[&own.parent];
        assert_eq!((call.name.as_str(), call.parent.len()), ("call", 0));
        let part = |name: &'static str| {
            let mut found = named(name).filter(|s| s.parent == own.id);
            let part = found.next().unwrap_or_else(|| panic!("no {name}: {turn}"));
            assert!(found.next().is_none() && part.trace == call.trace);
            part
        };
        let (speech, wait) = (part("speech"), part("wait to onset"));
        let (playout, reply) = (part("playout"), part("reply"));
        for (part, figure) in [(wait, "ttfa_wire_ms"), (playout, "playout_ms")] {
            let took = (part.end - part.start) as f64 / 1e6;
            assert!(
                (took - ms(turn, figure)).abs() < 1e-3,
                "{}: {took}: {turn}",
                part.name
            );
        }
        assert_eq!(own.start, speech.start);
        let parts = [speech, wait, playout, reply];
        assert!(parts.windows(2).all(|p| p[0].end == p[1].start), "{turn}");
        // On the wall clock, speech starts at the turn's planned instant.
        let offset = (speech.start - call.start) as f64 / 1e6;
        assert!(
            (0.0..60_000.0).contains(&offset),
            "{offset} ms after its call"
        );
    }
    let calls: BTreeSet<_> = named("call").map(|s| s.trace.clone()).collect();
    assert_eq!(calls.len(), named("call").count(), "one trace per call");
}

#[test]
fn an_unreachable_collector_causes_one_warning() {
    let nobody = crate::support::free_tcp_port();
    let endpoint = format!("http://127.0.0.1:{nobody}");
    let run = prepared(ONE, &["--otlp-endpoint", &endpoint]).run();
    assert_well_or_late(&run.finished);
    let said = &run.finished.stderr;
    assert_eq!(said.matches("cannot send spans to").count(), 1, "{said}");
    assert!(
        said.contains("hint: is a collector listening there"),
        "{said}"
    );
    // Two turns of five spans, the call and its join.
    assert!(said.contains("12 of 12 spans did not reach"), "{said}");
    assert_eq!(journal(&run.dir().join("run")).len(), 2);
}

#[test]
fn reports_are_written_before_waiting_for_a_silent_collector() {
    let mute = crate::support::SilentPort::start();
    let endpoint = mute.url().replace("ws://", "http://");
    // Without `--json`, the table states where the reports are.
    let run = prepared(ONE, &["--otlp-endpoint", &endpoint, "--json"]).run();
    assert_well_or_late(&run.finished);
    let said = &run.finished.stderr;
    let reports = said.find("reports in run").expect("printed");
    let lost = said.find("12 of 12 spans did not reach").expect("printed");
    assert!(reports < lost, "{said}");
    assert!(run.dir().join("run/report.html").is_file());
}

#[test]
fn runs_with_a_port_in_use_or_an_invalid_address_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("bound").to_string();
    for (flags, code, says) in [
        (
            ["--metrics-listen", taken.as_str()],
            1,
            "choose another port",
        ),
        (["--metrics-listen", "localhost"], 2, "--metrics-listen"),
        (
            ["--otlp-endpoint", "127.0.0.1:4318"],
            2,
            "http://127.0.0.1:4318",
        ),
    ] {
        let run = prepared(ONE, &flags).run();
        run.assert_code(code);
        assert!(
            run.finished.stderr.contains(says),
            "{}",
            run.finished.stderr
        );
        let run_folder = run.dir().join("run");
        assert!(!run_folder.exists(), "no run folder is left");
    }
}
