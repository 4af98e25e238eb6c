//! The agent's description of a call in virtual time.

use super::*;
use livekit_protocol as proto;
use prost::Message as _;
use proto::agent::agent_session_event::Event;
use proto::agent::agent_session_message::Message;
use proto::agent::chat_context::chat_item::Item;
use proto::agent::{AgentSessionMessage, ChatMessage, ChatRole};
use proto::data_packet::Value;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Takes the queued packets and decodes them, in order.
fn packets(stream: &mut SessionStream) -> Vec<Value> {
    let packets = stream.take_packets().into_iter();
    let value = |bytes: Vec<u8>| proto::DataPacket::decode(&bytes[..]).ok()?.value;
    packets.filter_map(value).collect()
}

/// The messages of the session stream, each sent as the chunk between a header and a trailer.
fn messages(packets: &[Value]) -> Vec<Message> {
    let mut found = Vec::new();
    for three in packets.windows(3) {
        if let [
            Value::StreamHeader(header),
            Value::StreamChunk(chunk),
            Value::StreamTrailer(trailer),
        ] = three
            && header.topic == SESSION
        {
            assert_eq!(header.stream_id, chunk.stream_id);
            assert_eq!(header.stream_id, trailer.stream_id);
            assert!(chunk.content.len() <= 500, "{}", chunk.content.len());
            let message = AgentSessionMessage::decode(&chunk.content[..]).expect("a message");
            found.push(message.message.expect("one of them"));
        }
    }
    found
}

fn events(packets: &[Value]) -> Vec<Event> {
    let event = |message| match message {
        Message::Event(event) => event.event,
        _ => None,
    };
    messages(packets).into_iter().filter_map(event).collect()
}

/// The messages of the conversation.
fn said(packets: &[Value]) -> Vec<ChatMessage> {
    let said = |event| match event {
        Event::ConversationItemAdded(added) => match added.item?.item? {
            Item::Message(message) => Some(message),
            _ => None,
        },
        _ => None,
    };
    events(packets).into_iter().filter_map(said).collect()
}

/// A call that begins at `zero`.
fn begun(zero: Instant) -> SessionStream {
    let mut stream = SessionStream::new(zero, "agent-1".into(), "[tone]".into());
    stream.met("caller-1".into(), "TR_caller".into());
    stream.published("TR_agent".into());
    stream.begin(zero);
    stream
}

/// Runs the timeouts that are due before `until`.
fn run(stream: &mut SessionStream, until: Instant) {
    while let Some(due) = stream.poll_timeout().filter(|due| *due < until) {
        stream.timeout(due);
    }
}

/// The caller speaks from 1 s to 3 s, with a pause that the agent first takes for the end. The
/// reply is audible from 3.4 s to 4.9 s, or until the caller interrupts it.
fn turn(stream: &mut SessionStream, zero: Instant, interrupted: bool) -> Vec<Value> {
    let at = |n| zero + ms(n);
    let end = |speech_end| Happening::CallerStopped {
        speech_end: at(speech_end),
    };
    let audible = Happening::Audible {
        at: at(3_400),
        answers: Some(at(3_000)),
        length: ms(1_500),
    };
    let stops = if interrupted { 4_000 } else { 4_900 };
    let moments = [
        (1_000, Happening::CallerSpeaks),
        (2_130, end(2_000)),
        (2_130, Happening::State(AgentState::Thinking)),
        (2_200, Happening::CallerSpeaks),
        (2_200, Happening::State(AgentState::Listening)),
        (3_130, end(3_000)),
        (3_130, Happening::State(AgentState::Thinking)),
        (3_390, Happening::State(AgentState::Speaking)),
        (3_400, audible),
        (stops, Happening::Silent { interrupted }),
        (stops, Happening::State(AgentState::Listening)),
    ];
    for (moment, what) in moments {
        let moment = at(moment);
        run(stream, moment);
        stream.happened(Moment { at: moment, what });
    }
    packets(stream)
}

fn seconds(from: &Option<pbjson_types::Timestamp>, to: &Option<pbjson_types::Timestamp>) -> f64 {
    let at = |t: &Option<pbjson_types::Timestamp>| {
        let t = t.as_ref().expect("an instant");
        t.seconds as f64 + f64::from(t.nanos) / 1e9
    };
    at(to) - at(from)
}

#[test]
fn a_turn_is_described_once_with_its_real_times() {
    let zero = Instant::now();
    let mut stream = begun(zero);
    let packets = turn(&mut stream, zero, false);
    let said = said(&packets);
    let [user, reply] = &said[..] else {
        panic!("{said:#?}");
    };
    assert_eq!(user.role, ChatRole::User as i32);
    let heard = user.metrics.expect("metrics");
    let length = seconds(&heard.started_speaking_at, &heard.stopped_speaking_at);
    assert!((length - 2.0).abs() < 1e-6, "{length}");
    assert!((heard.end_of_turn_delay.expect("a delay") - 0.13).abs() < 1e-9);
    // The agent has no models and recognises no speech.
    assert_eq!(
        (heard.transcription_delay, heard.llm_node_ttft),
        (None, None)
    );
    assert_eq!(reply.role, ChatRole::Assistant as i32);
    assert!(!reply.interrupted);
    let told = reply.metrics.expect("metrics");
    assert!((told.e2e_latency.expect("a delay") - 0.4).abs() < 1e-9);
    let gap = seconds(&heard.stopped_speaking_at, &told.started_speaking_at);
    assert!((gap - 0.4).abs() < 1e-6, "{gap}");
    let length = seconds(&told.started_speaking_at, &told.stopped_speaking_at);
    assert!((length - 1.5).abs() < 1e-6, "{length}");
}

