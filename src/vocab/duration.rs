//! The grammar of durations: `250ms`, `1m30s`, `2.914s`, `1h`.
//!
//! In: text that a user typed. Out: a [`Duration`], exact to the nanosecond, or an error with a
//! hint. Invariant: `parse(&format(d)) == Ok(d)` for every `d` up to [`MAX`].

use super::number;
use std::time::Duration;

/// The longest accepted duration: 365 days.
pub(crate) const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The pattern of a duration in the JSON Schema; [`parse`] is stricter (order of units, size).
pub(crate) const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(h|ms|m|s|us))+$";

/// Longest text that is read, in bytes, and longest part of one that is quoted, in characters.
const LONGEST: usize = 64;

/// Units with their length in nanoseconds, longest first.
const UNITS: [(&str, u128); 5] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// The text is not a valid duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// The text is empty.
    #[error("a duration is missing")]
    Empty,
    /// A number has no unit.
    #[error("`{text}` has no unit")]
    NoUnit {
        /// The text as typed.
        text: String,
    },
    /// The unit does not exist.
    #[error("`{unit}` is not a unit of time")]
    UnknownUnit {
        /// The unit as typed.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// The text does not follow the grammar.
    #[error("`{text}` is not a duration")]
    Malformed {
        /// The text as typed.
        text: String,
    },
    /// A unit is repeated, or the units are not in descending order.
    #[error("the units in `{text}` must go from longest to shortest, each at most once")]
    Order {
        /// The text as typed.
        text: String,
    },
    /// The duration is not a whole number of nanoseconds.
    #[error("`{text}` is finer than a nanosecond")]
    TooFine {
        /// The text as typed.
        text: String,
    },
    /// The duration is longer than [`MAX`].
    #[error("`{text}` is longer than 365 days")]
    TooLong {
        /// The text as typed.
        text: String,
    },
}

impl DurationError {
    /// What to write instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoUnit { text } => without_unit(text),
            Self::Order { .. } => "for example `1h30m` or `1m30s`".to_owned(),
            Self::TooFine { .. } => "leave out the digits beyond the nanosecond".to_owned(),
            Self::TooLong { .. } => "the longest duration is `8760h`".to_owned(),
            Self::UnknownUnit { text, .. } | Self::Malformed { text } => match meant(text) {
                Some(meant) => format!("write `{meant}`"),
                None => without_unit(text),
            },
            Self::Empty => LIKE.to_owned(),
        }
    }
}

/// Examples of durations, for hints.
pub(super) const LIKE: &str = "durations look like `250ms`, `2.5s`, `1m30s` or `1h`";

/// The hint for a number in place of a duration; for any other text, [`LIKE`].
pub(crate) fn without_unit(text: &str) -> String {
    let plain = number::meant(text, true);
    let plain = plain.as_deref().unwrap_or(text.trim());
    let units = [format!("{plain}s"), format!("{plain}ms")];
    match number::integer(plain) {
        Some(0) => "write `0s`".to_owned(),
        _ if plain.starts_with(['-', '\u{2212}', '－']) => {
            format!("durations are not negative; {LIKE}")
        }
        _ => match units.each_ref().map(|unit| parse(unit)) {
            [Ok(_), Ok(_)] => format!("write `{}` or `{}`", units[0], units[1]),
            [Err(_), Ok(_)] => format!("write `{}`", units[1]),
            _ => LIKE.to_owned(),
        },
    }
}

/// Names of units that people use, by our name; days are converted to hours.
const NAMES: &[(&str, &[&str])] = &[
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    (
        "ms",
        &[
            "ms",
            "msec",
            "msecs",
            "millis",
            "millisecond",
            "milliseconds",
        ],
    ),
    (
        "us",
        &["us", "usec", "usecs", "microsecond", "microseconds"],
    ),
    ("d", &["d", "day", "days"]),
];

