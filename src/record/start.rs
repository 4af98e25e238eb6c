//! `run.json`: what is known about a run when it starts.
//!
//! In: the plan's figures. Out: a file written before the first call, and again once the origin of
//! the run's time axis is known. Invariant: it contains what a summary needs besides the journal,
//! so that a killed run can still be reported.

use super::facts::measurement::first;
use super::judge::summary::Network;
use super::{GateAnswer, GateOn, GateResult, GateVerdict, Threshold};
use crate::vocab::Prices;
use serde::{Deserialize, Serialize};

/// A run at its start; the content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// Version of the format; [`super::START_VERSION`] in new files.
    pub version: u32,
    /// The scenario's name.
    pub name: String,
    /// The seed of the plan.
    pub seed: u64,
    /// Kind and address of the target, without secrets.
    pub target: String,
    /// When the program started the run, before the preflight call; RFC 3339, UTC.
    pub started_at: String,
    /// Wall-clock time of the instant that every other instant is relative to, RFC 3339, UTC;
    /// absent until the preflight call is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_at: Option<String>,
    /// Version of loadgen that makes the run.
    pub loadgen_version: String,
    /// Version of the measurement definitions: one of `MEASUREMENTS`.
    #[serde(default = "first")]
    pub measurement_version: u32,
    /// Name and version of the model behind every `playout_ms`.
    pub playout_model: String,
    /// Planned calls, without warm-up calls; absent if the load lasts for a duration instead.
    pub planned_calls: Option<usize>,
    /// Turns of each call.
    pub turns_per_call: usize,
    /// The simulated network impairment; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Prices of the agent's models; absent if the scenario specifies none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The gates that the run will be judged by.
    #[serde(default)]
    pub gates: Vec<PlannedGate>,
}

/// A gate before anything has been measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGate {
    pub(crate) metric: String,
    /// The variant that the gate judges; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    /// The expression as written.
    pub(crate) expression: String,
    /// The turns that the gate judges.
    #[serde(default)]
    pub(crate) on: GateOn,
}

impl From<&Threshold> for PlannedGate {
    fn from(threshold: &Threshold) -> Self {
        Self {
            metric: threshold.metric.clone(),
            variant: threshold.variant.clone(),
            expression: threshold.expression.clone(),
            on: threshold.on,
        }
    }
}

impl PlannedGate {
    /// The result of this gate when it cannot be judged; `why` is the reason.
    pub(super) fn undecided(&self, why: &str) -> GateResult {
        GateResult {
            metric: self.metric.clone(),
            variant: self.variant.clone(),
            expression: self.expression.clone(),
            on: self.on,
            observed: None,
            observed_infinite: false,
            interval: None,
            n: 0,
            effective_n: 0.0,
            verdict: GateVerdict::Undecided,
            answer: Some(GateAnswer::Undecided),
            reason: Some(why.to_owned()),
            words: why.to_owned(),
        }
    }
}

impl RunStart {
    /// The content of `run.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("serializing string keys to memory cannot fail");
        text.push('\n');
        text
    }
}
