//! Parses `.env` files.
//!
//! In: the bytes of a file that is shared with other tools. Out: the values of the requested
//! variables; for a line that cannot be parsed, its number. Invariants: the line of a variable that
//! is not requested is never an error; no message repeats a value; an expanded value is never
//! expanded again.
//!
//! ```text
//! NAME=value # comment        `${OTHER}` is expanded; spaces around the value are ignored
//! export NAME="a \"b\"\n"     `\n`, `\"`, `\\` and `\$` are escapes; `${OTHER}` is expanded
//! NAME='a $b'                 taken literally
//! ```
//!
//! A value in quotes may span several lines. If a name is repeated, its last value counts.

use std::collections::HashMap;

/// Largest file that is read, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Prefix of the names that always belong to loadgen ("our" names).
const OURS: &str = "LIVEKIT_";

/// A line that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// One of our names without a value.
    #[error("line {line} of `.env` has a name without `=` after it")]
    NoValue {
        /// Line number, counted from 1.
        line: usize,
    },
    /// A quoted value that is not closed before the next of our names, or at all.
    #[error("line {line} of `.env` has a quote that is not closed")]
    Unclosed {
        /// Number of the line with the opening quote, counted from 1.
        line: usize,
    },
    /// A value with text after its closing quote.
    #[error("line {line} of `.env` has text after the closing quote")]
    Behind {
        /// Number of the line on which the value begins, counted from 1.
        line: usize,
    },
    /// A value that is not text.
    #[error("line {line} of `.env` is not UTF-8 text")]
    NotUtf8 {
        /// Line number, counted from 1.
        line: usize,
    },
    /// A value that expands more than [`REFERENCES`] references.
    #[error("line {line} of `.env` refers to too many variables")]
    TooMuch {
        /// Line number, counted from 1.
        line: usize,
    },
}

impl Unreadable {
    /// What to do next; printed on its own `hint:` line.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::NoValue { .. } => "write it as NAME=value",
            Self::Unclosed { .. } | Self::Behind { .. } => {
                "write it as NAME='value', with the same quote at both ends"
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8",
            Self::TooMuch { .. } => "write the value without references",
        }
    }
}

/// Maximum number of references that a value may expand, including those in other variables.
const REFERENCES: usize = 100;

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    /// Whether `${NAME}` in it is expanded.
    expands: bool,
    /// Positions of literal `$` characters.
    plain: Vec<usize>,
}

/// The value that a line assigns to a name, or the error in that line.
type Entry = Result<Value, Unreadable>;

/// The variables of a file.
#[derive(Debug, Default)]
pub(crate) struct DotEnv {
    /// Each entry with its line number, in the order of the file.
    entries: Vec<(usize, Entry)>,
    /// Index in `entries` of the last entry of each name.
    last: HashMap<String, usize>,
}

