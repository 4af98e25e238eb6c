//! Changes one word of an input and leaves the rest as it is.
//!
//! In: an input, a seed. Out: another input. The fuzzer changes bytes anywhere, which mostly breaks
//! a text's syntax, so code that needs valid text is seldom reached. A word here is a key, a number
//! or a name: anything delimited by quotes, blanks or brackets.

use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Changes one word, or returns `None` if there is none.
pub fn change_word(input: &[u8], seed: u64) -> Option<Vec<u8>> {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let words = words(input);
    if words.is_empty() {
        return None;
    }
    let word = words[random.random_range(0..words.len())].clone();
    let mut new = input[word.clone()].to_vec();
    let at = random.random_range(0..new.len());
    match random.random_range(0..4) {
        0 => new = input[words[random.random_range(0..words.len())].clone()].to_vec(),
        1 => new.insert(at, printable(random)),
        2 => drop(new.remove(at)),
        _ => new[at] = printable(random),
    }
    let mut changed = input.to_vec();
    changed.splice(word, new);
    Some(changed)
}

fn words(input: &[u8]) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let mut words: Vec<Range<usize>> = Vec::new();
    for at in (0..input.len()).filter(|at| is_part(input[*at])) {
        match words.last_mut() {
            Some(word) if word.end == at => word.end += 1,
            _ => words.push(at..at + 1),
        }
    }
    words
}

/// A digit half of the time, since the meaning of most texts depends on their numbers.
fn printable(random: &mut impl Rng) -> u8 {
    match random.random() {
        true => random.random_range(b'0'..=b'9'),
        false => random.random_range(b' '..=b'~'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_changes_and_the_rest_stays() {
        let input = br#"{"speech_end_ms": 2416.04, "text": "hi"}"#;
        assert_eq!(words(input).len(), 4);
        for seed in 0..200 {
            let changed = change_word(input, seed).expect("words");
            let same = |(a, b): &(&u8, &u8)| a == b;
            let before = input.iter().zip(&changed).take_while(same).count();
            let behind = input.iter().rev().zip(changed.iter().rev());
            let behind = behind.take_while(same).count();
            // The part that differs lies within one word.
            let differs = before.min(input.len() - behind)..input.len() - behind;
            let within =
                |word: &Range<usize>| word.start <= differs.start && differs.end <= word.end;
            assert!(
                words(input).iter().any(within) || changed == input,
                "{changed:?}"
            );
        }
        assert_eq!(change_word(b"{ }", 1), None);
        assert_eq!(change_word(b"", 1), None);
    }
}
