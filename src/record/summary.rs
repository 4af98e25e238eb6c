//! The types of `summary.json`: a run in figures.
//!
//! In: nothing; [`Summary::build`] fills them. Out: what serde and the JSON Schema make of them.
//! Invariants: warm-up calls are in no figure; planned calls = started + dropped + not run,
//! started = completed + failed + cut off.

use super::Metrics;
use super::measurement::first;
use super::{
    Conditions, Ending, Ms, Sentinels, Steady, SteadySpan, TurnCounts, VariantSummary, Verdict,
};
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
    /// Reasons why its figures are not reliable (send lateness over its bound, …).
    pub invalid: Vec<String>,
    /// The generator's own health.
    pub generator: Generator,
    /// Periods of level load; empty if the load was always level.
    pub steady: Vec<SteadySpan>,
    /// What was done to the packets on the way, if anything.
    pub network: Option<Network>,
    /// Results of the sentinel calls, if there were any.
    pub sentinels: Option<Sentinels>,
}

/// A run in figures; the content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Version of this format.
    pub version: u32,
    /// What the run came to.
    pub verdict: Verdict,
    /// Which run this was.
    pub run: RunInfo,
    /// What the scenario did to the packets on the way; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Latencies.
    pub metrics: Metrics,
    /// What began while the load was level; absent where it always was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Steady>,
    /// How far the quantiles of `ttfa` can be trusted.
    pub intervals: Intervals,
    /// Measured turns by outcome.
    pub outcomes: TurnCounts,
    /// Measured calls.
    pub calls: CallCounts,
    /// What a second, independent detector says of the replies' onsets.
    #[serde(default)]
    pub second_opinion: SecondOpinions,
    /// Times a caller's own voice came back on the agent's track, and was not taken for a reply.
    #[serde(default)]
    pub echoes: usize,
    /// The longest that a caller had waited for a reply, since its end of speech, in the turns that
    /// the end of the run cut off; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_wait_ms: Option<Ms>,
    /// Missed replies that came later than the turn's timeout.
    #[serde(default)]
    pub late_replies: usize,
    /// Measured turns by doubt; doubts nobody had are absent.
    pub flags: BTreeMap<String, usize>,
    /// Failed calls by cause, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// The generator's own health.
    pub generator: Generator,
    /// What the sentinels showed; null where there were none.
    #[serde(default)]
    pub sentinels: Option<Sentinels>,
    /// Its variants, the one that answers soonest first; absent where there are not several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantSummary>,
    /// What was said, asked and loaded; absent in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
}

/// Which run it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunInfo {
    /// The scenario's name.
    pub name: String,
    /// The seed of the plan.
    pub seed: u64,
    /// Kind and address of the target.
    pub target: String,
    /// When the program began with the run, RFC 3339, UTC: before the preflight call.
    pub started_at: String,
    /// Wall-clock time of the instant that every other instant is relative to, RFC 3339, UTC, to
    /// the microsecond; absent in files of version 1 and where no call was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_at: Option<String>,
    /// How long it took.
    pub duration_ms: Ms,
    /// The program that made it.
    pub loadgen_version: String,
    /// Version of what is measured; runs of different versions are not compared.
    #[serde(default = "first")]
    pub measurement_version: u32,
    /// False for a run that was cut off, or is still going on: its figures are those of what had
    /// ended by then.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// What was done to packets on the way from the agent to the callers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// Share of the agent's packets that the callers dropped unheard, 0 to 1.
    pub loss: f64,
    /// Mean number dropped in a row; null: each packet for itself.
    pub burst: Option<f64>,
}

/// Exact order statistics of one metric; null where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the field names are the statistics' own")]
pub struct Latency {
    pub count: usize,
    pub min_ms: Option<Ms>,
    pub mean_ms: Option<Ms>,
    pub p50_ms: Option<Ms>,
    pub p90_ms: Option<Ms>,
    pub p95_ms: Option<Ms>,
    pub p99_ms: Option<Ms>,
    pub max_ms: Option<Ms>,
}

