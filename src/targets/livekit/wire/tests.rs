//! Messages as servers send them, and messages that a hostile server might send.
//!
//! Invariant: a message within the bounds is decoded to the same value as without bounds.

use super::*;
use proptest::prelude::*;
use prost::Message as _;
use proto::signal_response::Message as Reply;
use std::collections::HashMap;

fn response(message: Reply) -> proto::SignalResponse {
    proto::SignalResponse {
        message: Some(message),
    }
}

fn participant(n: usize) -> proto::ParticipantInfo {
    let track = |kind: proto::TrackType| proto::TrackInfo {
        sid: format!("TR_{n}"),
        name: "microphone".into(),
        r#type: kind as i32,
        muted: n.is_multiple_of(2),
        source: proto::TrackSource::Microphone as i32,
        ..Default::default()
    };
    #[expect(deprecated, reason = "older servers send this field")]
    let permission = proto::ParticipantPermission {
        recorder: n.is_multiple_of(3),
        ..Default::default()
    };
    proto::ParticipantInfo {
        sid: format!("PA_{n}"),
        identity: format!("guest-{n}"),
        state: proto::participant_info::State::Active as i32,
        kind: proto::participant_info::Kind::Agent as i32,
        disconnect_reason: proto::DisconnectReason::ClientInitiated as i32,
        permission: Some(permission),
        tracks: vec![
            track(proto::TrackType::Audio),
            track(proto::TrackType::Video),
        ],
        attributes: HashMap::from([("lk.agent.state".into(), "speaking".into())]),
        ..Default::default()
    }
}

fn unfit(message: &proto::SignalResponse) -> String {
    let refused = proto::SignalResponse::bounded(&message.encode_to_vec());
    refused.expect_err("over a bound").to_string()
}

#[test]
fn known_fields_are_kept_and_others_dropped() {
    let kept = proto::JoinResponse {
        participant: Some(proto::ParticipantInfo {
            sid: "PA_self".into(),
            ..Default::default()
        }),
        other_participants: (0..100).map(participant).collect(),
        ping_timeout: 15,
        ping_interval: 5,
        ..Default::default()
    };
    let mut sent = kept.clone();
    sent.server_version = "1.13".into();
    sent.ice_servers = vec![proto::IceServer::default(); 10_000];
    for p in &mut sent.other_participants {
        p.metadata = "x".repeat(10_000);
        p.attributes.insert("locale".into(), "en".into());
        p.tracks[0].codecs = vec![proto::SimulcastCodecInfo::default(); 100];
    }
    let bytes = response(Reply::Join(sent)).encode_to_vec();
    let read = proto::SignalResponse::bounded(&bytes);
    assert_eq!(read, Ok(response(Reply::Join(kept))));

    let description = proto::SessionDescription {
        r#type: "answer".into(),
        sdp: "v=0".into(),
        id: 7,
        mid_to_track_id: HashMap::from([("0".into(), "TR_a".into())]),
    };
    for whole in [
        Reply::Answer(description.clone()),
        Reply::Offer(description),
        Reply::Update(proto::ParticipantUpdate {
            participants: vec![participant(1)],
        }),
        Reply::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::RoomDeleted as i32,
            ..Default::default()
        }),
        Reply::Trickle(proto::TrickleRequest {
            candidate_init: "{}".into(),
            target: 1,
            ..Default::default()
        }),
        Reply::RequestResponse(proto::RequestResponse {
            reason: proto::request_response::Reason::LimitExceeded as i32,
            message: "no more".into(),
            ..Default::default()
        }),
        Reply::MediaSectionsRequirement(proto::MediaSectionsRequirement {
            num_audios: 2,
            ..Default::default()
        }),
    ] {
        let message = response(whole);
        let read = proto::SignalResponse::bounded(&message.encode_to_vec());
        assert_eq!(read, Ok(message));
    }
    let speakers = Reply::SpeakersChanged(proto::SpeakersChanged {
        speakers: vec![proto::SpeakerInfo::default(); 1_000_000],
    });
    let read = proto::SignalResponse::bounded(&response(speakers).encode_to_vec());
    assert_eq!(read, Ok(proto::SignalResponse::default()), "not used");
}

