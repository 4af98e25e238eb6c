//! Determines why no agent audio is received.
//!
//! In: the call's requirements, the state of the room, the server's report on the jobs. Out: the
//! cause, or nothing if the cause is not evident. Invariant: quoted text is bounded and printable.

use super::absence::Absence;
use super::dispatches::{Dispatched, Job};
use super::signal::printable;
use super::voices::{AgentChoice, AgentStream, Seen};
use std::time::Duration;

/// Maximum number of participants or tracks that a message lists.
const NAMED: usize = 8;

/// The agent that a call required, and how long the call waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Name of the agent that was dispatched; `None` for automatic dispatch.
    pub agent_name: Option<&'a str>,
    /// The scenario's choice of the agent.
    pub choice: &'a AgentChoice,
    /// How long the call waited.
    pub waited: Duration,
}

/// Determines the cause. `dispatches`: the server's report on the room's dispatches, if available.
pub(super) fn diagnose(
    wanted: Wanted<'_>,
    seen: &Seen,
    dispatches: Option<&[Dispatched]>,
) -> Option<Absence> {
    in_the_room(wanted, seen)
        .or_else(|| not_any_more(seen))
        .or_else(|| somebody_else_by_name(wanted, seen))
        .or_else(|| of_the_job(wanted, seen, dispatches))
        .or_else(|| somebody_else(seen))
}

/// The cause if an agent, or a track that the scenario does not select, is in the room.
fn in_the_room(wanted: Wanted<'_>, seen: &Seen) -> Option<Absence> {
    if !seen.unplaced.is_empty() {
        let tracks = listed(seen.unplaced.iter().map(AgentStream::label));
        return Some(Absence::NoMedia { tracks });
    }
    if seen.tracks.is_empty() {
        let agents = listed(seen.agents.iter().map(|a| format!("`{a}`")));
        return (!seen.agents.is_empty()).then_some(Absence::NoTrack { agents });
    }
    let tracks = listed(seen.tracks.iter().map(AgentStream::label));
    Some(match &wanted.choice.track {
        Some(name) => Absence::OtherName {
            wanted: printable(name),
            tracks,
        },
        None => Absence::OtherTrack { tracks },
    })
}

fn not_any_more(seen: &Seen) -> Option<Absence> {
    let departed = seen.departed.as_ref()?;
    Some(Absence::LeftEarly {
        agent: printable(&format!("`{}`", departed.identity)),
        stayed: departed.stayed,
        reason: departed.reason,
    })
}

fn somebody_else_by_name(wanted: Wanted<'_>, seen: &Seen) -> Option<Absence> {
    let identity = wanted.choice.identity.as_ref()?;
    Some(Absence::OtherIdentity {
        wanted: printable(identity),
        participants: others(seen)?,
    })
}

/// The cause according to the jobs. A job that no worker took counts only if an agent was requested
/// by name, or if no other participant in the room could explain the failure.
fn of_the_job(
    wanted: Wanted<'_>,
    seen: &Seen,
    dispatches: Option<&[Dispatched]>,
) -> Option<Absence> {
    let asked = wanted.agent_name.unwrap_or_default();
    let mut ours = dispatches?.iter().filter(|d| d.agent_name == asked);
    let first = ours.next()?;
    let jobs: Vec<&Job> = first
        .jobs
        .iter()
        .chain(ours.flat_map(|d| &d.jobs))
        .collect();
    let (agent_name, waited) = (asked.to_owned(), wanted.waited);
    let alone = others(seen).is_none();
    if jobs.is_empty() {
        let told = wanted.agent_name.is_some() || alone;
        return told.then_some(Absence::NoWorker { agent_name, waited });
    }
    if jobs.contains(&&Job::Running) {
        return alone.then_some(Absence::NotJoined { agent_name, waited });
    }
    let failed = jobs.iter().find_map(|job| match job {
        Job::Failed(error) => Some(error.clone()),
        Job::Running | Job::Rejected | Job::Ended => None,
    });
    Some(match failed {
        Some(error) => Absence::JobFailed { agent_name, error },
        None if jobs.contains(&&Job::Ended) => Absence::JobEnded { agent_name },
        None => Absence::JobRejected { agent_name },
    })
}

fn somebody_else(seen: &Seen) -> Option<Absence> {
    let participants = others(seen)?;
    Some(Absence::OtherKind { participants })
}

/// The participants in the room that are not agents.
fn others(seen: &Seen) -> Option<String> {
    let named = seen.others.iter();
    let named = named.map(|(identity, kind)| format!("`{identity}` (kind {kind})"));
    (!seen.others.is_empty()).then(|| listed(named))
}

/// Lists the first few items, and the number of the remaining ones.
fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let first: Vec<String> = all.take(NAMED).map(|one| printable(&one)).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
