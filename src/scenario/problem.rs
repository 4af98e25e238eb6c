//! Problems of a scenario, with their places.
//!
//! In: findings of the reader and the checker. Out: [`Problem`]s, ordered by place, and the
//! text that is shown for them. Invariant: every problem has a line, a path and a hint.

use crate::vocab::{nearest, plain};
use std::fmt;

/// Kind of problem; the names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Code {
    /// The file is too large, too deep or has too many nodes.
    TooLarge,
    NotUtf8,
    /// Not YAML, or YAML that this format does not use.
    Syntax,
    /// A key appears twice in one mapping.
    DuplicateKey,
    /// A key that the format does not have.
    UnknownKey,
    MissingKey,
    WrongType,
    /// A value of the right type that is not valid.
    BadValue,
    /// A `${NAME}` that has no value.
    UnsetVariable,
    /// A reference to a name that does not exist.
    UnknownName,
    /// A sound file that cannot be used.
    Audio,
    /// Two settings that exclude each other.
    Contradiction,
}

/// A place in the file. Line and column count from 1; a column is a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The beginning of the file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where in the file.
    pub(crate) place: Place,
    /// Which value, such as `call.turns[1].say`; empty for the file as a whole.
    pub(crate) path: String,
    /// Kind of problem.
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The invalid text, and a line that points at the character at fault; usually empty.
    pub(crate) excerpt: Vec<String>,
    /// What to do next.
    pub(crate) hint: String,
}

impl Problem {
    /// A problem with the file as a whole, shown at its first line.
    pub(crate) fn of_file(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            place: Place::START,
            path: String::new(),
            code,
            message: message.into(),
            excerpt: Vec::new(),
            hint: hint.into(),
        }
    }

    /// The problem formatted for users, with the name of its file, without colour.
    pub(crate) fn display<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        Shown {
            problem: self,
            file,
        }
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    file: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            place,
            path,
            message,
            excerpt,
            hint,
            ..
        } = self.problem;
        writeln!(f, "error: {}", plain(message))?;
        write!(f, "  --> {}:{}:{}", self.file, place.line, place.column)?;
        if !path.is_empty() {
            write!(f, "  ({})", plain(path))?;
        }
        for line in excerpt {
            write!(f, "\n   | {}", plain(line))?;
        }
        if !hint.is_empty() {
            write!(f, "\n  hint: {}", plain(hint))?;
        }
        Ok(())
    }
}

/// Shortens an untrusted string for display.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `a`, `b` and `c` as "`a`, `b`, `c`".
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The hint for an unknown name: the nearest known one, else all of them.
pub(super) fn did_you_mean<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    what: &str,
) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => match quoted(known) {
            names if names.is_empty() => format!("there are no {what} here"),
            names => format!("{what}: {names}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_place_and_hint() {
        let problem = Problem {
            place: Place {
                line: 12,
                column: 3,
            },
            path: "call.turn".to_owned(),
            code: Code::UnknownKey,
            message: "unknown key `turn` in `call`".to_owned(),
            excerpt: Vec::new(),
            hint: "did you mean `turns`?".to_owned(),
        };
        assert_eq!(
            problem.display("scenarios/x.yaml").to_string(),
            "error: unknown key `turn` in `call`\n  --> scenarios/x.yaml:12:3  (call.turn)\n  \
             hint: did you mean `turns`?"
        );
    }

    #[test]
    fn control_characters_in_a_problem_are_replaced() {
        let mut problem = Problem::of_file(Code::BadValue, "`a\u{1b}[2J\nb`", "\u{202e}x");
        problem.path = "\u{7}".to_owned();
        problem.excerpt = vec!["\u{9b}0m".to_owned()];
        assert_eq!(
            problem.display("x.yaml").to_string(),
            "error: `a\u{fffd}[2J b`\n  --> x.yaml:1:1  (\u{fffd})\n   | \u{fffd}0m\n  \
             hint: \u{fffd}x"
        );
    }
}
