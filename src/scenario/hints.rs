//! Hints for values of the wrong type: what was probably meant.
//!
//! In: a value as written in the file, and what the schema requires. Out: a form of the value for
//! messages, and a correction. Invariant: a long string from a variable is not repeated, since it
//! may be a secret.

use super::file::PERCENT_PATTERN;
use super::places::{Origin, Places};
use super::problem::clip;
use super::schema::{holder, resolve};
use super::tree::scalar_value;
use crate::vocab::{duration, nearest, number};
use jsonschema::{JsonType, ValidationError};
use saphyr::ScalarStyle;
use serde_json::Value;
use std::borrow::Cow;

/// A longer string from a variable is not shown: LiveKit's secrets have 32 characters or more.
const SHOWN: usize = 24;
/// Inside brackets, YAML needs quotes around a string that contains one of these.
const SPECIAL: &[char] = &[
    ',', ':', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
];

/// A value of the file that the schema rejects.
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    /// A number or boolean as written in the file.
    spelling: Option<&'a str>,
    from_variable: bool,
}

impl<'a> Given<'a> {
    pub(super) fn of(pointer: &str, value: &'a Value, places: &'a Places) -> Self {
        Self {
            value,
            spelling: places.spelling(pointer),
            from_variable: places.origin(pointer) == Some(&Origin::Variable),
        }
    }

    /// The value as it was written.
    pub(super) fn written(&self) -> Cow<'a, str> {
        match (self.spelling, self.value) {
            (Some(spelling), _) => spelling.into(),
            (None, Value::String(text)) => text.into(),
            (None, value) => value.to_string().into(),
        }
    }

    /// Whether the value is a string from a variable and too long to be shown.
    pub(super) fn is_long(&self) -> bool {
        self.from_variable && self.written().chars().count() > SHOWN
    }

    /// The value as messages show it.
    pub(super) fn shown(&self) -> String {
        let written = self.written();
        match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a mapping".to_owned(),
            _ if self.is_long() => format!("a string of {} characters", written.chars().count()),
            // Such text must have been quoted, or YAML would have read it as a number or a boolean.
            Value::String(text) if !self.from_variable && is_typed(text) => {
                format!("`\"{text}\"`")
            }
            _ if written.chars().count() > 64 => format!("`{}…`", clip(&written)),
            _ => format!("`{written}`"),
        }
    }
}

/// Whether YAML reads a string without quotes as a number or a boolean.
fn is_typed(text: &str) -> bool {
    let value = scalar_value(text.into(), ScalarStyle::Plain, None);
    value.is_some_and(|value| value.is_number() || value.is_boolean())
}

/// The form that a text must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Any text.
    Plain,
    /// A share in percent.
    Percent,
    /// A duration.
    Duration,
    /// A duration or a distribution of one.
    Delay,
}

impl Form {
    /// The form that the schema requires at the place of this error.
    pub(super) fn of(error: &ValidationError<'_>) -> Self {
        if error.instance_path().as_str().ends_with("/agent/delay") {
            return Self::Delay;
        }
        let schema = holder(error).map(resolve);
        let pattern = schema.and_then(|schema| schema.get("pattern")?.as_str());
        match pattern {
            Some(duration::PATTERN) => Self::Duration,
            Some(PERCENT_PATTERN) => Self::Percent,
            _ => Self::Plain,
        }
    }
}

/// The hint for a value that is not of the type `wanted` (if there is only one) or that has the
/// wrong form; `None` if the description of the key is more helpful.
pub(super) fn other_type(
    given: &Given<'_>,
    form: Form,
    wanted: Option<JsonType>,
) -> Option<String> {
    let written = given.written();
    match (given.value, wanted) {
        (Value::Null, _) => Some("give it a value, or leave the key out".to_owned()),
        (Value::Array(items), Some(wanted)) if wanted != JsonType::Object => {
            (items.len() == 1).then(|| "write the one value, without brackets".to_owned())
        }
        (Value::Array(_) | Value::Object(_), Some(JsonType::Array)) => {
            Some("a list has `-` before each entry, or brackets around all of them".to_owned())
        }
        (Value::Array(_) | Value::Object(_), _) => None,
        (_, Some(JsonType::Array)) => Some(format!("put it in brackets: `[{}]`", item(given))),
        (_, Some(JsonType::Object)) => None,
        (Value::Number(_), _) if form >= Form::Duration => Some(duration::without_unit(&written)),
        (Value::Number(_), _) if form == Form::Percent => Some(percent(&written)),
        (_, Some(JsonType::String)) if form == Form::Plain => {
            Some(format!("put it in quotes: \"{written}\""))
        }
        (_, Some(JsonType::Boolean)) => flag(&written).map(|flag| format!("write `{flag}`")),
        (Value::String(text), Some(JsonType::Integer)) => write_number(text, false),
        (Value::String(text), Some(JsonType::Number)) => write_number(text, true),
        _ => None,
    }
}

