//! A call to the embedded agent.
//!
//! In: a peer of the media engine, the agent's process. Out: the call's events.
//! Invariant: the agent is the remote peer. It is therefore present with its track as soon as media
//! flows, and the connection ends when the agent ends.

use super::child::AgentProcess;
use crate::call::{Failure, TargetFailure};
use crate::net::{Endpoint, NetError, PeerEvent, PeerEvents, PeerHandle, Topology};
use crate::targets::{Connection, Event, now, until};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time limit for ICE and DTLS.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of the agent's only track.
const TRACK: u32 = 0;

/// A call to the embedded agent.
pub(super) struct EmbeddedCall<E: Endpoint> {
    agent: Arc<AgentProcess>,
    number: u64,
    peer: Arc<PeerHandle<E>>,
    media: PeerEvents,
    /// The offer/answer exchange in progress; its result is the `mid` of our media section.
    joining: Option<BoxFuture<'static, Result<String, Failure>>>,
    mid: String,
    /// Deadline for media to flow; set once the answer has arrived.
    deadline: Option<Instant>,
    connected: bool,
    /// Events that have not yet been returned.
    to_tell: VecDeque<Event>,
    /// Cancelled when the agent leaves the call; `None` once that has been reported.
    left: Option<CancellationToken>,
    /// The end of the connection has been reported.
    over: bool,
}

impl<E: Endpoint> EmbeddedCall<E> {
    /// Starts a call to the agent.
    pub(super) fn begin(
        agent: Arc<AgentProcess>,
        (number, room): (u64, String),
        peer: Arc<PeerHandle<E>>,
        media: PeerEvents,
    ) -> Self {
        let left = Some(agent.departure(number));
        let joining = join(agent.clone(), (number, room), peer.clone());
        Self {
            agent,
            number,
            peer,
            media,
            joining: Some(Box::pin(joining)),
            mid: String::new(),
            deadline: None,
            connected: false,
            to_tell: VecDeque::new(),
            left,
            over: false,
        }
    }

    /// Waits for the answer; returns the failure if no answer arrives.
    async fn joined(&mut self) -> Option<Failure> {
        let joining = self.joining.as_mut()?;
        let joined = joining.await;
        self.joining = None;
        match joined {
            Ok(mid) => {
                self.mid = mid;
                self.deadline = Some(now() + MEDIA_TIMEOUT);
                None
            }
            Err(failure) => Some(failure),
        }
    }

    /// Reports the end of the connection, once.
    fn closed(&mut self, failure: Failure) -> Option<Event> {
        self.over = true;
        Some(Event::Closed(failure))
    }

    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.to_tell.pop_front() {
            return Some(event);
        }
        if self.over {
            return None;
        }
        if let Some(failure) = self.joined().await {
            return self.closed(failure);
        }
        loop {
            let deadline = self.deadline.filter(|_| !self.connected);
            let left = self.left.clone();
            let left = async {
                match left {
                    Some(left) => left.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = self.media.recv() => event?,
                // No server is involved, so nothing else would report the agent's exit as soon.
                () = self.agent.gone() => {
                    return self.closed(dropped("the embedded agent exited"));
                }
                () = left => {
                    self.left = None;
                    self.to_tell.push_back(Event::AgentLeft);
                    return Some(Event::AgentTrackGone(TRACK));
                }
                () = until(deadline) => {
                    return self.closed(no_media());
                }
            };
            match event {
                PeerEvent::Connected(_) => {
                    self.connected = true;
                    self.to_tell.extend(agent_events());
                    return Some(Event::Joined);
                }
                PeerEvent::Disconnected(_) => {
                    return self.closed(dropped("the embedded agent no longer answers"));
                }
                PeerEvent::Dead(detail) => {
                    return self.closed(Failure::Dropped { detail });
                }
                PeerEvent::Broken(detail) => {
                    return self.closed(Failure::Generator { detail });
                }
                PeerEvent::Messages(_) => {}
            }
        }
    }
}

impl<E: Endpoint> Connection for EmbeddedCall<E> {
    fn event(&mut self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(self.next())
    }

    fn listen(&mut self, track: u32) {
        let mid = self.mid.clone();
        self.peer.tell(move |p, _| p.listen_to(0, &mid, track));
    }

    fn stop_listening(&mut self, track: u32) {
        self.peer.tell(move |p, _| p.stop_listening(track));
    }

    fn ignore_all(&mut self) {
        self.peer.tell(|p, _| p.ignore_all());
    }

    fn hang_up(self: Box<Self>) -> BoxFuture<'static, ()> {
        let mut call = self;
        // A join in progress may hold the lock on the agent's pipe, which `bye` needs.
        drop(call.joining.take());
        Box::pin(async move { call.agent.bye(call.number).await })
    }
}

/// The agent is the remote peer, so it is present with its track as soon as media flows.
fn agent_events() -> [Event; 2] {
    let identity = "embedded".to_owned();
    let name = "embedded/embedded".into();
    [
        Event::AgentPresent { identity },
        Event::AgentTrack { track: TRACK, name },
    ]
}

fn dropped(detail: &str) -> Failure {
    let detail = detail.to_owned();
    Failure::Dropped { detail }
}

fn no_media() -> Failure {
    Failure::Target(TargetFailure {
        cause: "media_not_connected",
        message: format!("media did not connect within {MEDIA_TIMEOUT:?}"),
        hint: "the embedded agent is called over UDP on 127.0.0.1: does a firewall block it?",
        unreached: false,
    })
}

/// Exchanges offer and answer; returns the `mid` of our media section.
async fn join<E: Endpoint>(
    agent: Arc<AgentProcess>,
    (number, room): (u64, String),
    peer: Arc<PeerHandle<E>>,
) -> Result<String, Failure> {
    let broken = |e: NetError| Failure::Generator {
        detail: e.to_string(),
    };
    let track = format!("caller-{number}");
    let offer = peer
        .with(move |p, now| p.transport(0, now)?.offer(&track, Topology::Direct))
        .await
        .and_then(|r| r)
        .map_err(broken)?;
    let mid = crate::net::tracks_by_mid(&offer)
        .into_keys()
        .next()
        .unwrap_or_default();
    let answer = agent.offer(number, &room, offer).await?;
    peer.with(move |p, now| p.transport(0, now)?.answer(&answer))
        .await
        .and_then(|r| r)
        .map_err(broken)?;
    Ok(mid)
}
