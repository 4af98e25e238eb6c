//! The tree of a YAML document, and its conversion to JSON and a map of places.
//!
//! Invariants: aliases share their subtree; the reader has bounded the depth and the size of the
//! tree, so recursion over it is bounded too.

use super::places::{Origin, Places, Spot, join};
use super::problem::Place;
use crate::vocab::number;
use saphyr::{Scalar, ScalarStyle, Tag};
use serde_json::Value;
use std::borrow::Cow;
use std::rc::Rc;

/// A value of the document.
pub(super) struct Node {
    pub(super) at: Place,
    /// Number of values in its subtree, itself included, with aliases expanded.
    pub(super) size: usize,
    /// Number of levels in its subtree, its own included.
    pub(super) depth: usize,
    pub(super) data: Data,
}

pub(super) enum Data {
    Scalar {
        value: Value,
        origin: Origin,
        /// The value as written in the file, if it is not a string.
        spelling: Option<Rc<str>>,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Key, Rc<Node>)>),
}

pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Place,
}

/// A scalar by YAML's core schema, except that a whole number is an integer however it is written:
/// `1.0` and `1e3` too, and all of `u64` (saphyr's integers are `i64`).
pub(super) fn scalar_value(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Cow<'_, Tag>>,
) -> Option<Value> {
    if style == ScalarStyle::Plain
        && tag.is_none()
        && let Some(number) = integer(&text)
    {
        return Some(number);
    }
    let tag = tag.map(|tag| Cow::Owned(tag.as_ref().clone()));
    Some(
        match Scalar::parse_from_cow_and_metadata(text.clone(), style, tag.as_ref())? {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => value.into(),
            Scalar::Integer(value) => value.into(),
            // Infinity and NaN are not JSON numbers; as text they fail where a number is required.
            Scalar::FloatingPoint(value) => integer(&value.into_inner().to_string())
                .or_else(|| serde_json::Number::from_f64(value.into_inner()).map(Value::Number))
                .unwrap_or_else(|| Value::String(text.into_owned())),
            Scalar::String(value) => Value::String(value.into_owned()),
        },
    )
}

/// A whole number within the bounds of 64 bits.
fn integer(text: &str) -> Option<Value> {
    let number = number::integer(text)?;
    let unsigned = u64::try_from(number).map(Value::from);
    unsigned
        .or_else(|_| i64::try_from(number).map(Value::from))
        .ok()
}

/// The value of a node; inserts the places of everything in it into `places`.
pub(super) fn to_json(
    node: &Node,
    pointer: &str,
    key: Option<Place>,
    places: &mut Places,
) -> Value {
    let (origin, spelling) = match &node.data {
        Data::Scalar {
            origin, spelling, ..
        } => (origin.clone(), spelling.clone()),
        _ => (Origin::Written, None),
    };
    places.insert(
        pointer,
        Spot {
            key,
            value: node.at,
            origin,
            spelling,
        },
    );
    match &node.data {
        Data::Scalar { value, .. } => value.clone(),
        Data::List(items) => {
            let value = |(i, item): (usize, &Rc<Node>)| {
                to_json(item, &join(pointer, &i.to_string()), None, places)
            };
            items.iter().enumerate().map(value).collect()
        }
        Data::Map(pairs) => {
            let pair = |(key, item): &(Key, Rc<Node>)| {
                let value = to_json(item, &join(pointer, &key.name), Some(key.at), places);
                (key.name.clone(), value)
            };
            Value::Object(pairs.iter().map(pair).collect())
        }
    }
}
