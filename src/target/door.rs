//! One way to call an agent, whatever stands between.
//!
//! In: a peer of the media engine. Out: joined, agents and their tracks, the end.
//! Invariants: a connection ends in at most one `Closed`; the section of a track that is not
//! the agent's voice is ignored without anybody asking for it.

use super::embedded::Embedded;
use super::livekit::{AgentChoice, Join, Seen, Session, SessionEvent, Voices};
use crate::call::{AgentState, Failure};
use crate::net::{Endpoint, NetError, PeerEvent, PeerEvents, PeerHandle, Shape};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Identity and track of the embedded agent, which has no server to give it others.
const EMBEDDED: &str = "embedded";

/// What a call's connection tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorEvent {
    /// Joined and media flowing.
    Joined,
    /// An agent participant is in the room, perhaps since before us. Once for each arrival of
    /// each agent participant.
    AgentPresent {
        /// Its identity.
        identity: String,
    },
    /// A track that may be the agent's voice reaches us in this section. Told for every
    /// matching track, also for those that are published anew or later.
    AgentTrack {
        /// Which.
        track: AgentStream,
        /// Transport index.
        transport: usize,
        /// Media section.
        mid: String,
    },
    /// A track that was told is gone: it was unpublished, moved to another section, its
    /// participant left, or a better candidate replaced it.
    AgentTrackGone {
        /// Server-given id of the track.
        sid: String,
    },
    /// The publisher muted a track that was told: that its packets stop says nothing.
    AgentTrackMuted {
        /// Server-given id of the track.
        sid: String,
    },
    /// What the agent says that it is doing: at its arrival, and on every change. Of several
    /// agents it is what the busiest one says.
    AgentState(AgentState),
    /// The last agent participant left; `AgentPresent` may follow.
    AgentLeft,
    /// The connection is over.
    Closed(Failure),
}

/// An audio track that may be the agent's voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStream {
    /// Server-given id.
    pub sid: String,
    /// Name, as its publisher says.
    pub name: String,
    /// Identity of its publisher.
    pub identity: String,
    /// The publisher's kind, in LiveKit's words.
    pub kind: &'static str,
    /// The track's source, in LiveKit's words.
    pub source: &'static str,
    /// It was muted when it was told.
    pub muted: bool,
}

impl AgentStream {
    /// The track in words; what its publisher says is as it came.
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
    /// Straight to the embedded agent.
    Embedded(EmbeddedCall),
}

/// A call through a LiveKit room.
pub struct RoomCall {
    session: Session,
    voices: Voices,
    /// Events that wait to be told.
    events: VecDeque<DoorEvent>,
    /// Tells the peer which sections to ignore.
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
    /// Events that follow one that was told.
    to_tell: VecDeque<DoorEvent>,
    /// `Closed` has been told.
    over: bool,
}

impl Connection {
    /// Begins to join a LiveKit room.
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
    /// It is gone or refuses.
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

    /// The next event; `None` when there will be none. Cancel safe.
    pub async fn event(&mut self) -> Option<DoorEvent> {
        match self {
            Self::Livekit(call) => call.event().await,
            Self::Embedded(call) => call.event().await,
        }
    }

    /// A notice about several tracks that may be the agent's voice; once.
    pub fn take_notice(&mut self) -> Option<String> {
        match self {
            Self::Livekit(call) => call.voices.take_notice(),
            Self::Embedded(_) => None,
        }
    }

    /// What the room looks like now; `None` where there is no room.
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
    /// Cancel safe: what one event of the session leads to is kept until it is told.
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
                // Without a server in between, nothing else tells so soon.
                () = self.agent.gone(), if !self.over => {
                    self.over = true;
                    let detail = "the embedded agent ended".to_owned();
                    return Some(DoorEvent::Closed(Failure::Dropped { detail }));
                }
                () = tokio::time::sleep_until(self.deadline), if !self.connected => {
                    let waited = self.media_timeout;
                    self.connected = true; // told once
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

    /// The agent is the other end: it is there with its track as soon as media flow.
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
