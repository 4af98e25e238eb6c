//! Characters in untrusted text that are not shown but affect how the text is displayed.
//!
//! In: a character. Out: whether it controls a terminal, is invisible, or changes the direction of
//! the text next to it.

/// Whether a character is not shown but affects the display.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' // zero width, directional marks
            | '\u{2028}'..='\u{202e}' // separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // joiners, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

/// Turns `text` into one line and replaces the characters for which [`acts`] returns true.
pub(crate) fn plain(text: &str) -> String {
    let seen = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if acts(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        for (text, shown) in [
            ("größer, 日本語 🙂", "größer, 日本語 🙂"),
            ("two\r\n\tlines", "two   lines"),
            ("\u{1b}[2J\u{9b}0m\u{7}", "\u{fffd}[2J\u{fffd}0m\u{fffd}"),
            ("\u{202e}gnp.exe\u{200b}", "\u{fffd}gnp.exe\u{fffd}"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }
}
