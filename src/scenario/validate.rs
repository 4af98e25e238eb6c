//! Validates a document against the JSON Schema and explains what is wrong.
//!
//! In: a document. Out: every problem, and the document without the invalid values, so that it
//! always fits the types of `file.rs` and the checks that follow can work on all the rest.
//! Invariant: strings from variables become numbers or booleans where the schema requires these,
//! and lose surrounding whitespace if they would otherwise be invalid.

use super::explain::{Explained, explain};
use super::places::{self, Origin, Places};
use super::problem::Problem;
use super::schema::SCHEMA;
use super::tree::scalar_value;
use super::yaml::Document;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use saphyr::ScalarStyle;
use serde_json::Value;
use std::sync::LazyLock;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::validator_for(&SCHEMA).expect("the schema is a constant; a test compiles it")
});

/// Validates and prunes `document`.
pub(super) fn validate(document: &mut Document) -> Vec<Problem> {
    let Document { value, places } = document;
    for pointer in unset_pointers(places) {
        remove(value, &pointer);
    }
    for pointer in places.all_unreadable() {
        remove(value, pointer);
    }
    coerce(value, places);
    let mut findings = Vec::new();
    for error in VALIDATOR.iter_errors(value) {
        flatten(&error, &mut |error| findings.extend(explain(error, places)));
    }
    let mut problems = Vec::new();
    for Explained {
        pointer,
        at_key,
        refused,
        code,
        message,
        hint,
    } in findings
    {
        if refused {
            remove(value, &pointer);
        }
        let absent = match places.origin(&pointer) {
            // The checker reports an unset value if it is required. A document that is a single
            // text is not a scenario, whatever the value of its variable.
            Some(Origin::Unset(_)) => !pointer.is_empty(),
            Some(Origin::Unreadable) => true, // reported
            _ => false,
        };
        if absent {
            continue;
        }
        let place = if at_key {
            places.key(&pointer)
        } else {
            places.value(&pointer)
        };
        let path = places::readable(&pointer);
        problems.push(Problem {
            place,
            path,
            code,
            message,
            excerpt: Vec::new(),
            hint,
        });
    }
    problems
}

/// Pointers of values that count as absent because a variable is unset. The path of an utterance's
/// sound file is kept, since the checker does not read a file whose path needs an unset variable.
fn unset_pointers(places: &Places) -> Vec<String> {
    let absent = |pointer: &str| {
        let mut segments = pointer.split('/').skip(1);
        let is_file = segments.next() == Some("utterances")
            && segments.nth(1) == Some("file")
            && segments.next().is_none();
        !is_file
    };
    let pointers = places.all_unset().map(|(pointer, _, _)| pointer);
    pointers
        .filter(|pointer| !pointer.is_empty() && absent(pointer))
        .map(str::to_owned)
        .collect()
}

/// Converts strings from variables to the types that the schema requires.
fn coerce(value: &mut Value, places: &Places) {
    let mut typed = Vec::new();
    for error in VALIDATOR.iter_errors(value) {
        flatten(&error, &mut |error| {
            let pointer = error.instance_path().as_str();
            let Value::String(text) = error.instance().as_ref() else {
                return;
            };
            let wanted = |json_type: JsonType| match error.kind() {
                ValidationErrorKind::Type {
                    kind: TypeKind::Single(kind),
                } => *kind == json_type,
                _ => false,
            };
            if places.origin(pointer) != Some(&Origin::Variable) {
                return;
            }
            match scalar_value(text.trim().into(), ScalarStyle::Plain, None) {
                Some(new @ Value::Number(_))
                    if wanted(JsonType::Integer) || wanted(JsonType::Number) =>
                {
                    typed.push((pointer.to_owned(), new));
                }
                Some(new @ Value::Bool(_)) if wanted(JsonType::Boolean) => {
                    typed.push((pointer.to_owned(), new));
                }
                // Copying and pasting a value often adds whitespace.
                _ if text.trim() != text => {
                    typed.push((pointer.to_owned(), text.trim().into()));
                }
                _ => {}
            }
        });
    }
    for (pointer, new) in typed {
        if let Some(place) = value.pointer_mut(&pointer) {
            *place = new;
        }
    }
}

/// For a choice between forms, finds the errors of the form that was meant.
fn flatten<'e>(error: &'e ValidationError<'_>, found: &mut dyn FnMut(&'e ValidationError<'_>)) {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        return found(error);
    };
    let other_form = |branch: &&Vec<ValidationError<'static>>| {
        !branch.iter().any(|inner| {
            inner.instance_path() == error.instance_path()
                && matches!(
                    inner.kind(),
                    ValidationErrorKind::Type { .. } | ValidationErrorKind::Constant { .. }
                )
        })
    };
    match context.iter().find(other_form) {
        Some(branch) => branch.iter().for_each(|inner| flatten(inner, found)),
        None => found(error),
    }
}

/// Removes a value: a key with its value, or a list element, which becomes `null` so that the
/// elements after it keep their indices.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, _)) = pointer.rsplit_once('/') else {
        *value = Value::Null;
        return;
    };
    let name = places::last(pointer);
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => {
            object.remove(&name);
        }
        Some(Value::Array(items)) => {
            if let Some(item) = name.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}
