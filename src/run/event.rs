//! What a run tells while it goes on.

use crate::call::Phase;
use std::time::Duration;

/// Something to show. The set is closed: a display handles every one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// Something went wrong that does not end the run.
    Notice(String),
    /// One call shows whether the server and an agent are there at all.
    CanaryStarted,
    /// They are.
    CanaryPassed,
    /// A call of the plan began.
    CallStarted {
        /// Index in the plan.
        call: usize,
    },
    /// A call came into another phase.
    Phase {
        /// Index in the plan.
        call: usize,
        /// Which.
        phase: Phase,
    },
    /// A turn ended; with its `ttfa` where it was replied to.
    TurnEnded {
        /// The figure.
        ttfa: Option<Duration>,
    },
    /// A call ended.
    CallEnded {
        /// Index in the plan.
        call: usize,
        /// It failed.
        failed: bool,
    },
    /// No more calls will start; those under way finish.
    Stopping,
}
