//! Parses numbers as people type them, and prints them with a noun.
//!
//! In: text from a file, a flag or a variable. Out: a whole number, exactly, even if it is
//! written `1.0` or `1e3`; for text that is not a number, the number that was probably meant.
//! Invariants: no rounding; work is bounded whatever the exponent.

use std::ops::RangeInclusive;

/// Maximum number of digits of a whole number; `u64` needs 20.
const DIGITS: usize = 30;
/// Longest text that a suggestion is made for, in bytes.
const LONGEST: usize = 64;

/// A number with its noun: `1 call`, `2 calls`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{ending}")
}

/// The value of a decimal number if it is whole: `12`, `+12`, `12.0`, `1.2e1`. `None` for any
/// other text, and for a number of more than 30 digits.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Zeros to append; if negative, a fraction remains.
    let zeros = exponent + dropped as i64 - fraction.len() as i64;
    let zeros = usize::try_from(zeros).ok()?;
    if significant.len() + zeros > DIGITS {
        return None;
    }
    let value: i128 = significant.parse().ok()?;
    let value = value * 10i128.pow(zeros as u32);
    Some(if negative { -value } else { value })
}

/// An exponent, clamped to a magnitude that still exceeds that of any number we accept.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(1_000_000);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Parses a whole number within bounds for a flag; ignores surrounding spaces, which copying may
/// have added.
///
/// # Errors
/// A message that states the valid range and, if possible, a correction.
pub(crate) fn whole(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let (least, most) = (*bounds.start(), *bounds.end());
    let typed = text.trim();
    if let Some(value) = integer(typed) {
        let fits = u64::try_from(value).ok().filter(|v| bounds.contains(v));
        return fits.ok_or_else(|| format!("{value} is not in {least}..={most}"));
    }
    let must = format!("it must be a whole number from {least} to {most}");
    let meant = meant(typed, false).filter(|meant| whole(meant, bounds).is_ok());
    Err(match meant {
        Some(meant) => format!("{must}; write `{meant}`"),
        None => must,
    })
}

/// The number that `text` was probably meant as: `1000` for `1_000`, `1,000` and `１０００`, `1.5` for
/// `1,5`. `fraction`: whether the number may have a fractional part. `None` if that is unclear, or
/// if nothing would change.
pub(crate) fn meant(text: &str, fraction: bool) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let typed: String = text.chars().filter_map(plain_char).collect();
    let typed = typed.strip_prefix('+').unwrap_or(&typed);
    let plain = without_separators(typed, fraction);
    let plain = match plain.strip_prefix('.') {
        Some(rest) => format!("0.{rest}"),
        None => plain.trim_end_matches('.').to_owned(),
    };
    let plain = match integer(&plain) {
        Some(value) => value.to_string(),
        None if fraction && is_decimal(&plain) => plain,
        None => return None,
    };
    (plain != text).then_some(plain)
}

/// The ASCII character that was meant; `None` for one that only separates digits.
pub(crate) fn plain_char(c: char) -> Option<char> {
    let digit = |zero: char| char::from_digit(c as u32 - zero as u32, 10);
    match c {
        '０'..='９' => digit('０'),
        '\u{660}'..='\u{669}' => digit('\u{660}'),
        '\u{6f0}'..='\u{6f9}' => digit('\u{6f0}'),
        '．' => Some('.'),
        '，' | '\u{66b}' => Some(','),
        '＋' => Some('+'),
        '－' | '\u{2212}' => Some('-'),
        '％' | '\u{66a}' => Some('%'),
        '：' => Some(':'),
        'ａ'..='ｚ' => char::from_u32('a' as u32 + (c as u32 - 'ａ' as u32)),
        'µ' | 'μ' => Some('u'),
        '_' | '\'' | '’' => None,
        c if c.is_whitespace() || super::acts(c) => None,
        c => Some(c),
    }
}

/// Removes thousands separators, and turns a decimal comma into a point.
fn without_separators(text: &str, fraction: bool) -> String {
    let grouped = |separator: char| {
        let whole = text.split_once(if separator == ',' { '.' } else { ',' });
        let whole = whole.map_or(text, |(whole, _)| whole);
        let mut groups = whole.trim_start_matches('-').split(separator);
        let first = groups.next().unwrap_or_default();
        let three = |group: &str| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit());
        whole.contains(separator) && (1..=3).contains(&first.len()) && groups.all(three)
    };
    let (commas, points) = (text.matches(',').count(), text.matches('.').count());
    match (commas, points) {
        // The comma may separate thousands, or it may be a decimal comma.
        (1, 0) if fraction && grouped(',') => text.to_owned(),
        (1, 0) if fraction => text.replace(',', "."),
        (1.., 0 | 1) if grouped(',') => text.replace(',', ""),
        (0 | 1, 2..) | (1, 1) if grouped('.') => text.replace('.', "").replace(',', "."),
        _ => text.to_owned(),
    }
}

