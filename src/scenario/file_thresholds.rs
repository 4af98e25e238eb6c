//! `thresholds` as written; see `file.rs`.
//!
//! In: JSON that passed the schema. Out: these types. Invariants: the schema lists every metric;
//! a key with a filter is left to `threshold_parse`.

use super::file::DurationText;
use crate::vocab::Metric;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What must hold, by metric.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct ThresholdsFile(pub(super) BTreeMap<String, Option<Expressions>>);

type Expressions = Vec<Option<ExpressionFile>>;

/// Pattern of keys with a filter: `ttfa{variant:fast}`.
const FILTERED: &str = "^[^{]*\\{";

impl JsonSchema for ThresholdsFile {
    fn schema_name() -> Cow<'static, str> {
        "ThresholdsFile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Expressions>();
        let about = |text: &str| {
            let mut list = list.clone();
            list.insert("description".to_owned(), text.into());
            list.to_value()
        };
        let metrics = Metric::ALL.iter();
        let metrics = metrics.map(|m| (m.name().to_owned(), about(m.row().definition)));
        let metrics: Map<String, Value> = metrics.collect();
        json_schema!({
            "type": "object",
            "description": "What must hold, by metric: latencies as `p(95)<1500ms`, shares as `rate<0.01`. `ttfa{variant:fast}` looks at one variant.",
            "properties": metrics,
            "patternProperties": { FILTERED: about("The same, of one variant.") },
            "additionalProperties": false
        })
    }
}

/// An expression such as `p(95)<1500ms`, or a mapping with `expr` and how it is to be judged.
// `untagged` is safe here: values that match neither form have been reported and removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ExpressionFile {
    /// The expression: `p(95)<1500ms`.
    Plain(String),
    /// With more about it.
    Full(ThresholdFile),
}

/// Which turns a threshold looks at.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnText {
    /// All that are measured.
    All,
    /// Those that began while the load was level.
    Steady,
}

/// An expression and how it is to be judged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdFile {
    /// The expression: `p(95)<1500ms`.
    #[schemars(required)]
    pub(super) expr: Option<String>,
    /// `all`: every measured turn; `steady`: those that began behind the ramp. Default: all.
    pub(super) on: Option<OnText>,
    /// End the run as soon as the turns refute it. Default: false.
    pub(super) abort_on_fail: Option<bool>,
    /// How long after the first measured call it is not looked at for that. Default: 0s.
    pub(super) delay: Option<DurationText>,
}
