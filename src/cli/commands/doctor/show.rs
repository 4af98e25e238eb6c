//! Formats the results of `loadgen doctor`.
//!
//! In: sections. Out: text for people, or JSON. Invariant: every warning and failure has a hint on
//! a line of its own.

use crate::report::Style;
use crate::run::{Line, Section, Word};
use crate::vocab::number::counted;
use crate::vocab::plain;
use anstyle::{AnsiColor, Style as Ansi};
use serde::Serialize;
use std::fmt::Write as _;

/// Version of the JSON.
const VERSION: u32 = 1;
/// Width of the column with the words, and of the one with the names of checks.
const WORD: usize = 7;
const NAME: usize = 12;

#[derive(Serialize)]
struct Results<'a> {
    version: u32,
    /// The worst word of all checks.
    result: &'static str,
    checks: Vec<CheckResult<'a>>,
}

#[derive(Serialize)]
struct CheckResult<'a> {
    /// What was checked: a server, a call, this machine.
    of: &'a str,
    check: &'static str,
    /// `ok`, `note`, `skipped`, `warn` or `fail`.
    result: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// A section, as text.
pub(super) fn section(section: &Section, style: Style) -> String {
    let mut text = format!("{}\n", plain(&section.of));
    for line in &section.lines {
        let word = format!("{:<WORD$}", line.word.name());
        let word = match style {
            Style::Plain => word,
            Style::Colour => coloured(line.word, &word),
        };
        let (name, found) = (line.check.name(), plain(&line.text));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {word} {name:<NAME$} {found}");
        if let Some(hint) = &line.hint {
            let _ = writeln!(text, "  {:WORD$} {:NAME$} hint: {}", "", "", plain(hint));
        }
    }
    text
}

fn coloured(word: Word, text: &str) -> String {
    let colour = match word {
        Word::Ok => AnsiColor::Green,
        Word::Note | Word::Skipped => AnsiColor::BrightBlack,
        Word::Warn => AnsiColor::Yellow,
        Word::Fail => AnsiColor::Red,
    };
    let style = Ansi::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

fn lines(sections: &[Section]) -> impl Iterator<Item = &Line> {
    sections.iter().flat_map(|section| &section.lines)
}

/// The last line: what all checks together mean.
pub(super) fn conclusion(sections: &[Section]) -> String {
    let count = |word: Word| lines(sections).filter(|l| l.word == word).count() as u64;
    match (count(Word::Fail), count(Word::Warn)) {
        (0, 0) => "everything that a run needs is there\n".to_owned(),
        (0, warnings) => format!(
            "a run is possible, but its figures may suffer: {}\n",
            counted(warnings, "warning")
        ),
        (failures, warnings) => format!(
            "a run would fail: {}, {}\n",
            counted(failures, "failure"),
            counted(warnings, "warning")
        ),
    }
}

/// All results as JSON.
pub(super) fn json(sections: &[Section]) -> String {
    let checks = sections.iter().flat_map(|section| {
        section.lines.iter().map(|line| CheckResult {
            of: &section.of,
            check: line.check.name(),
            result: line.word.name(),
            text: &line.text,
            hint: line.hint.as_deref(),
        })
    });
    let worst = lines(sections).map(|line| line.word).max();
    let results = Results {
        version: VERSION,
        result: worst.unwrap_or(Word::Ok).name(),
        checks: checks.collect(),
    };
    // A struct of numbers and text always has a JSON form.
    serde_json::to_string_pretty(&results).map_or_else(|e| e.to_string(), |text| text + "\n")
}
