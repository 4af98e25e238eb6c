//! Thresholds, as written on the command line and in scenarios.
//!
//! In: a line. Properties: the printed form of a parsed threshold parses back to the same
//! threshold; an error points into the text and has a hint.

use super::planted::planted;
use crate::scenario::{
    Aggregate, Bound, Threshold, ThresholdError, parse_threshold, parse_threshold_line,
};
use crate::vocab::{Metric, duration};

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match parse_threshold_line(text) {
        Ok(threshold) => {
            is_within_bounds(&threshold);
            let shown = format!("{}: {threshold}", threshold.subject());
            let again = parse_threshold_line(&shown);
            assert_eq!(again.as_ref(), Ok(&threshold), "{shown}");
            let of_variant = threshold.variant.as_deref().is_some_and(|v| v.len() == 5);
            let other = matches!(threshold.aggregate, Aggregate::Percentile(p) if p != 95.0);
            planted([of_variant, other]);
        }
        Err(error) => points_into(text, &error),
    }
    for metric in Metric::ALL {
        match parse_threshold(*metric, text) {
            Ok(threshold) => {
                is_within_bounds(&threshold);
                assert_eq!(threshold.metric, *metric);
                let again = parse_threshold(*metric, &threshold.to_string());
                assert_eq!(again, Ok(threshold));
            }
            Err(error) => points_into(text, &error),
        }
    }
}

fn is_within_bounds(threshold: &Threshold) {
    match threshold.bound {
        Bound::Time(time) => assert!(time <= duration::MAX, "{threshold:?}"),
        Bound::Share(share) => assert!((0.0..=1.0).contains(&share), "{threshold:?}"),
    }
    if let Aggregate::Percentile(p) = threshold.aggregate {
        assert!(p > 0.0 && p <= 100.0, "{threshold:?}");
    }
}

fn points_into(text: &str, error: &ThresholdError) {
    assert!(!error.hint().is_empty(), "{error}");
    let [line, caret] = error.excerpt();
    assert!(caret.trim_start().starts_with('^'), "{text:?}: {caret:?}");
    let within = caret.chars().count() <= line.chars().count() + 1;
    assert!(within, "{text:?}: {line:?} {caret:?}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
