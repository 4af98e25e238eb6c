//! Writes and shows the reports of a record; shared by `run`, `report` and `open`.
//!
//! In: a record, the formats wanted. Out: files in the run folder, a table or JSON on stdout.
//! Invariant: what is shown is in the run folder too, so losing it is no error.

use super::console;
use super::exit::Exit;
use crate::record::{RecordError, RunFolder, RunRecord};
use crate::report::{self, Format};
use std::path::Path;

/// Writes the files of `formats`, in that order, each atomically, and calls `progress` after each.
/// A file that cannot be written does not stop the others; returns the last error, since the record
/// itself comes last.
pub(super) fn write(
    folder: &RunFolder,
    record: &RunRecord,
    formats: &[Format],
    progress: impl Fn(),
) -> Result<(), RecordError> {
    let mut written = Ok(());
    for file in formats.iter().flat_map(|format| format.files(record)) {
        if let Err(e) = folder.write(file.name, &file.bytes) {
            written = Err(e);
        }
        progress();
    }
    written
}

/// Reads the folder of a run, and says what of its journal was torn.
///
/// # Errors
/// As [`RunRecord::read`].
pub(super) fn read(folder: &Path) -> Result<RunRecord, RecordError> {
    let record = RunRecord::read(folder)?;
    for torn in &record.torn {
        console::warn(&torn.to_string());
    }
    Ok(record)
}

/// Prints the summary, as JSON or as the table. JSON that is lost is an error, since a program reads
/// it; a table that is lost is a warning, since the same is in the run folder.
#[must_use = "lost JSON is the command's exit code"]
pub(super) fn show(record: &RunRecord, json: bool, quiet: bool) -> Exit {
    if json {
        return console::data([report::json::summary(&record.summary)]);
    }
    if !quiet {
        console::out(&report::console::render(&record.summary, console::style()));
    }
    Exit::Success
}
