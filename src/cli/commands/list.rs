//! `loadgen list`: past runs, newest first.
//!
//! In: a folder of run folders. Out: a table or JSON on stdout. Invariant: a run that cannot be
//! read is reported on stderr and does not hide the others.

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::record::{DEFAULT_PARENT, RunFolder, RunRecord};
use crate::report::list::{self, PastRun};
use clap::{Args, ValueHint};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};

/// Arguments of `loadgen list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Folder whose run folders are shown
    #[arg(value_name = "DIR", default_value = DEFAULT_PARENT, value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
}

pub(super) fn execute(args: &ListArgs) -> Exit {
    let folders = match folders(&args.dir) {
        Ok(folders) => folders,
        Err(e) => {
            let message = format!("cannot read `{}`: {e}", args.dir.display());
            let hint = "give the folder that contains the run folders; the default is `reports`";
            return Trouble::new(Exit::Usage, message, hint).tell();
        }
    };
    let mut runs: Vec<PastRun> = folders.iter().filter_map(|f| past_run(f)).collect();
    let at = |run: &PastRun| run.summary.run.started_at.parse::<jiff::Timestamp>().ok();
    // Runs without a valid start time come last.
    runs.sort_by_cached_key(|run| (Reverse(at(run)), run.folder.clone()));
    if args.json {
        return console::data([list::to_json(&runs)]);
    }
    if runs.is_empty() {
        console::note(&format!("no runs in `{}`", args.dir.display()));
    }
    console::data([list::table(&runs, console::screen().style)])
}

/// The run folders in `dir`, or `dir` itself if it is one.
fn folders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    if RunFolder::open(dir).is_ok() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    let folders = entries.into_iter().map(|entry| entry.path());
    Ok(folders.filter(|f| RunFolder::open(f).is_ok()).collect())
}

fn past_run(folder: &Path) -> Option<PastRun> {
    match RunRecord::read_summary(folder) {
        Ok(summary) => Some(PastRun {
            folder: folder.display().to_string(),
            summary,
        }),
        Err(e) => {
            Trouble::record(&e).tell();
            None
        }
    }
}
