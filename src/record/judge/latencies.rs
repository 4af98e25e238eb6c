//! The latencies of a run, by metric.
//!
//! In: [`Samples`]. Out: order statistics of every metric in summaries; in JSON, an object with a
//! key for each metric, and `all_turns`. Invariant: a new metric needs only its row in the table of
//! metrics.

use super::figures::{AllTurns, Latency};
use super::samples::Samples;
use crate::vocab::Metric;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Key of the figures of all turns, including unanswered ones.
const ALL_TURNS: &str = "all_turns";
const ALL_TURNS_TEXT: &str = "`ttfa` of all turns that expect a reply, with missed and failed turns as +∞; gates are judged on it";
/// Name of `agent_audible` in files of version 1.
const FORMER_AGENT_AUDIBLE: &str = "agent_join";

/// Metrics that files of every version have.
const OLDEST: [Metric; 5] = [
    Metric::Ttfa,
    Metric::TtfaWire,
    Metric::Join,
    Metric::AgentAudible,
    Metric::Greeting,
];

/// The latencies of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metrics {
    latencies: BTreeMap<Metric, Latency>,
    /// `ttfa` of all turns that expect a reply, with missed and failed turns as +∞; gates are
    /// judged on it.
    pub all_turns: AllTurns,
}

impl Metrics {
    pub(in crate::record) fn of(samples: &Samples) -> Self {
        let latency = |m| (m, Latency::of(samples.measured(m)));
        Self {
            latencies: Metric::summarized().map(latency).collect(),
            all_turns: AllTurns::of(samples.all(Metric::Ttfa)),
        }
    }

    /// The figures of a latency in summaries; empty for any other metric.
    pub(crate) fn get(&self, metric: Metric) -> Latency {
        self.latencies.get(&metric).copied().unwrap_or_default()
    }

    /// Every latency in summaries, in the order of reports.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (Metric, Latency)> {
        Metric::summarized().map(|m| (m, self.get(m)))
    }

    /// Replaces the figures of a latency.
    #[cfg(test)]
    pub(crate) fn set(&mut self, metric: Metric, latency: Latency) {
        self.latencies.insert(metric, latency);
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (metric, latency) in self.latencies() {
            map.serialize_entry(metric.name(), &latency)?;
        }
        map.serialize_entry(ALL_TURNS, &self.all_turns)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map: BTreeMap<String, Value> = BTreeMap::deserialize(deserializer)?;
        let all = map.remove(ALL_TURNS);
        let all = all.ok_or_else(|| D::Error::missing_field(ALL_TURNS))?;
        if let Some(former) = map.remove(FORMER_AGENT_AUDIBLE) {
            map.insert(Metric::AgentAudible.name().to_owned(), former);
        }
        let mut latencies = BTreeMap::new();
        for metric in Metric::summarized() {
            let latency = match map.remove(metric.name()) {
                Some(latency) => Latency::deserialize(latency).map_err(D::Error::custom)?,
                None if OLDEST.contains(&metric) => {
                    return Err(D::Error::missing_field(metric.name()));
                }
                None => Latency::default(),
            };
            latencies.insert(metric, latency);
        }
        Ok(Self {
            latencies,
            all_turns: AllTurns::deserialize(all).map_err(D::Error::custom)?,
        })
    }
}

impl JsonSchema for Metrics {
    fn schema_name() -> Cow<'static, str> {
        "Metrics".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = |mut schema: Schema, text: &str| {
            schema.insert("description".to_owned(), text.into());
            schema.to_value()
        };
        let latency = generator.subschema_for::<Latency>();
        let of = |m: Metric| {
            let schema = described(latency.clone(), m.row().definition);
            (m.name().to_owned(), schema)
        };
        let mut properties: Map<String, Value> = Metric::summarized().map(of).collect();
        let names = Metric::summarized().map(Metric::name);
        let required: Vec<&str> = names.chain([ALL_TURNS]).collect();
        let all = generator.subschema_for::<AllTurns>();
        properties.insert(ALL_TURNS.to_owned(), described(all, ALL_TURNS_TEXT));
        json_schema!({
            "type": "object",
            "description": "The latencies of a run.",
            "properties": properties,
            "required": required
        })
    }
}
