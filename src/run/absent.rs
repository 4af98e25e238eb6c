//! Explains why a call has no agent that it could hear.
//!
//! In: the failure as the call's state machine sees it, the state of the room. Out: the same
//! failure, or the cause shown by the server's dispatches and the room. Invariants: only failures
//! for lack of an agent are explained, and the query to the server is bounded.

use super::door::{Asked, OpenDoor};
use crate::call::Failure;
use crate::target::Connection;
use crate::target::livekit::{Wanted, diagnose};
use std::time::Duration;

/// How long the call waited for an agent, if `failure` is for lack of one: the agent never came,
/// or (unless the call heard it, `heard`) it left or published nothing.
fn waited(failure: &Failure, agent_timeout: Duration, heard: bool) -> Option<Duration> {
    match failure {
        Failure::AgentAbsent { waited } => Some(*waited),
        Failure::AgentSilent | Failure::AgentLeft if !heard => Some(agent_timeout),
        _ => None,
    }
}

/// Explains `failure`. `heard`: a track of the agent's was subscribed.
pub(super) async fn explain(
    failure: Failure,
    heard: bool,
    (door, room, asked): (&OpenDoor, &str, &Asked),
    agent_timeout: Duration,
    connection: Option<&Connection>,
) -> Failure {
    let Some(waited) = waited(&failure, agent_timeout, heard) else {
        return failure;
    };
    let Some(seen) = connection.and_then(Connection::seen) else {
        return failure;
    };
    let dispatches = door.dispatches(room).await;
    let dispatch = asked.dispatch.as_ref();
    let wanted = Wanted {
        agent_name: dispatch.map(|d| d.agent_name.as_str()),
        choice: &asked.choice,
        waited,
    };
    match diagnose(wanted, &seen, dispatches.as_deref()) {
        Some(why) => Failure::Absent(why),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_without_an_agent_is_explained() {
        let bound = Duration::from_secs(30);
        let own = Duration::from_secs(7);
        let absent = Failure::AgentAbsent { waited: own };
        let quota = Failure::Quota {
            detail: "429".into(),
        };
        let cases = [
            (&absent, false, Some(own)),
            (&Failure::AgentSilent, false, Some(bound)),
            (&Failure::AgentLeft, false, Some(bound)),
            (&Failure::AgentLeft, true, None),
            (&quota, false, None),
            (&Failure::Stopped, false, None),
        ];
        for (failure, heard, expected) in cases {
            assert_eq!(waited(failure, bound, heard), expected, "{failure} {heard}");
        }
    }
}
