//! Error messages with which commands end.
//!
//! In: a message and a hint. Out: stderr, an exit code.

use super::console;
use super::exit::Exit;
use crate::record::RecordError;
use crate::scenario::Problem;

/// An error that ends a command, with its exit code.
#[derive(Debug)]
pub(crate) struct Trouble {
    exit: Exit,
    text: String,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        let text = format!("error: {}\n  hint: {}", message.as_ref(), hint.as_ref());
        Self { exit, text }
    }

    /// All problems of a scenario.
    pub(crate) fn problems(source: &str, problems: &[Problem]) -> Self {
        let shown: Vec<String> = problems
            .iter()
            .map(|p| p.display(source).to_string())
            .collect();
        Self {
            exit: Exit::InvalidScenario,
            text: shown.join("\n\n"),
        }
    }

    /// A record that cannot be written or read.
    pub(crate) fn record(e: &RecordError) -> Self {
        Self::new(Exit::Error, e.to_string(), e.hint())
    }

    /// The system cannot start another thread.
    pub(super) fn threads(e: &std::io::Error) -> Self {
        let message = format!("the system refused to start a thread: {e}");
        Self::new(Exit::Error, message, "check `ulimit -u`")
    }

    /// Prints the message to stderr; returns the exit code.
    pub(crate) fn tell(&self) -> Exit {
        console::say(&self.text);
        self.exit
    }
}
