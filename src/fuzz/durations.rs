//! Durations and delay distributions, as typed on the command line.
//!
//! In: text. Properties: a parsed value is within its bounds, and its printed form parses back to
//! it; an error has a hint and quotes a bounded part of the text.

use super::planted::planted;
use crate::vocab::{AgentDelay, duration};

/// Longest printed duration: three units, the last with nine fractional digits.
const LONGEST: usize = 24;
/// Longest text of an error, in bytes: a sentence and the quoted part.
const LONGEST_MESSAGE: usize = 512;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match duration::parse(text) {
        Ok(parsed) => {
            assert!(parsed <= duration::MAX, "{parsed:?}");
            let shown = duration::format(parsed);
            assert_eq!(duration::parse(&shown), Ok(parsed), "{shown}");
            assert!(shown.len() <= LONGEST, "{shown}");
            let finer = parsed.subsec_nanos() % 1_000 != 0;
            planted([finer, text.contains('h'), text.ends_with("us")]);
        }
        Err(error) => is_bounded(&error.to_string(), &error.hint()),
    }
    match text.parse::<AgentDelay>() {
        Ok(delay) => {
            let shown = delay.to_string();
            assert_eq!(shown.parse(), Ok(delay), "{shown}");
            let shortest = delay.shortest();
            assert!(shortest <= duration::MAX, "{shortest:?} of {shown}");
        }
        Err(error) => is_bounded(&error.to_string(), error.hint()),
    }
}

fn is_bounded(message: &str, hint: &str) {
    assert!(!hint.is_empty(), "{message}");
    for text in [message, hint] {
        assert!(text.len() <= LONGEST_MESSAGE, "{text}");
    }
}
