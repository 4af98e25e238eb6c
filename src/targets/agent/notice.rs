//! Notices from a running reference agent to the code that started it.
//!
//! Invariant: an agent prints nothing itself, because standard output may be the pipe that it
//! serves.

use crate::call::Failure;

/// A problem that does not end the agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentNotice {
    /// The connection to the server was lost; the worker registers again.
    #[error("the worker's connection was lost ({0}); trying again")]
    ConnectionLost(Failure),
    /// A job ended before its caller left.
    #[error("room {room}: {failure}")]
    JobFailed {
        /// The room's name, without control characters.
        room: String,
        failure: Failure,
    },
    /// This many lines are missing from the truth file.
    #[error("{0} lines of the truth file were lost: the disk is too slow")]
    TruthLost(u64),
    /// The truth file could not be written completely.
    #[error("the truth file is incomplete: {0}")]
    TruthIncomplete(std::io::Error),
}

/// Receives notices; may be called from any thread.
pub(crate) type Tell = fn(AgentNotice);
