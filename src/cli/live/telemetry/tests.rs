//! Requests with encoded telemetry.

use super::*;
use crate::cli::live::http::{Site, answered};
use crate::run::MetricKind;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::json;
use std::io::Write as _;
use std::sync::Arc;

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.into()))
}

fn span(name: &str, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![2; 8],
        name: name.into(),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        attributes,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A request with the metrics of one process.
fn exported(resource: Resource, metrics: Vec<Metric>) -> Vec<u8> {
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// A POST with this body, as bytes on the wire.
fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: agent-host\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The response to a request: its head and its body.
async fn asked(inbox: &Arc<TelemetryInbox>, request: &[u8]) -> (String, Vec<u8>) {
    let answer = answered(request, &Site::Telemetry(Arc::clone(inbox))).await;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    (String::from_utf8_lossy(head).into_owned(), body.to_vec())
}

const TYPE: &str = "content-type: application/x-protobuf\r\n";

#[test]
fn of_a_span_only_what_the_run_needs_is_read() {
    let long = "x".repeat(3_000);
    let attributes = vec![
        text("lk.pii.room_name", "room-1"),
        text("lk.pii.chat_ctx", &"secret words ".repeat(100_000)),
        text("gen_ai.request.model", &long),
        attribute("gen_ai.usage.output_tokens", Any::IntValue(12)),
        attribute("lk.response.ttft", Any::DoubleValue(0.25)),
        attribute("lk.eou.probability", Any::DoubleValue(f64::NAN)),
        attribute("lk.interrupted", Any::BoolValue(false)),
        text("lk.job_id", "AJ_1"),
        text("lk.pii.participant_identity", "caller-1"),
    ];
    let failed = Span {
        status: Some(Status {
            code: 2,
            ..Status::default()
        }),
        ..span(&"ä".repeat(200), attributes)
    };
    let connect = vec![text("lk.pii.participant_identity", "agent-x")];
    let broken = Span {
        trace_id: vec![1; 3],
        ..span("no trace", Vec::new())
    };
    let timeless = Span {
        start_time_unix_nano: 0,
        ..span("no time", Vec::new())
    };
    let spans = vec![failed, span("room_connect", connect), broken, timeless];
    let read = read_spans(&request(spans)).expect("OTLP");
    assert_eq!((read.spans.len(), read.lost), (2, 2));
    let first = &read.spans[0];
    assert_eq!(first.trace, [7; 16]);
    assert_eq!(first.room.as_deref(), Some("room-1"));
    let agent = |span: &crate::run::ReceivedSpan| {
        let agent = span.agent.clone().expect("an agent");
        (agent.identity.to_string(), agent.is_certain)
    };
    let expected = ("agent-AJ_1".to_owned(), false);
    assert_eq!(agent(first), expected, "not the caller");
    assert_eq!(first.span.name.len(), 100);
    assert!(first.span.failed);
    let (began, ended) = (first.span.began.0, first.span.ended.0);
    assert_eq!((began, ended), (1_000, 2_000));
    let expected = [
        ("gen_ai.request.model", json!("x".repeat(200))),
        ("gen_ai.usage.output_tokens", json!(12)),
        ("lk.interrupted", json!(false)),
        ("lk.response.ttft", json!(0.25)),
    ];
    assert_eq!(first.span.attributes, expected.into());
    assert_eq!(agent(&read.spans[1]), ("agent-x".to_owned(), true));
    assert_eq!(read.spans[1].room, None);
}

#[test]
fn the_number_of_spans_of_a_request_is_bounded() {
    let many = (0..5_000).map(|_| span("s", Vec::new())).collect();
    let read = read_spans(&request(many)).expect("OTLP");
    assert_eq!((read.spans.len(), read.lost), (4_096, 904));
}

#[test]
fn a_span_that_repeats_an_attribute_has_no_more_than_a_few_of_them() {
    let mut attributes = vec![text("lk.tts.label", "x"); 5_000];
    attributes.push(text("room_name", "too late"));
    let read = read_spans(&request(vec![span("s", attributes)])).expect("OTLP");
    assert_eq!((read.spans.len(), &read.spans[0].room), (1, &None));
    let mut attributes = vec![text("app.own", "x"); 5_000];
    attributes.push(text("room_name", "room-1"));
    let read = read_spans(&request(vec![span("s", attributes)])).expect("OTLP");
    let room = read.spans[0].room.as_deref();
    assert_eq!(
        room,
        Some("room-1"),
        "attributes that are not read do not count"
    );
}

#[test]
fn metric_values_have_their_service_and_kind() {
    let number = |value| NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let sum = |is_monotonic, aggregation_temporality| Sum {
        data_points: vec![number(4.0)],
        aggregation_temporality,
        is_monotonic,
    };
    let metric = |name: &str, data| Metric {
        name: name.into(),
        data: Some(data),
        ..Metric::default()
    };
    let histogram = Histogram {
        data_points: vec![HistogramDataPoint {
            count: 3,
            sum: Some(1.5),
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: 2,
    };
    let labelled = NumberDataPoint {
        attributes: vec![text("job_id", "AJ_1")],
        ..number(2.0)
    };
    let gauge = Gauge {
        data_points: vec![number(1.0), labelled, NumberDataPoint::default()],
    };
    let metrics = vec![
        metric("active", Data::Gauge(gauge)),
        metric("tokens", Data::Sum(sum(true, 2))),
        metric("turns", Data::Sum(sum(true, 1))),
        metric("queue", Data::Sum(sum(false, 2))),
        metric("latency", Data::Histogram(histogram)),
    ];
    let resource = Resource {
        attributes: vec![text("service.name", "my-agent")],
        ..Resource::default()
    };
    let read = read_metrics(&exported(resource, metrics)).expect("OTLP");
    assert_eq!(read.lost, 0);
    assert!(
        read.points
            .iter()
            .all(|point| &*point.service == "my-agent")
    );
    let points = read.points.iter();
    let points: Vec<_> = points.map(|p| (&*p.name, p.kind, p.value)).collect();
    use MetricKind::{Counter, Delta, Gauge as Level};
    let expected = [
        ("active", Level, 1.0),
        ("active", Level, 2.0),
        ("tokens", Counter, 4.0),
        ("turns", Delta, 4.0),
        ("queue", Level, 4.0),
        ("latency_count", Counter, 3.0),
        ("latency_sum", Counter, 1.5),
    ];
    assert_eq!(points, expected);
    assert_ne!(read.points[0].stream, read.points[1].stream);
}

#[test]
fn large_resources_and_long_names_cost_little_however_many_values_they_have() {
    let resource = Resource {
        attributes: vec![text("service.name", &"x".repeat(4 << 20))],
        ..Resource::default()
    };
    let name = "y".repeat(200_000);
    let histogram = Histogram {
        data_points: vec![
            HistogramDataPoint {
                sum: Some(1.0),
                ..HistogramDataPoint::default()
            };
            20_000
        ],
        aggregation_temporality: 2,
    };
    let empty = Gauge {
        data_points: vec![NumberDataPoint::default(); 50_000],
    };
    let metric = |data| Metric {
        name: name.clone(),
        data: Some(data),
        ..Metric::default()
    };
    let metrics = vec![
        metric(Data::Gauge(empty)),
        metric(Data::Histogram(histogram)),
    ];
    let request = exported(resource, metrics);
    let begun = std::time::Instant::now();
    let read = read_metrics(&request).expect("OTLP");
    let took = begun.elapsed();
    // Hashing the resource for every value would take a minute or more.
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!((read.points.len(), read.lost), (8_192, 40_000 - 8_192));
    let names: Vec<&str> = read.points[..2].iter().map(|p| &*p.name).collect();
    let [count, sum] = ["_count", "_sum"].map(|end| "y".repeat(200 - end.len()) + end);
    assert_eq!(names, [count, sum], "told apart, though they are cut");
}

#[tokio::test]
async fn requests_are_answered_as_the_protocol_asks() {
    let inbox = Arc::new(TelemetryInbox::default());
    let body = request(vec![span("llm_node", Vec::new()); 3]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&body).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&body).expect("memory");
    let zlib = zlib.finish().expect("memory");
    for (headers, body) in [
        (TYPE.to_owned(), &body),
        (format!("{TYPE}content-encoding: gzip\r\n"), &gzip),
        (format!("{TYPE}content-encoding: deflate\r\n"), &zlib),
    ] {
        let (head, answer) = asked(&inbox, &post("/v1/traces", &headers, body)).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf"),
            "{head}"
        );
        let answer = ExportTraceServiceResponse::decode(&answer[..]).expect("OTLP");
        assert_eq!(answer.partial_success, None);
    }
    let (head, _) = asked(&inbox, &post("/v1/logs", TYPE, b"anything")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let lossy = request(vec![
        span("llm_node", Vec::new()),
        Span {
            trace_id: Vec::new(),
            ..span("x", Vec::new())
        },
    ]);
    let (_, answer) = asked(&inbox, &post("/v1/traces", TYPE, &lossy)).await;
    let answer = ExportTraceServiceResponse::decode(&answer[..]).expect("OTLP");
    let rejected = answer.partial_success.map(|partial| partial.rejected_spans);
    assert_eq!(rejected, Some(1));
    assert_eq!(inbox.counted(), (11, 10, 0), "came, kept, refused requests");
}

#[tokio::test]
async fn requests_that_cannot_be_used_are_refused_and_counted() {
    let inbox = Arc::new(TelemetryInbox::default());
    let body = request(vec![span("llm_node", Vec::new())]);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 2 * BODY]).expect("memory");
    let bomb = bomb.finish().expect("memory");
    assert!(bomb.len() < 100_000);
    let gzip = format!("{TYPE}content-encoding: gzip\r\n");
    let mut refused = 0;
    for (what, request, status) in [
        (
            "not protobuf",
            post("/v1/traces", TYPE, b"\xff\xff\xff"),
            "400",
        ),
        (
            "cut off",
            post("/v1/traces", TYPE, &body[..body.len() - 3]),
            "400",
        ),
        ("not gzip", post("/v1/traces", &gzip, &body), "400"),
        ("a bomb", post("/v1/metrics", &gzip, &bomb), "413"),
        (
            "too large",
            post("/v1/traces", TYPE, &vec![0; BODY + 1]),
            "413",
        ),
        (
            "JSON",
            post("/v1/traces", "content-type: application/json\r\n", b"{}"),
            "415",
        ),
        (
            "unknown compression",
            post(
                "/v1/traces",
                &format!("{TYPE}content-encoding: br\r\n"),
                &body,
            ),
            "415",
        ),
    ] {
        let (head, _) = asked(&inbox, &request).await;
        refused += 1;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {head}"
        );
        assert_eq!(inbox.counted(), (0, 0, refused), "{what}");
    }
    for (request, status) in [
        (post("/metrics", TYPE, b""), "404"),
        (
            b"GET /v1/traces HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            "405",
        ),
    ] {
        let (head, _) = asked(&inbox, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[tokio::test]
async fn web_pages_are_refused_and_not_counted() {
    let inbox = Arc::new(TelemetryInbox::default());
    let body = request(vec![span("llm_node", Vec::new())]);
    for header in ["origin: http://evil.example", "sec-fetch-site: same-origin"] {
        for kind in [TYPE, "content-type: text/plain\r\n"] {
            let headers = format!("{kind}{header}\r\n");
            let (head, _) = asked(&inbox, &post("/v1/traces", &headers, &body)).await;
            assert!(head.starts_with("HTTP/1.1 403"), "{header}: {head}");
        }
    }
    assert_eq!(inbox.counted(), (0, 0, 0), "came, kept, refused requests");
}

/// A body of which nothing ever arrives.
struct Unsent;

impl Body for Unsent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_refused_and_counted() {
    let inbox = TelemetryInbox::default();
    let request = Request::post("/v1/traces").header(CONTENT_TYPE, PROTOBUF);
    let request = request.body(Unsent).expect("valid");
    let answer = respond(request, &inbox).await;
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(inbox.counted(), (0, 0, 1), "came, kept, refused requests");
}
