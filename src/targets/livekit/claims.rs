//! Reads an agent's claims about its session from the room's data streams.
//!
//! In: complete data streams. Out: claims. Invariant: implausible text and numbers are left out of
//! a claim; if nothing else remains, there is no claim.

use super::streams::{DataStream, FINAL};
use super::wire::{Bounded as _, TOOLS};
use crate::account::{
    AgentTime, Claim, ClaimKind, ModelKind, ModelUsage, Reply, SessionState, ToolEvent, Used,
    UserTurn,
};
use crate::vocab::truncated;
use agent::agent_session_event::{Event, tool_execution_updated::Update};
use agent::agent_session_message::Message;
use agent::chat_context::chat_item::Item;
use agent::chat_message::{ChatContent, chat_content::Payload};
use agent::model_usage::Usage;
use agent::session_response::Response;
use livekit_protocol::agent::{
    self, AgentSessionMessage, AgentSessionUsage, AgentState, ChatMessage, ChatRole, FunctionCall,
    FunctionCallOutput, MetricsReport, ToolCallStatus, UserState,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Topic of the byte streams in which an agent describes its session.
pub(super) const SESSION: &str = "lk.agent.session";
/// Topic of the text streams that carry transcripts.
pub(super) const TRANSCRIPTION: &str = "lk.transcription";
/// Topic of the text streams in which a caller writes to an agent.
pub(super) const CHAT: &str = "lk.chat";
/// Longest duration that an agent can plausibly claim, in seconds.
const LONGEST: f64 = 3_600.0;
/// Longest audio that an agent can plausibly have used in a call, in seconds: a month.
const MOST_AUDIO: f64 = 2_678_400.0;
/// Maximum length of a text and of a name, in bytes.
const TEXT: usize = 8 * 1024;
const NAME: usize = 128;

/// Whether a stream that was opened in the name of `sender` may contain a claim. An agent sends
/// each version of a transcript of the caller's words as a separate stream, so only the final
/// version is wanted. The agent sends its own words in a single stream, which some agents never
/// mark as final.
pub(super) fn is_wanted(
    topic: &str,
    attributes: &HashMap<String, String>,
    sender: &str,
    caller: &str,
) -> bool {
    let is_final = || attributes.get(FINAL).is_some_and(|value| value == "true");
    topic == SESSION || (topic == TRANSCRIPTION && (sender != caller || is_final()))
}

/// A claim, and the id of the request to which it responds.
pub(super) type Answer = (Claim, Option<String>);

/// The claim in an agent's stream that arrived at `arrival`.
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
            let tool = event
                .event
                .as_ref()
                .and_then(|event| tool_event(event, sent));
            let kind = tool.or_else(|| event.event.map(kind));
            Some((claim(sent, kind.unwrap_or(ClaimKind::Other)), None))
        }
        Message::Response(response) => {
            let Response::GetSessionUsage(answer) = response.response? else {
                return None;
            };
            let sent = answer.created_at.map(|t| time(t.seconds, t.nanos));
            let kind = answer.usage.map_or(ClaimKind::Other, usage);
            Some((claim(sent, kind), Some(response.request_id)))
        }
        _ => None,
    }
}

/// The claim in a text stream: a final transcript of the caller's words, or of a reply. A reply is
/// spoken while its stream is open, so its claim has the time at which the stream was opened.
pub(super) fn transcript(stream: &DataStream, caller: &str, arrival: Instant) -> Option<Claim> {
    let text = text(&String::from_utf8_lossy(&stream.content), TEXT)?;
    // Transcripts of the caller's words are sent in the caller's name.
    let (agent, at, kind) = match stream.sender == caller {
        true => ("", arrival, ClaimKind::Transcript(text)),
        false => {
            let kind = ClaimKind::ReplyTranscript(text);
            (&*stream.sender, stream.opened, kind)
        }
    };
    (stream.topic == TRANSCRIPTION).then(|| Claim {
        agent: agent.into(),
        arrival: at,
        sent: None,
        requested: None,
        kind,
    })
}