/// The duration that `text` was probably meant as: `1m30s` for `1 min 30 sec`, `1h30m` for `1h30`.
/// `None` if that is unclear, or if nothing would change.
fn meant(text: &str) -> Option<String> {
    if text.chars().count() >= LONGEST {
        return None; // it may have been cut
    }
    let typed: String = text.chars().filter_map(number::plain_char).collect();
    let typed = typed.to_ascii_lowercase();
    let mut rest = typed.strip_prefix('+').unwrap_or(&typed);
    let (mut parts, mut last) = (String::new(), "");
    while !rest.is_empty() {
        let (digits, after) = split(rest, |c| c.is_ascii_digit() || ".,".contains(c));
        let (name, after) = split(after, |c| c.is_ascii_alphabetic());
        // A last number without a unit has the next smaller unit: `1h30`.
        let unit = match name {
            "" => UNITS.windows(2).find(|pair| pair[0].0 == last)?[1].0,
            name => NAMES.iter().find(|(_, names)| names.contains(&name))?.0,
        };
        // `1,500ms` is a second and a half; `1,500s` is ambiguous.
        let thousands = number::meant(digits, false).filter(|_| ["ms", "us"].contains(&unit));
        let digits = thousands
            .or_else(|| number::meant(digits, true))
            .unwrap_or_else(|| digits.to_owned());
        parts += &match (unit, number::integer(&digits)) {
            ("d", Some(days)) => format!("{}h", days.checked_mul(24)?),
            ("d", None) => return None,
            (unit, _) => format!("{digits}{unit}"),
        };
        (rest, last) = (after, unit);
    }
    (parts != text && parse(&parts).is_ok()).then_some(parts)
}

/// Parses a duration.
///
/// One or more `<number><unit>` from the longest unit to the shortest; the units are
/// `h m s ms us`; numbers may have a fraction. No sign and no spaces.
///
/// # Errors
/// [`DurationError`], which quotes the offending text.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.len() > LONGEST {
        return Err(malformed(text));
    }
    let mut rest = text;
    let mut total: u128 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(malformed(text));
        }
        if unit.is_empty() {
            return Err(
                match text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                    true => DurationError::NoUnit {
                        text: text.to_owned(),
                    },
                    false => malformed(text),
                },
            );
        }
        let place = UNITS.iter().position(|(name, _)| *name == unit);
        let Some(place) = place else {
            return Err(DurationError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            });
        };
        if place < next_unit {
            return Err(DurationError::Order {
                text: text.to_owned(),
            });
        }
        next_unit = place + 1;
        total += nanos(text, number, UNITS[place].1)?;
        rest = after;
    }
    if total > MAX.as_nanos() {
        return Err(DurationError::TooLong {
            text: text.to_owned(),
        });
    }
    Ok(Duration::from_nanos(total as u64))
}

