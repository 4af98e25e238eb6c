//! `loadgen open`: shows the report of a run in the browser.
//!
//! In: a run folder. Out: the browser; the report's path on stdout. Invariant: a report that is
//! missing, or whose run is incomplete, is generated first.

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::reports;
use crate::cli::trouble::Trouble;
use crate::record::{RecordError, RunFolder, RunRecord};
use crate::report::Format;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// A launcher that fails is expected to do so within this time.
const LAUNCH: Duration = Duration::from_secs(2);

/// Arguments of `loadgen open`.
#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// Folder of the run
    #[arg(value_name = "RUN_DIR", add = completing::runs())]
    pub folder: PathBuf,
}

pub(super) fn execute(args: &OpenArgs) -> Exit {
    let report = match report(args) {
        Ok(report) => report,
        Err(e) => return Trouble::record(&e).tell(),
    };
    console::out(&format!("{}\n", report.display()));
    match open::that_detached_with_timeout(&report, LAUNCH) {
        Ok(()) => Exit::Success,
        Err(e) => {
            let message = format!("cannot open a browser: {e}");
            let hint =
                "open the file above yourself; it is self-contained, so it can be copied or mailed";
            Trouble::new(Exit::Error, message, hint).tell()
        }
    }
}

/// The full path of the report, which is generated first if it is missing, or if the run is
/// incomplete and may have more turns by now.
fn report(args: &OpenArgs) -> Result<PathBuf, RecordError> {
    let folder = RunFolder::open(&args.folder)?;
    let path = folder.file(Format::HTML_FILE);
    let whole = |folder| RunRecord::read_summary(folder).is_ok_and(|s| s.run.complete);
    if !path.is_file() || !whole(folder.path()) {
        let record = reports::read(folder.path())?;
        reports::write(&folder, &record, &[Format::Html], || {})?;
    }
    // The launcher may have a different working directory.
    Ok(path.canonicalize().unwrap_or(path))
}
