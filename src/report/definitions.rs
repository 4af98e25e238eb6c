//! Definitions of the metrics and terms, shared by every report.
//!
//! In: the table of metrics. Out: names and sentences. Invariant: the definition of a latency
//! states the instants at which it begins and ends.

use crate::vocab::{Metric, Visibility};

/// A term and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The term as it appears in files and on the screen.
    pub name: &'static str,
    /// Meaning of the term.
    pub text: &'static str,
}

/// Terms that the definitions of metrics use.
pub(super) const TERMS: &[Definition] = &[
    Definition {
        name: "end of speech",
        text: "when the last speech sample of the utterance was captured, as if by a microphone: not the end of the file, nor the moment a packet was queued",
    },
    Definition {
        name: "onset",
        text: "the first audible sample of the reply, found by searching backwards from where the detector became certain",
    },
    Definition {
        name: "playout delay",
        text: "how long the adaptive jitter buffer of a WebRTC receiver would have held back the onset packet, according to a model of NetEQ's delay manager; the model's version is in the record",
    },
    Definition {
        name: "missed",
        text: "the agent did not do what the turn expects before its timeout: nothing was audible, or the agent did not stop; counts as +∞ in all_turns and in every latency gate, like a failed turn",
    },
    Definition {
        name: "early",
        text: "the agent was audible before the end of speech; not a latency and in no quantile",
    },
    Definition {
        name: "failed",
        text: "the call failed before the turn could end",
    },
    Definition {
        name: "cut off",
        text: "in progress when the run was stopped, ended by a gate, or killed, or when the caller hung up: not counted as failed, and in no rate or quantile",
    },
    Definition {
        name: "not run",
        text: "never started, because the run was stopped, ended by a gate, or killed: in no rate or quantile either",
    },
    Definition {
        name: "skipped",
        text: "left out of the call by the scenario: jumped over by a branch, in a pass that a loop did not take, or after a hang-up; in no rate or quantile",
    },
    Definition {
        name: "quantile",
        text: "the smallest sample with at least that share of all samples at or below it; [a, b] is its distribution-free 95 % interval, based on the effective sample size, since the turns of a call are correlated",
    },
];

/// Definitions of the metrics that reports show, followed by the other terms.
pub(crate) fn definitions() -> impl Iterator<Item = Definition> {
    let metrics = Metric::ALL.iter().filter(|m| !m.is_share());
    let shown = metrics.filter(|m| m.row().shown != Visibility::Asked);
    let defined = shown.map(|m| Definition {
        name: m.name(),
        text: m.row().definition,
    });
    defined.chain(TERMS.iter().copied())
}
