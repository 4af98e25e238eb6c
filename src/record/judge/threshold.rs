//! A threshold as the scenario specifies it.
//!
//! In: a metric, an expression, the rule for close results. Out: a [`Threshold`] that can be
//! judged, and refuted while the run is in progress. Invariant: a threshold and its judged gate
//! have the same name.

use super::metrics::OpenCall;
use super::steady::SteadyRecords;
use super::steady::SteadySpan;
use crate::record::{CallRecord, TurnRecord};
use crate::stats::{self, Decider};
use crate::vocab::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which turns a gate judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateOn {
    /// All measured turns.
    #[default]
    All,
    /// Turns that began while the load was steady.
    Steady,
}

/// A threshold as the scenario specifies it.
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
    /// Which turns the threshold judges.
    pub on: GateOn,
    /// The rule that applies when the bound lies within the interval.
    pub decider: Decider,
}

impl Threshold {
    /// A threshold on all turns, decided by the estimate.
    #[cfg(test)]
    pub(crate) fn new(metric: &str, expression: &str, gate: stats::Gate) -> Self {
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
    pub(crate) fn name(&self) -> String {
        name(
            &self.metric,
            self.variant.as_deref(),
            &self.expression,
            self.on,
        )
    }

    /// Whether the records so far refute the threshold at `level`, even if all outstanding turns of
    /// the calls in progress (`open`) meet the bound. `steady`: periods of steady load; empty if
    /// the load is always steady.
    pub(crate) fn is_refuted(
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

/// A threshold in text: `ttfa{variant:fast} p(95)<1500ms (steady)`.
pub(in crate::record) fn name(
    metric: &str,
    variant: Option<&str>,
    expression: &str,
    on: GateOn,
) -> String {
    let filter = variant.map_or_else(String::new, |v| format!("{{variant:{v}}}"));
    let on = match on {
        GateOn::All => "",
        GateOn::Steady => " (steady)",
    };
    format!("{metric}{filter} {expression}{on}")
}
