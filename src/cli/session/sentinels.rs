//! The sentinel calls of `loadgen run`: decides whether to make them, and summarises their results.
//!
//! In: the scenario's policy, the targets, the run folder. Out: the agent to start; the figures.
//! Invariant: unless the scenario requests sentinel calls, loadgen registers a worker only with
//! private servers.

use super::truth::{Truth, own_agent};
use crate::cli::trouble::Trouble;
use crate::plan::is_private;
use crate::record::{RunFolder, Sentinels};
use crate::run::{Finished, Targets};
use crate::scenario::SentinelPolicy;
use crate::targets::OwnAgent;
use std::time::Duration;

/// File of the agent's ground truth, in the run folder.
const TRUTH: &str = "sentinel-truth.jsonl";
/// Delay of the agent.
const DELAY: Duration = Duration::from_millis(400);

/// The agent for sentinel calls, if the run makes any.
pub(super) fn agent(
    policy: SentinelPolicy,
    targets: &Targets,
    folder: &RunFolder,
) -> Result<Option<OwnAgent>, Trouble> {
    match wanted(policy, targets.first_host()) {
        true => own_agent("loadgen-sentinel", DELAY, &folder.file(TRUTH)).map(Some),
        false => Ok(None),
    }
}

/// `host`: the server that sentinel calls would use; `None` for this machine.
fn wanted(policy: SentinelPolicy, host: Option<&str>) -> bool {
    match policy {
        SentinelPolicy::On => true,
        SentinelPolicy::Off => false,
        SentinelPolicy::Auto => host.is_none_or(is_private),
    }
}

/// The results of the sentinel calls; `None` if there were none.
pub(super) fn summarise(finished: &Finished, folder: &RunFolder) -> Option<Sentinels> {
    let sentinels = finished.sentinels.as_ref()?;
    // An agent that was killed may not have written its truth file; then no turn is matched.
    let truth = Truth::read(&folder.file(TRUTH)).unwrap_or_default();
    Some(Sentinels::of(
        sentinels.calls,
        sentinels.failed,
        &sentinels.turns,
        &|turn| truth.wire_ms(turn, finished.run_start),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_automatic_on_private_hosts_only() {
        let hosts = [None, Some("127.0.0.1"), Some("a.livekit.cloud")];
        for (policy, expected) in [
            (SentinelPolicy::Auto, [true, true, false]),
            (SentinelPolicy::On, [true; 3]),
            (SentinelPolicy::Off, [false; 3]),
        ] {
            let got = hosts.map(|host| wanted(policy, host));
            assert_eq!(got, expected, "{policy:?}");
        }
    }
}
