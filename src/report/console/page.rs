//! Lays out lines for a screen: sections, and keys with text next to them.
//!
//! In: texts. Out: lines. Invariant: texts are wrapped at the width of the screen.

use crate::record::GateResult;
use crate::report::text::{beside, clean, indented, joined};
use crate::report::{Screen, Style, words};

/// Width of the key column on the left.
pub(super) const KEY: usize = 12;
/// Maximum length of a name from outside; longer ones are truncated.
pub(super) const LONGEST_NAME: usize = 60;
/// Indent of the text next to a gate's answer.
pub(super) const GATE_INDENT: usize = 13;
/// Maximum length of a gate's name, in characters: enough for metric, variant and expression.
const LONGEST_GATE: usize = 200;
/// Maximum length of a message from outside.
pub(super) const LONGEST_MESSAGE: usize = 400;

/// Maximum length of a path, in characters: the longest that operating systems allow.
const LONGEST_PATH: usize = 4_096;
/// Commands that show further figures and definitions.
const FURTHER: &str =
    "`loadgen report --details RUN_DIR`: every figure; `loadgen explain NAME`: its definition";

/// Lines under construction.
pub(super) struct Page {
    pub(super) lines: Vec<String>,
    pub(super) screen: Screen,
}

impl Page {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            lines: Vec::new(),
            screen,
        }
    }

    /// Adds an empty line and a title.
    pub(super) fn section(&mut self, title: &str) {
        self.lines.extend(section(title, self.screen));
    }

    /// Adds a key with its text wrapped next to it.
    pub(super) fn entry(&mut self, key: &str, text: &str) {
        // Pad before styling: escape sequences have no width on the screen.
        let padded = format!("{key:<KEY$}");
        let key = match key.is_empty() {
            true => padded,
            false => self.screen.style.head(&padded),
        };
        self.beside(&key, text, KEY);
    }

    /// Adds text next to a key that takes `indent` columns.
    pub(super) fn beside(&mut self, key: &str, text: &str, indent: usize) {
        self.lines
            .extend(beside(key, text, indent, self.screen.width));
    }

    /// Adds sentences, each next to its key.
    pub(super) fn keyed(&mut self, sentences: Vec<(&str, String)>) {
        for (key, text) in sentences {
            self.beside(&format!("  {key:<7}"), &text, 9);
        }
    }

    /// Adds text with every line indented.
    pub(super) fn indented(&mut self, text: &str, indent: usize) {
        self.lines.extend(indented(text, indent, self.screen.width));
    }

    /// Adds the report's path, on a line of its own: a wrapped path cannot be copied.
    pub(super) fn place(&mut self, report: Option<&str>) {
        let Some(report) = report else { return };
        let key = self.screen.style.head(&format!("{:<KEY$}", "report"));
        let path = clean(report, LONGEST_PATH);
        self.lines.extend([String::new(), format!("{key}{path}")]);
        self.entry("", FURTHER);
    }

    /// The page as one string, with a final newline.
    pub(super) fn into_text(self) -> String {
        joined(&self.lines)
    }
}

/// A gate's answer as a key, and the gate's name.
pub(super) fn gate_head(gate: &GateResult, style: Style) -> (String, String) {
    let answer = format!("{:<9}", words::answer(gate.answer()));
    let word = words::dressed(gate, &answer, style);
    (format!("  {word}  "), clean(&gate.name(), LONGEST_GATE))
}

/// An empty line and a title.
pub(super) fn section(title: &str, screen: Screen) -> Vec<String> {
    vec![String::new(), screen.style.head(title)]
}
