//! Simulated networks, as written: untrusted, every key optional, texts not yet parsed.
//!
//! In: as in `file.rs`. Out: these types, which are part of the JSON Schema.

use super::texts::{DurationText, PercentText};
use crate::vocab::Distribution;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Outages of one direction.
const MOST_OUTAGES: usize = 20;

/// The network between the callers and the agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    /// Share of the agent's RTP packets that the callers lose, such as `5%`; everything else
    /// arrives. Default: 0%.
    pub(super) loss: Option<PercentText>,
    /// Mean number of packets lost in a row. Default: packets are lost independently.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub(super) burst: Option<f64>,
    /// A network with published figures. `up` and `down` replace its directions. Default: none.
    pub(super) preset: Option<PresetName>,
    /// From the caller to the server. Default: as in the preset, otherwise nothing changes.
    pub(super) up: Option<LinkFile>,
    /// From the server to the caller. Default: as in the preset, otherwise nothing changes.
    pub(super) down: Option<LinkFile>,
    /// Networks and their shares of the calls, such as `{wifi: 70%, 4g: 30%}`; the seed picks one
    /// for each call. Names are presets, or networks of `networks`. Default: one network.
    #[schemars(length(min = 1, max = 20), extend("minProperties" = 1))]
    pub(super) mix: Option<BTreeMap<String, Option<PercentText>>>,
    /// Networks for `mix`, by name. Default: none.
    #[schemars(length(min = 1, max = 20), extend("minProperties" = 1))]
    pub(super) networks: Option<BTreeMap<String, Option<BothFile>>>,
    /// Whether to `keep` a log of what happened to each packet, `impairments.csv` in the run folder,
    /// or to `drop` it. Default: drop.
    pub(super) log: Option<LogText>,
}

/// What happens to the log of a simulated network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogText {
    /// The run folder gets the log.
    Keep,
    /// There is no log.
    Drop,
}

/// A network, by its two directions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BothFile {
    /// A network with published figures. `up` and `down` replace its directions. Default: none.
    pub(super) preset: Option<PresetName>,
    /// From the caller to the server. Default: as in the preset, otherwise nothing changes.
    pub(super) up: Option<LinkFile>,
    /// From the server to the caller. Default: as in the preset, otherwise nothing changes.
    pub(super) down: Option<LinkFile>,
}

/// A preset, and the directions that replace its own: up, then down.
pub(super) type Parts<'a> = (
    Option<PresetName>,
    Option<&'a LinkFile>,
    Option<&'a LinkFile>,
);

impl NetworkFile {
    pub(super) fn parts(&self) -> Parts<'_> {
        (self.preset, self.up.as_ref(), self.down.as_ref())
    }
}

impl BothFile {
    pub(super) fn parts(&self) -> Parts<'_> {
        (self.preset, self.up.as_ref(), self.down.as_ref())
    }
}

/// Networks with published figures, each way.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Deserialize,
    JsonSchema,
    strum::VariantArray,
    strum::IntoStaticStr,
)]
pub(super) enum PresetName {
    /// Good wireless network: 5 ms, 1 % loss in runs of two.
    #[serde(rename = "wifi")]
    #[strum(serialize = "wifi")]
    Wifi,
    /// Wireless network with a weak signal: 15 ms, 5 % loss in runs of two.
    #[serde(rename = "wifi-lossy")]
    #[strum(serialize = "wifi-lossy")]
    WifiLossy,
    /// Wireless network shared with others: 10 ms, jitter of 20 ms, 9 % loss.
    #[serde(rename = "wifi-congested")]
    #[strum(serialize = "wifi-congested")]
    WifiCongested,
    /// Mobile network: 50 ms, jitter of 15 ms, 2 % loss in runs of two.
    #[serde(rename = "cellular")]
    #[strum(serialize = "cellular")]
    Cellular,
    /// Overloaded network: 80 ms, jitter of 40 ms, 9 % loss.
    #[serde(rename = "congested")]
    #[strum(serialize = "congested")]
    Congested,
    /// Mobile network of the fourth generation: 45 ms, 0.2 % loss.
    #[serde(rename = "4g")]
    #[strum(serialize = "4g")]
    FourG,
    /// Mobile network of the third generation: 250 ms, jitter of 50 ms, 0.5 % loss.
    #[serde(rename = "3g")]
    #[strum(serialize = "3g")]
    ThreeG,
}

/// One direction of a network.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkFile {
    /// Share of the packets that are lost, such as `2%`. Default: 0%.
    pub(super) loss: Option<PercentText>,
    /// Mean number of packets lost in a row. Default: packets are lost independently.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub(super) burst: Option<f64>,
    /// Loss by a chain with two states, instead of `loss` and `burst`. Default: none.
    pub(super) gilbert_elliott: Option<ChainFile>,
    /// Delay of every packet; at most 5s. Default: 0ms.
    pub(super) delay: Option<DurationText>,
    /// How much the delay varies; at most 2s. Default: 0ms.
    pub(super) jitter: Option<DurationText>,
    /// Distribution of the variation. Default: normal.
    pub(super) distribution: Option<Distribution>,
    /// Correlation of a packet's delay with that of the packet before. Default: 0%.
    pub(super) correlation: Option<PercentText>,
    /// Whether packets with jitter stay in their `order`, as in a queue, or overtake each other
    /// (`free`). Default: kept.
    pub(super) order: Option<OrderText>,
    /// Share of the packets that arrive twice. Default: 0%.
    pub(super) duplicate: Option<PercentText>,
    /// Share of the packets that arrive after later ones. Default: 0%.
    pub(super) reorder: Option<PercentText>,
    /// How much later these arrive; 1ms to 2s. Default: 50ms.
    pub(super) reorder_by: Option<DurationText>,
    /// Capacity, with the headers of IP and UDP, such as `64kbit/s`. Default: unlimited.
    pub(super) bandwidth: Option<RateText>,
    /// Longest wait for this capacity; packets that would wait longer are dropped; at most 10s.
    /// Default: 200ms.
    pub(super) queue: Option<DurationText>,
    /// When nothing passes. Default: never.
    #[schemars(length(min = 1, max = MOST_OUTAGES))]
    pub(super) outages: Option<Vec<Option<OutageFile>>>,
}

/// The order of packets with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderText {
    /// Packets wait for those before them.
    Kept,
    /// Packets overtake each other.
    Free,
}

/// The chain of Gilbert and Elliott.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainFile {
    /// Probability, before each packet, of a change from good to bad.
    #[schemars(required)]
    pub(super) enter: Option<PercentText>,
    /// Probability, before each packet, of a change from bad to good; more than 0%.
    #[schemars(required)]
    pub(super) leave: Option<PercentText>,
    /// Share of the packets that are lost in the good state. Default: 0%.
    pub(super) good: Option<PercentText>,
    /// Share of the packets that are lost in the bad state. Default: 100%.
    pub(super) bad: Option<PercentText>,
}

/// A time in which nothing passes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageFile {
    /// When it begins, counted from the moment at which the caller begins to connect.
    #[schemars(required)]
    pub(super) at: Option<DurationText>,
    /// How long it lasts; more than 0ms, at most 10m.
    #[schemars(required)]
    pub(super) length: Option<DurationText>,
    /// It happens again after this time; longer than `length`. Default: once.
    pub(super) every: Option<DurationText>,
}

/// A data rate as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct RateText(pub(super) String);

impl JsonSchema for RateText {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A data rate such as `64kbit/s` or `1.5Mbit/s`."
        })
    }
}
