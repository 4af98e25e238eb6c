//! Reads what an agent says about its session from the room's data streams.
//!
//! In: complete data streams. Out: claims. Invariant: text and numbers that make no sense yield no
//! claim, or one without them.

use super::streams::DataStream;
use crate::account::{AgentTime, Claim, ClaimKind, Reply, UserTurn};
use agent::agent_session_event::Event;
use agent::agent_session_message::Message;
use agent::chat_context::chat_item::Item;
use agent::session_response::Response;
use livekit_protocol::agent::{self, AgentSessionMessage, ChatRole, MetricsReport};
use prost::Message as _;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Topic of the byte streams in which an agent describes its session.
pub(super) const SESSION: &str = "lk.agent.session";
/// Topic of the text streams that carry transcripts.
const TRANSCRIPTION: &str = "lk.transcription";
/// Attribute that tells final transcripts from interim ones.
const FINAL: &str = "lk.transcription_final";
/// Longest duration that an agent can plausibly claim, in seconds.
const LONGEST: f64 = 3_600.0;

/// Whether a stream may hold a claim.
pub(super) fn is_wanted(topic: &str, attributes: &HashMap<String, String>) -> bool {
    let is_final = || attributes.get(FINAL).is_some_and(|value| value == "true");
    topic == SESSION || (topic == TRANSCRIPTION && is_final())
}

/// A claim, and the id of the request that it answers.
pub(super) type Answer = (Claim, Option<String>);

/// The claim in a stream of an agent that arrived at `arrival`.
pub(super) fn session(stream: &DataStream, arrival: Instant) -> Option<Answer> {
    let message = AgentSessionMessage::decode(&*stream.content).ok()?;
    let claim = |sent, kind| Claim {
        arrival,
        sent,
        requested: None,
        kind,
    };
    match message.message? {
        Message::Event(event) => {
            let sent = event.created_at.map(|t| time(t.seconds, t.nanos));
            Some((
                claim(sent, event.event.map_or(ClaimKind::Other, kind)),
                None,
            ))
        }
        Message::Response(response) => {
            let Response::GetSessionUsage(usage) = response.response? else {
                return None;
            };
            let sent = usage.created_at.map(|t| time(t.seconds, t.nanos));
            Some((claim(sent, ClaimKind::Other), Some(response.request_id)))
        }
        _ => None,
    }
}

/// The claim in a final transcript of the caller's words.
pub(super) fn transcript(stream: &DataStream, arrival: Instant) -> Option<Claim> {
    let is_text = stream.topic == TRANSCRIPTION && !stream.content.is_empty();
    is_text.then_some(Claim {
        arrival,
        sent: None,
        requested: None,
        kind: ClaimKind::Transcript,
    })
}

fn kind(event: Event) -> ClaimKind {
    let Event::ConversationItemAdded(added) = event else {
        return ClaimKind::Other;
    };
    let Some(Item::Message(message)) = added.item.and_then(|item| item.item) else {
        return ClaimKind::Other;
    };
    let metrics = message.metrics.unwrap_or_default();
    match ChatRole::try_from(message.role) {
        Ok(ChatRole::User) => ClaimKind::UserTurn(user_turn(&metrics)),
        Ok(ChatRole::Assistant) => ClaimKind::Reply(reply(&metrics)),
        _ => ClaimKind::Other,
    }
}

fn user_turn(metrics: &MetricsReport) -> UserTurn {
    UserTurn {
        stopped_speaking: metrics
            .stopped_speaking_at
            .as_ref()
            .map(|t| time(t.seconds, t.nanos)),
        transcription_delay: duration(metrics.transcription_delay),
        end_of_turn_delay: duration(metrics.end_of_turn_delay),
        on_user_turn_completed_delay: duration(metrics.on_user_turn_completed_delay),
    }
}

fn reply(metrics: &MetricsReport) -> Reply {
    Reply {
        started_speaking: metrics
            .started_speaking_at
            .as_ref()
            .map(|t| time(t.seconds, t.nanos)),
        llm_node_ttft: duration(metrics.llm_node_ttft),
        llm_node_ttfs: duration(metrics.llm_node_ttfs),
        tts_node_ttfb: duration(metrics.tts_node_ttfb),
        e2e_latency: duration(metrics.e2e_latency),
    }
}

fn time(seconds: i64, nanos: i32) -> AgentTime {
    AgentTime(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanos.into()),
    )
}

fn duration(seconds: Option<f64>) -> Option<Duration> {
    let plausible = seconds.filter(|s| (0.0..=LONGEST).contains(s))?;
    Duration::try_from_secs_f64(plausible).ok()
}
