//! The sentinel calls of `loadgen run`: whether to make them, and what they measured.
//!
//! In: the scenario's policy, the door, the run folder. Out: the agent to start; the figures.
//! Invariant: unless asked to, loadgen registers a worker only at private servers.

use super::truth::{Truth, own_agent};
use crate::cli::trouble::Trouble;
use crate::plan::is_private;
use crate::record::{RunFolder, Sentinels};
use crate::run::{Door, Finished};
use crate::scenario::SentinelPolicy;
use crate::target::OwnAgent;
use std::time::Duration;

/// File of the agent's ground truth, in the run folder.
const TRUTH: &str = "sentinel-truth.jsonl";
/// Delay of the agent.
const DELAY: Duration = Duration::from_millis(400);

/// The agent for sentinel calls, if the run makes any.
pub(super) fn agent(
    policy: SentinelPolicy,
    door: &Door,
    folder: &RunFolder,
) -> Result<Option<OwnAgent>, Trouble> {
    match wanted(policy, door) {
        true => own_agent("loadgen-sentinel", DELAY, &folder.file(TRUTH)).map(Some),
        false => Ok(None),
    }
}

fn wanted(policy: SentinelPolicy, door: &Door) -> bool {
    match (policy, door) {
        (SentinelPolicy::On, _) => true,
        (SentinelPolicy::Off, _) => false,
        (SentinelPolicy::Auto, Door::Embedded { .. }) => true,
        (SentinelPolicy::Auto, Door::Livekit { address, .. }) => is_private(address.host()),
    }
}

/// What the sentinel calls measured; `None` if there were none.
pub(super) fn summarise(finished: &Finished, folder: &RunFolder) -> Option<Sentinels> {
    let sentinels = finished.sentinels.as_ref()?;
    // An agent that was killed may not have left its truth file; then no turn is matched.
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
    use crate::target::livekit::{Address, Credentials};

    #[test]
    fn a_worker_is_registered_by_itself_on_private_hosts_only() {
        let livekit = |url| Door::Livekit {
            address: Address::parse(url).expect("an address"),
            credentials: Credentials::new("key", "s".repeat(32)),
            room_prefix: "loadgen".into(),
        };
        let embedded = Door::Embedded {
            program: "loadgen".into(),
            arguments: vec![],
        };
        let (near, far) = (
            livekit("ws://127.0.0.1:7880"),
            livekit("wss://a.livekit.cloud"),
        );
        for (policy, expected) in [
            (SentinelPolicy::Auto, [true, true, false]),
            (SentinelPolicy::On, [true; 3]),
            (SentinelPolicy::Off, [false; 3]),
        ] {
            let got = [&embedded, &near, &far].map(|door| wanted(policy, door));
            assert_eq!(got, expected, "{policy:?}");
        }
    }
}
