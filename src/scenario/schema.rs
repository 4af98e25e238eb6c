//! The JSON Schema of scenarios, generated from the types in `file.rs`.
//!
//! Out: JSON Schema 2020-12, the same bytes on every machine. Invariant: `null` is never valid
//! (the types are `Option`s only for the checker).

use super::file::ScenarioFile;
use jsonschema::ValidationError;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The schema as JSON; see [`schema_text`] for what is printed.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<ScenarioFile>().to_value();
    tidy(&mut schema);
    schema
});

/// The schema as printed by `loadgen schema` and stored in `scenarios/schema.json`: indented,
/// with a trailing newline.
pub fn schema_text() -> String {
    format!("{:#}\n", *SCHEMA)
}

/// The part of the schema at a JSON pointer.
pub(super) fn part(pointer: &str) -> Option<&'static Value> {
    LazyLock::force(&SCHEMA).pointer(pointer)
}

/// The part of the schema that contains the keyword that failed.
pub(super) fn holder(error: &ValidationError<'_>) -> Option<&'static Value> {
    let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
    part(parent)
}

/// Follows the `$ref` of a part, if it has one.
pub(super) fn resolve(part: &'static Value) -> &'static Value {
    let target = part.get("$ref").and_then(Value::as_str);
    target
        .and_then(|t| t.strip_prefix('#'))
        .and_then(self::part)
        .unwrap_or(part)
}

/// Removes nulls and integer widths, which mean nothing to users.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            bound(object);
            object.retain(|key, value| {
                !(key == "format" && value.is_string() || key == "default" && value.is_null())
            });
            object.values_mut().for_each(tidy);
            drop_null_type(object);
            drop_null_branch(object);
        }
        _ => {}
    }
}

/// Adds the maximum of `uint64`, which otherwise only the non-standard `format` implies. All other
/// numbers have explicit bounds.
fn bound(object: &mut Map<String, Value>) {
    if object.get("format").and_then(Value::as_str) == Some("uint64") {
        object.entry("maximum").or_insert_with(|| u64::MAX.into());
    }
}

fn drop_null_type(object: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = object.get_mut("type") else {
        return;
    };
    types.retain(|name| name != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        object.insert("type".to_owned(), only);
    }
}

fn drop_null_branch(object: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = object.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = branches.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value); // the outer description is the more specific one
        }
    }
}
