//! A line of `observed.jsonl`: what an endpoint or a process reported at one instant.
//!
//! In: values by series, as they were read. Out: a record. Invariants: a reading that failed is
//! recorded as well, with the reason and without values; no field contains an endpoint's URL.

use super::ms::Ms;
use crate::record::OBSERVED_VERSION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One reading of an observed endpoint or process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Version of the format; [`OBSERVED_VERSION`] in new records.
    pub(crate) version: u32,
    /// When the values were read, or when the attempt failed.
    pub(crate) at_ms: Ms,
    /// The source's name in the scenario.
    pub(crate) name: String,
    /// Values that may rise and fall, by series.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) gauges: BTreeMap<String, f64>,
    /// Values that only rise, by series; they start over when their process restarts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counters: BTreeMap<String, f64>,
    /// Why the reading failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<String>,
}

impl Reading {
    pub(crate) fn new(name: &str, at_ms: Ms) -> Self {
        Self {
            version: OBSERVED_VERSION,
            at_ms,
            name: name.to_owned(),
            gauges: BTreeMap::new(),
            counters: BTreeMap::new(),
            gap: None,
        }
    }
}
