//! Usage and cost of the agents' models.
//!
//! In: call records, prices. Out: usage by model, cost per call, per minute and per hour.
//! Invariants: warm-up calls are left out; an amount without a price is listed, never counted as
//! free.

use crate::account::{ModelKind, ModelUsage, Used, sum};
use crate::record::CallRecord;
use crate::vocab::Prices;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Number of tokens or characters that a price is for.
const MILLION: f64 = 1e6;
const MS_PER_MINUTE: f64 = 60_000.0;
/// Maximum number of models that are listed; the doc comment of [`UsageFigures::models`], which is
/// published in the schema, repeats it.
const MODELS: usize = 100;

/// Usage of models in the measured calls, as the agents report it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UsageFigures {
    /// Number of calls whose agent reports its usage.
    pub calls: usize,
    /// Number of additional models of the same kind within a call, such as a fallback, summed over
    /// the calls.
    pub model_changes: usize,
    /// The sum over these calls, by model; after the first 100 models, the rest of each kind is
    /// added up.
    pub models: Vec<ModelFigures>,
    /// Cost of this usage; absent without prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// The usage of one model over all calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ModelFigures {
    /// `stt`, `llm` or `tts`.
    pub kind: ModelKind,
    pub provider: String,
    pub model: String,
    pub used: Used,
    /// Cost of this usage; absent if the model has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Cost of the calls, as far as there are prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Cost {
    /// The currency of all amounts.
    pub currency: String,
    /// Cost of all measured calls whose agent reports its usage.
    pub total: f64,
    /// Mean cost of one of these calls.
    pub per_call: f64,
    /// Mean cost of a minute of these calls; null if the calls took no time.
    pub per_minute: Option<f64>,
    /// Cost of an hour at the load of the run; null for one variant of several.
    pub per_hour: Option<f64>,
    /// Models, or amounts of them, that have no price and are not in the figures.
    pub unpriced: Vec<String>,
}

impl UsageFigures {
    /// The usage of these calls; `None` if no agent reports any.
    pub(super) fn of(calls: &[CallRecord]) -> Option<Self> {
        let told = || told(calls);
        let calls = told().count();
        let changes = |call: &CallRecord| {
            let kinds: BTreeSet<ModelKind> = call.usage.iter().map(|u| u.kind).collect();
            call.usage.len() - kinds.len()
        };
        let models = bounded(sum(told().flat_map(|c| &c.usage))).into_iter();
        (calls > 0).then(|| Self {
            calls,
            model_changes: told().map(changes).sum(),
            models: models.map(ModelFigures::of).collect(),
            cost: None,
        })
    }

    /// Adds the cost. `is_run`: whether `calls` are all calls of the run.
    pub(super) fn priced(mut self, prices: &Prices, calls: &[CallRecord], is_run: bool) -> Self {
        let mut unpriced = Vec::new();
        for model in &mut self.models {
            model.cost = model.price(prices, &mut unpriced);
        }
        let minutes: f64 = told(calls)
            .filter_map(|c| Some(c.ended_ms?.as_f64() - c.started_ms?.as_f64()))
            .map(|ms| ms / MS_PER_MINUTE)
            .sum();
        let of_models: f64 = self.models.iter().filter_map(|m| m.cost).sum();
        let total = of_models + prices.call_minute.unwrap_or(0.0) * minutes;
        let first = told(calls).filter_map(|c| c.started_ms).min();
        let last = told(calls).filter_map(|c| c.ended_ms).max();
        let span = first
            .zip(last)
            .map(|(first, last)| last.as_f64() - first.as_f64());
        let hours = span.filter(|_| is_run).map(|ms| ms / MS_PER_MINUTE / 60.0);
        self.cost = Some(Cost {
            currency: prices.currency().to_owned(),
            total,
            per_call: total / self.calls as f64,
            per_minute: (minutes > 0.0).then(|| total / minutes),
            per_hour: hours.filter(|h| *h > 0.0).map(|hours| total / hours),
            unpriced,
        });
        self
    }
}

/// Keeps the first [`MODELS`] models and adds up the rest of each kind under one name.
fn bounded(mut models: Vec<ModelUsage>) -> Vec<ModelUsage> {
    if models.len() <= MODELS {
        return models;
    }
    let rest = models
        .split_off(MODELS)
        .into_iter()
        .map(|usage| ModelUsage {
            provider: "other".to_owned(),
            model: "other".to_owned(),
            ..usage
        });
    let rest: Vec<ModelUsage> = rest.collect();
    models.extend(sum(&rest));
    models
}

/// The measured calls whose agent reports its usage.
fn told(calls: &[CallRecord]) -> impl Iterator<Item = &CallRecord> {
    calls.iter().filter(|c| !c.warmup && !c.usage.is_empty())
}

impl ModelFigures {
    fn of(usage: ModelUsage) -> Self {
        Self {
            kind: usage.kind,
            provider: usage.provider,
            model: usage.model,
            used: usage.used,
            cost: None,
        }
    }

