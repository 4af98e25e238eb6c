//! Whether this process may open as many files and sockets as a run needs.
//!
//! In: the number of descriptors that the run needs. Out: a raised limit, or an error with the
//! figures. Invariant: a run that needs more than the system allows ends before its first call,
//! because later calls could not be made and would look like failures of the agent.

use super::error::RunError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors needed in addition to those of calls: the run's files, the metrics server, event
/// loops and child processes.
const BESIDE_CALLS: u64 = 64;

/// Ensures that the process may hold the descriptors of `calls` concurrent calls, and raises the
/// soft limit if necessary. If `open` is true, `calls` is an upper bound that the load may never
/// reach, so a lower hard limit is accepted.
///
/// # Errors
/// [`RunError::Descriptors`] if the hard limit is too low.
pub(super) fn allow(calls: u64, per_call: u64, open: bool) -> Result<(), RunError> {
    if per_call == 0 {
        return Ok(());
    }
    let needed = needed(calls, per_call);
    // A system that does not have this limit needs no check.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    match raised(needed, soft, hard) {
        Raised::Enough => Ok(()),
        Raised::To(limit) => {
            // If this fails, the run still starts: opening a file beyond the limit reports the
            // error.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, limit, hard);
            Ok(())
        }
        Raised::TooFew if open => {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
            Ok(())
        }
        Raised::TooFew => Err(RunError::Descriptors {
            needed,
            hard,
            calls: hard.saturating_sub(BESIDE_CALLS) / per_call,
        }),
    }
}

fn needed(calls: u64, per_call: u64) -> u64 {
    calls.saturating_mul(per_call).saturating_add(BESIDE_CALLS)
}

#[derive(Debug, PartialEq, Eq)]
enum Raised {
    Enough,
    To(u64),
    TooFew,
}

fn raised(needed: u64, soft: u64, hard: u64) -> Raised {
    match needed {
        _ if needed <= soft => Raised::Enough,
        _ if needed > hard => Raised::TooFew,
        // Twice the number needed, because a call may briefly use more.
        _ => Raised::To(needed.saturating_mul(2).min(hard)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_at_most_to_the_hard_limit() {
        assert_eq!(needed(1_000, 2), 2_064);
        for (needed, soft, hard, expected) in [
            (100, 1_024, 1_024, Raised::Enough),
            (2_064, 1_024, 1_048_576, Raised::To(4_128)),
            (2_064, 1_024, 3_000, Raised::To(3_000)),
            (2_064, 1_024, 2_064, Raised::To(2_064)),
            (2_064, 1_024, 2_063, Raised::TooFew),
            (u64::MAX, 1_024, 4_096, Raised::TooFew),
        ] {
            assert_eq!(
                raised(needed, soft, hard),
                expected,
                "{needed} {soft} {hard}"
            );
        }
        assert!(
            allow(u64::MAX, 0, false).is_ok(),
            "calls without descriptors need no limit"
        );
        assert!(
            allow(u64::MAX, 2, true).is_ok(),
            "an open load may need fewer"
        );
        let refused = allow(u64::MAX, 2, false).map_err(|e| e.hint());
        assert!(refused.is_err_and(|hint| hint.contains("ulimit -n")));
    }
}
