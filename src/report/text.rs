//! Makes text from outside safe for a terminal, and wraps lines to a bounded width.
//!
//! In: any string. Out: strings without control characters, wrapped. Invariant: no character
//! gets through that moves the cursor, or that reorders or hides text.

use crate::vocab::acts;

/// Escapes, as in a Rust literal (`\u{…}`, `\n`), every character that a terminal acts on or that
/// hides or reorders others. At most `longest` characters, cut with an ellipsis.
pub(super) fn clean(text: &str, longest: usize) -> String {
    let mut out = String::new();
    let mut len = 0;
    for c in text.chars() {
        let piece = if acts(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        };
        let piece_len = piece.chars().count();
        if len + piece_len > longest {
            while len >= longest && out.pop().is_some() {
                len -= 1;
            }
            out.push('…');
            break;
        }
        len += piece_len;
        out.push_str(&piece);
    }
    out
}

/// Wraps `text` into lines of at most `width` characters, breaking longer words. Returns at
/// least one line.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut len = 0;
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for (nth, piece) in word.chunks(width.max(1)).enumerate() {
            let space = usize::from(len > 0 && nth == 0);
            if len > 0 && (nth > 0 || len + space + piece.len() > width) {
                lines.push(String::new());
                len = 0;
            }
            if let Some(line) = lines.last_mut() {
                if len > 0 {
                    line.push(' ');
                    len += 1;
                }
                line.extend(piece);
                len += piece.len();
            }
        }
    }
    lines
}

/// `n` with thousands separators: 1,234,567.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `n` with its noun: `1 turn`, `2 turns`.
pub(super) fn plural(n: usize, thing: &str) -> String {
    let n64 = n as u64;
    format!("{} {thing}{}", grouped(n64), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cleaned_by_table() {
        let cases = [
            ("plain", "loadgen-7", "loadgen-7"),
            (
                "letters of other scripts stay",
                "größer 会议",
                "größer 会议",
            ),
            ("escape sequence", "\u{1b}[2J", r"\u{1b}[2J"),
            ("newline and tab", "a\nb\t", r"a\nb\t"),
            ("C1 control", "\u{9b}31m", r"\u{9b}31m"),
            ("right-to-left override", "a\u{202e}b", r"a\u{202e}b"),
            ("zero width", "a\u{200b}b", r"a\u{200b}b"),
            ("too long", "abcdefghijklmnopqrst", "abcdefghijk…"),
            (
                "an escape that does not fit is left out",
                "abcdefgh\u{1b}",
                "abcdefgh…",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(clean(text, 12), expected, "{name}");
        }
    }

    #[test]
    fn wrapped_by_table() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[""]),
            ("one two three", &["one two", "three"]),
            ("a verylongword b", &["a", "verylong", "word b"]),
            ("12345678 1", &["12345678", "1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(wrap(text, 8), *expected, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(
            (plural(1, "turn"), plural(2_000, "turn")),
            ("1 turn".into(), "2,000 turns".into())
        );
    }

    proptest! {
        #[test]
        fn nothing_acts_and_nothing_is_too_wide(text in any::<String>(), width in 1_usize..40) {
            let cleaned = clean(&text, width);
            prop_assert!(cleaned.chars().count() <= width && !cleaned.chars().any(acts));
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|l| l.chars().count() <= width));
            // Nothing but white space is lost.
            let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
