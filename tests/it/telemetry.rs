//! Telemetry that a run receives: spans and metrics sent by the test while the real server and the
//! reference agent, which tells its time, carry out calls.

use crate::support::reports::journal;
use crate::support::{LivekitServer, Loadgen, Reports, Small, free_tcp_port};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Error of the instant that the run's times are counted from, which is read from two clocks, and of
/// the test's own, in ms.
const MARGIN_MS: f64 = 5.0;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(Any::StringValue(value.into()));
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value }),
        ..KeyValue::default()
    }
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: vec![text("service.name", "my-agent")],
        ..Resource::default()
    })
}

/// Posts a body; the status of the response.
fn post(port: u16, path: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("loadgen listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(body).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {answer}"))
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_nanos() as u64
}

/// A span of 100 ms that has just ended.
fn span(trace: u8, name: &str, room: Option<&str>) -> Span {
    let end = now_ns();
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![1; 8],
        name: name.into(),
        start_time_unix_nano: end - 100_000_000,
        end_time_unix_nano: end,
        attributes: room
            .map(|room| text("lk.pii.room_name", room))
            .into_iter()
            .collect(),
        ..Span::default()
    }
}

fn post_span(port: u16, span: Span) {
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        resource: resource(),
        scope_spans,
        ..ResourceSpans::default()
    }];
    let request = ExportTraceServiceRequest { resource_spans };
    assert_eq!(post(port, "/v1/traces", &request.encode_to_vec()), 200);
}

fn post_gauge(port: u16, value: f64) {
    let data_points = vec![NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }];
    let metrics = vec![Metric {
        name: "sessions".into(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Metric::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        resource: resource(),
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }];
    let request = ExportMetricsServiceRequest { resource_metrics };
    assert_eq!(post(port, "/v1/metrics", &request.encode_to_vec()), 200);
}

/// The rooms of the calls that have started so far, and whether each has ended.
fn rooms(folder: &Path) -> BTreeMap<String, bool> {
    let text = std::fs::read_to_string(folder.join("calls.jsonl")).unwrap_or_default();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let calls = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    calls
        .map(|call| {
            (
                call["room"].as_str().expect("a room").to_owned(),
                !call["ended_ms"].is_null(),
            )
        })
        .collect()
}

/// When the run's times begin, in ms since 1970.
fn zero_ms(folder: &Path) -> f64 {
    let text = std::fs::read(folder.join("run.json")).expect("readable");
    let facts: Value = serde_json::from_slice(&text).expect("JSON");
    let zero: jiff::Timestamp = facts["zero_at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    zero.as_nanosecond() as f64 / 1e6
}

/// Sends what belongs to no call, what is not OTLP, and logs.
fn post_others(port: u16) {
    let stranger = span(200, "llm_node", Some("a room of another run"));
    post_span(port, stranger);
    assert_eq!(post(port, "/v1/traces", b"\xff\xff"), 400);
    assert_eq!(post(port, "/v1/logs", b""), 200);
}

/// Sends spans while this many calls are in progress: first those of work, without their room, then
/// that of the session. Returns the rooms and the starts of the first kind.
fn send_during(port: u16, folder: &Path, calls: usize) -> Vec<(String, u64)> {
    let (mut sent, mut over, mut others_sent) = (Vec::new(), Vec::new(), false);
    while over.len() < calls {
        std::thread::sleep(Duration::from_millis(150));
        for (nth, (room, ended)) in rooms(folder).into_iter().enumerate() {
            let trace = nth as u8 + 1;
            if over.contains(&room) {
                continue;
            }
            let next = span(trace, "llm_node", None);
            sent.push((room.clone(), next.start_time_unix_nano));
            post_span(port, next);
            if ended {
                post_span(port, span(trace, "agent_session", Some(&room)));
                over.push(room);
            }
        }
        // The run has begun, so it listens, and it is not over: that takes the spans above.
        if over.is_empty() && !sent.is_empty() {
            post_gauge(port, 3.0);
            if !std::mem::replace(&mut others_sent, true) {
                post_others(port);
            }
        }
    }
    sent
}

/// Checks that the recorded spans were sent when they say; returns their number.
fn check_recorded(folder: &Path, sent: &[(String, u64)]) -> usize {
    let (zero, mut recorded) = (zero_ms(folder), 0);
    for turn in journal(folder) {
        let end = turn["speech_end_ms"].as_f64().expect("it spoke");
        let width = turn["agent"]["spans_width_ms"].as_f64();
        for span in turn["agent"]["spans"].as_array().into_iter().flatten() {
            let at = zero + end + span["start_ms"].as_f64().expect("an instant");
            let own = sent
                .iter()
                .filter(|(room, _)| turn["room"] == room.as_str());
            let off = own.map(|(_, ns)| (*ns as f64 / 1e6 - at).abs());
            let off = off.fold(f64::INFINITY, f64::min);
            let bound = width.expect("the agent answers requests") / 2.0 + MARGIN_MS;
            assert!(off <= bound, "{off} of {bound} ms: {turn:#}");
            let length = span["end_ms"].as_f64().expect("an instant") - (at - zero - end);
            assert!((length - 100.0).abs() < 1.0, "{span}");
            recorded += 1;
        }
    }
    recorded
}

#[test]
fn spans_are_recorded_with_the_turn_in_which_they_began_however_late_they_come() {
    const CALLS: usize = 2;
    let server = LivekitServer::start();
    let own = ["--agent-name", "telemetry", "--reply-length", "700ms"];
    let _agent = Loadgen::agent(&server, &own);
    let port = free_tcp_port();
    let listen = format!("127.0.0.1:{port}");
    let run = Loadgen::new([
        "run",
        "small.yaml",
        "--agent-name",
        "telemetry",
        "--out",
        "run",
    ])
    .arg("--otlp-listen")
    .arg(&listen);
    let small = Small {
        turns: 2,
        calls: CALLS,
        ..Small::default()
    };
    std::fs::write(run.dir().join("small.yaml"), small.yaml()).expect("writable");
    let run = run.on(&server).spawn();
    let folder = run.dir().join("run");

    let sent = send_during(port, &folder, CALLS);
    let run = run.finish();
    let reports = Reports::read(&folder);
    reports.assert_good(&run.finished);

    let recorded = check_recorded(&folder, &sent);
    let count = |name: &str| reports.count(&format!("/agent_spans/{name}"));
    assert!(recorded >= 2 * CALLS, "{recorded} of {}", sent.len());
    assert_eq!(count("in_turns"), recorded as u64);
    assert_eq!(count("received"), (sent.len() + CALLS + 1) as u64);
    assert_eq!((count("unmatched"), count("refused")), (1, 1));
    let sum: u64 = [
        "in_turns",
        "left_out",
        "outside",
        "unplaced",
        "unmatched",
        "dropped",
    ]
    .map(count)
    .iter()
    .sum();
    assert_eq!(sum, count("received"));
    let observed = std::fs::read_to_string(folder.join("observed.jsonl")).expect("a metric came");
    assert!(
        observed.contains("\"name\":\"my-agent\",\"gauges\":{\"sessions\":3.0}"),
        "{observed}"
    );
    let html = std::fs::read_to_string(folder.join("report.html")).expect("a report");
    assert!(html.contains("llm_node") && html.contains("my-agent: sessions"));
}
