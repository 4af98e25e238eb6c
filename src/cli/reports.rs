//! Writes and shows the reports of a record; shared by `run`, `report`, `open` and `compare`.
//!
//! In: a record, the formats wanted. Out: files in the run folder, a table or JSON on stdout.
//! Invariant: the figures shown are in the run folder too, so losing text is not an error; losing
//! JSON is one.

use super::console;
use super::exit::Exit;
use crate::record::{RecordError, RunFolder, RunRecord};
use crate::report::{self, Format, Screen};
use std::path::Path;

/// Writes the files of `formats`, in that order, each atomically, and calls `progress` after each.
/// A file that cannot be written does not prevent the others from being written. Returns the last
/// error, since the record itself is written last.
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

/// Reads a run folder, and warns about parts of it that are left out.
///
/// # Errors
/// Those of [`RunRecord::read`].
pub(super) fn read(folder: &Path) -> Result<RunRecord, RecordError> {
    RunRecord::read(folder).inspect(warn_of_parts)
}

/// Like [`read`], without the data that only the HTML report shows.
///
/// # Errors
/// Those of [`RunRecord::read_figures`].
pub(super) fn read_figures(folder: &Path) -> Result<RunRecord, RecordError> {
    RunRecord::read_figures(folder).inspect(warn_of_parts)
}

fn warn_of_parts(record: &RunRecord) {
    let torn = record.torn.iter().map(ToString::to_string);
    for text in torn.chain(record.unread.clone()) {
        console::warn(&text);
    }
}

/// How a result is printed on stdout.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Output {
    pub json: bool,
    /// Print nothing, except JSON.
    pub quiet: bool,
    /// Print every figure, instead of one screen.
    pub details: bool,
}

impl Output {
    /// The screen to lay out text for, limited to `lines` unless every figure is wanted; `None` if
    /// no text is wanted.
    pub(super) fn screen(self, lines: usize) -> Option<Screen> {
        if self.json || self.quiet {
            return None;
        }
        let lines = if self.details { Screen::ALL } else { lines };
        Some(console::screen().with_lines(lines))
    }
}

/// Prints the summary, as JSON or as text. Lost JSON is an error, since a program reads it; lost
/// text is only a warning, since the run folder has the same figures. `folder`: the run folder, if
/// the reports could be written; `lines`: maximum number of lines of text.
#[must_use = "if JSON was lost, the command must exit with this code"]
pub(super) fn show(
    record: &RunRecord,
    output: Output,
    folder: Option<&RunFolder>,
    lines: usize,
) -> Exit {
    let printed = match output.json {
        true => console::data([report::json::summary(&record.summary)]),
        false => Exit::Success,
    };
    let Some(screen) = output.screen(lines) else {
        if let Some(folder) = folder.filter(|_| !output.quiet) {
            console::say(&format!("reports in {}", folder.path().display()));
        }
        return printed;
    };
    let page = folder.map(|folder| folder.file(Format::HTML_FILE));
    // The page does not exist if only other formats were requested.
    let page = page.filter(|page| page.is_file());
    let place = page.or_else(|| folder.map(|folder| folder.path().to_owned()));
    let place = place.map(|place| place.display().to_string());
    let text = match output.details {
        true => report::console::details(&record.summary, screen, place.as_deref()),
        false => report::console::brief(&record.summary, screen, place.as_deref()),
    };
    console::out(&text);
    printed
}
