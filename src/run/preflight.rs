//! Preflight calls: check that servers and agents can be reached before the first call.
//!
//! In: the plan's first call. Out: nothing, or why the call cannot be made. Invariants: each server
//! is tried once for each set of agents dispatched on it; no preflight call counts towards any
//! figure.

use super::clock::{now, until};
use super::error::RunError;
use super::event::RunEvent;
use super::shared::Shared;
use crate::call::Failure;
use crate::plan::{Plan, PlannedCall};
use crate::targets::{Connection, Event};
use std::collections::HashSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Tries every server, and every agent that the variants dispatch, before the first call.
pub(super) async fn meet(
    shared: &Shared,
    plan: &Plan,
    tell: &mut (dyn FnMut(RunEvent) + Send),
) -> Result<(), RunError> {
    let variants = 0..shared.scenario.variants.len();
    let target = |variant| shared.targets.of_variant(variant);
    let needed = variants
        .clone()
        .any(|variant| target(variant).preflight(variant).is_some());
    if !needed {
        return Ok(());
    }
    tell(RunEvent::PreflightStarted);
    let mut tried = HashSet::new();
    for variant in variants {
        let number = shared.targets.number(variant);
        let Some(tries) = target(variant).preflight(variant) else {
            continue;
        };
        if !tried.insert((number, tries)) {
            continue;
        }
        // A plan without calls needs no preflight call.
        let Some(first) = plan.call(0) else { break };
        let call = PlannedCall { variant, ..first };
        let met = preflight(shared, &call, variant).await;
        met.map_err(RunError::Preflight)?;
        shared.targets.met(number);
    }
    let mut notice = |text| tell(RunEvent::Notice(text));
    for target in shared.targets.all() {
        tokio::select! {
            () = target.clear_crashed(&mut notice) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    tell(RunEvent::PreflightPassed);
    Ok(())
}

/// Makes one call that only checks whether the server of variant `number` and its agent can be
/// reached.
async fn preflight(shared: &Shared, first: &PlannedCall, number: usize) -> Result<(), Failure> {
    let (caller, _events) = shared.caller(first, now())?;
    let target = shared.target(first);
    let room = target.room(&match number {
        0 => "preflight".to_owned(),
        n => format!("preflight-{n}"),
    });
    let dial = shared.dial(None, &room, first.variant, None);
    let mut connection = target.connect(dial, caller).connection;
    let timeout = shared.scenario.call.agent_timeout;
    let met = match meet_agent(&mut *connection, timeout, &shared.stop).await {
        Err(failure) => Err(connection.explain(failure, timeout).await),
        met => met,
    };
    connection.hang_up().await;
    target.forget(room);
    met
}

/// Waits until an agent is in the room, but not for the agent's track: an agent may publish its
/// track only when it first speaks.
async fn meet_agent(
    connection: &mut dyn Connection,
    agent_timeout: Duration,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut deadline = None;
    loop {
        tokio::select! {
            event = connection.event() => match event {
                Some(Event::Joined) => {
                    deadline = Some(now() + agent_timeout);
                }
                Some(Event::AgentPresent { .. }) => return Ok(()),
                Some(Event::Closed(f)) => return Err(f),
                // Events about tracks, states and leaving concern an agent that is already present.
                Some(_) => {}
                None => return Err(Failure::Dropped { detail: "the session ended".into() }),
            },
            () = until(deadline) => return Err(Failure::AgentAbsent { waited: agent_timeout }),
            () = stop.cancelled() => return Err(Failure::Stopped),
        }
    }
}
