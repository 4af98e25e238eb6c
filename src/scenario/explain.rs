//! Explains errors of the JSON Schema validator in terms of the scenario format.
//!
//! In: one validation error. Out: messages and hints, and which value to leave out.
//! Invariants: every message names the key; hints say what would be valid.

use super::file::NAME_PATTERN;
use super::metric;
use super::places::{join, last, readable};
use super::problem::{Code, did_you_mean, quoted};
use super::schema::{part, resolve};
use crate::vocab::duration;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

/// A validation error, explained.
pub(super) struct Explained {
    /// Pointer to the value it is about.
    pub(super) pointer: String,
    /// Whether to point at the key rather than at the value.
    pub(super) at_key: bool,
    /// Whether the value must be left out so that the rest can be read.
    pub(super) refused: bool,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Explains an error; an error about several keys becomes several explanations.
pub(super) fn explain(error: &ValidationError<'_>) -> Vec<Explained> {
    let pointer = error.instance_path().as_str().to_owned();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|key| unknown_key(error, key))
            .collect(),
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            vec![Explained {
                pointer: below(error, key),
                at_key: true,
                refused: false,
                code: Code::MissingKey,
                message: match pointer.as_str() {
                    "" => format!("`{key}` is missing"),
                    _ => format!("`{key}` is missing in `{}`", readable(&pointer)),
                },
                hint: describe(&key_schema(error, key))
                    .map_or_else(String::new, |what| format!("`{key}`: {what}")),
            }]
        }
        _ => {
            let (code, message, hint) = value_problem(error, &short(&pointer));
            vec![Explained {
                pointer,
                at_key: false,
                refused: true,
                code,
                message,
                hint,
            }]
        }
    }
}

/// Pointer of a key inside the value that an error is about.
fn below(error: &ValidationError<'_>, key: &str) -> String {
    join(error.instance_path().as_str(), key)
}

fn unknown_key(error: &ValidationError<'_>, key: &str) -> Explained {
    let parent = error.instance_path().as_str();
    let known: Vec<&str> = holder(error)
        .and_then(|schema| schema.get("properties")?.as_object())
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let shown: String = key.chars().take(64).collect();
    let what = if parent == "/thresholds" {
        "unknown metric"
    } else {
        "unknown key"
    };
    let hint = match key {
        "<<" => "YAML merge keys are not supported; write the keys out".to_owned(),
        _ if parent == "/thresholds" => metric::former(key).map_or_else(
            || format!("the metrics are {}", quoted(known)),
            str::to_owned,
        ),
        _ => did_you_mean(key, known, "keys"),
    };
    Explained {
        pointer: join(parent, key),
        at_key: true,
        refused: true,
        code: Code::UnknownKey,
        message: match parent {
            "" => format!("{what} `{shown}`"),
            _ => format!("{what} `{shown}` in `{}`", readable(parent)),
        },
        hint,
    }
}

fn value_problem(error: &ValidationError<'_>, name: &str) -> (Code, String, String) {
    let described = || describe(&holder(error).cloned()).unwrap_or_default();
    let bad = |message: String| (Code::BadValue, message, described());
    if error.instance_path().as_str() == "/version" {
        let hint = "this loadgen reads `version: 1`".to_owned();
        return (
            Code::BadValue,
            format!("`version` must be 1, not {}", error.instance()),
            hint,
        );
    }
    match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(error, name, kind),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            choice(error, name, context)
        }
        ValidationErrorKind::Pattern { pattern } => pattern_problem(error, name, pattern),
        ValidationErrorKind::Minimum { limit } => bad(format!(
            "`{name}` must be at least {limit}, not {}",
            error.instance()
        )),
        ValidationErrorKind::Maximum { limit } => bad(format!(
            "`{name}` must be at most {limit}, not {}",
            error.instance()
        )),
        ValidationErrorKind::MinLength { .. }
        | ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MinProperties { .. } => bad(format!("`{name}` must not be empty")),
        ValidationErrorKind::MaxLength { limit } => bad(format!(
            "`{name}` must not be longer than {limit} characters"
        )),
        ValidationErrorKind::MaxItems { limit } => {
            bad(format!("`{name}` must not hold more than {limit}"))
        }
        // The schema uses no other keyword; if one is added, the validator's own message must do.
        _ => bad(format!("`{name}`: {}", error.masked())),
    }
}