fn malformed(text: &str) -> DurationError {
    DurationError::Malformed {
        text: text.chars().take(LONGEST).collect(),
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// `number` times `unit` nanoseconds, computed without floating point.
fn nanos(text: &str, number: &str, unit: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(malformed(text)),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(malformed(text));
    }
    // A number of more than 15 digits exceeds MAX in every unit; any other cannot overflow u128.
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 15 {
        return Err(DurationError::TooLong {
            text: text.to_owned(),
        });
    }
    if fraction.len() > 15 {
        return Err(DurationError::TooFine {
            text: text.to_owned(),
        });
    }
    let digits = |digits: &str| {
        digits
            .bytes()
            .fold(0u128, |n, b| n * 10 + u128::from(b - b'0'))
    };
    let scale = 10u128.pow(fraction.len() as u32);
    let part = digits(fraction) * unit;
    if !part.is_multiple_of(scale) {
        return Err(DurationError::TooFine {
            text: text.to_owned(),
        });
    }
    Ok(digits(whole) * unit + part / scale)
}

/// Formats a duration in the same grammar, exactly and as briefly as possible: `250ms`, `1m30s`,
/// `0s`.
///
/// A remainder of nanoseconds becomes a fraction, so no precision is lost.
pub(crate) fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < UNITS[3].1 {
        return with_fraction(nanos, UNITS[4]);
    }
    if nanos < UNITS[2].1 {
        return with_fraction(nanos, UNITS[3]);
    }
    let mut text = String::new();
    let mut rest = nanos;
    for (name, unit) in &UNITS[..2] {
        if rest >= *unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if rest > 0 {
        text.push_str(&with_fraction(rest, UNITS[2]));
    }
    text
}

fn with_fraction(nanos: u128, (name, unit): (&str, u128)) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}{name}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_parsed() {
        let cases: [(&str, u64); 10] = [
            ("250ms", 250_000_000),
            ("1m30s", 90_000_000_000),
            ("2.914s", 2_914_000_000),
            ("1h", 3_600_000_000_000),
            ("0s", 0),
            ("1.5h", 5_400_000_000_000),
            ("1h1ms", 3_600_001_000_000),
            ("007s", 7_000_000_000),
            ("0.001us", 1),
            ("8760h", 31_536_000_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_refused() {
        let cases = [
            ("", "a duration is missing"),
            ("10", "`10` has no unit"),
            ("1.5", "`1.5` has no unit"),
            ("10 s", "`10 s` is not a duration"),
            ("-1s", "`-1s` is not a duration"),
            ("1s500", "`1s500` is not a duration"),
            ("s", "`s` is not a duration"),
            ("1.s", "`1.s` is not a duration"),
            (".5s", "`.5s` is not a duration"),
            ("1.2.3s", "`1.2.3s` is not a duration"),
            ("3d", "`d` is not a unit of time"),
            ("1sec", "`sec` is not a unit of time"),
            (
                "1s1m",
                "the units in `1s1m` must go from longest to shortest, each at most once",
            ),
            (
                "1s1s",
                "the units in `1s1s` must go from longest to shortest, each at most once",
            ),
            ("0.0001us", "`0.0001us` is finer than a nanosecond"),
            ("8761h", "`8761h` is longer than 365 days"),
            (
                "9999999999999999999s",
                "`9999999999999999999s` is longer than 365 days",
            ),
        ];
        for (text, message) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn hints_suggest_the_duration_that_was_meant() {
        let negative = format!("durations are not negative; {LIKE}");
        for (text, hint) in [
            ("500", "write `500s` or `500ms`"),
            ("1.5", "write `1.5s` or `1.5ms`"),
            ("0", "write `0s`"),
            ("99999999", "write `99999999ms`"),
            (" 500 ", "write `500s` or `500ms`"),
            ("1_000", "write `1000s` or `1000ms`"),
            ("1,5", "write `1.5s` or `1.5ms`"),
            ("-1", &negative),
            ("-1s", &negative),
            ("−1s", &negative),
            ("10 s", "write `10s`"),
            (" 10s\n", "write `10s`"),
            ("+5s", "write `5s`"),
            ("10S", "write `10s`"),
            ("1 min 30 sec", "write `1m30s`"),
            ("90 seconds", "write `90s`"),
            ("2hours", "write `2h`"),
            ("100 milliseconds", "write `100ms`"),
            ("5µs", "write `5us`"),
            ("5μs", "write `5us`"),
            ("1,5s", "write `1.5s`"),
            ("1,500ms", "write `1500ms`"),
            ("1,500s", LIKE),
            ("1e3", "write `1000s` or `1000ms`"),
            (".5s", "write `0.5s`"),
            ("1.s", "write `1s`"),
            ("1_000ms", "write `1000ms`"),
            ("１ｓ", "write `1s`"),
            ("3d", "write `72h`"),
            ("1h30", "write `1h30m`"),
            ("1m30", "write `1m30s`"),
            ("1s500", "write `1s500ms`"),
            ("1s1m", "for example `1h30m` or `1m30s`"),
            ("1e3ms", LIKE),
            ("1:30", LIKE),
            ("0x10s", LIKE),
            ("inf", LIKE),
            (".inf", LIKE),
            ("soon", LIKE),
            ("", LIKE),
            ("9000d", LIKE),
            ("1ns", LIKE),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.hint(), hint, "{text:?}");
        }
    }

    #[test]
    fn durations_are_formatted() {
        let cases = [
            (0, "0s"),
            (1, "0.001us"),
            (250_000_000, "250ms"),
            (914_250_000, "914.25ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h"),
            (3_600_000_000_001, "1h0.000000001s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(format(Duration::from_nanos(nanos)), text);
        }
    }

    proptest! {
        #[test]
        fn durations_round_trip(nanos in 0..=MAX.as_nanos() as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn suggestions_are_durations(text in "[-+0-9.,_ hmsud]{0,64}") {
            if let Err(error) = parse(&text) {
                let hint = error.hint();
                for suggested in hint.split('`').skip(1).step_by(2) {
                    prop_assert!(parse(suggested).is_ok(), "{text:?}: {hint}");
                }
            }
        }
    }
}
