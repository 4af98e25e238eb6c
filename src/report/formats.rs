//! The formats that a record is written in, and the files of each.
//!
//! In: a [`RunRecord`]. Out: names and bytes. Holds: every format is made of the one record, so
//! that they agree to the last digit; making them again gives the same bytes.

use super::{csv, html, json};
use crate::record::RunRecord;

/// A format of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `turns.csv`.
    Csv,
    /// `report.html`.
    Html,
    /// `summary.json`.
    Json,
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the run folder.
    pub name: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Format {
    /// Every format. The summary comes last: its presence says that a run is over.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Html, Self::Json];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Json => "json",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    /// The files of a record in this format.
    pub fn files(self, record: &RunRecord) -> Vec<File> {
        let file = |name, text: String| File {
            name,
            bytes: text.into_bytes(),
        };
        match self {
            Self::Csv => vec![file("turns.csv", csv::turns(&record.turns))],
            Self::Html => vec![file("report.html", html::render(record))],
            Self::Json => vec![file("summary.json", json::summary(&record.summary))],
        }
    }
}