impl DotEnv {
    /// Reads a file.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = decoded(bytes);
        let text = text.trim_start_matches('\u{feff}');
        let mut file = Self::default();
        let mut lines = Lines {
            text,
            at: 0,
            line: 0,
        };
        while let Some((line, end)) = lines.next() {
            let Some((name, rest)) = name_of(line) else {
                continue;
            };
            let number = lines.line;
            let entry = match rest.strip_prefix('=') {
                Some(value) => lines.value(value, end - value.len()),
                // Another tool's syntax, unless it begins with a name of ours.
                None if !name.starts_with(OURS) => continue,
                None => Err(Unreadable::NoValue { line: number }),
            };
            file.last.insert(name.to_owned(), file.entries.len());
            file.entries.push((number, entry));
        }
        file
    }

    /// The value of a variable. A reference in it expands to the variable's value in `outer`, else
    /// to its value in an earlier line, else to the default after `:-`, else to the empty string.
    pub(crate) fn get(
        &self,
        name: &str,
        outer: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, Unreadable> {
        let Some(entry) = self.last.get(name) else {
            return Ok(None);
        };
        let mut left = REFERENCES;
        self.expanded(*entry, outer, &mut left).map(Some)
    }

    /// The value of an entry; `left`: number of references that may still be expanded.
    fn expanded(
        &self,
        entry: usize,
        outer: &dyn Fn(&str) -> Option<String>,
        left: &mut usize,
    ) -> Result<String, Unreadable> {
        let (line, written) = &self.entries[entry];
        let written = written.as_ref().map_err(|e| *e)?;
        let (text, mut out, mut at) = (written.text.as_str(), String::new(), 0);
        while let Some(found) = text[at..].find("${").map(|found| at + found) {
            let end = text[found..].find('}').map(|end| found + end);
            let Some(end) = end.filter(|_| written.expands && !written.plain.contains(&found))
            else {
                out += &text[at..found + 2];
                at = found + 2;
                continue;
            };
            out += &text[at..found];
            let inner = &text[found + 2..end];
            let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
            *left = left
                .checked_sub(1)
                .ok_or(Unreadable::TooMuch { line: *line })?;
            let value = match outer(name) {
                Some(value) => value,
                // Only earlier lines are used, so that no two lines can refer to each other.
                None => match self.last.get(name).filter(|other| **other < entry) {
                    Some(other) => self.expanded(*other, outer, left)?,
                    None => String::new(),
                },
            };
            out += if value.is_empty() { default } else { &value };
            at = end + 1;
        }
        Ok(out + &text[at..])
    }
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark, as Windows writes it. Invalid
/// sequences become replacement characters.
fn decoded(bytes: &[u8]) -> String {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        String::from_utf16_lossy(&units.collect::<Vec<_>>())
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The name at the beginning of a line, and the rest of the line.
fn name_of(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let exported = line.strip_prefix("export");
    let exported = exported.filter(|rest| rest.starts_with([' ', '\t']));
    let line = exported.map_or(line, str::trim_start);
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, rest) = line.split_at(line.find(|c| !belongs(c)).unwrap_or(line.len()));
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then_some((name, rest.trim_start()))
}

/// Text that is read line by line; a value may span several lines.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    /// Number of the last line that was read, from 1.
    line: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its line break, and the position of its end.
    fn next(&mut self) -> Option<(&'a str, usize)> {
        let (from, rest) = (self.at, &self.text[self.at..]);
        if rest.is_empty() {
            return None;
        }
        let line = line_at(rest);
        let end = from + line.len();
        let broken = self.text[end..].starts_with("\r\n");
        self.at = (end + 1 + usize::from(broken)).min(self.text.len());
        self.line += 1;
        Some((line, end))
    }

    /// The value that begins at `from`; `rest` is the part of the value on its first line.
    fn value(&mut self, rest: &str, from: usize) -> Entry {
        let line = self.line;
        let value = rest.trim_start();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, from + rest.len() - value.len())?,
            _ => Value {
                text: uncommented(rest).trim().to_owned(),
                expands: true,
                plain: Vec::new(),
            },
        };
        match value.text.contains(char::REPLACEMENT_CHARACTER) {
            true => Err(Unreadable::NotUtf8 { line }),
            false => Ok(value),
        }
    }

    /// A value whose opening quote is at `from`; it may span several lines.
    fn quoted(&mut self, quote: char, from: usize) -> Entry {
        let line = self.line;
        let (mut text, mut plain, mut escaped) = (String::new(), Vec::new(), false);
        let from = from + 1;
        for (at, c) in self.text[from..].char_indices() {
            let next = from + at + c.len_utf8();
            match c {
                // The next line sets one of our variables, so the quote was never closed.
                '\n' | '\r'
                    if name_of(line_at(&self.text[next..]))
                        .is_some_and(|(n, _)| n.starts_with(OURS)) =>
                {
                    return Err(Unreadable::Unclosed { line });
                }
                _ if escaped => {
                    escaped = false;
                    match c {
                        'n' => text.push('\n'),
                        '"' | '\\' => text.push(c),
                        '$' => {
                            plain.push(text.len());
                            text.push(c);
                        }
                        c => text.extend(['\\', c]),
                    }
                }
                '\\' if quote == '"' => escaped = true,
                c if c == quote => {
                    let more = line_at(&self.text[next..]);
                    if !uncommented(more).trim().is_empty() {
                        return Err(Unreadable::Behind { line });
                    }
                    self.go_to(next + more.len());
                    return Ok(Value {
                        text,
                        expands: quote == '"',
                        plain,
                    });
                }
                c => text.push(c),
            }
        }
        Err(Unreadable::Unclosed { line })
    }

    /// Continues after the line that ends at `end`.
    fn go_to(&mut self, end: usize) {
        while self.at <= end && self.next().is_some() {}
    }
}

