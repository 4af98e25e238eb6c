//! Queries the server for a room's dispatches: the requested agents and their jobs.
//!
//! In: a room's name. Out: its dispatches with their jobs, or nothing if the server does not report
//! them. Invariants: at most [`AT_ONCE`] queries are in progress, and no query takes longer than
//! [`PATIENCE`], including its wait in the queue.

use super::signal::printable;
use super::token::Credentials;
use super::twirp::Twirp;
use super::wire::Bounded as _;
use crate::vocab::Address;
use livekit_api::access_token::VideoGrants;
use livekit_protocol as proto;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Time limit of a query.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum number of concurrent queries.
const AT_ONCE: usize = 4;
/// Longest response that is read, in bytes.
const ANSWER: usize = 1 << 20;

/// An agent that was requested for a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispatched {
    /// The agent's name; empty for the server's automatic dispatch.
    pub agent_name: String,
    /// The jobs of this dispatch.
    pub jobs: Vec<Job>,
}

/// State of a job. A server other than LiveKit Cloud reports only the worker's response to the job,
/// not later changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// A worker has taken the job.
    Running,
    /// A worker refused the job.
    Rejected,
    /// The job ended without an error.
    Ended,
    /// The job ended with an error.
    Failed(String),
}

impl From<proto::JobState> for Job {
    fn from(state: proto::JobState) -> Self {
        match state.status() {
            proto::JobStatus::JsPending | proto::JobStatus::JsRunning => Self::Running,
            proto::JobStatus::JsFailed => Self::Failed(match printable(&state.error) {
                none if none.is_empty() => "the worker gave no reason".into(),
                error => error,
            }),
            // A worker that accepts a job specifies the identity of the participant that will join.
            proto::JobStatus::JsSuccess if state.participant_identity.is_empty() => Self::Rejected,
            proto::JobStatus::JsSuccess => Self::Ended,
        }
    }
}

/// Client for the server's dispatch API.
pub(super) struct Dispatches {
    client: Twirp,
    places: Semaphore,
}

impl Dispatches {
    /// Creates a client for the server at `address`.
    pub(super) fn new(address: &Address, credentials: &Credentials) -> Self {
        Self {
            client: Twirp::new("AgentDispatchService", address, credentials, PATIENCE),
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// The dispatches of a room. `None` if the server does not report them, because it is too old
    /// or too slow or because the key lacks the permission.
    pub(super) async fn of(&self, room: &str) -> Option<Vec<Dispatched>> {
        let ask = async {
            let _place = self.places.acquire().await.ok()?;
            let grants = VideoGrants {
                room_admin: true,
                room: room.to_owned(),
                ..Default::default()
            };
            let request = proto::ListAgentDispatchRequest {
                room: room.to_owned(),
                ..Default::default()
            };
            let told = self.client.ask("ListDispatch", grants, &request, ANSWER);
            proto::ListAgentDispatchResponse::bounded(&told.await.ok()?).ok()
        };
        let told = tokio::time::timeout(PATIENCE, ask).await.ok()??;
        Some(told.agent_dispatches.into_iter().map(dispatched).collect())
    }
}

fn dispatched(d: proto::AgentDispatch) -> Dispatched {
    let jobs = d.state.into_iter().flat_map(|state| state.jobs);
    let states = jobs.map(|job| job.state.unwrap_or_default());
    Dispatched {
        agent_name: printable(&d.agent_name),
        jobs: states.map(Job::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_states_are_interpreted() {
        use proto::JobStatus::{JsFailed, JsPending, JsRunning, JsSuccess};
        let cases = [
            (JsPending, "", "", Job::Running),
            (JsRunning, "", "agent-1", Job::Running),
            (JsSuccess, "", "", Job::Rejected),
            (JsSuccess, "", "agent-1", Job::Ended),
            (JsFailed, "no\nkey", "agent-1", Job::Failed("no key".into())),
            (
                JsFailed,
                "",
                "agent-1",
                Job::Failed("the worker gave no reason".into()),
            ),
        ];
        for (status, error, identity, expected) in cases {
            let state = proto::JobState {
                status: status as i32,
                error: error.into(),
                participant_identity: identity.into(),
                ..Default::default()
            };
            assert_eq!(Job::from(state), expected, "{status:?}");
        }
    }
}
