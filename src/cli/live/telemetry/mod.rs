//! Receives the agents' telemetry: OTLP over HTTP, in protobuf.
//!
//! In: requests. Out: spans and metric values in the inbox of the run; responses as the protocol
//! asks for them. Invariants: the size of a body is bounded, before and after it is decompressed; a
//! request that cannot be used is counted, and changes nothing else.
//!
//! The `Host` of a request does not matter, as it does for metrics, since nothing can be read here.
//! A web page whose name was made to point here (DNS rebinding) could post, though, so requests from
//! browsers are refused: a browser adds the header `Origin` to every POST of a page.

mod metrics;
mod spans;

use super::response::{PLAIN, not_allowed, response};
use crate::run::TelemetryInbox;
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::io::Read;
use std::time::Duration;

#[cfg(any(test, fuzzing))]
pub(crate) use metrics::read as read_metrics;
#[cfg(any(test, fuzzing))]
pub(crate) use spans::read as read_spans;

/// Maximum size of a body in bytes, also after it was decompressed.
const BODY: usize = 8 << 20;
/// Time limit for reading a body. Exporters wait 10 s for the response.
pub(super) const LONGEST_BODY: Duration = Duration::from_secs(5);
/// The header by which most browsers tell which site a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";
/// Response to a web page.
const BROWSER: &str = "loadgen accepts no telemetry from web pages\n";
/// The content type of OTLP in protobuf.
const PROTOBUF: &str = "application/x-protobuf";
/// Response to other paths.
const INDEX: &str = "loadgen receives OTLP here: POST to /v1/traces, /v1/metrics or /v1/logs\n";
/// Why something was not kept.
const TOO_MUCH: &str = "loadgen has no room for more";

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

/// A body that is not what it says it is.
const MALFORMED: Refusal = (
    StatusCode::BAD_REQUEST,
    "the body is not OTLP in protobuf\n",
);
const TOO_LARGE: Refusal = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "a request may have at most 8 MiB\n",
);

const TOO_SLOW: Refusal = (
    StatusCode::REQUEST_TIMEOUT,
    "the body did not arrive within 5 s\n",
);

/// What is received at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Metrics,
    /// Accepted and ignored, so that an exporter of all three reports no errors.
    Logs,
}

impl Signal {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/traces" => Some(Self::Traces),
            "/v1/metrics" => Some(Self::Metrics),
            "/v1/logs" => Some(Self::Logs),
            _ => None,
        }
    }
}

/// Responds to a request after adding its content to the inbox.
pub(super) async fn respond<B>(request: Request<B>, inbox: &TelemetryInbox) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let headers = request.headers();
    if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
        return response(StatusCode::FORBIDDEN, PLAIN, BROWSER);
    }
    let Some(signal) = Signal::at(request.uri().path()) else {
        return response(StatusCode::NOT_FOUND, PLAIN, INDEX);
    };
    if request.method() != Method::POST {
        return not_allowed("POST", INDEX);
    }
    match received(request, signal, inbox).await {
        Ok(answer) => response(StatusCode::OK, PROTOBUF, answer),
        Err((status, why)) => {
            inbox.refuse();
            response(status, PLAIN, why)
        }
    }
}

/// Takes what a request contains; the body of the response.
async fn received<B>(
    request: Request<B>,
    signal: Signal,
    inbox: &TelemetryInbox,
) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let kind = header(&head.headers, &CONTENT_TYPE).split(';').next();
    let kind = kind.unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(PROTOBUF) {
        let why = "only OTLP in protobuf is accepted: content-type application/x-protobuf\n";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let body = tokio::time::timeout(LONGEST_BODY, Limited::new(body, BODY).collect());
    let body = body.await.map_err(|_| TOO_SLOW)?;
    let body = body.map_err(|e| match e.is::<LengthLimitError>() {
        true => TOO_LARGE,
        false => MALFORMED,
    })?;
    let body = decompressed(header(&head.headers, &CONTENT_ENCODING), body.to_bytes())?;
    match signal {
        Signal::Traces => {
            let read = spans::read(&body).map_err(|_| MALFORMED)?;
            Ok(traces_answer(inbox.add_spans(read.spans, read.lost)))
        }
        Signal::Metrics => {
            let read = metrics::read(&body).map_err(|_| MALFORMED)?;
            Ok(metrics_answer(inbox.add_points(read.points, read.lost)))
        }
        Signal::Logs => Ok(Vec::new()),
    }
}

/// The text of a header; empty if it is absent.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

/// A body without its compression.
fn decompressed(encoding: &str, body: Bytes) -> Result<Bytes, Refusal> {
    let read = |from: &mut dyn Read| {
        let mut whole = Vec::new();
        let limit = BODY as u64 + 1;
        from.take(limit)
            .read_to_end(&mut whole)
            .map_err(|_| MALFORMED)?;
        match whole.len() > BODY {
            true => Err(TOO_LARGE),
            false => Ok(whole.into()),
        }
    };
    match encoding {
        "" | "identity" => Ok(body),
        "gzip" => read(&mut GzDecoder::new(&body[..])),
        "deflate" => read(&mut ZlibDecoder::new(&body[..])),
        _ => {
            let why = "only gzip and deflate are accepted as content-encoding\n";
            Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
    }
}

/// The response to spans of which `lost` are not kept.
fn traces_answer(lost: usize) -> Vec<u8> {
    let partial_success = (lost > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(lost).unwrap_or(i64::MAX),
        error_message: TOO_MUCH.to_owned(),
    });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

/// The response to metric values of which `lost` are not kept.
fn metrics_answer(lost: usize) -> Vec<u8> {
    let partial_success = (lost > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(lost).unwrap_or(i64::MAX),
        error_message: TOO_MUCH.to_owned(),
    });
    ExportMetricsServiceResponse { partial_success }.encode_to_vec()
}

#[cfg(test)]
mod tests;
