//! Explains why a call has no audible agent.
//!
//! In: what the server and the room report, already bounded in length and printable. Out: a cause
//! with its machine-readable name, its message and a hint.

use crate::call::{Failure, TargetFailure};
use std::time::Duration;

/// Hint for an agent that joined but published no track.
const UNPUBLISHED: &str = "look at the agent's log: it joined, but its voice was never published";
/// Hint for an agent that left.
const LEFT: &str = "look at the agent's log: it closed its session or crashed";

/// Why the caller received no agent audio.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Absence {
    /// No worker has taken the dispatched job.
    #[error("no worker took the job{} within {waited:?}", of_agent(agent_name))]
    NoWorker {
        /// The requested agent name; empty for automatic dispatch.
        agent_name: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The worker refused the job.
    #[error("a worker rejected the job{}", of_agent(agent_name))]
    JobRejected { agent_name: String },
    /// The job ended in an error.
    #[error("the job{} failed ({error})", of_agent(agent_name))]
    JobFailed {
        agent_name: String,
        /// The error that the worker reported.
        error: String,
    },
    /// The job ended without an error before its agent joined.
    #[error(
        "the job{} ended before its agent joined the room",
        of_agent(agent_name)
    )]
    JobEnded { agent_name: String },
    /// A worker has the job, but its agent is not in the room. The server does not distinguish an
    /// agent that is still starting from one whose entry point has raised.
    #[error(
        "a worker took the job{}, but its agent did not join the room within {waited:?}",
        of_agent(agent_name)
    )]
    NotJoined {
        agent_name: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The agent is in the room but has published no audio track.
    #[error("{agents} is in the room, but has published no audio track")]
    NoTrack {
        /// The agents' identities.
        agents: String,
    },
    /// The agent joined and left again before any of its audio was received.
    #[error("{agent} joined the room and left again after {:.1} s, before its audio arrived ({reason})", stayed.as_secs_f64())]
    LeftEarly {
        /// The agent's identity.
        agent: String,
        /// How long it stayed in the room.
        stayed: Duration,
        /// The server's name for the disconnect reason.
        reason: &'static str,
    },
    /// The room has participants, but none whose kind is agent.
    #[error("only participants that are not agents are in the room: {participants}")]
    OtherKind {
        /// Each participant with its kind.
        participants: String,
    },
    /// No participant has the identity that the scenario specifies.
    #[error(
        "no participant with `call.agent_identity` `{wanted}` is in the room, only {participants}"
    )]
    OtherIdentity {
        /// The identity that the scenario specifies.
        wanted: String,
        /// Each participant with its kind.
        participants: String,
    },
    /// None of the audio tracks can be the agent's voice.
    #[error("none of the audio tracks in the room can be the agent's voice: {tracks}")]
    OtherTrack {
        /// Each track with its publisher, kind and source.
        tracks: String,
    },
    /// No published audio track has the name that the scenario specifies.
    #[error(
        "no audio track in the room has the name `{wanted}` of `call.agent_track`, only {tracks}"
    )]
    OtherName {
        /// The track name that the scenario specifies.
        wanted: String,
        /// Each track with its publisher, kind and source.
        tracks: String,
    },
    /// The server has not subscribed the caller to the agent's track.
    #[error("the server has not subscribed us to the agent's track: {tracks}")]
    NoMedia {
        /// Each track with its publisher, kind and source.
        tracks: String,
    },
}

fn of_agent(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" of agent `{name}`"),
    }
}

impl Absence {
    /// Stable machine-readable name of the cause, as in `failures[].cause`.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Self::NoWorker { .. } => "agent_no_worker",
            Self::JobRejected { .. } => "agent_job_rejected",
            Self::JobFailed { .. } => "agent_job_failed",
            Self::JobEnded { .. } => "agent_job_ended",
            Self::NotJoined { .. } => "agent_not_joined",
            Self::NoTrack { .. } => "agent_silent",
            Self::LeftEarly { .. } => "agent_left_early",
            Self::OtherKind { .. } => "agent_other_kind",
            Self::OtherIdentity { .. } => "agent_other_identity",
            Self::OtherTrack { .. } => "agent_other_source",
            Self::OtherName { .. } => "agent_other_track",
            Self::NoMedia { .. } => "agent_no_media",
        }
    }

    /// What to try next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoWorker { agent_name, .. } if agent_name.is_empty() => {
                "start a worker that serves without an agent name, or set `target.agent_name`; a worker at its load limit does not take jobs either"
            }
            Self::NoWorker { .. } => {
                "is a worker registered under exactly this name on this server, and below its load limit?"
            }
            Self::JobRejected { .. } => {
                "the worker's request function rejects this room or this metadata: check that function"
            }
            Self::JobFailed { .. } | Self::JobEnded { .. } => {
                "look at the worker's log for this room"
            }
            Self::NotJoined { .. } => {
                "look at the worker's log for this room: did the entry point raise or return? If it is only slow to start, raise `call.agent_timeout`"
            }
            Self::NoTrack { .. } => UNPUBLISHED,
            Self::LeftEarly { .. } => LEFT,
            Self::OtherKind { .. } => {
                "recorders and telephone lines are not measured; if one of them is the agent, set `call.agent_identity` to its identity"
            }
            Self::OtherIdentity { .. } => {
                "leave `call.agent_identity` out, or set it to the identity of the agent's participant"
            }
            Self::OtherTrack { .. } => {
                "an agent's voice is a microphone track, or one of unknown source; `call.agent_track` chooses another by its name"
            }
            Self::OtherName { .. } => {
                "leave `call.agent_track` out, or give the name of the track that is the agent's voice"
            }
            Self::NoMedia { .. } => {
                "is the caller allowed to subscribe? Look at the room's permissions and the server's log for this room"
            }
        }
    }
}

impl From<Absence> for Failure {
    fn from(why: Absence) -> Self {
        Self::Target(TargetFailure {
            cause: why.cause(),
            message: why.to_string(),
            hint: why.hint(),
            unreached: false,
        })
    }
}
