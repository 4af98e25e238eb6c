//! The report formats and the files of each.
//!
//! In: a [`RunRecord`]. Out: file names and bytes. Invariants: every format is made from the same
//! record, so the figures agree to the last digit; rendering again gives the same bytes.

use super::{csv, hdr, html, json, junit, markdown};
use crate::record::RunRecord;

/// A report format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `turns.csv`, `calls.csv`.
    Csv,
    /// `report.html`.
    Html,
    /// `summary.json`.
    Json,
    /// `junit.xml`.
    Junit,
    /// `summary.md`.
    Markdown,
    /// `histogram.hlog`.
    Hdr,
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// File name in the run folder.
    pub name: &'static str,
    /// File content.
    pub bytes: Vec<u8>,
}

impl Format {
    /// Every format. JSON comes last: the presence of `summary.json` means that the run is over.
    pub const ALL: [Self; 6] = [
        Self::Csv,
        Self::Html,
        Self::Junit,
        Self::Markdown,
        Self::Hdr,
        Self::Json,
    ];

    /// File name of the HTML report.
    pub(crate) const HTML_FILE: &str = "report.html";

    /// Name of the format on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Hdr => "hdr",
        }
    }

    /// Looks up a format by its command-line name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Renders a record into the files of this format.
    pub fn files(self, record: &RunRecord) -> Vec<File> {
        let bytes = |name, bytes| vec![File { name, bytes }];
        let file = |name, text: String| bytes(name, text.into_bytes());
        match self {
            Self::Html => file(Self::HTML_FILE, html::render(record)),
            Self::Csv => [
                file("turns.csv", csv::turns(&record.turns)),
                file("calls.csv", csv::calls(&record.calls)),
            ]
            .concat(),
            Self::Json => file("summary.json", json::summary(&record.summary)),
            Self::Junit => file("junit.xml", junit::xml(record)),
            Self::Markdown => file("summary.md", markdown::summary(record)),
            Self::Hdr => bytes("histogram.hlog", hdr::log(record)),
        }
    }
}