fn kind(event: Event) -> ClaimKind {
    match event {
        Event::ConversationItemAdded(added) => match added.item.and_then(|item| item.item) {
            Some(Item::Message(message)) => said(&message),
            _ => ClaimKind::Other,
        },
        Event::AgentStateChanged(change) => {
            AgentState::try_from(change.new_state).map_or(ClaimKind::Other, state)
        }
        Event::UserStateChanged(change) if change.new_state() == UserState::UsListening => {
            ClaimKind::CallerStopped
        }
        Event::SessionUsageUpdated(updated) => updated.usage.map_or(ClaimKind::Other, usage),
        Event::FunctionToolsExecuted(executed) => {
            tools(&executed.function_calls, &executed.function_call_outputs)
        }
        _ => ClaimKind::Other,
    }
}

fn said(message: &ChatMessage) -> ClaimKind {
    let metrics = message.metrics.unwrap_or_default();
    let words = |content: &ChatContent| match &content.payload {
        Some(Payload::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let words: Vec<String> = message.content.iter().filter_map(words).collect();
    let text = text(&words.join(" "), TEXT);
    match ChatRole::try_from(message.role) {
        Ok(ChatRole::User) => ClaimKind::UserTurn(user_turn(&metrics, text)),
        Ok(ChatRole::Assistant) => ClaimKind::Reply(Reply {
            // An item is created when the reply is requested from the model, or when a reply that
            // was prepared in advance is used.
            asked: message
                .created_at
                .as_ref()
                .map(|t| time(t.seconds, t.nanos)),
            ..reply(&metrics, text)
        }),
        _ => ClaimKind::Other,
    }
}

fn state(state: AgentState) -> ClaimKind {
    ClaimKind::State(match state {
        AgentState::AsInitializing => SessionState::Initializing,
        AgentState::AsIdle => SessionState::Idle,
        AgentState::AsListening => SessionState::Listening,
        AgentState::AsThinking => SessionState::Thinking,
        AgentState::AsSpeaking => SessionState::Speaking,
    })
}

/// The tool calls that began or ended with this event, if there are any. `sent`: when the event was
/// sent.
fn tool_event(event: &Event, sent: Option<AgentTime>) -> Option<ClaimKind> {
    let began = |call: &FunctionCall| {
        let call = ToolEvent {
            id: text(&call.call_id, NAME)?,
            name: text(&call.name, NAME),
            began: sent,
            ended: None,
            failed: false,
        };
        Some(call)
    };
    let events: Vec<ToolEvent> = match event {
        Event::FunctionToolsStarted(started) => {
            let calls = started.function_calls.iter().take(TOOLS);
            calls.filter_map(began).collect()
        }
        Event::ToolExecutionUpdated(updated) => match updated.update.as_ref()? {
            Update::Started(started) => vec![began(started.function_call.as_ref()?)?],
            Update::Ended(ended) => vec![ToolEvent {
                id: text(&ended.call_id, NAME)?,
                name: None,
                began: None,
                ended: sent,
                failed: ended.status() == ToolCallStatus::TcError,
            }],
            Update::CallUpdated(_) | Update::ReplyUpdated(_) => return None,
        },
        _ => return None,
    };
    Some(ClaimKind::Tools(events))
}

/// The tool calls in the summary that is sent after they have been executed.
fn tools(calls: &[FunctionCall], outputs: &[FunctionCallOutput]) -> ClaimKind {
    let events = calls.iter().take(TOOLS).filter_map(|call| {
        let output = outputs.iter().find(|output| output.call_id == call.call_id);
        let at = |stamp: Option<(i64, i32)>| stamp.map(|(s, ns)| time(s, ns));
        Some(ToolEvent {
            id: text(&call.call_id, NAME)?,
            name: text(&call.name, NAME),
            began: at(call.created_at.as_ref().map(|t| (t.seconds, t.nanos))),
            ended: at(output
                .and_then(|output| output.created_at.as_ref())
                .map(|t| (t.seconds, t.nanos))),
            failed: output.is_some_and(|output| output.is_error),
        })
    });
    ClaimKind::Tools(events.collect())
}

fn usage(usage: AgentSessionUsage) -> ClaimKind {
    let models = usage.model_usage.into_iter();
    ClaimKind::Usage(
        models
            .filter_map(|model| model_usage(model.usage?))
            .collect(),
    )
}

/// The usage of a model; `None` for kinds of model for which there are no prices.
fn model_usage(usage: Usage) -> Option<ModelUsage> {
    let count = |n: i32| u64::try_from(n).unwrap_or_default();
    let ms = |seconds: f64| (seconds.clamp(0.0, MOST_AUDIO) * 1e3).round() as u64;
    let (kind, provider, model, used) = match usage {
        Usage::Llm(llm) => {
            // Totals include cached tokens and tokens of audio.
            let cached_audio = count(llm.input_cached_audio_tokens);
            let cached = count(llm.input_cached_tokens).saturating_sub(cached_audio);
            let audio = count(llm.input_audio_tokens);
            let spoken = count(llm.output_audio_tokens);
            let input = count(llm.input_tokens).saturating_sub(audio);
            let used = Used {
                input_tokens: input.saturating_sub(cached),
                cached_tokens: cached,
                output_tokens: count(llm.output_tokens).saturating_sub(spoken),
                input_audio_tokens: audio.saturating_sub(cached_audio),
                cached_audio_tokens: cached_audio,
                output_audio_tokens: spoken,
                ..Used::default()
            };
            (ModelKind::Llm, llm.provider, llm.model, used)
        }
        Usage::Tts(tts) => {
            let used = Used {
                input_tokens: count(tts.input_tokens),
                output_tokens: count(tts.output_tokens),
                characters: count(tts.characters_count),
                audio_ms: ms(tts.audio_duration),
                ..Used::default()
            };
            (ModelKind::Tts, tts.provider, tts.model, used)
        }
        Usage::Stt(stt) => {
            let used = Used {
                input_tokens: count(stt.input_tokens),
                output_tokens: count(stt.output_tokens),
                audio_ms: ms(stt.audio_duration),
                ..Used::default()
            };
            (ModelKind::Stt, stt.provider, stt.model, used)
        }
        Usage::Interruption(_) | Usage::Eot(_) => return None,
    };
    let name = |name: String| text(&name, NAME).map_or_else(|| "unknown".into(), |n| n.to_string());
    Some(ModelUsage {
        kind,
        provider: name(provider),
        model: name(model),
        used,
    })
}

/// At most `most` bytes of a text, without space around it; `None` if nothing is left.
fn text(text: &str, most: usize) -> Option<Arc<str>> {
    let text = truncated(text, most).trim();
    (!text.is_empty()).then(|| text.into())
}

fn user_turn(metrics: &MetricsReport, text: Option<Arc<str>>) -> UserTurn {
    UserTurn {
        text,
        started_speaking: metrics
            .started_speaking_at
            .as_ref()
            .map(|t| time(t.seconds, t.nanos)),
        stopped_speaking: metrics
            .stopped_speaking_at
            .as_ref()
            .map(|t| time(t.seconds, t.nanos)),
        transcription_delay: duration(metrics.transcription_delay),
        end_of_turn_delay: duration(metrics.end_of_turn_delay),
        on_user_turn_completed_delay: duration(metrics.on_user_turn_completed_delay),
    }
}

fn reply(metrics: &MetricsReport, text: Option<Arc<str>>) -> Reply {
    Reply {
        text,
        asked: None,
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

    /// The claim that is read from an agent's stream with content `message`.
    fn claim(message: AgentSessionMessage) -> Option<Answer> {
        let stream = DataStream {
            sender: "agent".into(),
            topic: SESSION.into(),
            content: message.encode_to_vec(),
            opened: Instant::now(),
        };
        session(&stream, Instant::now())
    }

    fn stamp<T: Default + prost::Message>(seconds: i64) -> T {
        // The protocol crate's type cannot be named here, so the timestamp is decoded from bytes.
        let mut bytes = vec![0x08];
        prost::encoding::encode_varint(seconds as u64, &mut bytes);
        T::decode(&*bytes).expect("a timestamp")
    }

    fn item(role: ChatRole, metrics: MetricsReport) -> AgentSessionMessage {
        let message = ChatMessage {
            role: role as i32,
            metrics: Some(metrics),
            extra: HashMap::from([("key".to_owned(), "value".to_owned())]),
            content: vec![ChatContent {
                payload: Some(Payload::Text(" some words ".into())),
            }],
            created_at: Some(stamp(7)),
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
            text: Some("some words".into()),
            end_of_turn_delay: Some(Duration::from_micros(473_600)),
            ..UserTurn::default()
        };
        assert_eq!(user.kind, ClaimKind::UserTurn(turn));
        let (reply, _) = claim(item(ChatRole::Assistant, metrics)).expect("a claim");
        let said = Reply {
            text: Some("some words".into()),
            asked: Some(AgentTime(7_000_000_000)),
            e2e_latency: Some(Duration::from_micros(793_200)),
            ..Reply::default()
        };
        assert_eq!(reply.kind, ClaimKind::Reply(said));
        let (other, _) = claim(item(ChatRole::System, metrics)).expect("a claim");
        assert_eq!(other.kind, ClaimKind::Other);
    }

    #[test]
    fn a_response_has_the_id_of_its_request() {
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

    fn event(event: Event) -> AgentSessionMessage {
        AgentSessionMessage {
            message: Some(Message::Event(agent::AgentSessionEvent {
                created_at: Some(stamp(9)),
                event: Some(event),
            })),
        }
    }

    #[test]
    fn tools_begin_and_end_when_their_events_were_sent() {
        let call = FunctionCall {
            id: "item_1/fnc_0".into(),
            call_id: "call_1".into(),
            name: "look_up".into(),
            ..FunctionCall::default()
        };
        let updated = |update| {
            event(Event::ToolExecutionUpdated(
                agent::agent_session_event::ToolExecutionUpdated {
                    update: Some(update),
                },
            ))
        };
        let tool = |began, ended, name: Option<&str>, failed| {
            ClaimKind::Tools(vec![ToolEvent {
                id: "call_1".into(),
                name: name.map(Arc::from),
                began,
                ended,
                failed,
            }])
        };
        let at = Some(AgentTime(9_000_000_000));
        use agent::agent_session_event::tool_execution_updated::{Ended, Started};
        let started = updated(Update::Started(Started {
            function_call: Some(call.clone()),
        }));
        let (started, _) = claim(started).expect("a claim");
        assert_eq!(started.kind, tool(at, None, Some("look_up"), false));
        let mut end = Ended {
            call_id: "call_1".into(),
            ..Ended::default()
        };
        end.set_status(ToolCallStatus::TcError);
        let (ended, _) = claim(updated(Update::Ended(end))).expect("a claim");
        assert_eq!(ended.kind, tool(None, at, None, true));
        // The summary is sent once the preamble has been spoken, so the time of sending is not the
        // tool's.
        let executed = agent::agent_session_event::FunctionToolsExecuted {
            function_calls: vec![call],
            function_call_outputs: vec![FunctionCallOutput {
                call_id: "call_1".into(),
                is_error: true,
                ..FunctionCallOutput::default()
            }],
        };
        let (executed, _) = claim(event(Event::FunctionToolsExecuted(executed))).expect("a claim");
        assert_eq!(executed.kind, tool(None, None, Some("look_up"), true));
    }

    #[test]
    fn usage_is_split_into_separately_priced_amounts() {
        let llm = agent::LlmModelUsage {
            provider: "openai".into(),
            model: "realtime".into(),
            input_tokens: 1_000,
            input_cached_tokens: 300,
            input_audio_tokens: 600,
            input_cached_audio_tokens: 200,
            output_tokens: 90,
            output_audio_tokens: 70,
            ..Default::default()
        };
        let used = model_usage(Usage::Llm(llm)).expect("a model").used;
        let expected = Used {
            input_tokens: 300,
            cached_tokens: 100,
            output_tokens: 20,
            input_audio_tokens: 400,
            cached_audio_tokens: 200,
            output_audio_tokens: 70,
            ..Used::default()
        };
        assert_eq!(used, expected);
        let stt = agent::SttModelUsage {
            audio_duration: -1.0,
            input_tokens: -5,
            ..Default::default()
        };
        let stt = model_usage(Usage::Stt(stt)).expect("a model");
        assert_eq!((stt.used, &*stt.model), (Used::default(), "unknown"));
        let tts = agent::TtsModelUsage {
            audio_duration: f64::INFINITY,
            ..Default::default()
        };
        assert!(model_usage(Usage::Tts(tts)).is_some(), "no overflow");
    }

    #[test]
    fn interim_transcripts_of_the_caller_are_not_wanted() {
        let attributes = |is_final: &str| HashMap::from([(FINAL.to_owned(), is_final.to_owned())]);
        let wanted =
            |is_final, sender| is_wanted(TRANSCRIPTION, &attributes(is_final), sender, "me");
        assert!(wanted("true", "me") && !wanted("false", "me"));
        // Some agents never mark transcripts of their own words as final.
        assert!(wanted("false", "agent"));
    }
}