#[test]
fn the_error_states_the_exceeded_bound() {
    let tracks = |n| proto::ParticipantInfo {
        tracks: vec![proto::TrackInfo::default(); n],
        ..Default::default()
    };
    let update = |participants| Reply::Update(proto::ParticipantUpdate { participants });
    let described = |sections: usize, length: usize| {
        let tracks = (0..sections).map(|n| (n.to_string(), format!("TR_{n}")));
        Reply::Answer(proto::SessionDescription {
            sdp: "x".repeat(length),
            mid_to_track_id: tracks.collect(),
            ..Default::default()
        })
    };
    let trickled = |length| {
        Reply::Trickle(proto::TrickleRequest {
            candidate_init: "x".repeat(length),
            ..Default::default()
        })
    };
    let empty = proto::ParticipantInfo::default();
    let joined = |n| {
        Reply::Join(proto::JoinResponse {
            other_participants: vec![empty.clone(); n],
            ..Default::default()
        })
    };
    for (over, within, words) in [
        (
            joined(600_000),
            joined(1_000),
            "more than 1000 participants in one message",
        ),
        (
            update(vec![empty.clone(); 1_001]),
            update(vec![empty.clone(); 1_000]),
            "more than 1000 participants in one message",
        ),
        (
            update(vec![tracks(1_000), tracks(1_001)]),
            update(vec![tracks(1_000), tracks(1_000)]),
            "more than 2000 tracks in one message",
        ),
        (
            described(257, 0),
            described(256, 512 << 10),
            "more than 256 media sections in one message",
        ),
        (
            described(0, (512 << 10) + 1),
            described(0, 512 << 10),
            "more than 524288 bytes of a session description in one message",
        ),
        (
            trickled(4_097),
            trickled(4_096),
            "more than 4096 bytes of a candidate in one message",
        ),
    ] {
        assert_eq!(unfit(&response(over)), words);
        let bytes = response(within).encode_to_vec();
        assert!(proto::SignalResponse::bounded(&bytes).is_ok(), "{words}");
    }
}

#[test]
fn only_the_first_dispatches_and_jobs_are_kept() {
    let job = proto::Job {
        state: Some(proto::JobState {
            error: "no key".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let dispatch = proto::AgentDispatch {
        agent_name: "support".into(),
        state: Some(proto::AgentDispatchState {
            jobs: vec![job; 10],
            ..Default::default()
        }),
        ..Default::default()
    };
    let all = proto::ListAgentDispatchResponse {
        agent_dispatches: vec![dispatch; 10_000],
    };
    let read =
        proto::ListAgentDispatchResponse::bounded(&all.encode_to_vec()).expect("within the bounds");
    assert_eq!(read.agent_dispatches.len(), DISPATCHES);
    let states = read.agent_dispatches.iter().flat_map(|d| &d.state);
    assert_eq!(states.map(|s| s.jobs.len()).sum::<usize>(), DISPATCHES);
    assert_eq!(read.agent_dispatches[0].agent_name, "support");
}

#[test]
fn messages_to_a_worker_are_read() {
    let message = proto::ServerMessage {
        message: Some(proto::server_message::Message::Assignment(
            proto::JobAssignment {
                job: Some(proto::Job {
                    id: "AJ_1".into(),
                    room: Some(proto::Room {
                        name: "r".into(),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                token: "t".into(),
                ..Default::default()
            },
        )),
    };
    let read = proto::ServerMessage::bounded(&message.encode_to_vec());
    assert_eq!(read, Ok(message));
}

#[test]
fn broken_messages_are_refused() {
    for bytes in [
        &[0x0a][..],
        &[0x0a, 5, 1],
        &[0x0b],
        &[0x0f, 1],
        &[0x09, 1],
        &[0xff; 12],
        &[0x2a, 2, 0x0a, 9],
    ] {
        let read = proto::SignalResponse::bounded(bytes);
        assert_eq!(read, Err(Unfit::Malformed), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut kept = Vec::new();
        let parts = proto::SignalResponse::PARTS;
        let _ = keep(&bytes, parts, &mut Vec::new(), &mut kept);
        // Lengths may be re-encoded in fewer bytes, never in more.
        prop_assert!(kept.len() <= bytes.len());
    }
}
