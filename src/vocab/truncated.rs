//! Truncates text from outside.
//!
//! In: a text, and the longest that it may be. Out: the beginning of the text, in whole characters.

/// The beginning of a text: at most `most` bytes.
pub(crate) fn truncated(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rfind(|at| text.is_char_boundary(*at));
    // There is always such an end, because 0 is one.
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_characters_are_kept() {
        for (most, expected) in [(0, ""), (1, "a"), (2, "a"), (3, "aß"), (9, "aß")] {
            assert_eq!(truncated("aß", most), expected);
        }
    }
}
