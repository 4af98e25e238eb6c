//! What a turn says about the course of its call, as written: repetitions, branches.
//!
//! In: JSON converted from YAML, without the values that the schema rejects. Out: these types,
//! which are part of the schema. Invariant: as in `file.rs`.

use crate::vocab::Outcome;
use schemars::JsonSchema;
use serde::Deserialize;

/// Weight of an utterance in a random choice.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct WeightFile(#[schemars(range(min = 1, max = 1_000_000))] pub(super) u32);

/// How a turn picks from a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PickFile {
    /// By the seed.
    Random,
    /// One after another, beginning anew after the last.
    InOrder,
}

/// How often a loop's turns are taken: a number, or drawn between two bounds.
// `untagged` is safe here: values that match neither form have been reported and removed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RepeatFile {
    /// Always this often.
    Times(#[schemars(range(min = 1, max = 1000))] u32),
    /// Drawn uniformly between these bounds.
    Between(PassesFile),
}

/// Bounds of the number of passes of a loop.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PassesFile {
    /// The smallest number.
    #[schemars(required, range(min = 1, max = 1000))]
    pub(super) min: Option<u32>,
    /// The largest number.
    #[schemars(required, range(min = 1, max = 1000))]
    pub(super) max: Option<u32>,
}

/// A row of a turn's table of branches.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BranchFile {
    /// The condition: `replied`, `missed`, `early`, or `{reply_matches: PATTERN}`. Default: the
    /// branch is always taken.
    #[serde(rename = "if")]
    pub(super) when: Option<ConditionFile>,
    /// The name of a later turn, or `hang_up`.
    #[schemars(required, length(min = 1, max = 64))]
    pub(super) go: Option<String>,
}

/// The condition of a branch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ConditionFile {
    /// A condition on the transcript of the reply.
    Reply(ReplyFile),
    /// The turn's outcome.
    Outcome(OutcomeFile),
}

/// The outcome that a branch waits for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutcomeFile {
    /// The agent did what the turn expects.
    Replied,
    /// It did not before the timeout.
    Missed,
    /// It was audible before the end of speech.
    Early,
}

impl OutcomeFile {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Replied => Outcome::Replied,
            Self::Missed => Outcome::Missed,
            Self::Early => Outcome::Early,
        }
    }
}

/// A condition on the transcript of the reply.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplyFile {
    /// Regular expression that the transcript matches somewhere.
    #[schemars(required, length(min = 1, max = 1000))]
    pub(super) reply_matches: Option<String>,
}
