//! Sums the usage of agents' sessions, by model.
//!
//! In: the agent's own counts. Out: sums over the agents of a call. Invariant: counts are never
//! negative, and sums do not overflow.

use serde::{Deserialize, Serialize};

/// Maximum number of models per agent.
const MODELS: usize = 32;
/// Upper bound of each sum: the largest number allowed in a record.
const MOST: u64 = 1_000_000_000_000;

/// The role of a model in the pipeline.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ModelKind {
    /// Speech recognition.
    Stt,
    /// A language model, or a speech-to-speech model.
    Llm,
    /// Speech synthesis.
    Tts,
}

/// Usage of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelUsage {
    pub kind: ModelKind,
    pub provider: String,
    pub model: String,
    pub used: Used,
}

/// Billable amounts. `input_tokens` and `output_tokens` count text tokens only. `input_tokens`
/// does not include tokens that were read from a cache.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub(crate) struct Used {
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub input_audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub output_audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Duration of the audio that was recognised or synthesised, in ms.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

impl Used {
    /// Adds two usages; each amount is capped at [`MOST`].
    pub(crate) fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b).min(MOST);
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            cached_tokens: sum(self.cached_tokens, other.cached_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            input_audio_tokens: sum(self.input_audio_tokens, other.input_audio_tokens),
            cached_audio_tokens: sum(self.cached_audio_tokens, other.cached_audio_tokens),
            output_audio_tokens: sum(self.output_audio_tokens, other.output_audio_tokens),
            characters: sum(self.characters, other.characters),
            audio_ms: sum(self.audio_ms, other.audio_ms),
        }
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Usage by the agents of a call, from the latest claim of each agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallUsage {
    /// Each agent's latest usage, with the agent's identity.
    agents: Vec<(Box<str>, Vec<ModelUsage>)>,
}

impl CallUsage {
    /// Records the usage of `agent` since the beginning of its session. `most`: maximum number of
    /// agents.
    pub(super) fn claim(&mut self, agent: &str, models: &[ModelUsage], most: usize) {
        let models = models[..models.len().min(MODELS)].to_vec();
        let known = self.agents.iter().position(|(of, _)| **of == *agent);
        match known {
            Some(known) => self.agents[known].1 = models,
            None if self.agents.len() < most => self.agents.push((agent.into(), models)),
            None => {}
        }
    }

    /// The sum over all agents, by kind, provider and model; models that were not used are left
    /// out.
    pub(crate) fn total(&self) -> Vec<ModelUsage> {
        let claims = self.agents.iter().flat_map(|(_, models)| models);
        sum(claims)
    }
}

/// Sums usages by kind, provider and model and sorts them by the same keys; models that were not
/// used are left out.
pub(crate) fn sum<'a>(usages: impl IntoIterator<Item = &'a ModelUsage>) -> Vec<ModelUsage> {
    let mut all: Vec<ModelUsage> = Vec::new();
    for usage in usages.into_iter().filter(|u| !u.used.is_nothing()) {
        let same = |other: &&mut ModelUsage| {
            (other.kind, &other.provider, &other.model)
                == (usage.kind, &usage.provider, &usage.model)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.used = known.used.plus(usage.used),
            None => all.push(usage.clone()),
        }
    }
    all.sort_by(|a, b| (a.kind, &a.provider, &a.model).cmp(&(b.kind, &b.provider, &b.model)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llm(model: &str, input_tokens: u64) -> ModelUsage {
        ModelUsage {
            kind: ModelKind::Llm,
            provider: "p".into(),
            model: model.into(),
            used: Used {
                input_tokens,
                ..Used::default()
            },
        }
    }

    #[test]
    fn the_latest_claim_of_each_agent_counts() {
        let mut usage = CallUsage::default();
        usage.claim("one", &[llm("a", 10), llm("b", 0)], 2);
        usage.claim("one", &[llm("a", 25), llm("b", 0)], 2);
        // The agent's successor has its own session, which starts at zero.
        usage.claim("two", &[llm("a", 7), llm("b", 3)], 2);
        usage.claim("three", &[llm("a", 1_000)], 2);
        assert_eq!(usage.total(), [llm("a", 32), llm("b", 3)]);
        usage.claim("two", &vec![llm("c", u64::MAX); 1_000], 2);
        assert_eq!(usage.total()[1], llm("c", MOST), "no overflow");
        assert_eq!(usage.agents[1].1.len(), MODELS);
    }
}