fn wrong_type(error: &ValidationError<'_>, name: &str, kind: &TypeKind) -> (Code, String, String) {
    let instance = error.instance().as_ref();
    let wanted = match kind {
        TypeKind::Single(wanted) => type_name(*wanted),
        TypeKind::Multiple(_) => "of another type",
    };
    let is_duration = holder(error).is_some_and(is_duration);
    let wanted = if is_duration { "a duration" } else { wanted };
    let hint = match instance {
        Value::Null => "give it a value, or leave the key out".to_owned(),
        Value::Number(number) if is_duration => {
            format!("durations have a unit: `{number}s` or `{number}ms`")
        }
        Value::Number(_) | Value::Bool(_) if wanted == "text" => {
            format!("put it in quotes: \"{instance}\"")
        }
        _ => describe(&holder(error).cloned()).unwrap_or_default(),
    };
    let message = match instance {
        Value::Null => format!("`{name}` has no value"),
        _ => format!("`{name}` must be {wanted}, not {}", value_name(instance)),
    };
    (Code::WrongType, message, hint)
}

/// Explains a value that matches none of the alternatives of an enumeration or of several types.
fn choice(
    error: &ValidationError<'_>,
    name: &str,
    context: &[Vec<ValidationError<'static>>],
) -> (Code, String, String) {
    let constant = |branch: &Vec<ValidationError<'static>>| {
        branch.iter().find_map(|inner| match inner.kind() {
            ValidationErrorKind::Constant { expected_value } => {
                expected_value.as_str().map(str::to_owned)
            }
            _ => None,
        })
    };
    let options: Option<Vec<String>> = context.iter().map(constant).collect();
    if let Some(options) = options {
        let options = options.iter().map(String::as_str);
        let given = error.instance().as_str();
        let shown = given.map_or_else(|| value_name(error.instance()).to_owned(), clip);
        let hint = did_you_mean(given.unwrap_or_default(), options.clone(), "it can be");
        let message = format!("`{name}` cannot be {shown}");
        let hint = match hint.strip_prefix("did you mean") {
            Some(_) => format!("{hint} It can be {}", quoted(options)),
            None => format!("it can be {}", quoted(options)),
        };
        return (Code::BadValue, message, hint);
    }
    let wanted = context
        .iter()
        .flatten()
        .filter_map(|inner| match inner.kind() {
            ValidationErrorKind::Type {
                kind: TypeKind::Single(wanted),
            } if inner.instance_path() == error.instance_path() => {
                Some(match holder(inner).is_some_and(is_duration) {
                    true => "a duration",
                    false => type_name(*wanted),
                })
            }
            _ => None,
        });
    let wanted = wanted.collect::<Vec<_>>().join(" or ");
    let hint = describe(&holder(error).cloned()).unwrap_or_default();
    let given = value_name(error.instance());
    (
        Code::WrongType,
        format!("`{name}` must be {wanted}, not {given}"),
        hint,
    )
}

fn pattern_problem(
    error: &ValidationError<'_>,
    name: &str,
    pattern: &str,
) -> (Code, String, String) {
    let text = error.instance().as_str().unwrap_or_default();
    if pattern == duration::PATTERN
        && let Err(error) = duration::parse(text)
    {
        return (Code::BadValue, format!("`{name}`: {error}"), error.hint());
    }
    let hint = match pattern {
        NAME_PATTERN => "letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first",
        _ => "",
    };
    (
        Code::BadValue,
        format!("`{name}` cannot be {}", clip(text)),
        hint.to_owned(),
    )
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// The subschema that contains the keyword that failed.
fn holder(error: &ValidationError<'_>) -> Option<&'static Value> {
    let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
    part(parent)
}

fn key_schema(error: &ValidationError<'_>, key: &str) -> Option<Value> {
    holder(error)?.get("properties")?.get(key).cloned()
}

fn is_duration(schema: &'static Value) -> bool {
    resolve(schema).get("pattern").and_then(Value::as_str) == Some(duration::PATTERN)
}

/// The description of a value in the schema, on one line.
fn describe(schema: &Option<Value>) -> Option<String> {
    let text = schema.as_ref()?.get("description")?.as_str()?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    let mut chars = line.chars();
    // Hints begin in lower case, except with an acronym, as in "API key".
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => Some(format!(
            "{}{}",
            first.to_lowercase(),
            &line[first.len_utf8()..]
        )),
        _ => Some(line.to_owned()),
    }
}

/// The last key of a pointer with the indices after it: `say[1]`.
fn short(pointer: &str) -> String {
    let path = readable(pointer);
    match path.is_empty() {
        true => "scenario".to_owned(),
        false if last(pointer).bytes().all(|b| b.is_ascii_digit()) => {
            path.rsplit('.').next().unwrap_or_default().to_owned()
        }
        false => last(pointer).chars().take(64).collect(),
    }
}

fn type_name(json_type: JsonType) -> &'static str {
    match json_type {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a mapping",
        JsonType::String => "text",
    }
}

fn value_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
