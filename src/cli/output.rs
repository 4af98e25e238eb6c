//! Data on stdout, notes on stderr.
//!
//! Invariant: a reader that closes stdout early is not an error; a full disk is.

use super::exit::Exit;
use super::say::Trouble;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
use std::io::{BufWriter, ErrorKind, Write};

/// Prints a note to stderr.
pub(super) fn note(message: &str) {
    // If stderr is closed, there is nowhere to report that.
    let _ = writeln!(std::io::stderr(), "note: {message}");
}

/// Notes every unset variable that the scenario needs, once each.
pub(super) fn note_unset(scenario: &Scenario, file: &str) {
    let mut seen = BTreeSet::new();
    for variable in scenario
        .unset
        .iter()
        .filter(|variable| seen.insert(&variable.name))
    {
        let (name, path, line) = (&variable.name, &variable.path, variable.place.line);
        note(&format!(
            "`{name}` is not set; a run will need it for `{path}` ({file}:{line})"
        ));
    }
}

/// Writes data to stdout piece by piece, since there may be 100,000 pieces.
pub(super) fn data<T: AsRef<str>>(pieces: impl IntoIterator<Item = T>) -> Exit {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut pieces = pieces.into_iter();
    let written = pieces.try_for_each(|piece| out.write_all(piece.as_ref().as_bytes()));
    match written.and_then(|()| out.flush()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => {
            let message = format!("cannot write to standard output: {error}");
            Trouble::new(Exit::Error, message, "is the disk full?").tell()
        }
    }
}
