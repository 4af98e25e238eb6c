//! One way to call an agent, whatever stands between.
//!
//! In: a peer of the media engine. Out: joined, the agent's track, its departure, the end.
//! Holds: a connection tells of the agent's track once, and ends in at most one `Closed`.

use super::embedded::Embedded;
use super::livekit::{AgentTrack, Join, Session, SessionEvent};
use crate::call::Failure;
use crate::net::{Endpoint, NetError, PeerEvent, PeerEvents, PeerHandle, Shape};
use std::sync::Arc;
use std::time::Duration;

/// What a call's connection tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorEvent {
    /// Joined and media flowing.
    Joined,
    /// The agent's audio reaches us in this section.
    AgentTrack {
        /// Transport index.
        transport: usize,
        /// Media section.
        mid: String,
    },
    /// The agent left.
    AgentLeft,
    /// The connection is over.
    Closed(Failure),
}

/// A call's connection to its agent.
pub enum Connection {
    /// Through a LiveKit room.
    Livekit {
        /// The room's session.
        session: Session,
        /// Which track is the agent's voice.
        wanted: AgentTrack,
        /// The agent's server-given id, once found.
        agent: Option<String>,
    },
    /// Straight to the embedded agent.
    Embedded(EmbeddedCall),
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
    told_track: bool,
    /// `Closed` has been told.
    over: bool,
}

impl Connection {
    /// Begins to join a LiveKit room.
    pub fn livekit<E: Endpoint>(
        join: Join,
        wanted: AgentTrack,
        peer: Arc<PeerHandle<E>>,
        media: PeerEvents,
    ) -> Self {
        Self::Livekit {
            session: Session::begin(join, peer, media),
            wanted,
            agent: None,
        }
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
            told_track: false,
            over: false,
        }))
    }

    /// The next event; `None` when there will be none. Cancel safe.
    pub async fn event(&mut self) -> Option<DoorEvent> {
        match self {
            Self::Livekit {
                session,
                wanted,
                agent,
            } => loop {
                match session.event().await? {
                    SessionEvent::Joined => return Some(DoorEvent::Joined),
                    SessionEvent::Track {
                        participant,
                        track,
                        transport,
                        mid,
                    } if agent.is_none() && wanted.matches(&participant, &track) => {
                        *agent = Some(participant.sid);
                        return Some(DoorEvent::AgentTrack { transport, mid });
                    }
                    SessionEvent::Left(p) if agent.as_ref() == Some(&p.sid) => {
                        return Some(DoorEvent::AgentLeft);
                    }
                    SessionEvent::Closed(f) => return Some(DoorEvent::Closed(f)),
                    SessionEvent::Track { .. } | SessionEvent::Left(_) => {}
                }
            },
            Self::Embedded(call) => call.event().await,
        }
    }

    /// Ends the connection.
    pub async fn hang_up(self) {
        match self {
            Self::Livekit { session, .. } => session.leave().await,
            Self::Embedded(call) => call.agent.bye(call.call).await,
        }
    }
}

impl EmbeddedCall {
    async fn event(&mut self) -> Option<DoorEvent> {
        if self.connected && !self.told_track {
            self.told_track = true;
            let mid = self.mid.clone();
            return Some(DoorEvent::AgentTrack { transport: 0, mid });
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
                    self.told_track = true;
                    return Some(DoorEvent::Closed(Failure::MediaNotConnected { waited }));
                }
            };
            match event {
                PeerEvent::Connected(_) => {
                    self.connected = true;
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
}
