//! `loadgen open`: shows the report of a run in the browser.
//!
//! In: a run folder. Out: the browser; the report's path on stdout. Holds: a report that is not
//! there, or is of a run that was not over, is made first.

use super::exit::Exit;
use super::reports;
use super::say::{self, Trouble};
use crate::record::{RecordError, RunFolder, RunRecord};
use crate::report::Format;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// A launcher that fails does so within this time.
const LAUNCH: Duration = Duration::from_secs(2);

/// Which run.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// Folder of the run
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
}

/// Opens it.
pub(super) fn execute(args: &OpenArgs) -> Exit {
    let report = match report(args) {
        Ok(report) => report,
        Err(e) => return Trouble::record(&e).tell(),
    };
    say::out(&format!("{}\n", report.display()));
    match open::that_detached_with_timeout(&report, LAUNCH) {
        Ok(()) => Exit::Success,
        Err(e) => {
            let message = format!("no browser could be opened: {e}");
            let hint = "open the file above yourself; it is whole, and can be copied or mailed";
            Trouble::new(Exit::Error, message, hint).tell()
        }
    }
}

/// The full path of the report; made where there is none, and where there may be more to tell
/// since it was.
fn report(args: &OpenArgs) -> Result<PathBuf, RecordError> {
    let folder = RunFolder::open(&args.folder)?;
    let path = folder.file(Format::HTML_FILE);
    let whole = |folder| RunRecord::read_summary(folder).is_ok_and(|s| s.run.complete);
    if !path.is_file() || !whole(folder.path()) {
        let record = RunRecord::read(folder.path())?;
        reports::write(&folder, &record, &[Format::Html])?;
    }
    // A launcher has a working directory of its own.
    Ok(path.canonicalize().unwrap_or(path))
}
