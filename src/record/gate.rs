//! A judged gate, as it is stored in files and shown to people.
//!
//! In: a threshold and the records. Out: a [`GateResult`] with its wording. Invariant: the wording
//! is produced here alone, so that every report says the same of a gate.

use super::metrics::OpenCall;
use super::steady::SteadyRecords;
use super::verdict::Evidence;
use super::words::words;
use super::{CallRecord, Metric, Ms, SteadySpan, TurnRecord};
use crate::stats::{self, Answer, Basis, Decider, Judgement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which turns a gate looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateOn {
    /// All that are measured.
    #[default]
    All,
    /// Those that began while the load was level.
    Steady,
}

/// A threshold as the scenario asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The name of a [`Metric`].
    pub metric: String,
    /// Only calls of this variant; `None` for all.
    pub variant: Option<String>,
    /// The expression as written: `p(95)<1500ms`.
    pub expression: String,
    /// The parsed expression.
    pub gate: stats::Gate,
    /// Which turns it looks at.
    pub on: GateOn,
    /// What decides if the bound lies within the interval.
    pub decider: Decider,
}

impl Threshold {
    /// A threshold on all turns, decided by the estimate.
    pub fn new(metric: &str, expression: &str, gate: stats::Gate) -> Self {
        Self {
            metric: metric.to_owned(),
            variant: None,
            expression: expression.to_owned(),
            gate,
            on: GateOn::All,
            decider: Decider::Estimate,
        }
    }

    /// The metric, its filter and the expression: `ttfa{variant:fast} p(95)<1500ms`.
    pub fn name(&self) -> String {
        name(
            &self.metric,
            self.variant.as_deref(),
            &self.expression,
            self.on,
        )
    }

    /// Whether the records so far refute it at `level`, even if everything that the calls in
    /// progress (`open`) still owe keeps the bound. `steady`: periods of level load; empty if the
    /// load is always level.
    pub fn is_refuted(
        &self,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        open: &[OpenCall],
        steady: &[SteadySpan],
        level: f64,
    ) -> bool {
        let Some(metric) = Metric::named(&self.metric) else {
            return false;
        };
        let picked;
        let (calls, turns) = if self.on == GateOn::Steady && !steady.is_empty() {
            picked = SteadyRecords::of(steady, calls, turns);
            (picked.calls.as_slice(), picked.turns.as_slice())
        } else {
            (calls, turns)
        };
        let upper = self.gate.comparison.is_upper();
        let variant = self.variant.as_deref();
        let population = metric.population_at_best(calls, turns, variant, open, upper);
        self.gate.is_refuted(&population, level)
    }
}

/// What became of a gate, in three words; `answer` has five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// It holds, or holds weakly.
    Passed,
    /// It does not, or weakly not.
    Failed,
    /// It could not be judged; `reason` says why.
    Undecided,
}

/// What became of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// The whole interval keeps the bound.
    Pass,
    /// The bound lies within the interval; the estimate keeps it.
    WeakPass,
    /// The bound lies within the interval; the estimate does not keep it.
    WeakFail,
    /// No part of the interval keeps the bound, or the turns refute it.
    Fail,
    /// It could not be judged; never a pass.
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
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::WeakPass => "weak_pass",
            Self::WeakFail => "weak_fail",
            Self::Fail => "fail",
            Self::Undecided => "undecided",
        }
    }

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
pub struct GateInterval {
    /// Lower end, in ms, or a ratio for rates.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// A judged gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// The metric.
    pub metric: String,
    /// The variant that it looks at; null: all.
    #[serde(default)]
    pub variant: Option<String>,
    /// The expression as written.
    pub expression: String,
    /// The turns that it looks at.
    #[serde(default)]
    pub on: GateOn,
    /// The figure seen, in ms, or a ratio for rates; null when infinite or undecided.
    pub observed: Option<f64>,
    /// The figure lies among the turns that were never answered: +∞.
    pub observed_infinite: bool,
    /// Its 95 % interval; null where there is none.
    #[serde(default)]
    pub interval: Option<GateInterval>,
    /// Turns (or calls) behind it.
    #[serde(default)]
    pub n: usize,
    /// As many independent ones would say as much.
    #[serde(default)]
    pub effective_n: f64,
    /// What became of it.
    pub verdict: GateVerdict,
    /// The same, weak answers told apart; absent in files of earlier releases.
    #[serde(default)]
    pub answer: Option<GateAnswer>,
    /// Why it is undecided.
    pub reason: Option<String>,
    /// The figure, its interval and what follows, for people; empty in files of earlier releases.
    #[serde(default)]
    pub words: String,
}

impl GateResult {
    /// The answer; derived from the verdict in files that do not contain it.
    pub fn answer(&self) -> GateAnswer {
        self.answer.unwrap_or(match self.verdict {
            GateVerdict::Passed => GateAnswer::Pass,
            GateVerdict::Failed => GateAnswer::Fail,
            GateVerdict::Undecided => GateAnswer::Undecided,
        })
    }

    /// The metric, its filter and the expression: `ttfa{variant:fast} p(95)<1500ms`.
    pub fn name(&self) -> String {
        name(
            &self.metric,
            self.variant.as_deref(),
            &self.expression,
            self.on,
        )
    }

    /// The observed figure, with its unit.
    pub fn figure(&self) -> String {
        match (self.observed, self.observed_infinite) {
            (_, true) => "never (∞)".to_owned(),
            (None, _) => "–".to_owned(),
            (Some(ratio), _) if is_share(&self.metric) => format!("{ratio:.4}"),
            (Some(ms), _) => format!("{ms:.1} ms"),
        }
    }

    /// Why this gate keeps the run from passing.
    pub(super) fn sentence(&self) -> String {
        let (name, words) = (self.name(), &self.words);
        match self.answer() {
            GateAnswer::Undecided => format!("gate {name} cannot be judged: {words}"),
            _ => format!("gate {name} does not hold: {words}"),
        }
    }
}

fn name(metric: &str, variant: Option<&str>, expression: &str, on: GateOn) -> String {
    let filter = variant.map_or_else(String::new, |v| format!("{{variant:{v}}}"));
    let on = match on {
        GateOn::All => "",
        GateOn::Steady => " (steady)",
    };
    format!("{metric}{filter} {expression}{on}")
}

fn is_share(metric: &str) -> bool {
    Metric::named(metric).is_some_and(Metric::is_share)
}

/// Judges a threshold on the records.
pub(super) fn judge(threshold: &Threshold, evidence: &Evidence<'_>) -> GateResult {
    let (calls, turns) = match (threshold.on, evidence.steady) {
        (GateOn::Steady, Some(steady)) => (steady.calls.as_slice(), steady.turns.as_slice()),
        _ => (evidence.calls, evidence.turns),
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