/// The first line of a text.
fn line_at(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or_default()
}

/// The part of a value before its comment. A comment begins with a `#` at the start of the value or
/// after whitespace.
fn uncommented(value: &str) -> &str {
    let is_comment = |(at, _): &(usize, &str)| {
        value[..*at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    };
    let comment = value.match_indices('#').find(is_comment);
    comment.map_or(value, |(at, _)| &value[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outer(name: &str) -> Option<String> {
        (name == "OUTER").then(|| "from outside".to_owned())
    }

    fn value(file: &[u8], name: &str) -> Result<Option<String>, String> {
        let got = DotEnv::parse(file).get(name, &outer);
        got.map_err(|e| format!("{e}: {}", e.hint()))
    }

    const NAME: &str = "LIVEKIT_URL";

    #[test]
    fn our_variables_are_read_among_lines_of_other_tools() {
        for file in [
            "LIVEKIT_URL=ws://h",
            "\u{feff}LIVEKIT_URL=ws://h\n",
            "\u{feff}\u{feff}LIVEKIT_URL=ws://h\n",
            "\r\nLIVEKIT_URL=ws://h\r\nX=1\r\n",
            "X=1\rLIVEKIT_URL=ws://h\rY=2",
            "  export  LIVEKIT_URL = ws://h \t\n",
            "LIVEKIT_URL=ws://h # staging",
            "LIVEKIT_URL=\"ws://h\"# staging",
            "LIVEKIT_URL = 'ws://h' ",
            "OTHER=a b c\nMY-KEY=x\na sentence\n=\n?\nLIVEKIT_URL=ws://h",
            "OTHER=it's\nLIVEKIT_URL=ws://h",
            "OTHER='it\nLIVEKIT_URL=ws://h\nX='y'",
            "OTHER=\"not closed\nLIVEKIT_URL=ws://h\nX=\"\n",
            "OTHER=\"not closed\nexport LIVEKIT_URL=ws://h\nX=\"\n",
            "OTHER=\"not closed\rLIVEKIT_URL=ws://h\rX=\"\r",
            "OTHER='not closed\r\n  LIVEKIT_URL=ws://h\r\n",
            "OTHER='a' b\nLIVEKIT_URL=ws://h",
            "OTHER='two\nlines'\nLIVEKIT_URL=ws://h",
            "LIVEKIT_URL=ws://old\nLIVEKIT_URL=ws://h",
            "LIVEKIT_URL='old\nLIVEKIT_URL=ws://h",
            "HOST=h\nLIVEKIT_URL=ws://${HOST}",
            "LIVEKIT_URL=ws://${HOST:-h}\nHOST=later",
            "[section]\nLIVEKIT_URL=ws://h",
        ] {
            let got = value(file.as_bytes(), NAME);
            assert_eq!(got, Ok(Some("ws://h".to_owned())), "{file:?}");
        }
        for file in ["", "#LIVEKIT_URL=x", "LIVEKIT_URLS=x", "XLIVEKIT_URL=x"] {
            assert_eq!(value(file.as_bytes(), NAME), Ok(None), "{file:?}");
        }
        for file in ["LIVEKIT_URL=", "LIVEKIT_URL= # none", "LIVEKIT_URL=''"] {
            assert_eq!(value(file.as_bytes(), NAME), Ok(Some(String::new())));
        }
    }

    #[test]
    fn an_invalid_line_of_our_variables_is_reported_with_its_number() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"X=1\nLIVEKIT_URL: ws://h",
                "line 2 of `.env` has a name without `=` after it: write it as NAME=value",
            ),
            (
                b"X='two\nlines'\nLIVEKIT_URL ws://h",
                "line 3 of `.env` has a name without `=` after it: write it as NAME=value",
            ),
            (
                b"LIVEKIT_URL='ws://h\n",
                "line 1 of `.env` has a quote that is not closed: write it as NAME='value', with \
                 the same quote at both ends",
            ),
            (
                b"\nLIVEKIT_URL=\"ws\"://h",
                "line 2 of `.env` has text after the closing quote: write it as NAME='value', \
                 with the same quote at both ends",
            ),
            (
                b"\n\nLIVEKIT_URL=ws://\xff",
                "line 3 of `.env` is not UTF-8 text: save the file as UTF-8",
            ),
        ];
        for (file, message) in cases {
            assert_eq!(value(file, NAME), Err(message.to_owned()));
            // The line is not an error if its variable is not requested.
            assert_eq!(value(file, "LIVEKIT_API_KEY"), Ok(None));
        }
    }

    #[test]
    fn quotes_comments_and_references_in_values_are_interpreted() {
        for (written, meant) in [
            ("a b", "a b"),
            ("a#b", "a#b"),
            ("a #b", "a"),
            ("$5", "$5"),
            ("a$b", "a$b"),
            ("${OUTER}", "from outside"),
            ("${NONE}", ""),
            ("${NONE:-x y}", "x y"),
            ("${", "${"),
            ("a\\b", "a\\b"),
            ("'${OUTER} \\n'", "${OUTER} \\n"),
            ("\"${OUTER}\"", "from outside"),
            ("\"\\${OUTER} ${OUTER}\"", "${OUTER} from outside"),
            ("\"a\\n\\\"b\\\\\\x\"", "a\n\"b\\\\x"),
            ("\"a # b\" # c", "a # b"),
            ("'two\nlines'", "two\nlines"),
            ("it's", "it's"),
            ("größer", "größer"),
        ] {
            let got = value(format!("X={written}\n").as_bytes(), "X");
            assert_eq!(got, Ok(Some(meant.to_owned())), "{written}");
        }
    }

    #[test]
    fn utf_16_files_are_read() {
        let wide = |bytes: fn(u16) -> [u8; 2]| {
            let text = "\u{feff}X=1\r\nLIVEKIT_URL=ws://h\r\n".encode_utf16();
            text.flat_map(bytes).collect::<Vec<u8>>()
        };
        for file in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(value(&file, NAME), Ok(Some("ws://h".to_owned())));
        }
    }

    #[test]
    fn references_are_bounded() {
        let mut file = "A0=x\n".to_owned();
        for n in 1..200 {
            let last = n - 1;
            file += &format!("A{n}=${{A{last}}}${{A{last}}}\n");
        }
        file += "LIVEKIT_URL=${A199}\nSELF=${SELF}\n";
        let got = value(file.as_bytes(), NAME).expect_err("too many references");
        assert!(got.contains("refers to too many variables"), "{got}");
        assert_eq!(value(file.as_bytes(), "A5"), Ok(Some("x".repeat(32))));
        assert_eq!(value(file.as_bytes(), "SELF"), Ok(Some(String::new())));
    }

    proptest! {
        #[test]
        fn arbitrary_files_never_panic(text in "[A-C= \n'\"\\\\#${}x\r]{0,80}", bytes: Vec<u8>) {
            for file in [text.as_bytes(), &bytes] {
                let file = DotEnv::parse(file);
                for name in ["A", "B", "x"] {
                    let _ = file.get(name, &outer);
                }
            }
        }

        #[test]
        fn single_quoted_values_round_trip(value_ in "[^'\u{fffd}\r]{0,40}") {
            prop_assume!(!value_.contains(OURS));
            let file = format!("A=1\nX='{value_}'\nB=2\n");
            prop_assert_eq!(value(file.as_bytes(), "X"), Ok(Some(value_)));
            prop_assert_eq!(value(file.as_bytes(), "B"), Ok(Some("2".to_owned())));
        }
    }
}