#[test]
fn an_interrupted_reply_is_reported_as_interrupted() {
    let zero = Instant::now();
    let packets = turn(&mut begun(zero), zero, true);
    let reply = said(&packets).pop().expect("a reply");
    assert!(reply.interrupted);
    let told = reply.metrics.expect("metrics");
    let length = seconds(&told.started_speaking_at, &told.stopped_speaking_at);
    assert!((length - 0.6).abs() < 1e-6, "{length}");
}

#[test]
fn transcripts_of_both_sides_are_text_streams_and_marked_final_at_the_end() {
    let zero = Instant::now();
    let mut stream = begun(zero);
    let packets = turn(&mut stream, zero, false);
    let headers = packets.iter().filter_map(|p| match p {
        Value::StreamHeader(header) if header.topic == TRANSCRIPTION => Some(header),
        _ => None,
    });
    let tracks: Vec<_> = headers
        .map(|header| {
            let track = header.attributes["lk.transcribed_track_id"].as_str();
            (track, header.attributes[FINAL].as_str())
        })
        .collect();
    let caller = "TR_caller";
    // The caller has two interim transcripts, one for each detected end of speech.
    let expected = [
        (caller, "false"),
        (caller, "false"),
        (caller, "true"),
        ("TR_agent", "false"),
    ];
    assert_eq!(tracks, expected);
    let mut closed = packets.iter().filter_map(|p| match p {
        Value::StreamTrailer(trailer) => trailer.attributes.get(FINAL),
        _ => None,
    });
    assert_eq!(closed.next_back().map(String::as_str), Some("true"));
    let legacy: Vec<_> = packets
        .iter()
        .filter_map(|p| match p {
            Value::Transcription(t) => Some((
                t.transcribed_participant_identity.as_str(),
                t.segments[0].text.as_str(),
                t.segments[0].r#final,
            )),
            _ => None,
        })
        .collect();
    assert!(
        legacy.contains(&("caller-1", "[2.0 s of speech]", true)),
        "{legacy:?}"
    );
    // One word every 250 ms; the last is due at 1.25 s of 1.5 s.
    let whole = "[tone] 0.50s 0.75s 1.00s 1.25s";
    assert_eq!(legacy.last(), Some(&("agent-1", whole, true)));
}

#[test]
fn speech_on_an_unknown_track_is_not_transcribed() {
    let zero = Instant::now();
    let mut stream = SessionStream::new(zero, "agent-1".into(), "[tone]".into());
    assert_eq!(stream.poll_timeout(), None, "not begun");
    stream.begin(zero);
    let packets = turn(&mut stream, zero, false);
    assert_eq!(said(&packets).len(), 2);
    let is_transcript = |p: &Value| match p {
        Value::StreamHeader(header) => header.topic == TRANSCRIPTION,
        Value::Transcription(_) => true,
        _ => false,
    };
    assert!(!packets.iter().any(is_transcript));
}

#[test]
fn usage_is_reported_twice_a_second_and_on_request() {
    let zero = Instant::now();
    let mut stream = begun(zero);
    packets(&mut stream);
    run(&mut stream, zero + ms(10_001));
    let told = events(&packets(&mut stream));
    assert_eq!(told.len(), 20);
    assert!(
        told.iter()
            .all(|e| matches!(e, Event::SessionUsageUpdated(_)))
    );
    // Reports that were missed during a stall are not sent later.
    stream.timeout(zero + ms(60_000));
    stream.timeout(zero + ms(60_001));
    assert!(events(&packets(&mut stream)).len() <= 4);

    stream.asked(zero + ms(61_000), "q".into());
    let answer = messages(&packets(&mut stream)).pop();
    let Some(Message::Response(response)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(response.request_id, "q");
}

#[test]
fn unsent_packets_stay_in_order_and_are_bounded_in_number() {
    let zero = Instant::now();
    let mut stream = begun(zero);
    let unsent = stream.take_packets();
    let first = unsent.front().cloned();
    stream.asked(zero, "q".into());
    stream.keep(unsent);
    let kept = stream.take_packets();
    assert_eq!(kept.front().cloned(), first);
    stream.keep(kept);
    for _ in 0..1_000 {
        stream.asked(zero, "q".into());
        let unsent = stream.take_packets();
        stream.keep(unsent);
    }
    assert_eq!(stream.take_packets().len(), WAITING);
}
