//! A call's connection to its agent, the same for every target.
//!
//! In: a peer of the media engine. Out: joined, agents and their tracks, the end.
//! Invariants: a connection ends in at most one `Closed`; the section of a track that is not
//! the agent's voice is ignored without a request to do so.

use super::embedded::Embedded;
use super::livekit::{AgentChoice, Join, Seen, Session, SessionEvent, Voices};
use crate::call::{AgentState, Failure};
use crate::net::{Endpoint, NetError, PeerEvent, PeerEvents, PeerHandle, Shape};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Identity and track name of the embedded agent, which has no server to assign them.
const EMBEDDED: &str = "embedded";

/// An event of a call's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorEvent {
    /// Joined, and media are flowing.
    Joined,
    /// An agent participant is in the room, perhaps since before we joined. Reported once for each
    /// arrival of each agent participant.
    AgentPresent {
        /// Its identity.
        identity: String,
    },
    /// A track that may be the agent's voice reaches us in this section. Reported for every
    /// matching track, including those that are republished or published later.
    AgentTrack {
        /// The track.
        track: AgentStream,
        /// Transport index.
        transport: usize,
        /// Media section.
        mid: String,
    },
    /// A reported track is gone: it was unpublished, moved to another section, its participant
    /// left, or a better candidate replaced it.
    AgentTrackGone {
        /// Server-assigned id of the track.
        sid: String,
    },
    /// The publisher muted a reported track, so the absence of packets means nothing.
    AgentTrackMuted {
        /// Server-assigned id of the track.
        sid: String,
    },
    /// The state that the agent reports: at its arrival, and on every change. With several agents,
    /// the state of the busiest one.
    AgentState(AgentState),
    /// The last agent participant left; `AgentPresent` may follow.
    AgentLeft,
    /// The connection is over.
    Closed(Failure),
}

/// An audio track that may be the agent's voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStream {
    /// Server-assigned id.
    pub sid: String,
    /// Name given by its publisher.
    pub name: String,
    /// Identity of its publisher.
    pub identity: String,
    /// The publisher's kind, by its name in LiveKit's protocol.
    pub kind: &'static str,
    /// The track's source, by its name in LiveKit's protocol.
    pub source: &'static str,
    /// Whether it was muted when it was reported.
    pub muted: bool,
}

impl AgentStream {
    /// A description of the track. The publisher's text is not sanitized.
    pub fn label(&self) -> String {
        format!(
            "`{}` of `{}` (kind {}, source {})",
            self.name, self.identity, self.kind, self.source
        )
    }
}

/// A call's connection to its agent.
pub enum Connection {
    /// Through a LiveKit room.
    Livekit(Box<RoomCall>),
    /// Directly to the embedded agent.
    Embedded(EmbeddedCall),
}

/// A call through a LiveKit room.
pub struct RoomCall {
    session: Session,
    voices: Voices,
    /// Events not yet reported.
    events: VecDeque<DoorEvent>,
    /// Tells the peer to ignore a section.
    ignore: Box<dyn Fn(usize, String) + Send + Sync>,
}

/// A call to the embedded agent.
pub struct EmbeddedCall {
    agent: Arc<Embedded>,
    call: u64,
    media: PeerEvents,
    media_timeout: Duration,
    deadline: tokio::time::Instant,
    mid: String,
    connected: bool,
    /// Events that follow one already reported.
    to_tell: VecDeque<DoorEvent>,
    /// The end of the agent has been reported.
    over: bool,
}

impl Connection {
    /// Starts to join a LiveKit room.
    pub fn livekit<E: Endpoint>(
        join: Join,
        choice: AgentChoice,
        peer: Arc<PeerHandle<E>>,
        media: PeerEvents,
    ) -> Self {
        let ignoring = peer.clone();
        Self::Livekit(Box::new(RoomCall {
            session: Session::begin(join, peer, media),
            voices: Voices::new(choice),
            events: VecDeque::new(),
            ignore: Box::new(move |transport, mid| {
                ignoring.tell(move |p| p.ignore(transport, &mid));
            }),
        }))
    }

