//! Changes one word of a text and leaves the rest as it is.
//!
//! In: an input, and another input as a source of words. Out: a changed input. The fuzzer's own
//! mutations change bytes anywhere and mostly break a text's syntax, so code that requires valid
//! text is seldom reached. A word here is a key, a number or a name: anything delimited by quotes,
//! blanks or brackets.

use rand::{Rng, RngExt as _};
use std::ops::Range;

/// Boundary values for readers of numbers.
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "2",
    "10",
    "100",
    "1000",
    "65535",
    "65536",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
];
/// Suffixes that are appended to the digits of a number.
const ENDS: [&str; 6] = ["0", "00", ".5", ".0000005", "e3", "e-9"];

/// Changes one word or one number; returns `None` if there is none.
pub(super) fn change_word(input: &[u8], other: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    if random.random_range(0..3) == 0 {
        return change_number(input, random);
    }
    let word = pick(&words(input), random)?;
    let mut new = input[word.clone()].to_vec();
    let at = random.random_range(0..new.len());
    match random.random_range(0..6) {
        0 => new = input[pick(&words(input), random)?].to_vec(),
        1 => new = other[pick(&words(other), random)?].to_vec(),
        2 => new.insert(at, printable(random)),
        3 => new.push(printable(random)),
        4 => drop(new.remove(at)),
        _ => new[at] = printable(random),
    }
    let mut changed = input.to_vec();
    changed.splice(word, new);
    Some(changed)
}

/// Changes one number. There are fewer numbers than words, and each often decides much.
fn change_number(input: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    let number = pick(&numbers(input), random)?;
    let mut changed = input.to_vec();
    let new = changed_number(&input[number.clone()], random);
    changed.splice(number, new);
    Some(changed)
}

/// Inserts one printable character, or a word of the other input, at a random position.
pub(super) fn insert(input: &[u8], other: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    let new = match random.random_range(0..3) {
        0 => other[pick(&words(other), random)?].to_vec(),
        _ => vec![printable(random)],
    };
    let at = random.random_range(0..=input.len());
    Some([&input[..at], &new, &input[at..]].concat())
}

fn changed_number(digits: &[u8], random: &mut impl Rng) -> Vec<u8> {
    let value = std::str::from_utf8(digits).map_or(0, |text| text.parse().unwrap_or(u64::MAX));
    let value = match random.random_range(0..6) {
        0 => value.saturating_sub(1),
        1 => value.saturating_add(1),
        2 => value.saturating_mul(2),
        3 => value / 2,
        4 => return pick(&NUMBERS, random).unwrap_or_default().into(),
        _ => {
            let end = pick(&ENDS, random).unwrap_or_default();
            return [digits, end.as_bytes()].concat();
        }
    };
    value.to_string().into_bytes()
}

/// A random element; `None` if there are none.
pub(super) fn pick<T: Clone>(all: &[T], random: &mut impl Rng) -> Option<T> {
    (!all.is_empty()).then(|| all[random.random_range(0..all.len())].clone())
}

fn words(input: &[u8]) -> Vec<Range<usize>> {
    runs(input, |byte| {
        byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
    })
}

fn numbers(input: &[u8]) -> Vec<Range<usize>> {
    runs(input, |byte| byte.is_ascii_digit())
}

/// The maximal runs of bytes that satisfy `is_part`.
fn runs(input: &[u8], is_part: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..input.len()).filter(|at| is_part(input[*at])) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// A printable character; a digit half of the time, since most texts depend on their numbers.
fn printable(random: &mut impl Rng) -> u8 {
    match random.random() {
        true => random.random_range(b'0'..=b'9'),
        false => random.random_range(b' '..=b'~'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn one_word_is_changed_and_the_rest_is_kept() {
        let input = br#"{"speech_end_ms": 2416.04, "text": "hi"}"#;
        assert_eq!(words(input).len(), 4);
        for seed in 0..400 {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let Some(changed) = change_word(input, b"[other]", random) else {
                continue;
            };
            let same = |(a, b): &(&u8, &u8)| a == b;
            let before = input.iter().zip(&changed).take_while(same).count();
            let behind = input.iter().rev().zip(changed.iter().rev());
            let behind = behind.take_while(same).count();
            // The part that differs must lie within one word.
            let differs = before.min(input.len() - behind)..input.len() - behind;
            let within =
                |word: &Range<usize>| word.start <= differs.start && differs.end <= word.end;
            assert!(
                words(input).iter().any(within) || changed == input,
                "{changed:?}"
            );
        }
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        assert_eq!(change_word(b"{ }", b"a", random), None);
        assert_eq!(change_word(b"", b"a", random), None);
    }

    #[test]
    fn numbers_become_neighbouring_large_or_fractional_numbers() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let found: Vec<_> = (0..400)
            .map(|_| String::from_utf8(changed_number(b"99", random)).expect("a number"))
            .collect();
        for number in ["98", "100", "198", "99.5", "0", "18446744073709551616"] {
            assert!(found.iter().any(|one| one == number), "{number}");
        }
        let huge = changed_number(b"99999999999999999999", random);
        assert!(!huge.is_empty());
    }
}