/// A scalar as an entry of a list in brackets.
fn item(given: &Given<'_>) -> String {
    let written = given.written();
    match given.value {
        _ if given.is_long() => "…".to_owned(),
        Value::String(text) if text.contains(SPECIAL) => format!("{text:?}"),
        _ => written.chars().take(SHOWN).collect(),
    }
}

fn write_number(text: &str, fraction: bool) -> Option<String> {
    if number::integer(text).is_some()
        || (fraction && text.parse::<f64>().is_ok_and(f64::is_finite))
    {
        return Some(format!("write it without quotes: `{text}`"));
    }
    number::meant(text, fraction).map(|meant| format!("write `{meant}`"))
}

/// The boolean that a word stands for.
fn flag(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" | "1.0" => Some(true),
        "false" | "no" | "n" | "off" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// The hint for a value that is not a percentage.
pub(super) fn percent(text: &str) -> String {
    let about = "shares are from `0%` to `100%`, such as `2.5%`";
    let typed: String = text.chars().filter_map(number::plain_char).collect();
    let typed = typed.to_lowercase();
    let (typed, is_percent) = ["%", "percent", "pct"]
        .iter()
        .find_map(|unit| Some((typed.strip_suffix(unit)?, true)))
        .unwrap_or((&typed, false));
    let plain = number::meant(typed, true).unwrap_or_else(|| typed.to_owned());
    let write = |share: &str| format!("{share}%");
    let good = |share: &str| {
        let (whole, fraction) = share.split_once('.').unwrap_or((share, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let fits = digits(whole) && digits(fraction) && whole.len() <= 3 && fraction.len() <= 6;
        fits && share.parse::<f64>().is_ok_and(|share| share <= 100.0)
    };
    if !good(&plain) {
        return about.to_owned();
    }
    match plain.parse::<f64>() {
        // A number without a percent sign could be either a percentage or a fraction.
        Ok(share) if !is_percent && share > 0.0 && share <= 1.0 => {
            let hundredfold = (share * 1e8).round() / 1e6;
            let (as_percent, as_share) = (write(&plain), write(&hundredfold.to_string()));
            format!("write `{as_percent}`, or `{as_share}` if you meant a fraction of 1")
        }
        _ => format!("write `{}`", write(&plain)),
    }
}

/// The option of an enumeration that was meant: one with a similar spelling, or `on` or `off` where
/// YAML or the reader has turned it into a boolean.
pub(super) fn option<'a>(
    given: &Given<'_>,
    options: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let written = given.written();
    let word = match flag(&written) {
        Some(true) => "on",
        Some(false) => "off",
        None => return nearest(written.trim(), options),
    };
    let mut switches = options.clone().filter(|option| *option == word);
    switches.next().or_else(|| match given.value {
        Value::String(text) => nearest(text.trim(), options),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_need_a_percent_sign() {
        let about = "shares are from `0%` to `100%`, such as `2.5%`";
        for (text, hint) in [
            ("5", "write `5%`"),
            ("5.0", "write `5%`"),
            ("0", "write `0%`"),
            ("5 %", "write `5%`"),
            (" 5% ", "write `5%`"),
            ("+5%", "write `5%`"),
            ("5,5%", "write `5.5%`"),
            ("５％", "write `5%`"),
            (".5%", "write `0.5%`"),
            ("5 percent", "write `5%`"),
            ("0.5%", "write `0.5%`"),
            (
                "0.05",
                "write `0.05%`, or `5%` if you meant a fraction of 1",
            ),
            (
                "0.075",
                "write `0.075%`, or `7.5%` if you meant a fraction of 1",
            ),
            ("1", "write `1%`, or `100%` if you meant a fraction of 1"),
            ("1e1%", "write `10%`"),
            ("-5%", about),
            ("500%", about),
            ("0.00000001", about),
            ("nan", about),
            ("", about),
            ("%", about),
        ] {
            assert_eq!(percent(text), hint, "{text:?}");
        }
    }

    #[test]
    fn words_for_true_and_false_are_recognised() {
        for (text, meant) in [
            ("yes", Some(true)),
            ("On", Some(true)),
            ("1", Some(true)),
            ("TRUE", Some(true)),
            ("no", Some(false)),
            ("off", Some(false)),
            ("0", Some(false)),
            ("maybe", None),
            ("", None),
        ] {
            assert_eq!(flag(text), meant, "{text:?}");
        }
    }

    #[test]
    fn a_long_value_of_a_variable_is_not_quoted_in_hints() {
        let text = Value::from("0123456789abcdef0123456789abcdef");
        let mut given = Given {
            value: &text,
            spelling: None,
            from_variable: true,
        };
        assert_eq!(given.shown(), "a string of 32 characters");
        let hint = other_type(&given, Form::Plain, Some(JsonType::Array));
        assert_eq!(hint.as_deref(), Some("put it in brackets: `[…]`"));
        given.from_variable = false;
        assert_eq!(given.shown(), "`0123456789abcdef0123456789abcdef`");
    }
}
