//! `sentinels` as written and as checked.
//!
//! In: one of three words, or nothing. Out: the policy.

use super::types::SentinelPolicy;
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether a run makes sentinel calls.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SentinelsText {
    /// Only if the target is embedded or its host is private.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The policy that a file specifies.
pub(super) fn policy(file: Option<SentinelsText>) -> SentinelPolicy {
    match file {
        None | Some(SentinelsText::Auto) => SentinelPolicy::Auto,
        Some(SentinelsText::On) => SentinelPolicy::On,
        Some(SentinelsText::Off) => SentinelPolicy::Off,
    }
}
