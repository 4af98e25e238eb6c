//! The result of a capacity search, serialised with `--json`.

use super::step::Measured;
use serde::Serialize;

/// Result of the search.
#[derive(Debug, Serialize)]
pub(super) struct CapacityResult {
    /// Version of the metric definitions.
    pub(super) measurement_version: u32,
    pub(super) target: String,
    pub(super) slo: String,
    /// Largest concurrency found to meet the SLO; null if no step met it.
    pub(super) capacity: Option<u32>,
    /// The search reached `--max`: the real capacity may be higher.
    pub(super) at_max: bool,
    /// Why the search ended early: the generator reached its own limit.
    pub(super) generator_limit: Option<String>,
    /// Every measurement, in order.
    pub(super) steps: Vec<Measured>,
}
