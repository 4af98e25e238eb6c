//! Data on stdout, notes on stderr.
//!
//! Holds: a reader of stdout that goes away early is no error; a full disk is.

use super::exit::Exit;
use super::say::Trouble;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
use std::io::{BufWriter, ErrorKind, Write};

/// Something worth knowing that changes nothing.
pub(super) fn note(message: &str) {
    // Nobody is left to hear of a closed stderr.
    let _ = writeln!(std::io::stderr(), "note: {message}");
}

/// The variables that a scenario wants and that are unset, once each.
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

/// Writes data to stdout, piece by piece: there may be 100,000 of them.
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
