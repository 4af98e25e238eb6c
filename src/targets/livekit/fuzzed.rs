//! The parts of signalling that the fuzz targets exercise.
//!
//! In: messages as a server would send them. Out: a session's reactions. Invariant: a message is
//! handled as in `session.rs`, except for IO.

use super::claims;
use super::negotiation::{candidate_of, tracks_of};
use super::requests::usage_request;
use super::roster::Presence;
use super::session::{left, on_request_response};
use super::signal::{Reply, printable};
use super::streams::Streams;
use super::voices::{AgentChoice, RoomEvent, Voices};
use super::wire::Bounded as _;
use crate::account::Claim;
use crate::call::Failure;
use livekit_protocol as proto;
use prost::Message as _;
use std::time::{Duration, Instant};

pub(crate) use super::streams::MOST_KEPT as LONGEST_STREAM;

/// Identity of the caller.
const CALLER: &str = "caller";

/// A session's data channel.
#[derive(Debug, Default)]
pub(crate) struct Data(Streams);

impl Data {
    /// Handles a message that arrives at `at`; returns the claim that the message completes, from
    /// any sender. Requests are parsed too, as an agent would parse them.
    pub(crate) fn packet(&mut self, bytes: &[u8], at: Instant) -> Option<Claim> {
        let packet = proto::DataPacket::bounded(bytes).ok()?;
        let wanted = |topic: &str, attributes: &_, sender: &str| {
            claims::is_wanted(topic, attributes, sender, CALLER)
        };
        let stream = self.0.packet(packet, at, wanted)?;
        match stream.topic == claims::SESSION {
            true => {
                let Some((claim, id)) = claims::session(&stream, at) else {
                    usage_request(&stream);
                    return None;
                };
                // Every response is treated as the response to a request sent 50 ms earlier.
                let requested = id.and_then(|_| at.checked_sub(Duration::from_millis(50)));
                Some(Claim { requested, ..claim })
            }
            false => claims::transcript(&stream, CALLER, at),
        }
    }

    /// Number of bytes kept for incomplete streams.
    pub(crate) fn kept(&self) -> usize {
        self.0.kept()
    }
}

/// The effect of a message.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Nothing of interest.
    Nothing,
    /// The session is over.
    Closed(Failure),
    /// An ICE candidate.
    Candidate(String),
    /// Events for the call.
    Told(Vec<Told>),
}

/// An event of the room, with text as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// An agent joined.
    Present(String),
    /// A track, with its id and its section.
    Track(String, usize, String),
    /// The track with this id has ended.
    Gone(String),
    /// The track with this id is muted.
    Muted(String),
    /// The agent's state.
    State,
    /// The last agent left.
    Left,
}

/// A session's view of its room.
pub(crate) struct Room {
    voices: Voices,
    single: bool,
    start: Instant,
}

impl Room {
    /// A room joined over one peer connection or two. `track` and `identity` choose the agent.
    pub(crate) fn new(single: bool, track: Option<String>, identity: Option<String>) -> Self {
        Self {
            voices: Voices::new(AgentChoice { track, identity }),
            single,
            start: Instant::now(),
        }
    }

    /// Handles a message that arrives at `at`; `None` if the bytes are not a message.
    pub(crate) fn message(&mut self, bytes: &[u8], at: Duration) -> Option<Reaction> {
        let message = proto::SignalResponse::decode(bytes).ok()?.message?;
        let now = self.start + at;
        let participants = |all: &[proto::ParticipantInfo]| all.iter().map(Presence::of).collect();
        Some(match message {
            Reply::Join(join) => told(
                self.voices
                    .participants(participants(&join.other_participants), now),
            ),
            Reply::Update(u) => told(self.voices.participants(participants(&u.participants), now)),
            Reply::Answer(mut answer) if self.single => {
                told(self.voices.sections(0, tracks_of(&mut answer), now))
            }
            Reply::Offer(mut offer) => told(self.voices.sections(1, tracks_of(&mut offer), now)),
            Reply::Trickle(t) => Reaction::Candidate(candidate_of(&t)),
            Reply::Leave(l) => Reaction::Closed(left(&l)),
            Reply::RequestResponse(r) => match on_request_response(&r) {
                Ok(()) => Reaction::Nothing,
                Err(failure) => Reaction::Closed(failure),
            },
            _ => Reaction::Nothing,
        })
    }

    /// The notice about several tracks, if there is one.
    pub(crate) fn take_notice(&mut self) -> Option<String> {
        self.voices.take_notice()
    }

    /// Sections that carry something other than the agent's voice, as transport and media section.
    pub(crate) fn newly_ignored(&mut self) -> Vec<(usize, String)> {
        let new = self.voices.newly_ignored().into_iter();
        new.map(|s| (s.transport, s.mid)).collect()
    }

    /// The participants, each with its number of tracks and the length of its longest text.
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        let of = |p: &super::roster::Participant| {
            let texts = p.tracks.iter().flat_map(|t| [&t.sid, &t.name]);
            let texts = texts.chain([&p.sid, &p.identity]);
            let longest = texts.map(|text| text.chars().count()).max();
            (p.tracks.len(), longest.unwrap_or_default())
        };
        self.voices.present().iter().map(of).collect()
    }

    /// All texts from the room that may explain why no agent audio is received.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.voices.seen();
        let tracks = seen.tracks.iter().chain(&seen.unplaced);
        let labels = tracks.map(|stream| printable(&stream.label()));
        let names = seen
            .agents
            .iter()
            .chain(seen.others.iter().map(|(name, _)| name));
        labels
            .chain(names.map(|name| printable(name)))
            .chain(
                seen.departed
                    .map(|d| format!("{} {:?}", d.reason, d.stayed)),
            )
            .collect()
    }
}

fn told(events: Vec<RoomEvent>) -> Reaction {
    let told = |event| match event {
        RoomEvent::AgentPresent(identity) => Told::Present(identity),
        RoomEvent::Track(stream, section) => {
            Told::Track(stream.sid, section.transport, section.mid)
        }
        RoomEvent::TrackGone(sid) => Told::Gone(sid),
        RoomEvent::TrackMuted(sid) => Told::Muted(sid),
        RoomEvent::AgentState(_) => Told::State,
        RoomEvent::AgentLeft => Told::Left,
    };
    Reaction::Told(events.into_iter().map(told).collect())
}
