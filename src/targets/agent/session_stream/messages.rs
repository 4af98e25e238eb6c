//! Builds the messages of the session stream, and the older transcript packets.
//!
//! In: events, with instants as ns since the Unix epoch. Out: encoded messages. Invariant: a
//! message has no fields for features that the reference agent lacks (models, recognised text).

use crate::call::AgentState;
use agent::agent_session_event::{
    AgentStateChanged, ConversationItemAdded, Event, SessionUsageUpdated, UserInputTranscribed,
    UserStateChanged,
};
use agent::agent_session_message::Message;
use agent::chat_context::ChatItem;
use agent::chat_context::chat_item::Item;
use agent::chat_message::{ChatContent, chat_content::Payload};
use agent::model_usage::Usage as Kind;
use agent::session_response::{GetSessionUsageResponse, Response};
use livekit_protocol::agent::{
    self, AgentHandoff, AgentSessionEvent, AgentSessionMessage, AgentSessionUsage, ChatMessage,
    ChatRole, MetricsReport, ModelUsage, SessionResponse, SttModelUsage, TtsModelUsage, UserState,
};
use livekit_protocol::data_packet::Value;
use livekit_protocol::{Transcription, TranscriptionSegment};
use pbjson_types::Timestamp;
use prost::Message as _;
use std::time::Duration;

/// Provider of the agent's models, as stated in usage reports.
const PROVIDER: &str = "loadgen";
/// Name of the agent's models, as stated in usage reports.
const MODEL: &str = "reference agent";

/// An instant, in ns since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WallTime(pub i64);

impl WallTime {
    /// The instant in ms since the Unix epoch.
    pub(super) fn milliseconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl From<WallTime> for Timestamp {
    fn from(WallTime(ns): WallTime) -> Self {
        Self {
            seconds: ns.div_euclid(1_000_000_000),
            nanos: ns.rem_euclid(1_000_000_000) as i32,
        }
    }
}

/// Amounts that the session has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Length of the caller's speech.
    pub heard: Duration,
    /// Length of the agent's speech.
    pub said: Duration,
}

impl Usage {
    /// The usage as a message; kinds of usage that are zero are left out.
    fn message(self) -> AgentSessionUsage {
        let heard = Kind::Stt(SttModelUsage {
            provider: PROVIDER.into(),
            model: MODEL.into(),
            audio_duration: self.heard.as_secs_f64(),
            ..Default::default()
        });
        let said = Kind::Tts(TtsModelUsage {
            provider: PROVIDER.into(),
            model: MODEL.into(),
            audio_duration: self.said.as_secs_f64(),
            ..Default::default()
        });
        let used = [(self.said, said), (self.heard, heard)];
        let used = used.into_iter().filter(|(length, _)| !length.is_zero());
        AgentSessionUsage {
            model_usage: used
                .map(|(_, kind)| ModelUsage { usage: Some(kind) })
                .collect(),
        }
    }
}

fn message(at: WallTime, event: Event) -> Vec<u8> {
    let event = AgentSessionEvent {
        created_at: Some(at.into()),
        event: Some(event),
    };
    let message = AgentSessionMessage {
        message: Some(Message::Event(event)),
    };
    message.encode_to_vec()
}

fn item(at: WallTime, item: Item) -> Vec<u8> {
    let item = Some(ChatItem { item: Some(item) });
    message(
        at,
        Event::ConversationItemAdded(ConversationItemAdded { item }),
    )
}

/// The message that the agent has taken over the session.
pub(super) fn handoff(at: WallTime, id: String) -> Vec<u8> {
    let handoff = AgentHandoff {
        id,
        new_agent_id: "reference_agent".into(),
        created_at: Some(at.into()),
        ..Default::default()
    };
    item(at, Item::AgentHandoff(handoff))
}

/// The message that the agent's state has changed.
pub(super) fn agent_state(at: WallTime, old: AgentState, new: AgentState) -> Vec<u8> {
    let changed = AgentStateChanged {
        old_state: state(old) as i32,
        new_state: state(new) as i32,
    };
    message(at, Event::AgentStateChanged(changed))
}

