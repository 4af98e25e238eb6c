//! Counts the word errors of a transcript.
//!
//! In: the spoken text and its transcript. Out: the number of word errors.
//! Invariants: case, punctuation and apostrophes do not matter; memory and time are bounded,
//! however long the texts are.

use serde::{Deserialize, Serialize};

/// Maximum number of words of a text that are compared; further words are ignored.
const WORDS: usize = 1_000;

/// The word errors of a transcript: words that were replaced, omitted or added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WordErrors {
    /// Smallest number of such changes that turns the spoken text into the transcript.
    pub errors: u32,
    /// Number of words in the spoken text.
    pub words: u32,
}

impl WordErrors {
    /// Compares a transcript with the spoken text. `None` if that text has no words, because an
    /// error rate would be undefined.
    ///
    /// Scripts that are written without spaces are compared by character.
    pub(crate) fn between(said: &str, transcript: &str) -> Option<Self> {
        let said = words(said);
        let transcript = words(transcript);
        // Both counts are at most WORDS.
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (!said.is_empty()).then(|| Self {
            errors: count(changes(&said, &transcript)),
            words: count(said.len()),
        })
    }

    /// The number of errors and the number of words. Errors are capped at the number of words, and
    /// words at `WORDS`.
    pub(crate) fn capped(self) -> (usize, usize) {
        // The values may come from a record, which can contain any numbers.
        let words = (self.words as usize).min(WORDS);
        ((self.errors as usize).min(words), words)
    }
}

/// The words of a text, in lower case and without punctuation.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.chars() {
        match c {
            // "don't" and "dont" are the same word; joiners only change how letters look.
            '\'' | '’' | '\u{200C}' | '\u{200D}' => {}
            c if is_punctuation(c) => words.push(String::new()),
            c if stands_alone(c) => words.extend([c.to_string(), String::new()]),
            c if c.is_alphanumeric() || is_mark(c) => {
                // `words` is never empty, so there is always a last one.
                if let Some(word) = words.last_mut() {
                    word.extend(c.to_lowercase());
                }
            }
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    words.truncate(WORDS);
    words
}

/// Whether the character belongs to a script that is written without spaces between words: Thai to
/// Khmer, kana, and Chinese characters.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Whether the character is an accent or vowel sign written apart from its letter.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0591}'..='\u{05C7}' | '\u{064B}'..='\u{065F}'
        | '\u{0900}'..='\u{0DFF}')
}

/// Whether the character is punctuation within the ranges of [`stands_alone`] and [`is_mark`]: of
/// Hebrew, Devanagari, Sinhala, Thai, Burmese, Khmer and Japanese.
fn is_punctuation(c: char) -> bool {
    matches!(c, '\u{05BE}' | '\u{05C0}' | '\u{05C3}' | '\u{05C6}' | '\u{0964}' | '\u{0965}'
        | '\u{0970}' | '\u{0DF4}' | '\u{0E4F}' | '\u{0E5A}' | '\u{0E5B}' | '\u{104A}'..='\u{104F}'
        | '\u{17D4}'..='\u{17D6}' | '\u{17D8}'..='\u{17DA}' | '\u{30A0}' | '\u{30FB}')
}

/// Levenshtein distance between two lists of words, with one row of the table kept.
fn changes(from: &[String], to: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, said) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, heard) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(said != heard);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn punctuation_and_joiners_of_any_script_are_no_errors() {
        for (said, heard) in [
            ("मेरा ऑर्डर कहाँ है।", "मेरा ऑर्डर कहाँ है"),
            ("ကျေးဇူးတင်ပါတယ်။", "ကျေးဇူးတင်ပါတယ်"),
            ("អរគុណ។", "អរគុណ"),
            ("ジョン・スミス", "ジョンスミス"),
            ("می\u{200C}خواهم", "میخواهم"),
        ] {
            let found = WordErrors::between(said, heard).expect("words");
            assert_eq!(found.errors, 0, "{said}");
        }
        // The points of a Hebrew word do not split it.
        let pointed = WordErrors::between("שָׁלוֹם", "שָׁלוֹם").expect("words");
        assert_eq!((pointed.errors, pointed.words), (0, 1));
    }

    #[test]
    fn replaced_missing_and_added_words_are_errors() {
        for (said, heard, errors, words) in [
            (
                "Where is my order, please?",
                "where is my order please",
                0,
                5,
            ),
            (
                "Where is my order, please?",
                "Where's my order please",
                2,
                5,
            ),
            ("I don't know", "i dont know", 0, 3),
            ("cancel it", "", 2, 2),
            ("yes", "yes I would like that", 4, 1),
            ("the quick brown fox", "the brown quick fox", 2, 4),
            ("twenty-one", "twenty one", 0, 2),
            ("Grüße aus Köln", "grüsse aus köln", 1, 3),
            ("Привет, мир", "привет мир", 0, 2),
            ("私の注文", "私注文", 1, 4),
            ("ขอบคุณ", "ขอบคุน", 1, 6),
        ] {
            let found = WordErrors::between(said, heard);
            assert_eq!(
                found,
                Some(WordErrors { errors, words }),
                "{said} | {heard}"
            );
        }
        assert_eq!(WordErrors::between(" ?! ", "hello"), None);
        let added = WordErrors::between("yes", "yes I would").expect("a word was said");
        assert_eq!(added.capped(), (1, 1), "at most as many errors as words");
    }

    proptest! {
        /// The number of errors equals the number of dropped words, wherever they were dropped.
        #[test]
        fn dropped_words_are_counted(kept in prop::collection::vec(any::<bool>(), 1..80)) {
            let said: Vec<String> = (0..kept.len()).map(|i| format!("w{i}")).collect();
            let heard = said.iter().zip(&kept).filter(|(_, kept)| **kept);
            let heard: Vec<&str> = heard.map(|(word, _)| word.as_str()).collect();
            let found = WordErrors::between(&said.join(" "), &heard.join(", "));
            let dropped = kept.iter().filter(|kept| !**kept).count();
            prop_assert_eq!(found.map(|found| found.errors as usize), Some(dropped));
        }

        /// The number of errors never exceeds the length of the longer text.
        #[test]
        fn errors_never_exceed_the_longer_text(said in ".{0,300}", heard in ".{0,300}") {
            if let Some(found) = WordErrors::between(&said, &heard) {
                let longest = words(&heard).len().max(found.words as usize);
                prop_assert!(found.errors as usize <= longest);
            }
            let same = WordErrors::between(&said, &said);
            prop_assert!(same.is_none_or(|found| found.errors == 0));
        }
    }
}
