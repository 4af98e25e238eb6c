//! A time as written to files: milliseconds, to the microsecond.
//!
//! In: durations and instants. Out: whole microseconds, signed. Invariants: printing, writing and
//! reading back preserve the number; sums of parts are exact.

use crate::stats::Sample;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::{Duration, Instant};

/// Whole microseconds, written as milliseconds. Negative for a time before the instant that it is
/// relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ms(i64);

/// Largest time read from a file, in milliseconds: thirty years, well within the range that `f64`
/// represents to the microsecond.
const LARGEST_MS: f64 = 1e12;

impl Ms {
    /// From microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In microseconds.
    pub(crate) const fn micros(self) -> i64 {
        self.0
    }

    /// In milliseconds.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// `later` − `earlier`; negative if `later` comes first.
    pub(crate) fn between(earlier: Instant, later: Instant) -> Self {
        match later.checked_duration_since(earlier) {
            Some(after) => after.into(),
            None => Self(-Self::from(earlier.duration_since(later)).0),
        }
    }

    /// As a duration; `None` when negative.
    pub(crate) fn duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_micros)
    }

    /// A finite sample; `None` for +∞.
    pub(crate) fn from_sample(sample: Sample) -> Option<Self> {
        sample.finite().map(Into::into)
    }
}

impl From<Duration> for Ms {
    /// To the nearest microsecond.
    fn from(duration: Duration) -> Self {
        let micros = (duration.as_nanos() + 500) / 1_000;
        Self(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Add for Ms {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Ms {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        times.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Ms {
    /// Prints three decimals, such as `400.120`, or rounds to fewer: `{:.1}` gives `400.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        // `pad` would treat the precision as a maximum length.
        f.pad_integral(true, "", &format!("{:.decimals$}", self.as_f64()))
    }
}

impl Serialize for Ms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Ms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = f64::deserialize(deserializer)?;
        if ms.abs() <= LARGEST_MS {
            Ok(Self((ms * 1e3).round() as i64))
        } else {
            Err(D::Error::custom(format!(
                "{ms} is not a time in milliseconds"
            )))
        }
    }
}

impl JsonSchema for Ms {
    fn schema_name() -> Cow<'static, str> {
        "Ms".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        f64::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn milliseconds_are_printed_with_one_or_three_decimals() {
        let cases = [
            (400_000, "400.000", "400.0"),
            (400_123, "400.123", "400.1"),
            (7, "0.007", "0.0"),
            (-1_500, "-1.500", "-1.5"),
            (0, "0.000", "0.0"),
        ];
        for (micros, long, short) in cases {
            let ms = Ms::from_micros(micros);
            assert_eq!(ms.to_string(), long);
            assert_eq!(format!("{ms:.1}"), short);
        }
        assert_eq!(format!("[{:>9.1}]", Ms::from_micros(-1_500)), "[     -1.5]");
    }

    #[test]
    fn durations_round_to_the_nearest_microsecond() {
        for (nanos, micros) in [(499, 0), (500, 1), (1_499, 1), (1_500, 2)] {
            assert_eq!(Ms::from(Duration::from_nanos(nanos)).micros(), micros);
        }
        let base = Instant::now();
        let later = base + Duration::from_micros(1_250);
        assert_eq!(Ms::between(base, later).micros(), 1_250);
        assert_eq!(Ms::between(later, base).micros(), -1_250);
    }

    #[test]
    fn out_of_range_and_non_numeric_values_are_refused() {
        for text in ["1e300", "-1e13", "\"12\"", "null"] {
            assert!(serde_json::from_str::<Ms>(text).is_err(), "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Ms>("12").unwrap(),
            Ms::from_micros(12_000)
        );
    }

    proptest! {
        #[test]
        fn serialisation_round_trips(micros in -1_000_000_000_000_i64..1_000_000_000_000) {
            let ms = Ms::from_micros(micros);
            let text = serde_json::to_string(&ms).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ms>(&text).unwrap(), ms);
            // Never finer than a microsecond.
            prop_assert!(text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 3));
            prop_assert_eq!(ms.to_string().parse::<f64>().unwrap(), ms.as_f64());
        }
    }
}
