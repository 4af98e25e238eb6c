//! A minimal OpenTelemetry collector for spans: OTLP over HTTP on a real socket.
//!
//! In: protobuf posted to `/v1/traces`. Out: the spans. Invariant: a body that does not decode as
//! the protocol's own types causes a panic.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A span as received.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) trace: Vec<u8>,
    pub(super) id: Vec<u8>,
    /// Empty for a root span.
    pub(super) parent: Vec<u8>,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    attributes: Vec<(String, Value)>,
}

impl Span {
    /// The attribute's value; null if it is absent.
    pub(super) fn attribute(&self, name: &str) -> Value {
        let found = self.attributes.iter().find(|(n, _)| n == name);
        found.map_or(Value::Null, |(_, value)| value.clone())
    }
}

/// Collects spans until the test is over.
pub(super) struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("bound");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let of_thread = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(&stream, &taken));
            }
        });
        Self { address, taken }
    }

    /// The collector's address, without the path.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans received so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.taken.lock().expect("no panic").clone()
    }
}

/// Serves the POST requests of one connection, one after the other.
fn serve(stream: &TcpStream, taken: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                return;
            }
        }
        let lower = head.to_lowercase();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        assert!(
            lower.contains("content-type: application/x-protobuf"),
            "{head}"
        );
        let length = lower.split("content-length: ").nth(1).expect("a length");
        let length = length.lines().next().and_then(|n| n.trim().parse().ok());
        let mut body = vec![0; length.expect("a number")];
        reader.read_exact(&mut body).expect("a whole body");
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
        taken.lock().expect("no panic").extend(spans(request));
        let answer = ExportTraceServiceResponse::default().encode_to_vec();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length:";
        let mut out = format!("{head} {}\r\n\r\n", answer.len()).into_bytes();
        out.extend(answer);
        let mut stream = stream;
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.expect("a resource");
        let named = resource.attributes.iter().any(|a| {
            let value = a.value.as_ref().and_then(|v| v.value.as_ref());
            a.key == "service.name" && value == Some(&Any::StringValue("loadgen".into()))
        });
        assert!(named, "{:?}", resource.attributes);
        for span in of_resource.scope_spans.into_iter().flat_map(|s| s.spans) {
            let attribute = |value| match value {
                Some(Any::StringValue(text)) => json!(text),
                Some(Any::IntValue(n)) => json!(n),
                Some(Any::DoubleValue(n)) => json!(n),
                Some(Any::BoolValue(b)) => json!(b),
                _ => Value::Null,
            };
            let attributes = span.attributes.into_iter();
            all.push(Span {
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                attributes: attributes
                    .map(|a| (a.key, attribute(a.value.and_then(|v| v.value))))
                    .collect(),
            });
        }
    }
    all
}
