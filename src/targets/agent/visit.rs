//! One visit of the reference agent to a room, from the job's assignment to the caller's departure.
//!
//! In: the room and a token for the room. Out: audio, states and the description of the call.
//! Invariant: the caller is the first participant that is not an agent and whose track is
//! subscribed.

use super::Agent;
use super::brain::{Act, AgentEnd};
use super::teller::Teller;
use crate::call::{AgentState, Failure};
use crate::net::{PeerHandle, monotonic_ns};
use crate::targets::livekit::resolve::resolve;
use crate::targets::livekit::{
    Cause, Join, ParticipantKind, Roster, Session, SessionCommand, SessionEvent, state,
};
use crate::vocab::Address;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Time limit for the join.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum number of state changes queued for publication.
const STATES: usize = 16;
/// Maximum number of acts that wait for the session.
const ACTS: usize = 4;
/// Number of the only track that the agent listens to.
const CALLER: u32 = 0;

/// The room to join, and the agent's settings for it.
pub(super) struct Invitation {
    /// The server's address.
    pub address: Address,
    pub room: String,
    pub token: String,
    /// The agent's identity in the room.
    pub identity: String,
    /// Placeholder for the agent's words in transcripts; `None` if the agent sends no description.
    pub label: Option<String>,
}

/// The agent in its room.
struct Visit {
    peer: Arc<PeerHandle<AgentEnd>>,
    states: mpsc::Sender<AgentState>,
    acts: mpsc::Sender<Act>,
    room: Roster,
    /// Server-assigned id of the caller's participant.
    caller: Option<String>,
    /// Describes the call; `None` if the agent sends no description.
    teller: Option<Teller>,
}

/// Joins the room and stays until the caller has left.
pub(super) async fn attend(
    agent: &Agent,
    invitation: Invitation,
    end: &CancellationToken,
) -> Result<(), Failure> {
    let remote = resolve(&invitation.address).await.map_err(|e| {
        Failure::from(Cause::Unreachable {
            detail: e.to_string(),
        })
    })?;
    let (peer, media) = agent.engine.add(agent.end(&invitation.room), remote);
    let peer = Arc::new(peer);
    let join = Join {
        address: invitation.address,
        token: invitation.token,
        cid: format!("agent-{:x}", monotonic_ns(Instant::now())),
        join_timeout: PATIENCE,
        media_timeout: PATIENCE,
        examine: false,
    };
    let mut session = Session::begin(join, peer.clone(), media);
    let (states, mut changes) = mpsc::channel(STATES);
    let (acts, mut asked) = mpsc::channel(ACTS);
    let commands = session.commands();
    let label = invitation.label;
    let mut visit = Visit {
        peer,
        states,
        acts,
        room: Roster::default(),
        caller: None,
        teller: label.map(|label| Teller::new(invitation.identity, label)),
    };
    let result = loop {
        tokio::select! {
            event = session.event() => {
                if let Some(result) = visit.event(event).await {
                    break result;
                }
            }
            Some(told) = changes.recv() => {
                let attributes = HashMap::from([(
                    state::ATTRIBUTE.to_owned(),
                    state::value(told).to_owned(),
                )]);
                let _ = commands.try_send(SessionCommand::SetAttributes(attributes));
            }
            Some(act) = asked.recv() => match act {
                Act::HangUp => break Ok(()),
                Act::Republish => {
                    let cid = format!("agent-{:x}", monotonic_ns(Instant::now()));
                    let _ = commands.try_send(SessionCommand::Republish(cid));
                }
            },
            () = visit.describe() => {}
            () = end.cancelled() => break Ok(()),
        }
        visit.send().await;
    };
    session.leave().await;
    result
}

impl Visit {
    /// Handles an event of the session; returns the visit's result if it is over.
    async fn event(&mut self, event: Option<SessionEvent>) -> Option<Result<(), Failure>> {
        match event {
            Some(SessionEvent::Joined) => self.joined().await,
            Some(SessionEvent::Participants(all)) => {
                let left = all.into_iter().filter_map(|p| self.room.update(p));
                let left: Vec<String> = left.map(|p| p.sid).collect();
                if self.caller.as_ref().is_some_and(|c| left.contains(c)) {
                    return Some(Ok(()));
                }
                self.meet().await;
            }
            Some(SessionEvent::Sections { transport, tracks }) => {
                self.room.place(transport, tracks);
                self.meet().await;
            }
            Some(SessionEvent::Published(track)) => {
                if let Some(teller) = &mut self.teller {
                    teller.stream().published(track);
                }
            }
            Some(SessionEvent::UsageRequest(request)) => {
                if let Some(teller) = &mut self.teller {
                    teller.stream().asked(Instant::now(), request);
                }
            }
            Some(
                SessionEvent::Claim(_)
                | SessionEvent::Rated(_)
                | SessionEvent::TextSent { .. }
                | SessionEvent::ReplyText(..)
                | SessionEvent::Learned(_),
            ) => {}
            Some(SessionEvent::Closed(Failure::Dropped { .. } | Failure::Ended { .. }))
                if self.caller.is_some() =>
            {
                return Some(Ok(())); // the room was deleted: the call is over
            }
            Some(SessionEvent::Closed(f)) => return Some(Err(f)),
            None => return Some(Ok(())),
        }
        None
    }

    async fn joined(&mut self) {
        let moments = self.teller.as_mut().map(Teller::begin);
        let (states, acts) = (self.states.clone(), self.acts.clone());
        let started = self.peer.with(|p, now| {
            let _ = states.try_send(AgentState::Listening);
            p.endpoint.tell_states(states);
            p.endpoint.tell_acts(acts);
            if let Some(moments) = moments {
                p.endpoint.tell_moments(moments);
            }
            let slot = p.slot_from(now);
            p.endpoint.connected(slot);
        });
        // If the engine no longer runs, the session ends too.
        let _ = started.await;
    }

    /// Starts to receive the caller's audio, once the caller's track is subscribed.
    async fn meet(&mut self) {
        if self.caller.is_some() {
            return;
        }
        let mut placed = self.room.placed();
        let found = placed.find(|(p, ..)| p.kind != ParticipantKind::Agent);
        let Some((participant, track, section)) = found else {
            return;
        };
        self.caller = Some(participant.sid.clone());
        if let Some(teller) = &mut self.teller {
            let (identity, track) = (participant.identity.clone(), track.sid.clone());
            teller.stream().met(identity, track);
        }
        let section = section.clone();
        let listening = self.peer.with(move |p, now| {
            p.listen_to(section.transport, &section.mid, CALLER);
            p.endpoint.caller_here(now);
        });
        // If the engine no longer runs, the session ends too.
        let _ = listening.await;
    }

    /// Waits for the next event or deadline of the description and processes it. Cancel safe.
    async fn describe(&mut self) {
        match &mut self.teller {
            Some(teller) => teller.next().await,
            None => std::future::pending().await,
        }
    }

    /// Sends the queued packets of the description.
    async fn send(&mut self) {
        if let Some(teller) = &mut self.teller {
            teller.send(&self.peer).await;
        }
    }
}
