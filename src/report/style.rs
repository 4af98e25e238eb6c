//! Styles the text of a report, with or without colour.
//!
//! In: text. Out: text, styled or not. Invariant: the words are the same without colour, so that
//! nothing is conveyed by colour alone.

use anstyle::{AnsiColor, Effects};

/// How a report for people is styled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// Plain text.
    #[default]
    Plain,
    /// With ANSI colours.
    Colour,
}

impl Style {
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