fn state(state: AgentState) -> agent::AgentState {
    match state {
        AgentState::Initializing => agent::AgentState::AsInitializing,
        AgentState::Idle => agent::AgentState::AsIdle,
        AgentState::Listening => agent::AgentState::AsListening,
        AgentState::Thinking => agent::AgentState::AsThinking,
        AgentState::Speaking => agent::AgentState::AsSpeaking,
    }
}

/// The message that the caller began to speak at this instant or, if `speaks` is false, stopped.
pub(super) fn user_state(at: WallTime, speaks: bool) -> Vec<u8> {
    let (old, new) = match speaks {
        true => (UserState::UsListening, UserState::UsSpeaking),
        false => (UserState::UsSpeaking, UserState::UsListening),
    };
    let changed = UserStateChanged {
        old_state: old as i32,
        new_state: new as i32,
    };
    message(at, Event::UserStateChanged(changed))
}

/// The message with the caller's speech as text.
pub(super) fn transcribed(at: WallTime, text: String) -> Vec<u8> {
    let transcribed = UserInputTranscribed {
        transcript: text,
        is_final: true,
        ..Default::default()
    };
    message(at, Event::UserInputTranscribed(transcribed))
}

/// The message with the session's usage so far, even if the usage has not changed.
pub(super) fn usage(at: WallTime, usage: Usage) -> Vec<u8> {
    let usage = Some(usage.message());
    message(
        at,
        Event::SessionUsageUpdated(SessionUsageUpdated { usage }),
    )
}

/// The response to a request for the usage.
pub(super) fn usage_response(at: WallTime, usage: Usage, request_id: String) -> Vec<u8> {
    let response = GetSessionUsageResponse {
        usage: Some(usage.message()),
        created_at: Some(at.into()),
    };
    let response = SessionResponse {
        request_id,
        error: None,
        response: Some(Response::GetSessionUsage(response)),
    };
    let message = AgentSessionMessage {
        message: Some(Message::Response(response)),
    };
    message.encode_to_vec()
}

/// The contents of a message of the conversation.
pub(super) struct Said {
    pub id: String,
    pub text: String,
    pub began: WallTime,
    pub stopped: WallTime,
}

/// The message that the caller's turn is over. The agent detected this `delay` after the end of
/// speech.
pub(super) fn user_turn(at: WallTime, said: Said, delay: Duration) -> Vec<u8> {
    let metrics = MetricsReport {
        end_of_turn_delay: Some(delay.as_secs_f64()),
        ..metrics(&said)
    };
    item(at, Item::Message(chat(at, ChatRole::User, said, metrics)))
}

/// The message that the agent has spoken; in a reply, `delay` after the caller's end of speech.
pub(super) fn reply(
    at: WallTime,
    said: Said,
    delay: Option<Duration>,
    interrupted: bool,
) -> Vec<u8> {
    let metrics = MetricsReport {
        e2e_latency: delay.map(|delay| delay.as_secs_f64()),
        ..metrics(&said)
    };
    let message = ChatMessage {
        interrupted,
        ..chat(at, ChatRole::Assistant, said, metrics)
    };
    item(at, Item::Message(message))
}

fn metrics(said: &Said) -> MetricsReport {
    MetricsReport {
        started_speaking_at: Some(said.began.into()),
        stopped_speaking_at: Some(said.stopped.into()),
        ..Default::default()
    }
}

fn chat(at: WallTime, role: ChatRole, said: Said, metrics: MetricsReport) -> ChatMessage {
    let payload = Some(Payload::Text(said.text));
    ChatMessage {
        id: said.id,
        role: role as i32,
        content: vec![ChatContent { payload }],
        metrics: Some(metrics),
        created_at: Some(at.into()),
        ..Default::default()
    }
}

/// A transcript in the form that older clients read: the entire text so far.
pub(super) fn transcription(
    identity: &str,
    track: &str,
    id: &str,
    text: &str,
    is_final: bool,
) -> Value {
    let segment = TranscriptionSegment {
        id: id.to_owned(),
        text: text.to_owned(),
        r#final: is_final,
        ..Default::default()
    };
    Value::Transcription(Transcription {
        transcribed_participant_identity: identity.to_owned(),
        track_id: track.to_owned(),
        segments: vec![segment],
    })
}