    /// The cost of the model's usage; amounts without a price are added to `unpriced`. For
    /// recognition and synthesis, characters and audio minutes are alternative measures of the same
    /// usage: they are not unpriced if any other amount has a price.
    fn price(&self, prices: &Prices, unpriced: &mut Vec<String>) -> Option<f64> {
        let Some(of) = prices.of(&self.provider, &self.model) else {
            unpriced.push(self.model.clone());
            return None;
        };
        let used = &self.used;
        let cached = of.cached_tokens.or(of.input_tokens);
        let cached_audio = of.cached_audio_tokens.or(of.input_audio_tokens);
        let amounts = [
            ("input_tokens", used.input_tokens, of.input_tokens, MILLION),
            ("cached_tokens", used.cached_tokens, cached, MILLION),
            (
                "output_tokens",
                used.output_tokens,
                of.output_tokens,
                MILLION,
            ),
            (
                "input_audio_tokens",
                used.input_audio_tokens,
                of.input_audio_tokens,
                MILLION,
            ),
            (
                "cached_audio_tokens",
                used.cached_audio_tokens,
                cached_audio,
                MILLION,
            ),
            (
                "output_audio_tokens",
                used.output_audio_tokens,
                of.output_audio_tokens,
                MILLION,
            ),
            ("characters", used.characters, of.characters, MILLION),
            (
                "audio_minutes",
                used.audio_ms,
                of.audio_minutes,
                MS_PER_MINUTE,
            ),
        ];
        let amounts = amounts.into_iter().filter(|(_, amount, ..)| *amount > 0);
        let (mut cost, mut missing) = (None, Vec::new());
        for (name, amount, price, unit) in amounts {
            match price {
                Some(price) => *cost.get_or_insert(0.0) += amount as f64 / unit * price,
                None => missing.push(format!("{} {name}", self.model)),
            }
        }
        let is_alternative = |name: &str| name.ends_with("characters") || name.ends_with("minutes");
        if self.kind != ModelKind::Llm && cost.is_some() {
            missing.retain(|name| !is_alternative(name));
        }
        unpriced.extend(missing);
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ms;
    use crate::record::fixtures::Run;
    use crate::vocab::ModelPrices;

    fn usage(kind: ModelKind, model: &str, used: Used) -> ModelUsage {
        ModelUsage {
            kind,
            provider: "p".into(),
            model: model.into(),
            used,
        }
    }

    fn prices(models: &[(&str, ModelPrices)]) -> Prices {
        Prices {
            models: models
                .iter()
                .map(|(name, p)| ((*name).to_owned(), *p))
                .collect(),
            ..Prices::default()
        }
    }

    #[test]
    fn cost_is_usage_times_price() {
        let mut run = Run::default();
        run.good(3);
        let llm = Used {
            input_tokens: 1_000_000,
            cached_tokens: 500_000,
            output_tokens: 100_000,
            ..Used::default()
        };
        let tts = Used {
            characters: 10_000,
            audio_ms: 600_000,
            ..Used::default()
        };
        for call in &mut run.calls[..2] {
            call.usage = vec![
                usage(ModelKind::Llm, "big", llm),
                usage(ModelKind::Tts, "voice", tts),
            ];
            let minute = Ms::from_micros(60_000_000);
            call.ended_ms = call.started_ms.map(|started| started + minute);
        }
        // A fallback took over in the second call; it has no price.
        run.calls[1].usage.push(usage(ModelKind::Llm, "small", llm));
        let figures = UsageFigures::of(&run.calls).expect("two calls report their usage");
        assert_eq!((figures.calls, figures.model_changes), (2, 1));
        let mut given = prices(&[
            (
                "big",
                ModelPrices {
                    input_tokens: Some(2.0),
                    ..ModelPrices::default()
                },
            ),
            (
                "p/voice",
                ModelPrices {
                    characters: Some(50.0),
                    ..ModelPrices::default()
                },
            ),
        ]);
        given.call_minute = Some(0.1);
        // The two calls took half an hour together, and a third one has no usage.
        let half_an_hour = Ms::from_micros(1_800_000_000);
        let started = run.calls[0].started_ms;
        run.calls[1].ended_ms = started.map(|started| started + half_an_hour);
        run.calls[1].started_ms = run.calls[1]
            .ended_ms
            .map(|ended| Ms::from_micros(ended.micros() - 60_000_000));
        let priced = figures.priced(&given, &run.calls, true);
        let costs: Vec<Option<f64>> = priced.models.iter().map(|m| m.cost).collect();
        // Cached tokens cost as much as others unless they have a price of their own.
        assert_eq!(costs, [Some(6.0), None, Some(1.0)]);
        let cost = priced.cost.expect("there are prices");
        assert!((cost.total - 7.2).abs() < 1e-9, "{cost:?}");
        assert!((cost.per_call - 3.6).abs() < 1e-9, "{cost:?}");
        assert!((cost.per_minute.expect("calls take time") - 3.6).abs() < 1e-9);
        assert!((cost.per_hour.expect("a whole run") - 14.4).abs() < 1e-9);
        assert_eq!(cost.unpriced, ["big output_tokens", "small"]);
    }

    #[test]
    fn calls_without_usage_have_no_figures() {
        let mut run = Run::default();
        run.good(2);
        assert_eq!(UsageFigures::of(&run.calls), None);
    }
}
