//! The metrics that a threshold can name, in one table.
//!
//! Out: names, kinds and what they are about. Holds: a line here is all that a metric needs to be
//! read, filtered, refused with a hint and told in the JSON Schema; `record` has its values under
//! the same name (the command line, which sees both, tests that).

use super::problem::quoted;
use std::fmt;

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Times, one a turn or a call: `p(95)<1500ms`.
    Latency,
    /// A share of turns: `rate<0.01`.
    Share,
}

/// A figure of a run that a threshold can be about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its key under `thresholds`.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it is about, for the schema.
    pub about: &'static str,
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn latency(name: &'static str, about: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Latency,
        about,
    }
}

const fn share(name: &'static str, about: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Share,
        about,
    }
}

/// Every metric, in the order of reports.
pub const METRICS: &[Metric] = &[
    Metric::TTFA,
    latency(
        "ttfa_wire",
        "Time to first audio on the wire, without playout delay.",
    ),
    latency(
        "playout",
        "How long a jitter buffer would have held the onset packet back.",
    ),
    latency(
        "lead_in",
        "Silence at the head of the reply: first packet with audio to onset.",
    ),
    latency(
        "stop",
        "The caller's interruption to the agent's last audible sample, with `expect: stop` or `stop_and_respond`.",
    ),
    latency("join", "Start of the call to media flowing."),
    latency(
        "agent_present",
        "Start of the call to an agent participant in the room.",
    ),
    latency("agent_audible", "Start of the call to the agent's audio."),
    latency(
        "greeting",
        "The agent's audio to its first words, with `greeting: expect`.",
    ),
    share("replied", "Share of turns that came out as expected."),
    share("missed", "Share of turns with no reply in time."),
    share(
        "early",
        "Share of turns answered before the caller had finished.",
    ),
    share("failed", "Share of turns whose call failed."),
];

impl Metric {
    /// Time to first audio, mouth to ear.
    pub const TTFA: Self = latency("ttfa", "Time to first audio, mouth to ear.");

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        METRICS.iter().copied().find(|metric| metric.name == name)
    }

    /// Whether it is a share of turns rather than a latency.
    pub fn is_share(self) -> bool {
        self.kind == Kind::Share
    }

    /// An expression that it can have.
    pub(super) fn example(self) -> &'static str {
        match self.kind {
            Kind::Latency => "`p(95)<1500ms`",
            Kind::Share => "`rate<0.01`",
        }
    }
}

/// Names of earlier releases, and what became of them.
const FORMER: [(&str, &str); 1] = [(
    "agent_join",
    "it was split: `agent_audible` is what it was (the agent's audio is there), \
     `agent_present` comes before (the agent is in the room)",
)];

/// The hint for a name that is none.
pub(super) fn known(name: &str) -> String {
    if let Some(became) = former(name) {
        return became.to_owned();
    }
    let names = METRICS.iter().map(|metric| metric.name);
    format!("the metrics are {}", quoted(names))
}

/// What became of a metric of an earlier release.
pub(super) fn former(name: &str) -> Option<&'static str> {
    let found = FORMER.iter().find(|(former, _)| *former == name);
    found.map(|(_, became)| *became)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_is_found() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert_eq!(Metric::named(metric.name), Some(*metric));
            assert!(METRICS[..index].iter().all(|m| m.name != metric.name));
            assert!(metric.about.ends_with('.'), "{metric:?}");
            assert!(known("latency").contains(metric.name));
        }
        assert_eq!(Metric::named("latency"), None);
        assert_eq!(Metric::named("agent_join"), None);
        assert!(known("agent_join").starts_with("it was split: `agent_audible`"));
    }
}
