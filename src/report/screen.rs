//! The screen that a text for people is laid out for: colours, width, lines.
//!
//! In: the properties of the terminal, as far as they are known. Out: bounds for the layout.
//! Invariant: a text is never laid out for less than [`Screen::NARROWEST`] columns; a narrower
//! terminal wraps the text itself.

use super::Style;

/// The output that a text is laid out for: a terminal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Plain, or with colours.
    pub style: Style,
    /// Columns.
    pub width: usize,
    /// Lines that the text should not exceed; texts that show everything ignore it.
    pub lines: usize,
}

impl Screen {
    /// Columns to assume if the output is not a terminal.
    pub(crate) const WIDTH: usize = 100;
    /// The fewest columns that a text is laid out for.
    pub(crate) const NARROWEST: usize = 40;
    /// The most columns used on a wide terminal: longer lines are hard to read.
    pub(crate) const WIDEST: usize = 120;
    /// Lines to assume for a screen.
    pub(crate) const LINES: usize = 40;
    /// Lines of a text that shows everything.
    pub(crate) const ALL: usize = usize::MAX;

    /// A screen of `columns`, or of [`Self::WIDTH`] if they are not known.
    pub(crate) fn new(style: Style, columns: Option<usize>) -> Self {
        let columns = columns.unwrap_or(Self::WIDTH);
        Self {
            style,
            width: columns.clamp(Self::NARROWEST, Self::WIDEST),
            lines: Self::LINES,
        }
    }

    /// This screen with another number of lines.
    pub(crate) fn with_lines(self, lines: usize) -> Self {
        Self { lines, ..self }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new(Style::Plain, None)
    }
}