/// Exact order statistics with +∞: null stands for +∞ where `count` > 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the field names are the statistics' own")]
pub struct AllTurns {
    pub count: usize,
    /// So many of `count` are +∞.
    pub infinite: usize,
    pub min_ms: Option<Ms>,
    pub mean_ms: Option<Ms>,
    pub p50_ms: Option<Ms>,
    pub p90_ms: Option<Ms>,
    pub p95_ms: Option<Ms>,
    pub p99_ms: Option<Ms>,
    pub max_ms: Option<Ms>,
}

/// Distribution-free confidence intervals from order statistics; the turns of a call count for
/// as many as they are worth, which is fewer where they are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// They cover the true quantile with at least this probability.
    pub level: f64,
    /// Of `metrics.ttfa`.
    pub ttfa: Quantiles,
    /// Of `metrics.all_turns`.
    pub all_turns: Quantiles,
}

/// Intervals of the quantiles; null where there are too few turns (p95 needs 59 independent
/// ones, p99 299).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the field names are the statistics' own")]
pub struct Quantiles {
    pub p50: Option<Span>,
    pub p95: Option<Span>,
    pub p99: Option<Span>,
}

/// An interval of latencies; a null end is +∞.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Lower end.
    pub lower_ms: Option<Ms>,
    /// Upper end.
    pub upper_ms: Option<Ms>,
}

/// The calls of a run, warm-up calls left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CallCounts {
    /// Calls the plan holds.
    pub planned: usize,
    /// Calls that began.
    pub started: usize,
    /// Of these, calls that ended as they should.
    pub completed: usize,
    /// Of these, calls that failed.
    pub failed: usize,
    /// Of these, calls that were under way when the run was stopped.
    #[serde(default)]
    pub cut_off: usize,
    /// Planned calls that were to begin and could not.
    pub dropped: usize,
    /// Planned calls that never began because the run was stopped.
    #[serde(default)]
    pub not_run: usize,
}

/// A voice detector's (or, where the scenario declares a tone, a tone detector's) word on the
/// onsets of measured turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SecondOpinions {
    /// Onsets there were.
    pub onsets: usize,
    /// Of these, onsets that it was asked about; under high load it is asked about a share.
    pub asked: usize,
    /// Of these, replies that it takes for no speech (or not for the declared tone).
    pub not_speech: usize,
    /// Of these, replies that it hears begin more than 60 ms earlier or later.
    pub disputed: usize,
}

/// Failed calls of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureGroup {
    /// Stable machine name.
    pub cause: String,
    /// Calls.
    pub count: usize,
    /// What happened, to the first of them.
    pub message: String,
    /// What to try next.
    pub hint: String,
}

/// The generator's own health.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// How late its ticks were.
    pub tick_lateness_ms: TickLateness,
    /// Cores it kept busy, on average.
    pub cpu_cores: f64,
    /// Its largest resident memory.
    pub rss_bytes: u64,
    /// Packets sent, on average.
    pub packets_out_per_s: f64,
    /// Packets received, on average.
    pub packets_in_per_s: f64,
    /// How long received packets waited in our sockets: kernel's stamp → read.
    #[serde(default)]
    pub receive_wait_ms: TickLateness,
    /// Datagrams that the kernel dropped for want of room in our sockets.
    #[serde(default)]
    pub own_drops: u64,
    /// Audio packets that a caller listened to.
    #[serde(default)]
    pub packets_heard: u64,
    /// Audio packets dropped for a reason: of a track that is not the agent's voice, from before
    /// the track's section was known, or from after the call.
    #[serde(default)]
    pub packets_ignored: u64,
    /// Audio packets that nobody listened to, without such a reason.
    #[serde(default)]
    pub packets_unheard: u64,
    /// Media threads.
    #[serde(default)]
    pub media_threads: usize,
    /// Share of a core that the busiest of them used.
    #[serde(default)]
    pub media_thread_cores: f64,
    /// Share of a core that each of them used, in the order of their start.
    #[serde(default)]
    pub media_threads_cores: Vec<f64>,
    /// Share of the time that one of them was ready to run and waited for a core; null where
    /// the kernel does not tell.
    #[serde(default)]
    pub run_queue_wait: Option<f64>,
    /// Share of the machine's time that its host gave to others; null as above.
    #[serde(default)]
    pub steal: Option<f64>,
}

/// How late the media ticks were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the field names are the statistics' own")]
pub struct TickLateness {
    pub p50: Ms,
    pub p99: Ms,
    pub max: Ms,
}
