//! A record's reports, written and shown; `run` and `report` do it in one way.
//!
//! In: a record, the formats wanted. Out: files in the run folder, a table or JSON on stdout.

use super::say;
use crate::record::{RecordError, RunFolder, RunRecord};
use crate::report::{self, Format, Style};
use std::io::IsTerminal as _;

/// Writes the files of `formats`, in that order, each whole or not at all. One that cannot be
/// written keeps no other from being; the last error is told, since the record itself comes last.
pub(super) fn write(
    folder: &RunFolder,
    record: &RunRecord,
    formats: &[Format],
) -> Result<(), RecordError> {
    let mut written = Ok(());
    for file in formats.iter().flat_map(|format| format.files(record)) {
        if let Err(e) = folder.write(file.name, &file.bytes) {
            written = Err(e);
        }
    }
    written
}

/// Shows the summary: as JSON, or as the table.
pub(super) fn show(record: &RunRecord, json: bool, quiet: bool) {
    if json {
        say::out(&report::json::summary(&record.summary));
    } else if !quiet {
        let no_color = std::env::var("NO_COLOR").ok();
        let style = Style::choose(std::io::stdout().is_terminal(), no_color.as_deref());
        say::out(&report::console::render(&record.summary, style));
    }
}
