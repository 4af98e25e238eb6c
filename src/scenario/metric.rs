//! Hints about metrics in thresholds: examples, and metrics that have been replaced.

use super::problem::quoted;
use crate::vocab::Metric;

/// Metric names of earlier releases, each with a hint about its replacement.
const FORMER: [(&str, &str); 1] = [(
    "agent_join",
    "it was split: `agent_audible` measures the same as before (the agent's audio is there), \
     `agent_present` measures the step before (the agent is in the room)",
)];

/// An example of an expression for a metric.
pub(super) fn example(metric: Metric) -> &'static str {
    match metric.is_share() {
        true => "`rate<0.01`",
        false => "`p(95)<1500ms`",
    }
}

/// The hint for an unknown metric.
pub(super) fn known(name: &str) -> String {
    if let Some(became) = former(name) {
        return became.to_owned();
    }
    let names = Metric::ALL.iter().map(|metric| metric.name());
    format!("the metrics are {}", quoted(names))
}

/// The hint about the replacement of a metric of an earlier release.
pub(super) fn former(name: &str) -> Option<&'static str> {
    let found = FORMER.iter().find(|(former, _)| *former == name);
    found.map(|(_, became)| *became)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_a_hint() {
        for metric in Metric::ALL {
            assert!(known("latency").contains(metric.name()));
        }
        assert!(known("agent_join").starts_with("it was split: `agent_audible`"));
    }
}