    /// Calls the embedded agent.
    ///
    /// # Errors
    /// The agent is gone or refuses the call.
    pub async fn embedded<E: Endpoint>(
        agent: Arc<Embedded>,
        (call, room): (u64, &str),
        peer: &PeerHandle<E>,
        media: PeerEvents,
        media_timeout: Duration,
    ) -> Result<Self, Failure> {
        let broken = |e: NetError| Failure::Generator {
            detail: e.to_string(),
        };
        let track = format!("caller-{call}");
        let offer = peer
            .with(move |p, now| p.transport(0, now)?.offer(&track, Shape::Direct))
            .await
            .and_then(|r| r)
            .map_err(broken)?;
        let mid = crate::net::tracks_by_mid(&offer)
            .into_keys()
            .next()
            .unwrap_or_default();
        let answer = agent.offer(call, room, offer).await?;
        peer.with(move |p, now| p.transport(0, now)?.answer(&answer))
            .await
            .and_then(|r| r)
            .map_err(broken)?;
        Ok(Self::Embedded(EmbeddedCall {
            agent,
            call,
            media,
            media_timeout,
            deadline: tokio::time::Instant::now() + media_timeout,
            mid,
            connected: false,
            to_tell: VecDeque::new(),
            over: false,
        }))
    }

    /// The next event; `None` when there will be no more. Cancel safe.
    pub async fn event(&mut self) -> Option<DoorEvent> {
        match self {
            Self::Livekit(call) => call.event().await,
            Self::Embedded(call) => call.event().await,
        }
    }

    /// Takes the notice that several tracks may be the agent's voice; there is at most one.
    pub fn take_notice(&mut self) -> Option<String> {
        match self {
            Self::Livekit(call) => call.voices.take_notice(),
            Self::Embedded(_) => None,
        }
    }

    /// What the room looks like now; `None` if the connection has no room.
    pub fn seen(&self) -> Option<Seen> {
        match self {
            Self::Livekit(call) => Some(call.voices.seen()),
            Self::Embedded(_) => None,
        }
    }

    /// Ends the connection.
    pub async fn hang_up(self) {
        match self {
            Self::Livekit(call) => call.session.leave().await,
            Self::Embedded(call) => call.agent.bye(call.call).await,
        }
    }
}

impl RoomCall {
    /// Cancel safe: the events that follow from one session event are kept until they are reported.
    async fn event(&mut self) -> Option<DoorEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let told = match self.session.event().await? {
                SessionEvent::Joined => vec![DoorEvent::Joined],
                SessionEvent::Participants(all) => self.voices.participants(all, Instant::now()),
                SessionEvent::Sections { transport, tracks } => {
                    self.voices.sections(transport, tracks, Instant::now())
                }
                SessionEvent::Closed(f) => vec![DoorEvent::Closed(f)],
            };
            for section in self.voices.newly_ignored() {
                (self.ignore)(section.transport, section.mid);
            }
            self.events.extend(told);
        }
    }
}

impl EmbeddedCall {
    async fn event(&mut self) -> Option<DoorEvent> {
        if let Some(event) = self.to_tell.pop_front() {
            return Some(event);
        }
        loop {
            let event = tokio::select! {
                event = self.media.recv() => event?,
                // With no server in between, nothing else reports this so soon.
                () = self.agent.gone(), if !self.over => {
                    self.over = true;
                    let detail = "the embedded agent ended".to_owned();
                    return Some(DoorEvent::Closed(Failure::Dropped { detail }));
                }
                () = tokio::time::sleep_until(self.deadline), if !self.connected => {
                    let waited = self.media_timeout;
                    self.connected = true; // report it once
                    return Some(DoorEvent::Closed(Failure::MediaNotConnected { waited }));
                }
            };
            match event {
                PeerEvent::Connected(_) => {
                    self.connected = true;
                    self.to_tell.extend(self.agent_events());
                    return Some(DoorEvent::Joined);
                }
                PeerEvent::Disconnected(_) => {
                    let detail = "the embedded agent no longer answers".to_owned();
                    return Some(DoorEvent::Closed(Failure::Dropped { detail }));
                }
                PeerEvent::Dead(detail) => {
                    return Some(DoorEvent::Closed(Failure::Dropped { detail }));
                }
                PeerEvent::Broken(detail) => {
                    return Some(DoorEvent::Closed(Failure::Generator { detail }));
                }
                PeerEvent::ChannelOpen(_) => {}
            }
        }
    }

    /// The agent is the other end, so it is present with its track as soon as media flow.
    fn agent_events(&self) -> [DoorEvent; 2] {
        let identity = EMBEDDED.to_owned();
        let track = AgentStream {
            sid: EMBEDDED.to_owned(),
            name: EMBEDDED.to_owned(),
            identity: identity.clone(),
            kind: "AGENT",
            source: "MICROPHONE",
            muted: false,
        };
        let (transport, mid) = (0, self.mid.clone());
        [
            DoorEvent::AgentPresent { identity },
            DoorEvent::AgentTrack {
                track,
                transport,
                mid,
            },
        ]
    }
}
