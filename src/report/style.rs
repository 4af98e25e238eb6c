//! Whether a report may use colour.
//!
//! In: what the caller knows of the terminal. Out: text, dressed or not. Holds: without colour
//! the same words stand there, so that nothing is said by colour alone.

use anstyle::{AnsiColor, Effects};

/// How a report for people is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Characters only.
    #[default]
    Plain,
    /// With ANSI colours.
    Colour,
}

impl Style {
    /// Colour on a terminal, unless `NO_COLOR` is set to anything but nothing
    /// (<https://no-color.org>).
    pub fn choose(is_terminal: bool, no_color: Option<&str>) -> Self {
        if is_terminal && no_color.is_none_or(str::is_empty) {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.dress(
            anstyle::Style::new().fg_color(Some(AnsiColor::Green.into())),
            text,
        )
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.dress(
            anstyle::Style::new().fg_color(Some(AnsiColor::Red.into())),
            text,
        )
    }

    pub(super) fn doubtful(self, text: &str) -> String {
        self.dress(
            anstyle::Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            text,
        )
    }

    pub(super) fn head(self, text: &str) -> String {
        self.dress(anstyle::Style::new().effects(Effects::BOLD), text)
    }

    fn dress(self, style: anstyle::Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("{style}{text}{style:#}"),
        }
    }
}
