//! Reads what an agent says about its session from the room's data streams.
//!
//! In: complete data streams. Out: claims. Invariant: text and numbers that make no sense yield no
//! claim, or one without them.

use super::streams::{DataStream, FINAL};
use super::wire::Bounded as _;
use crate::account::{AgentTime, Claim, ClaimKind, Reply, UserTurn};
use agent::agent_session_event::Event;
use agent::agent_session_message::Message;
use agent::chat_context::chat_item::Item;
use agent::session_response::Response;
use livekit_protocol::agent::{self, AgentSessionMessage, ChatRole, MetricsReport};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Topic of the byte streams in which an agent describes its session.
pub(super) const SESSION: &str = "lk.agent.session";
/// Topic of the text streams that carry transcripts.
pub(super) const TRANSCRIPTION: &str = "lk.transcription";
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
    let message = AgentSessionMessage::bounded(&stream.content).ok()?;
    let claim = |sent, kind| Claim {
        agent: stream.sender.as_str().into(),
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
    is_text.then(|| Claim {
        agent: Box::default(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    /// A claim as the agent's stream `content` holds it.
    fn claim(message: AgentSessionMessage) -> Option<Answer> {
        let stream = DataStream {
            sender: "agent".into(),
            topic: SESSION.into(),
            content: message.encode_to_vec(),
        };
        session(&stream, Instant::now())
    }

    fn item(role: ChatRole, metrics: MetricsReport) -> AgentSessionMessage {
        let message = agent::ChatMessage {
            role: role as i32,
            metrics: Some(metrics),
            extra: HashMap::from([("key".to_owned(), "value".to_owned())]),
            ..Default::default()
        };
        let added = agent::agent_session_event::ConversationItemAdded {
            item: Some(agent::chat_context::ChatItem {
                item: Some(Item::Message(message)),
            }),
        };
        let event = agent::AgentSessionEvent {
            created_at: None,
            event: Some(Event::ConversationItemAdded(added)),
        };
        AgentSessionMessage {
            message: Some(Message::Event(event)),
        }
    }

    #[test]
    fn the_metrics_of_both_sides_are_read() {
        let metrics = MetricsReport {
            end_of_turn_delay: Some(0.4736),
            transcription_delay: Some(-1.0),
            e2e_latency: Some(0.7932),
            llm_node_ttft: Some(f64::NAN),
            tts_node_ttfb: Some(1e9),
            ..MetricsReport::default()
        };
        let (user, _) = claim(item(ChatRole::User, metrics)).expect("a claim");
        let turn = UserTurn {
            end_of_turn_delay: Some(Duration::from_micros(473_600)),
            ..UserTurn::default()
        };
        assert_eq!(user.kind, ClaimKind::UserTurn(turn));
        let (reply, _) = claim(item(ChatRole::Assistant, metrics)).expect("a claim");
        let said = Reply {
            e2e_latency: Some(Duration::from_micros(793_200)),
            ..Reply::default()
        };
        assert_eq!(reply.kind, ClaimKind::Reply(said));
        let (other, _) = claim(item(ChatRole::System, metrics)).expect("a claim");
        assert_eq!(other.kind, ClaimKind::Other);
    }

    #[test]
    fn an_answer_names_its_request() {
        let usage = agent::session_response::GetSessionUsageResponse::default();
        let response = agent::SessionResponse {
            request_id: "loadgen-7".into(),
            error: None,
            response: Some(Response::GetSessionUsage(usage)),
        };
        let message = AgentSessionMessage {
            message: Some(Message::Response(response)),
        };
        let (_, id) = claim(message).expect("a claim");
        assert_eq!(id.as_deref(), Some("loadgen-7"));
        assert_eq!(claim(AgentSessionMessage::default()), None);
    }
}
