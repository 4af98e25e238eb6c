//! Prices of the models that an agent uses.
//!
//! In: the scenario's `prices`. Out: the prices of each model. Invariant: a price that is not given
//! is unknown, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prices of models and calls, as amounts of money in `currency`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The currency, as reports show it. Default: USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub(crate) currency: Option<String>,
    /// The price of a minute of a call, independent of the models: telephony, hosting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(crate) call_minute: Option<f64>,
    /// The prices of each model, by its name or by `provider/name`, as the agent reports them.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub(crate) models: BTreeMap<String, ModelPrices>,
}

/// The prices of one model: for a million tokens or characters, or a minute of audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct ModelPrices {
    /// A million input tokens of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub input_tokens: Option<f64>,
    /// A million cached input tokens of text. Default: the price of `input_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cached_tokens: Option<f64>,
    /// A million output tokens of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub output_tokens: Option<f64>,
    /// A million input tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub input_audio_tokens: Option<f64>,
    /// A million cached input tokens of audio. Default: the price of `input_audio_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cached_audio_tokens: Option<f64>,
    /// A million output tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub output_audio_tokens: Option<f64>,
    /// A million characters of synthesised speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub characters: Option<f64>,
    /// A minute of input or output audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub audio_minutes: Option<f64>,
}

impl Prices {
    /// The currency, as reports show it.
    pub(crate) fn currency(&self) -> &str {
        self.currency.as_deref().unwrap_or("USD")
    }

    /// The prices of a model; those by provider and name take precedence over those by name alone.
    pub(crate) fn of(&self, provider: &str, model: &str) -> Option<&ModelPrices> {
        let full = self.models.get(&format!("{provider}/{model}"));
        full.or_else(|| self.models.get(model))
    }
}
