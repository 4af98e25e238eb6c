//! Makes text from outside safe for a terminal, and wraps lines to a bounded width.
//!
//! In: any string. Out: strings without control characters, wrapped. Invariant: the result contains
//! no character that moves the cursor, or that reorders or hides text.

use crate::vocab::acts;
use unicode_width::UnicodeWidthStr as _;

/// Escapes, as in a Rust literal (`\u{…}`, `\n`), every character that a terminal acts on or that
/// hides or reorders others. At most `longest` characters, truncated with an ellipsis.
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

/// Number of terminal columns that `text` occupies: two for a wide character, none for a combining
/// one.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, padded with spaces to `columns`.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let fill = columns.saturating_sub(width(text));
    format!("{text}{:fill$}", "")
}

/// `text`, padded on the left with spaces to `columns`.
pub(super) fn padded_left(text: &str, columns: usize) -> String {
    let fill = columns.saturating_sub(width(text));
    format!("{:fill$}{text}", "")
}

/// Lines as one text, without trailing spaces and with a final newline.
pub(super) fn joined(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| line.trim_end());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Wraps `text` into lines of at most `columns`, breaking longer words. An interval stays on one
/// line, and so does a number with its unit. Returns at least one line.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in parts(text, columns) {
        for piece in pieces(&part, columns) {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(piece),
                Some(line) if width(line) + 1 + width(&part) <= columns => {
                    line.push(' ');
                    line.push_str(piece);
                }
                _ => lines.push(piece.to_owned()),
            }
        }
    }
    lines
}

/// `text` in lines of at most `columns`, each after `indent` spaces.
pub(super) fn indented(text: &str, indent: usize, columns: usize) -> Vec<String> {
    beside(&" ".repeat(indent), text, indent, columns)
}

/// `text` beside `key`, which takes `indent` columns, in lines of at most `columns`.
pub(super) fn beside(key: &str, text: &str, indent: usize, columns: usize) -> Vec<String> {
    let lines = wrap(text, columns.saturating_sub(indent).max(1));
    // A key that leaves no space has a line of its own.
    let long = width(&anstream::adapter::strip_str(key).to_string()) > indent;
    let line = |(nth, line): (usize, String)| match nth {
        0 if !long => format!("{key}{line}"),
        _ => format!("{:indent$}{line}", ""),
    };
    let own = long.then(|| key.to_owned()).into_iter();
    own.chain(lines.into_iter().enumerate().map(line)).collect()
}

/// The words of a text; an interval counts as one, and so does a number with its unit, if they fit.
fn parts(text: &str, columns: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let joins = parts.last().is_some_and(|before| {
            let open = before.rfind('[') > before.rfind(']');
            let number = before.ends_with(|c: char| c.is_ascii_digit() || c == '∞');
            let unit = ["ms", "s", "%"].contains(&word.trim_end_matches([',', ';', ':', '.', ']']));
            (open || (number && unit)) && width(before) + 1 + width(word) <= columns
        });
        match parts.last_mut().filter(|_| joins) {
            Some(before) => {
                before.push(' ');
                before.push_str(word);
            }
            None => parts.push(word.to_owned()),
        }
    }
    parts
}

/// Cuts a word that is too long into pieces that fit, of at least one character each.
fn pieces(word: &str, columns: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    if width(word) > columns {
        for (at, c) in word.char_indices() {
            if at > from && width(&word[from..at + c.len_utf8()]) > columns {
                pieces.push(&word[from..at]);
                from = at;
            }
        }
    }
    pieces.push(&word[from..]);
    pieces
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
    fn cleaning_escapes_controls_and_truncates() {
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
    fn wrapping_breaks_between_words() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[""]),
            ("one two three", &["one two", "three"]),
            ("a verylongword b", &["a", "verylong", "word b"]),
            ("12345678 1", &["12345678", "1"]),
            ("took 470 ms", &["took", "470 ms"]),
            ("at [1, 2]: ok", &["at", "[1, 2]:", "ok"]),
            ("[1234, 5678]", &["[1234,", "5678]"]),
            ("会议会议会议", &["会议会议", "会议"]),
        ];
        for (text, expected) in cases {
            assert_eq!(wrap(text, 8), *expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_grouped_and_nouns_pluralised() {
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
        fn cleaned_and_wrapped_text_fits_the_width(text in any::<String>(), width in 1_usize..40) {
            let cleaned = clean(&text, width);
            prop_assert!(cleaned.chars().count() <= width && !cleaned.chars().any(acts));
            let lines = wrap(&text, width);
            // A line holds at least one character, which may be wide.
            prop_assert!(lines.iter().all(|l| super::width(l) <= width.max(2)));
            // Nothing but white space is lost.
            let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
