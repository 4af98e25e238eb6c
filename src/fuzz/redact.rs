//! Removal of secrets from stored scenarios.
//!
//! In: a scenario's text, which may contain [`SECRET`]. Properties: the stored text contains no
//! secret, neither literally nor after YAML parsing; storing it again changes nothing.

use super::planted::planted;
use crate::scenario::redacted;
use saphyr_parser::{Event, Parser};

/// A secret that the run uses.
const SECRET: &str = "s3cret-s3cret-s3cret";
/// The key of a secret value, the replacement for that value, and the length from which the value
/// is also removed elsewhere.
const KEY: &str = "api_secret";
const VARIABLE: &str = "${LIVEKIT_API_SECRET}";
const SHORTEST: usize = 8;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let before = scalars(text);
    let Some(kept) = redacted(text, &[SECRET]) else {
        return;
    };
    assert!(!kept.contains(SECRET), "{kept}");
    let after = scalars(&kept);
    let after = after.unwrap_or_else(|| panic!("no longer YAML:\n{text}\n{kept}"));
    for (value, of_key) in &after {
        assert!(!value.contains(SECRET), "{value:?} of\n{kept}");
        assert!(!of_key || is_reference(value), "{value:?} of\n{kept}");
    }
    for (value, of_key) in before.iter().flatten() {
        let long = value.chars().count() >= SHORTEST && !VARIABLE.contains(value.as_str());
        let secret = *of_key && long && !value.contains("${");
        assert!(!(secret && kept.contains(value)), "{value:?} in\n{kept}");
    }
    assert_eq!(redacted(&kept, &[SECRET]).as_deref(), Some(kept.as_str()));
    let values = before.map_or(0, |all| all.iter().filter(|(_, of_key)| *of_key).count());
    planted([values > 1, text.contains("|-")]);
}

/// Whether a value is empty or is a variable without a default.
fn is_reference(value: &str) -> bool {
    let inner = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
    value.is_empty()
        || inner.is_some_and(|name| name.split_once(":-").is_none_or(|(_, d)| d.is_empty()))
}

/// Every scalar of a text, and whether it is the value of [`KEY`] in a mapping; `None` if the text
/// is not YAML. This is an independent reader, which does not follow aliases.
fn scalars(text: &str) -> Option<Vec<(String, bool)>> {
    /// An open collection: whether it is a mapping, whether a key comes next, and whether the
    /// latest key is [`KEY`].
    struct Open {
        mapping: bool,
        at_key: bool,
        secret: bool,
    }
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let event = event.ok()?.0;
        let starts = matches!(event, Event::MappingStart(..) | Event::SequenceStart(..));
        if matches!(event, Event::MappingEnd | Event::SequenceEnd) {
            open.pop();
        }
        if let Event::Scalar(value, ..) = &event {
            let top = open.last();
            let of_key = top.is_some_and(|o| o.mapping && !o.at_key && o.secret);
            found.push((value.to_string(), of_key));
        }
        if let Some(top) = open.last_mut().filter(|o| o.mapping)
            && (starts || matches!(event, Event::Scalar(..) | Event::Alias(_)))
        {
            if top.at_key {
                top.secret = matches!(&event, Event::Scalar(value, ..) if *value == KEY);
            }
            top.at_key = !top.at_key;
        }
        if starts {
            let mapping = matches!(event, Event::MappingStart(..));
            open.push(Open {
                mapping,
                at_key: true,
                secret: false,
            });
        }
    }
    Some(found)
}
