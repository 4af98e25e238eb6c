//! The one place that prints: results on stdout, everything else on stderr.
//!
//! In: text. Out: stdout and stderr; an [`Exit`] if the text is the result itself. Invariants: an
//! output that is closed or full never causes a panic; a reader that closes the pipe (`| head`) is
//! not an error; a full disk is an error if the result is stored nowhere else, and a warning if a
//! file contains it too. Text that stderr does not accept is lost, since there is nowhere to report
//! the failure.

use super::exit::Exit;
use crate::report::{Screen, Style};
use crate::vocab::plain;
use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{BufWriter, Error, ErrorKind, IsTerminal as _, Result, Write as _};

/// Redraws per second of a [`RedrawnLine`].
const REDRAWS: u8 = 10;

/// Prints a text to stderr. Control characters in it are replaced, since names and messages may be
/// untrusted.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(text));
}

fn visible(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    lines.join("\n")
}

/// Prints a note to stderr.
pub(super) fn note(message: &str) {
    say(&format!("note: {message}"));
}

/// Prints a warning to stderr.
pub(super) fn warn(message: &str) {
    say(&format!("warning: {message}"));
}

/// Prints a result that is stored nowhere else, piece by piece, since there may be 100,000 pieces.
#[must_use = "if the result was lost, the command must exit with this code"]
pub(super) fn data<T: AsRef<str>>(pieces: impl IntoIterator<Item = T>) -> Exit {
    match print(pieces) {
        None => Exit::Success,
        Some(error) => {
            say(&format!(
                "error: cannot write to standard output: {error}\n  hint: is the disk full?"
            ));
            Exit::Error
        }
    }
}

/// Prints text that a file contains too, or that another process reads: losing the text does not
/// change the exit code.
pub(super) fn out(text: &str) {
    if let Some(error) = print([text]) {
        warn(&format!("cannot write to standard output: {error}"));
    }
}

/// Writes to stdout; returns the error, if any, unless the reader has closed the pipe.
fn print<T: AsRef<str>>(pieces: impl IntoIterator<Item = T>) -> Option<Error> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut pieces = pieces.into_iter();
    let written: Result<()> = pieces.try_for_each(|piece| out.write_all(piece.as_ref().as_bytes()));
    let error = written.and_then(|()| out.flush()).err()?;
    (error.kind() != ErrorKind::BrokenPipe).then_some(error)
}

/// The screen that stdout is shown on: with colours on a terminal or if `CLICOLOR_FORCE` is set,
/// but never with `NO_COLOR`; as wide as the terminal or, failing that, `COLUMNS` columns.
pub(super) fn screen() -> Screen {
    let style = match AutoStream::choice(&std::io::stdout()) {
        ColorChoice::Never => Style::Plain,
        _ => Style::Colour,
    };
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let terminal = terminal.map(|(columns, _)| usize::from(columns.0));
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    // A terminal of unknown size reports 0.
    let columns = terminal.filter(|columns| *columns > 0).or_else(said);
    Screen::new(style, columns)
}

/// Whether stderr is a terminal, on which a [`RedrawnLine`] can be redrawn.
pub(super) fn redraws() -> bool {
    std::io::stderr().is_terminal()
}

/// A line on stderr that is redrawn in place.
pub(super) struct RedrawnLine(ProgressBar);

impl RedrawnLine {
    /// An empty line.
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS);
        let bar = ProgressBar::with_draw_target(None, target);
        // If the template cannot be parsed, the default style remains.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Replaces the text of the line.
    pub(super) fn set(&self, text: String) {
        self.0.set_message(text);
        self.0.tick();
    }

    /// Prints `text` above the line, on a line of its own.
    pub(super) fn above(&self, text: &str) {
        self.0.suspend(|| say(text));
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Standard input and output as the two directions of a pipe to the parent process.
pub(super) fn pipe() -> (tokio::io::Stdin, tokio::io::Stdout) {
    (tokio::io::stdin(), tokio::io::stdout())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_line_breaks_kept() {
        let text = "error: unknown variant `\u{1b}[2J`\n  hint: \u{202e}x";
        let shown = "error: unknown variant `\u{fffd}[2J`\n  hint: \u{fffd}x";
        assert_eq!(visible(text), shown);
    }
}
