//! A judged gate, as stored in files and shown in reports.
//!
//! In: a threshold and the records. Out: a [`GateResult`] with its wording. Invariant: the wording
//! is produced only here, so that every report describes a gate in the same words.

use super::steady::SteadyRecords;
use super::threshold::{GateOn, Threshold, name};
use super::words::words;
use crate::record::{CallRecord, Ms, TurnRecord};
use crate::stats::{Answer, Basis, Judgement};
use crate::vocab::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict on a gate, one of three; `answer` has five values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// The gate holds, or weakly holds.
    Passed,
    /// The gate fails, or weakly fails.
    Failed,
    /// The gate could not be judged; `reason` states why.
    Undecided,
}

/// The answer to a gate, with weak answers distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GateAnswer {
    /// The whole interval is within the bound.
    Pass,
    /// The bound lies inside the interval; the estimate is within the bound.
    WeakPass,
    /// The bound lies inside the interval; the estimate is beyond the bound.
    WeakFail,
    /// The whole interval is beyond the bound, or the turns refute the gate.
    Fail,
    /// The gate could not be judged; this never counts as a pass.
    Undecided,
}

impl From<Answer> for GateAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Pass => Self::Pass,
            Answer::WeakPass => Self::WeakPass,
            Answer::WeakFail => Self::WeakFail,
            Answer::Fail => Self::Fail,
            Answer::Undecided => Self::Undecided,
        }
    }
}

impl GateAnswer {
    fn verdict(self) -> GateVerdict {
        match self {
            Self::Pass | Self::WeakPass => GateVerdict::Passed,
            Self::Fail | Self::WeakFail => GateVerdict::Failed,
            Self::Undecided => GateVerdict::Undecided,
        }
    }
}

/// The 95 % interval of a gate's figure; a null end is +∞.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GateInterval {
    /// Lower end, in ms, or a ratio for rates.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// A judged gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// The metric.
    pub(crate) metric: String,
    /// The variant that the gate judges; null for all variants.
    #[serde(default)]
    pub(crate) variant: Option<String>,
    /// The expression as written.
    pub(crate) expression: String,
    /// The turns that the gate judges.
    #[serde(default)]
    pub(crate) on: GateOn,
    /// The figure observed, in ms, or a ratio for rates; null when infinite or undecided.
    pub(crate) observed: Option<f64>,
    /// Whether the figure is +∞, since the quantile lies among the turns that were never answered.
    pub(crate) observed_infinite: bool,
    /// The 95 % interval of the figure; null where there is none.
    #[serde(default)]
    pub(crate) interval: Option<GateInterval>,
    /// Number of turns (or calls) behind the figure.
    #[serde(default)]
    pub(crate) n: usize,
    /// The effective sample size: this many independent samples would give the same confidence.
    #[serde(default)]
    pub(crate) effective_n: f64,
    /// The verdict on the gate.
    pub verdict: GateVerdict,
    /// The answer, in which weak passes and failures are distinguished; absent in files of earlier
    /// releases.
    #[serde(default)]
    pub(crate) answer: Option<GateAnswer>,
    /// Why the gate is undecided.
    pub(crate) reason: Option<String>,
    /// The figure, its interval and the conclusion, for people; empty in files of earlier releases.
    #[serde(default)]
    pub(crate) words: String,
}

impl GateResult {
    /// The answer; derived from the verdict in files that do not contain it.
    pub(crate) fn answer(&self) -> GateAnswer {
        self.answer.unwrap_or(match self.verdict {
            GateVerdict::Passed => GateAnswer::Pass,
            GateVerdict::Failed => GateAnswer::Fail,
            GateVerdict::Undecided => GateAnswer::Undecided,
        })
    }

    /// The metric, its filter and the expression: `ttfa{variant:fast} p(95)<1500ms`.
    pub(crate) fn name(&self) -> String {
        name(
            &self.metric,
            self.variant.as_deref(),
            &self.expression,
            self.on,
        )
    }

    /// The observed figure, with its unit.
    pub(crate) fn figure(&self) -> String {
        match (self.observed, self.observed_infinite) {
            (_, true) => "never (∞)".to_owned(),
            (None, _) => "–".to_owned(),
            (Some(ratio), _) if is_share(&self.metric) => format!("{ratio:.4}"),
            (Some(ms), _) => format!("{ms:.1} ms"),
        }
    }

    /// Why this gate keeps the run from passing.
    pub(in crate::record) fn sentence(&self) -> String {
        let (name, words) = (self.name(), &self.words);
        match self.answer() {
            GateAnswer::Undecided => format!("gate {name} cannot be judged: {words}"),
            _ => format!("gate {name} does not hold: {words}"),
        }
    }
}

fn is_share(metric: &str) -> bool {
    Metric::named(metric).is_some_and(Metric::is_share)
}

/// The records that gates are judged on.
pub(in crate::record) struct Records<'a> {
    pub(super) calls: &'a [CallRecord],
    pub(super) turns: &'a [TurnRecord],
    /// The records of the calls and turns that started while the load was steady; `None` if it
    /// always was.
    pub(super) steady: Option<&'a SteadyRecords>,
}

pub(in crate::record) fn judge(threshold: &Threshold, records: &Records<'_>) -> GateResult {
    let (calls, turns) = match (threshold.on, records.steady) {
        (GateOn::Steady, Some(steady)) => (steady.calls.as_slice(), steady.turns.as_slice()),
        _ => (records.calls, records.turns),
    };
    let metric = Metric::named(&threshold.metric);
    let judged = match metric {
        Some(metric) => {
            let variant = threshold.variant.as_deref();
            let population = metric.population(calls, turns, variant);
            threshold.gate.judge(&population, threshold.decider)
        }
        None => Judgement::none(Basis::NotApplicable),
    };
    let answer = GateAnswer::from(judged.answer);
    let words = words(threshold, metric, &judged);
    let figure = |seen: f64| match metric.is_some_and(Metric::is_share) {
        true => seen,
        false => to_the_microsecond(seen),
    };
    let finite = |seen: f64| seen.is_finite().then(|| figure(seen));
    GateResult {
        metric: threshold.metric.clone(),
        variant: threshold.variant.clone(),
        expression: threshold.expression.clone(),
        on: threshold.on,
        observed: judged.observed.and_then(finite),
        observed_infinite: judged.observed == Some(f64::INFINITY),
        interval: judged.interval.map(|(lower, upper)| GateInterval {
            lower: finite(lower),
            upper: finite(upper),
        }),
        n: judged.n,
        effective_n: (judged.n_eff * 10.0).round() / 10.0,
        verdict: answer.verdict(),
        answer: Some(answer),
        reason: (answer == GateAnswer::Undecided).then(|| words.clone()),
        words,
    }
}

fn to_the_microsecond(ms: f64) -> f64 {
    Ms::from_micros((ms * 1e3).round() as i64).as_f64()
}
