//! The types of `summary.json`: a run in figures.
//!
//! In: nothing; [`Summary::build`] fills them. Out: JSON through serde, and its JSON Schema.
//! Invariant: warm-up calls are in no figure.

use super::broken::BrokenReplies;
use super::connection::ConnectionFigures;
use super::conversation::ConversationFigures;
use super::figures::Intervals;
use super::latencies::Metrics;
use super::path::PathFigures;
use super::said::SaidFigures;
use super::sentinels::Sentinels;
use super::steady::{Steady, SteadySpan};
use super::usage::UsageFigures;
use super::variants::VariantSummary;
use super::verdict::{Ending, Verdict};
use crate::record::facts::measurement::first;
use crate::record::{CallCounts, Conditions, Generator, Ms, SpanCounts, TurnCounts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Facts about a run that its records do not contain.
#[derive(Debug, Clone)]
pub struct RunFacts<'a> {
    /// The scenario's name.
    pub name: &'a str,
    /// The seed of the plan.
    pub seed: u64,
    /// Kind and address of the target, without secrets.
    pub target: &'a str,
    /// When the program started the run, RFC 3339, UTC.
    pub started_at: &'a str,
    /// Wall-clock time of the instant that all instants are relative to, RFC 3339, UTC.
    pub zero_at: Option<&'a str>,
    /// Version of the measurement definitions.
    pub measurement_version: u32,
    /// From the first planned instant to the last call's end.
    pub duration: Duration,
    /// This program's version.
    pub loadgen_version: &'a str,
    /// Planned calls, without warm-up calls.
    pub planned_calls: usize,
    /// Turns of those calls.
    pub planned_turns: usize,
    /// How the run ended.
    pub ending: Ending,
    /// Reasons why the run's figures are not reliable (send lateness over its bound, …).
    pub invalid: Vec<String>,
    /// The generator's own health.
    pub generator: Generator,
    /// Periods of steady load; empty if the load was always steady.
    pub steady: Vec<SteadySpan>,
    /// The network impairment that was applied to packets, if any.
    pub network: Option<Network>,
    /// Results of the sentinel calls, if there were any.
    pub sentinels: Option<Sentinels>,
}

/// A run in figures; the content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Version of this format.
    pub(crate) version: u32,
    /// The verdict on the run.
    pub verdict: Verdict,
    /// The run's identity, duration and versions.
    pub(crate) run: RunInfo,
    /// The network impairment that the scenario applied to packets; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<Network>,
    /// Latencies of the measured turns and calls.
    pub(crate) metrics: Metrics,
    /// The figures of the turns and calls that began while the load was steady; absent if the load
    /// was always steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steady: Option<Steady>,
    /// Confidence intervals of the quantiles of `ttfa`.
    pub(crate) intervals: Intervals,
    /// Measured turns by outcome.
    pub outcomes: TurnCounts,
    /// Measured calls by outcome.
    pub(crate) calls: CallCounts,
    /// How the conversations went; absent if no turn was spoken, and in earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<ConversationFigures>,
    /// The critical path of the replies, step by step; absent if no agent reports enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) critical_path: Option<PathFigures>,
    /// Accuracy of the agent's transcripts and of its replies; absent without transcripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) said: Option<SaidFigures>,
    /// Replies whose audio broke; absent if no reply's audio was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broken: Option<BrokenReplies>,
    /// What the network did to the calls; absent if no call went over RTP, and in earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<ConnectionFigures>,
    /// Usage and cost of the agents' models; absent if no agent reports its usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<UsageFigures>,
    /// The judgement of a second, independent detector on the replies' onsets.
    #[serde(default)]
    pub(crate) second_opinion: SecondOpinions,
    /// Number of times that a caller's echo on the agent's track was recognised and not taken for a
    /// reply.
    #[serde(default)]
    pub(crate) echoes: usize,
    /// The longest wait for a reply, from the caller's end of speech, among the turns that the end
    /// of the run cut off; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) longest_wait_ms: Option<Ms>,
    /// Missed turns whose reply came after the timeout.
    #[serde(default)]
    pub(crate) late_replies: usize,
    /// Measured turns by flag; flags that no turn has are absent.
    pub(crate) flags: BTreeMap<String, usize>,
    /// Failed calls by cause, the most frequent first.
    pub(crate) failures: Vec<FailureGroup>,
    /// The generator's own health.
    pub(crate) generator: Generator,
    /// Results of the sentinel calls; null if there were none.
    #[serde(default)]
    pub(crate) sentinels: Option<Sentinels>,
    /// The run's variants by rank: the one that answers soonest comes first. Absent if there is
    /// only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) variants: Vec<VariantSummary>,
    /// What became of the spans that the agents sent; absent if they were not received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_spans: Option<SpanCounts>,
    /// The utterances, the call script, the load and the network; absent in earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conditions: Option<Conditions>,
}

/// The run's identity, duration and versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunInfo {
    /// The scenario's name.
    pub name: String,
    /// The seed of the plan.
    pub seed: u64,
    /// Kind and address of the target.
    pub target: String,
    /// When the program started the run, RFC 3339, UTC: before the preflight call.
    pub started_at: String,
    /// Wall-clock time of the instant that every other instant is relative to, RFC 3339, UTC, to
    /// the microsecond; absent in files of version 1 and if no call was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_at: Option<String>,
    /// Duration of the run.
    pub duration_ms: Ms,
    /// Version of loadgen that made the run.
    pub loadgen_version: String,
    /// Version of the measurement definitions; runs of different versions are not compared.
    #[serde(default = "first")]
    pub measurement_version: u32,
    /// False for a run that was cut off, or is still in progress: its figures cover the turns and
    /// calls that had ended by then.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// The simulated networks between the callers and the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Share of the agent's packets that the callers dropped on purpose, 0 to 1.
    pub(crate) loss: f64,
    /// Mean number of packets dropped in a row, if the scenario specifies only the loss of the
    /// agent's packets; null if packets are dropped independently.
    pub(crate) burst: Option<f64>,
    /// The networks in words, unless only the loss of the agent's packets is specified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<NetworkPart>,
}

/// One of the simulated networks of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NetworkPart {
    /// Name of the preset, of the network in the scenario, or of the variant that has it; null for
    /// the only network of a run.
    pub(crate) name: Option<String>,
    /// Share of the calls, 0 to 1; null for the network of a variant.
    pub(crate) share: Option<f64>,
    /// What happens to packets in each direction.
    pub(crate) words: String,
}

impl std::fmt::Display for NetworkPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            f.write_str(name)?;
            if let Some(share) = self.share.filter(|share| *share < 1.0) {
                write!(f, ", {:.0} % of the calls", share * 100.0)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.words)
    }
}

/// The judgement of a voice detector (or, where the scenario declares a tone, a tone detector) on
/// the onsets of measured turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SecondOpinions {
    /// Number of onsets.
    pub onsets: usize,
    /// Of these, onsets that the second detector judged; under high load it judges only a share of
    /// them.
    pub asked: usize,
    /// Of the judged onsets, those that the detector does not recognise as speech (or as the
    /// declared tone).
    pub not_speech: usize,
    /// Of the judged onsets, those that the detector places more than 60 ms earlier or later.
    pub disputed: usize,
}

/// Failed calls with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FailureGroup {
    /// Stable machine name.
    pub cause: String,
    /// Number of calls.
    pub count: usize,
    /// What happened to the first of these calls.
    pub message: String,
    /// What to try next.
    pub hint: String,
}
