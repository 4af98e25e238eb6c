//! Parses whole numbers on the command line.

use crate::vocab::number;
use std::ops::RangeInclusive;

/// Parses a whole number within bounds; the error states the valid range.
pub(super) fn whole(
    bounds: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    let (least, most) = (u64::from(*bounds.start()), u64::from(*bounds.end()));
    move |text| {
        let value = number::whole(text, least..=most)?;
        // Cannot fail: the value is within `bounds`, which are of type `u32`.
        u32::try_from(value).map_err(|e| e.to_string())
    }
}

/// Parses a seed; the error states the valid range.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    number::whole(text, 0..=u64::MAX)
}
