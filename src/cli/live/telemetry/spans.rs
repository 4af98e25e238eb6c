//! Reads the spans of a request.
//!
//! In: an `ExportTraceServiceRequest` as received. Out: spans, each with what its run needs to know.
//! Invariants: the number of spans and the length of texts are bounded; of the attributes, which can
//! contain whole conversations, only those of a table are decoded.

use crate::account::{AgentSpan, AgentTime, TracedAgent};
use crate::run::ReceivedSpan;
use crate::vocab::fields::{Groups, Malformed, contents, fields};
use crate::vocab::truncated;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum number of spans in a request. Exporters send 512 unless they are told otherwise.
const SPANS: usize = 4_096;
/// Longest name of a span, and longest text of an attribute, in bytes.
const NAME: usize = 100;
const TEXT: usize = 200;
/// Longest name of a room, and longest identity, in bytes.
const ROOM: usize = 256;
/// Longest attribute that is decoded.
const ATTRIBUTE: usize = 4 << 10;
/// Maximum number of attributes of a span that are decoded. Each should occur once.
const ATTRIBUTES: usize = 64;

/// Attributes that name the room, of livekit-agents from 1.8 on and before, and of any other agent.
const ROOMS: [&str; 3] = ["lk.pii.room_name", "lk.room_name", "room_name"];
/// Attributes that have an identity; of the agent itself in the span [`CONNECT`].
const IDENTITIES: [&str; 2] = ["lk.pii.participant_identity", "lk.participant_identity"];
const CONNECT: &str = "room_connect";
/// The id of the agent's job. The agent's identity is made from it, unless the agent chooses another.
const JOB: &str = "lk.job_id";

/// Attributes that are recorded. None of them has what was said.
const KEPT: [&str; 21] = [
    "error.type",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.tool.name",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "lk.blocking.duration",
    "lk.e2e_latency",
    "lk.eou.endpointing_delay",
    "lk.eou.outcome",
    "lk.eou.probability",
    "lk.eou.wait_duration",
    "lk.function_tool.is_error",
    "lk.function_tool.name",
    "lk.interrupted",
    "lk.response.ttfb",
    "lk.response.ttft",
    "lk.retry_count",
    "lk.tts.label",
    "lk.tts.streaming",
];

/// The spans of a request.
#[derive(Debug, Default)]
pub(crate) struct ReadSpans {
    pub spans: Vec<ReceivedSpan>,
    /// Number of spans beyond [`SPANS`], or without a trace or a time.
    pub lost: usize,
}

/// Reads the spans of an `ExportTraceServiceRequest`.
///
/// # Errors
/// It is not protobuf, or a span in it is not.
pub(crate) fn read(request: &[u8]) -> Result<ReadSpans, Malformed> {
    let mut read = ReadSpans::default();
    // Fields of ExportTraceServiceRequest, ResourceSpans and ScopeSpans.
    for of_resource in contents(request, 1, Groups::Skipped) {
        for of_scope in contents(of_resource?, 2, Groups::Skipped) {
            for span in contents(of_scope?, 2, Groups::Skipped) {
                let received = match read.spans.len() < SPANS {
                    true => span_of(&pruned(span?)?),
                    false => None,
                };
                match received {
                    Some(received) => read.spans.push(received),
                    None => read.lost += 1,
                }
            }
        }
    }
    Ok(read)
}

/// The parts of a span that are read.
fn pruned(span: &[u8]) -> Result<Span, Malformed> {
    let mut kept = Vec::new();
    let mut attributes = 0;
    for field in fields(span, Groups::Skipped) {
        let field = field?;
        let is_read = match field.number {
            // Trace, name, start, end, status.
            1 | 5 | 7 | 8 | 15 => true,
            9 => attributes < ATTRIBUTES && is_known(field.content.unwrap_or_default())?,
            _ => false,
        };
        if is_read {
            attributes += usize::from(field.number == 9);
            kept.extend_from_slice(field.whole);
        }
    }
    Ok(Span::decode(&kept[..])?)
}

/// Whether an attribute is one of those that are read.
fn is_known(attribute: &[u8]) -> Result<bool, Malformed> {
    if attribute.len() > ATTRIBUTE {
        return Ok(false);
    }
    let Some(key) = contents(attribute, 1, Groups::Skipped).last().transpose()? else {
        return Ok(false);
    };
    let mut known = KEPT.iter().chain(&ROOMS).chain(&IDENTITIES).chain([&JOB]);
    Ok(known.any(|known| known.as_bytes() == key))
}

fn span_of(span: &Span) -> Option<ReceivedSpan> {
    let time = |ns: u64| i64::try_from(ns).ok().filter(|ns| *ns > 0).map(AgentTime);
    let began = time(span.start_time_unix_nano)?;
    let text = |names: &[&str]| {
        let mut found = names
            .iter()
            .filter_map(|name| text_of(&span.attributes, name));
        found.next()
    };
    let identity = text(&IDENTITIES).filter(|_| span.name == CONNECT);
    let agent = |name: &str, is_certain| TracedAgent {
        identity: truncated(name, ROOM).into(),
        is_certain,
    };
    let guessed = || text(&[JOB]).map(|job| agent(&format!("agent-{job}"), false));
    let status = span.status.as_ref();
    let mut attributes = BTreeMap::new();
    for attribute in &span.attributes {
        let name = KEPT.iter().find(|name| **name == attribute.key);
        let value = scalar(attribute.value.as_ref());
        if let Some((name, value)) = name.zip(value) {
            attributes.insert(*name, value);
        }
    }
    Some(ReceivedSpan {
        trace: span.trace_id.as_slice().try_into().ok()?,
        room: text(&ROOMS).map(|room| truncated(room, ROOM).into()),
        agent: identity.map(|name| agent(name, true)).or_else(guessed),
        span: AgentSpan {
            name: truncated(&span.name, NAME).into(),
            began,
            // A span that has not ended is not exported, and none ends before it began.
            ended: time(span.end_time_unix_nano)?.max(began),
            failed: status.is_some_and(|s| s.code() == StatusCode::Error),
            attributes,
        },
    })
}

fn text_of<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The value of an attribute, unless it is a list or a map.
fn scalar(value: Option<&AnyValue>) -> Option<Value> {
    match value?.value.as_ref()? {
        Any::StringValue(text) => Some(truncated(text, TEXT).into()),
        Any::BoolValue(is) => Some((*is).into()),
        Any::IntValue(n) => Some((*n).into()),
        Any::DoubleValue(n) => serde_json::Number::from_f64(*n).map(Value::Number),
        _ => None,
    }
}
