//! Preflight calls: check that servers and agents can be reached before the first call.
//!
//! In: the plan's first call. Out: nothing, or why it cannot be made. Invariants: each server is
//! tried once for each set of agents dispatched there; no preflight call enters any figure.

use super::absent;
use super::caller::CallerEnd;
use super::door::OpenDoor;
use super::error::RunError;
use super::event::RunEvent;
use super::one::Shared;
use crate::call::Failure;
use crate::plan::{Plan, PlannedCall};
use crate::target::{Connection, DoorEvent};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Tries every server, and every agent that the variants dispatch, before the first call.
pub(super) async fn meet(
    shared: &Arc<Shared>,
    plan: &Plan,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<(), RunError> {
    if !matches!(shared.doors.first(), OpenDoor::Livekit(_)) {
        return Ok(());
    }
    tell(RunEvent::CanaryStarted);
    let mut tried = HashSet::new();
    for variant in 0..shared.scenario.variants.len() {
        let number = shared.doors.number(variant);
        if !tried.insert((number, shared.asked(variant).agents())) {
            continue;
        }
        // A plan without calls needs no preflight call.
        let Some(first) = plan.call(0) else { break };
        let call = PlannedCall { variant, ..first };
        let met = canary(shared, &call, variant).await;
        met.map_err(RunError::Canary)?;
        shared.doors.met(number);
    }
    let mut notice = |text| tell(RunEvent::Notice(text));
    for door in shared.doors.all() {
        let OpenDoor::Livekit(door) = door else {
            continue;
        };
        tokio::select! {
            () = door.clear_crashed(&mut notice) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    tell(RunEvent::CanaryPassed);
    Ok(())
}

/// One call that only checks whether the server of variant `number` and its agent can be
/// reached.
async fn canary(shared: &Shared, first: &PlannedCall, number: usize) -> Result<(), Failure> {
    let broken = |e: &dyn std::fmt::Display| Failure::Generator {
        detail: e.to_string(),
    };
    let (end, _events) = CallerEnd::new(
        shared.script(first),
        Instant::now(),
        first
            .turns
            .iter()
            .map(|t| shared.sounds.said[t.utterance].clone())
            .collect(),
        shared.sounds.silence.clone(),
    )
    .map_err(|e| broken(&e))?;
    let door = shared.door(first);
    let (peer, media) = shared.engine.add(end, door.remote());
    let peer = Arc::new(peer);
    let room = door.room(&match number {
        0 => "canary".to_owned(),
        n => format!("canary-{n}"),
    });
    let asked = shared.asked(first.variant);
    let connected = door.connect(None, &room, &asked, &peer, media).await;
    let mut connection = connected?;
    let met = meet_agent(
        &mut connection,
        shared.scenario.call.agent_timeout,
        &shared.stop,
    )
    .await;
    let met = match met {
        Err(failure) => {
            let asking = (door, room.as_str(), &asked);
            let timeout = shared.scenario.call.agent_timeout;
            let why = absent::explain(failure, false, asking, timeout, Some(&connection));
            Err(why.await)
        }
        met => met,
    };
    connection.hang_up().await;
    door.forget(room);
    met
}

/// Waits until an agent is in the room, not for its track: an agent may publish that only with
/// its first words.
async fn meet_agent(
    connection: &mut Connection,
    agent_timeout: Duration,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut deadline = None;
    loop {
        let absent = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = connection.event() => match event {
                Some(DoorEvent::Joined) => {
                    deadline = Some(tokio::time::Instant::now() + agent_timeout);
                }
                Some(DoorEvent::AgentPresent { .. }) => return Ok(()),
                Some(DoorEvent::Closed(f)) => return Err(f),
                // Tracks, states and leaving concern an agent that is already present.
                Some(_) => {}
                None => return Err(Failure::Dropped { detail: "the session ended".into() }),
            },
            () = absent => return Err(Failure::AgentAbsent { waited: agent_timeout }),
            () = stop.cancelled() => return Err(Failure::Stopped),
        }
    }
}
