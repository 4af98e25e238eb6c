//! `loadgen report`: generates the reports of a run again, from its run folder.
//!
//! In: the folder of a run, finished or not. Out: its reports, the table. Invariant: the summary
//! of a finished run is read and never rewritten.

use crate::cli::completing;
use crate::cli::exit::Exit;
use crate::cli::reports::{self, Output};
use crate::cli::trouble::Trouble;
use crate::record::RunFolder;
use crate::report::{Format, Screen};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use std::path::PathBuf;

/// Arguments of `loadgen report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folder of the run
    #[arg(value_name = "RUN_DIR", add = completing::runs())]
    pub folder: PathBuf,
    /// Formats to make, separated by commas [default: all]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = formats())]
    pub format: Vec<Format>,
    /// Print the summary as JSON instead of the table
    #[arg(long)]
    pub json: bool,
    /// Show every figure, with its definition, instead of one screen
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub details: bool,
    /// Show the transcripts of slow turns in report.html, if the run kept them
    #[arg(long)]
    pub transcripts: bool,
    /// Show no table
    #[arg(short, long)]
    pub quiet: bool,
}

fn formats() -> impl clap::builder::TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
        .try_map(|name| Format::named(&name).ok_or("no such format"))
}

pub(super) fn execute(args: &ReportArgs) -> Exit {
    let read = RunFolder::open(&args.folder)
        .and_then(|folder| Ok((reports::read(folder.path())?, folder)));
    let (mut record, folder) = match read {
        Ok(read) => read,
        Err(e) => return Trouble::record(&e).tell(),
    };
    record.shows_transcripts = args.transcripts;
    let mut formats = match args.format.is_empty() {
        true => Format::ALL.to_vec(),
        false => args.format.clone(),
    };
    // The JSON of a finished run is the record itself, and may have fields that a later release
    // wrote and that rewriting would lose.
    formats.retain(|f| *f != Format::Json || !record.is_complete());
    let written = reports::write(&folder, &record, &formats, || {});
    let output = Output {
        json: args.json,
        quiet: args.quiet,
        details: args.details,
    };
    let there = written.is_ok().then_some(&folder);
    let printed = reports::show(&record, output, there, Screen::LINES);
    if let Err(e) = &written {
        return Trouble::record(e).tell();
    }
    let exit = match record.is_complete() {
        true => Exit::Success,
        false => Exit::InvalidRun,
    };
    exit.or(printed)
}
