//! Exit codes, a stable interface for scripts.

use crate::record::Status;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// 0: success. For a run: every gate passed, or there is no gate and a call completed.
    Success = 0,
    /// 1: the command could not be carried out, no call reached an agent, or there is no gate and
    /// no call completed; or a check of `doctor` failed.
    Error = 1,
    /// 2: usage error: invalid flags, or a missing file. clap exits with 2 as well.
    Usage = 2,
    /// 99: a gate failed (as in k6), or a metric regressed.
    GateFailed = 99,
    /// 104: the scenario is invalid (as in k6).
    InvalidScenario = 104,
    /// 105: stopped by the user (as in k6).
    Stopped = 105,
    /// 110: the run is invalid: generator saturated, or too few turns to judge.
    InvalidRun = 110,
}

impl Exit {
    /// Every exit code, in ascending order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::Error,
        Self::Usage,
        Self::GateFailed,
        Self::InvalidScenario,
        Self::Stopped,
        Self::InvalidRun,
    ];

    /// Meaning of the exit code, for the manual.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => {
                "success; for a run: all gates hold, perhaps weakly, or there is no gate and a call completed"
            }
            Self::Error => {
                "the command could not be carried out, no call reached an agent, there is no gate and no call completed, or a check of `doctor` failed"
            }
            Self::Usage => "bad usage",
            Self::GateFailed => "a gate failed or ended the run, or a metric regressed",
            Self::InvalidScenario => "the scenario is invalid",
            Self::Stopped => "stopped by the user",
            Self::InvalidRun => {
                "invalid run: the generator was too slow, or there were too few turns to judge a gate"
            }
        }
    }

    /// The numeric exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit code for the status of a run; `lost`: some of its records are not safe on disk.
    pub fn of_run(status: Status, lost: bool) -> Self {
        match status {
            _ if lost => Self::Error,
            Status::Error => Self::Error,
            Status::Stopped => Self::Stopped,
            Status::Invalid => Self::InvalidRun,
            Status::Failed => Self::GateFailed,
            Status::Passed | Status::Unasked => Self::Success,
        }
    }

    /// The more severe of two exit codes, in the order 2, 104, 1, 105, 110, 99, 0.
    pub(crate) fn or(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Usage => 0,
            Self::InvalidScenario => 1,
            Self::Error => 2,
            Self::Stopped => 3,
            Self::InvalidRun => 4,
            Self::GateFailed => 5,
            Self::Success => 6,
        };
        if rank(other) < rank(self) {
            other
        } else {
            self
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_severe_exit_code_wins() {
        let order = [
            Exit::Usage,
            Exit::InvalidScenario,
            Exit::Error,
            Exit::Stopped,
            Exit::InvalidRun,
            Exit::GateFailed,
            Exit::Success,
        ];
        for (i, a) in order.into_iter().enumerate() {
            for (j, b) in order.into_iter().enumerate() {
                assert_eq!(a.or(b), order[i.min(j)]);
            }
        }
        assert_eq!(order.map(Exit::code), [2, 104, 1, 105, 110, 99, 0]);
    }
}
