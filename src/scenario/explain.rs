//! Explains errors of the JSON Schema validator in terms of the scenario format.
//!
//! In: one validation error. Out: messages and hints, and which value to leave out.
//! Invariants: every message contains the key; hints describe valid values.

use super::file::{NAME_PATTERN, PERCENT_PATTERN, SERIES_PATTERN};
use super::hints::{self, Form, Given};
use super::metric;
use super::places::{Places, join, last, readable};
use super::problem::{Code, did_you_mean, quoted};
use super::schema::holder;
use crate::vocab::duration;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

/// A validation error, explained.
pub(super) struct Explained {
    /// Pointer to the value that the error is about.
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
pub(super) fn explain(error: &ValidationError<'_>, places: &Places) -> Vec<Explained> {
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
            let given = Given::of(&pointer, error.instance(), places);
            let (code, message, hint) = value_problem(error, &short(&pointer), &given);
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
    let separated = key.starts_with(|c: char| c.is_ascii_digit())
        && error.instance().get(key).is_some_and(Value::is_null);
    let hint = match key {
        _ if separated => {
            "a comma begins the next key: write numbers without a thousands separator, and \
                           with a decimal point"
                .to_owned()
        }
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

fn value_problem(
    error: &ValidationError<'_>,
    name: &str,
    given: &Given<'_>,
) -> (Code, String, String) {
    let described = || describe(&holder(error).cloned()).unwrap_or_default();
    let bad = |message: String| (Code::BadValue, message, described());
    if error.instance_path().as_str() == "/version" {
        let quotes = match given.value {
            Value::String(_) => ", without quotes",
            _ => "",
        };
        let hint = format!("this loadgen reads `version: 1`{quotes}");
        let message = format!("`version` must be 1, not {}", given.shown());
        return (Code::BadValue, message, hint);
    }
    match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(error, name, kind, given),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            choice(error, name, context, given)
        }
        ValidationErrorKind::Pattern { pattern } => pattern_problem(name, pattern, given),
        ValidationErrorKind::Minimum { limit } => bad(format!(
            "`{name}` must be at least {limit}, not {}",
            given.written()
        )),
        ValidationErrorKind::Maximum { limit } => bad(format!(
            "`{name}` must be at most {limit}, not {}",
            given.written()
        )),
        ValidationErrorKind::MinLength { .. }
        | ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MinProperties { .. } => bad(format!("`{name}` must not be empty")),
        ValidationErrorKind::MaxLength { limit } => bad(format!(
            "`{name}` must not be longer than {limit} characters"
        )),
        ValidationErrorKind::MaxItems { limit } => {
            bad(format!("`{name}` must not have more than {limit} entries"))
        }
        // The schema uses no other keyword; for one that is added, the validator's own message is
        // shown.
        _ => bad(format!("`{name}`: {}", error.masked())),
    }
}

fn wrong_type(
    error: &ValidationError<'_>,
    name: &str,
    kind: &TypeKind,
    given: &Given<'_>,
) -> (Code, String, String) {
    let form = Form::of(error);
    let wanted = match kind {
        TypeKind::Single(wanted) => Some(*wanted),
        TypeKind::Multiple(_) => None,
    };
    let must_be = match (form, wanted) {
        (Form::Duration | Form::Delay, _) => "a duration",
        (Form::Percent, _) => "a percentage",
        (Form::Plain, Some(wanted)) => type_name(wanted),
        (Form::Plain, None) => "of another type",
    };
    let hint = hints::other_type(given, form, wanted)
        .or_else(|| describe(&holder(error).cloned()))
        .unwrap_or_default();
    let message = match given.value {
        Value::Null => format!("`{name}` has no value"),
        _ => format!("`{name}` must be {must_be}, not {}", given.shown()),
    };
    (Code::WrongType, message, hint)
}

/// Explains a value that matches none of the alternatives of an enumeration or of several types.
fn choice(
    error: &ValidationError<'_>,
    name: &str,
    context: &[Vec<ValidationError<'static>>],
    given: &Given<'_>,
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
        let all = quoted(options.clone());
        let message = format!("`{name}` cannot be {}", given.shown());
        let hint = match hints::option(given, options) {
            Some(meant) => format!("did you mean `{meant}`? It can be {all}"),
            None => format!("it can be {all}"),
        };
        return (Code::BadValue, message, hint);
    }
    let wanted = context
        .iter()
        .flatten()
        .filter_map(|inner| match inner.kind() {
            ValidationErrorKind::Type {
                kind: TypeKind::Single(wanted),
            } if inner.instance_path() == error.instance_path() => Some(match Form::of(inner) {
                Form::Duration => "a duration",
                _ => type_name(*wanted),
            }),
            _ => None,
        });
    let wanted = one_of(&wanted.collect::<Vec<_>>());
    let form = context.iter().flatten().map(Form::of);
    let form = form.max().unwrap_or(Form::Plain);
    let hint = hints::other_type(given, form, None)
        .or_else(|| describe(&holder(error).cloned()))
        .unwrap_or_default();
    let message = format!("`{name}` must be {wanted}, not {}", given.shown());
    (Code::WrongType, message, hint)
}

/// `text`, `text or a list`, `text, a list or a mapping`.
fn one_of(all: &[&str]) -> String {
    match all {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn pattern_problem(name: &str, pattern: &str, given: &Given<'_>) -> (Code, String, String) {
    let text = given.value.as_str().unwrap_or_default();
    if pattern == duration::PATTERN
        && let Err(error) = duration::parse(text)
    {
        let message = match given.is_long() {
            true => format!("`{name}` must be a duration, not {}", given.shown()),
            false => format!("`{name}`: {error}"),
        };
        return (Code::BadValue, message, error.hint());
    }
    let hint = match pattern {
        NAME_PATTERN => {
            "letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first".to_owned()
        }
        PERCENT_PATTERN => hints::percent(text),
        SERIES_PATTERN => {
            "write the name alone, without labels: letters, digits, `_` and `:`".to_owned()
        }
        _ => String::new(),
    };
    let message = format!("`{name}` cannot be {}", given.shown());
    (Code::BadValue, message, hint)
}

fn key_schema(error: &ValidationError<'_>, key: &str) -> Option<Value> {
    holder(error)?.get("properties")?.get(key).cloned()
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
