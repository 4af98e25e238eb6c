//! What a run came to, in one word and its reasons.
//!
//! In: samples, thresholds, how the run ended. Out: a [`Verdict`]. Holds: a run that is invalid,
//! stopped or broken, or has a gate that could not be judged, never passes.

use super::{Ms, Samples};
use crate::stats::{self, Population, Undecided};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All calls of the plan were over.
    Finished,
    /// The user stopped it.
    Stopped,
    /// It was cut off before its end was recorded.
    Cut,
    /// It could not be carried out, for this reason.
    Error(String),
}

/// Said of a run whose end is not in its record.
const INCOMPLETE: &str = "the run is incomplete: loadgen was killed, or is still running; \
                          this is what had ended by then";

/// A gate as the scenario has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// One of [`super::METRICS`].
    pub metric: String,
    /// The expression as written: `p(95)<1500ms`.
    pub expression: String,
    /// What it means.
    pub gate: stats::Gate,
}

/// The run in one word. Where several hold, the first of this order does: error, stopped,
/// invalid (by the run itself), failed, invalid (a gate undecided), passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The run is valid and every gate holds.
    Passed,
    /// A gate does not hold.
    Failed,
    /// The generator's own lateness, dropped calls or too few turns forbid a judgement.
    Invalid,
    /// Stopped by the user.
    Stopped,
    /// The run could not be carried out.
    Error,
}

/// What became of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be judged; `reason` says why.
    Undecided,
}

/// A judged gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// The metric.
    pub metric: String,
    /// The expression as written.
    pub expression: String,
    /// The figure seen, in ms, or a ratio for rates; null when infinite or undecided.
    pub observed: Option<f64>,
    /// The figure lies among the turns that were never answered: +∞.
    pub observed_infinite: bool,
    /// What became of it.
    pub verdict: GateVerdict,
    /// Why it is undecided.
    pub reason: Option<String>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// In one word.
    pub status: Status,
    /// Why it is not `passed`, the weightiest first.
    pub reasons: Vec<String>,
    /// Every gate, as the scenario orders them.
    pub gates: Vec<GateResult>,
}

impl Verdict {
    /// Judges the gates and weighs them against how the run went. `invalid`: why the run's
    /// figures cannot be trusted.
    pub(super) fn of(
        ending: &Ending,
        invalid: Vec<String>,
        thresholds: &[Threshold],
        samples: &Samples,
    ) -> Self {
        let gates: Vec<GateResult> = thresholds.iter().map(|t| judge(t, samples)).collect();
        let of = |verdict| gates.iter().filter(move |g| g.verdict == verdict);
        let failed = of(GateVerdict::Failed).map(GateResult::sentence);
        let undecided = of(GateVerdict::Undecided).map(GateResult::sentence);
        let (ended, reason) = match ending {
            Ending::Finished => (None, None),
            Ending::Stopped => (
                Some(Status::Stopped),
                Some("stopped by the user".to_owned()),
            ),
            Ending::Cut => (Some(Status::Invalid), Some(INCOMPLETE.to_owned())),
            Ending::Error(reason) => (Some(Status::Error), Some(reason.clone())),
        };
        let mut status = ended;
        let mut reasons: Vec<String> = reason.into_iter().collect();
        for (word, why) in [
            (Status::Invalid, invalid),
            (Status::Failed, failed.collect()),
            (Status::Invalid, undecided.collect()),
        ] {
            if !why.is_empty() {
                status = status.or(Some(word));
                reasons.extend(why);
            }
        }
        Self {
            status: status.unwrap_or(Status::Passed),
            reasons,
            gates,
        }
    }
}

impl Verdict {
    /// Why the run's figures cannot be trusted, whatever its gates say; `None` where they can.
    pub fn against_the_run(&self) -> Option<&str> {
        let first = self
            .reasons
            .first()
            .map_or("no reason is given", String::as_str);
        match self.status {
            Status::Passed | Status::Failed => None,
            Status::Stopped | Status::Error => Some(first),
            // The weightiest comes first: where it is a gate, the run itself is in order.
            Status::Invalid => (!first.starts_with(OF_A_GATE)).then_some(first),
        }
    }
}

/// What every reason that is a gate's begins with.
const OF_A_GATE: &str = "gate ";

impl GateResult {
    /// The figure seen, with its unit.
    pub fn figure(&self) -> String {
        match (self.observed, self.observed_infinite) {
            (_, true) => "never (∞)".to_owned(),
            (None, _) => "–".to_owned(),
            (Some(ratio), _) if is_rate(&self.metric) => format!("{ratio:.4}"),
            (Some(ms), _) => format!("{ms:.1} ms"),
        }
    }

    fn sentence(&self) -> String {
        let Self {
            metric, expression, ..
        } = self;
        match &self.reason {
            Some(reason) => format!("gate {metric} {expression} cannot be judged: {reason}"),
            None => format!(
                "gate {metric} {expression} does not hold: {}",
                self.figure()
            ),
        }
    }
}

fn is_rate(metric: &str) -> bool {
    matches!(
        Samples::default().population(metric),
        Some(Population::Rate(_))
    )
}

fn judge(threshold: &Threshold, samples: &Samples) -> GateResult {
    let judged = samples.population(&threshold.metric).map_or(
        stats::Judgement {
            verdict: stats::Verdict::Undecided(Undecided::NotApplicable),
            observed: None,
        },
        |population| threshold.gate.judge(population),
    );
    let (verdict, reason) = match judged.verdict {
        stats::Verdict::Pass => (GateVerdict::Passed, None),
        stats::Verdict::Fail => (GateVerdict::Failed, None),
        stats::Verdict::Undecided(why) => (GateVerdict::Undecided, Some(why.to_string())),
    };
    let finite = judged.observed.filter(|seen| seen.is_finite());
    GateResult {
        metric: threshold.metric.clone(),
        expression: threshold.expression.clone(),
        observed: finite.map(|seen| {
            if is_rate(&threshold.metric) {
                seen
            } else {
                to_the_microsecond(seen)
            }
        }),
        observed_infinite: judged.observed == Some(f64::INFINITY),
        verdict,
        reason,
    }
}

fn to_the_microsecond(ms: f64) -> f64 {
    Ms::from_micros((ms * 1e3).round() as i64).as_f64()
}
