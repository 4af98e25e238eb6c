//! OTLP requests with spans and metric values, one after another.
//!
//! In: protobuf messages with their lengths. Properties: every span of a valid request is read or
//! counted; numbers and lengths of what is read are bounded; no span ends before it begins; nothing
//! but chosen attributes is kept.

use super::input::Input;
use super::planted::planted;
use crate::cli::live::{read_metrics, read_spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// Maximum number of messages in one input.
const MESSAGES: usize = 64;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (mut roomy, mut failed, mut counted) = (false, false, false);
    for _ in 0..MESSAGES {
        if input.is_empty() {
            break;
        }
        let message = input.long();
        let decoded = ExportTraceServiceRequest::decode(message);
        match (read_spans(message), decoded) {
            (Ok(read), decoded) => {
                if let Ok(whole) = decoded {
                    let scopes = whole.resource_spans.iter().flat_map(|r| &r.scope_spans);
                    let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
                    assert_eq!(read.spans.len() + read.lost, spans);
                }
                for received in &read.spans {
                    let span = &received.span;
                    assert!(span.began <= span.ended && span.name.len() <= 100);
                    let agent = received.agent.as_ref().map(|agent| &agent.identity);
                    let mut names = [received.room.as_ref(), agent].into_iter().flatten();
                    assert!(names.all(|name| name.len() <= 256));
                    for (name, value) in &span.attributes {
                        assert!(!name.contains(".pii."), "{name}");
                        assert!(value.as_str().is_none_or(|text| text.len() <= 200));
                        assert!(!value.is_array() && !value.is_object());
                    }
                    roomy |= received.room.is_some() && received.agent.is_some();
                    failed |= span.failed;
                }
            }
            (Err(_), decoded) => assert!(decoded.is_err(), "a valid request is not read"),
        }
        if let Ok(read) = read_metrics(message) {
            assert!(read.points.len() <= 8_192);
            let mut points = read.points.iter();
            assert!(points.all(|p| p.name.len() <= 200 && p.service.len() <= 64));
            counted |= read.points.iter().any(|point| point.value > 1.0);
        }
    }
    planted([roomy, failed, counted]);
}