/// Whether the text is a finite decimal number, perhaps with a sign and an exponent.
fn is_decimal(text: &str) -> bool {
    let known = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    text.chars().all(known) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_are_read_exactly_however_they_are_written() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.0e9", Some(0)),
            ("007", Some(7)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            ("1.0", Some(1)),
            ("1.", Some(1)),
            ("1e3", Some(1_000)),
            ("1E+3", Some(1_000)),
            ("2.50e1", Some(25)),
            (".5e1", Some(5)),
            ("1000e-3", Some(1)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("18446744073709551616", Some(1 << 64)),
            ("1e19", Some(10_000_000_000_000_000_000)),
            ("1e400", None),
            ("1e99999999999999999999", None),
            ("0e99999999999999999999", Some(0)),
            ("1e-99999999999999999999", None),
            ("2.5", None),
            ("25e-1", None),
            ("", None),
            (".", None),
            ("e3", None),
            ("1e", None),
            ("1e+", None),
            ("1_000", None),
            ("1,000", None),
            ("0x10", None),
            ("１２", None),
            ("--1", None),
            ("+-1", None),
            (" 1", None),
            (".inf", None),
            ("nan", None),
            ("1.0.0", None),
        ] {
            assert_eq!(integer(text), value, "{text:?}");
        }
    }

    #[test]
    fn errors_of_flags_state_the_range_and_a_correction() {
        for (text, expected) in [
            ("5", Ok(5)),
            (" 5\n", Ok(5)),
            ("5.0", Ok(5)),
            ("1e1", Ok(10)),
            (
                "1_0",
                Err("it must be a whole number from 1 to 10; write `10`"),
            ),
            (
                "１０",
                Err("it must be a whole number from 1 to 10; write `10`"),
            ),
            ("1,000", Err("it must be a whole number from 1 to 10")),
            ("0", Err("0 is not in 1..=10")),
            ("-3", Err("-3 is not in 1..=10")),
            ("1e9", Err("1000000000 is not in 1..=10")),
            ("2.5", Err("it must be a whole number from 1 to 10")),
            ("ten", Err("it must be a whole number from 1 to 10")),
            ("", Err("it must be a whole number from 1 to 10")),
        ] {
            let got = whole(text, 1..=10);
            assert_eq!(got, expected.map_err(str::to_owned), "{text:?}");
        }
        assert_eq!(whole("18446744073709551615", 0..=u64::MAX), Ok(u64::MAX));
        let error = whole("18446744073709551616", 0..=u64::MAX).expect_err("2^64");
        assert_eq!(
            error,
            "18446744073709551616 is not in 0..=18446744073709551615"
        );
    }

    #[test]
    fn the_number_that_was_meant_is_suggested() {
        for (text, whole, fraction) in [
            ("1_000", Some("1000"), Some("1000")),
            ("1,000", Some("1000"), None),
            ("1,000,000", Some("1000000"), Some("1000000")),
            ("1.000.000", Some("1000000"), Some("1000000")),
            ("1'000", Some("1000"), Some("1000")),
            ("1 000", Some("1000"), Some("1000")),
            ("1\u{202f}000", Some("1000"), Some("1000")),
            ("1,5", None, Some("1.5")),
            ("1.234,5", None, Some("1234.5")),
            ("1,234.5", None, Some("1234.5")),
            (".5", None, Some("0.5")),
            ("１２", Some("12"), Some("12")),
            ("+5", Some("5"), Some("5")),
            ("−5", Some("-5"), Some("-5")),
            ("5", None, None),
            ("5.5", None, None),
            ("", None, None),
            ("many", None, None),
            ("inf", None, None),
            ("1,00", None, Some("1")),
        ] {
            assert_eq!(meant(text, false).as_deref(), whole, "{text:?}");
            assert_eq!(meant(text, true).as_deref(), fraction, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn suggestions_are_numbers(text in "[-+0-9.,_eE '０９]{0,20}", any in ".{0,80}") {
            for text in [&text, &any] {
                if let Some(meant) = meant(text, false) {
                    prop_assert!(integer(&meant).is_some(), "{text:?}: {meant}");
                }
                if let Some(meant) = meant(text, true) {
                    prop_assert!(is_decimal(&meant), "{text:?}: {meant}");
                }
            }
        }

        #[test]
        fn every_integer_is_read_back(value: i64, zeros in 0usize..6) {
            let value = i128::from(value);
            let written = [
                value.to_string(),
                format!("{value}.{}", "0".repeat(zeros)),
                format!("{value}{}e-{zeros}", "0".repeat(zeros)),
            ];
            for text in written {
                prop_assert_eq!(integer(&text), Some(value), "{}", text);
            }
        }
    }
}
