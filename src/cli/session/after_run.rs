//! Compares a finished run with a baseline, and saves it as one.
//!
//! In: the request before the run, the record after it. Out: a comparison, a baseline file, an
//! exit code. Invariants: a request that cannot be met is rejected before the first call; a run
//! that is invalid, failed or regressed never replaces a baseline.

use super::request::SessionRequest;
use crate::cli::baselines;
use crate::cli::comparing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::record::{Conditions, RunFolder, RunRecord};
use crate::report::{Screen, comparison};
use std::path::PathBuf;

/// Number of screen lines that a comparison takes up.
const COMPARISON: usize = 15;

/// The baseline to compare the run with, and the file to save the run to as a baseline.
pub(super) struct AfterRun {
    save: Option<PathBuf>,
    baseline: Option<(String, RunRecord)>,
}

impl AfterRun {
    /// Reads the baseline and checks that the run can be compared with it.
    pub(super) fn prepare(
        request: &SessionRequest,
        conditions: &Conditions,
    ) -> Result<Self, Trouble> {
        if request.baseline.is_none() && request.how.is_given() {
            let message = "there is no baseline to compare the run with";
            let hint = "add `--baseline NAME`; `--save-baseline NAME` makes one";
            return Err(Trouble::new(Exit::Usage, message, hint));
        }
        let save = request
            .save_baseline
            .as_deref()
            .map(baselines::file)
            .transpose()?;
        let read = |name: &String| Ok((name.clone(), baselines::read(name)?));
        let baseline: Option<(String, RunRecord)> =
            request.baseline.as_ref().map(read).transpose()?;
        if let Some((name, record)) = &baseline {
            comparing::check_before((name, record), conditions, &request.how)?;
        }
        Ok(Self { save, baseline })
    }

    /// Number of screen lines that are left for the run itself.
    pub(super) fn lines_left(&self) -> usize {
        match self.baseline {
            Some(_) => Screen::LINES - COMPARISON,
            None => Screen::LINES,
        }
    }

    /// Compares, then saves. `exit` is the run's own exit code; returns the combined one.
    pub(super) fn conclude(
        &self,
        exit: Exit,
        request: &SessionRequest,
        folder: &RunFolder,
        record: &RunRecord,
    ) -> Exit {
        let compared = match &self.baseline {
            Some((name, baseline)) => {
                against((name, baseline), request, folder, record).unwrap_or_else(|t| t.tell())
            }
            None => Exit::Success,
        };
        exit.or(compared)
            .or(self.save(exit, compared, request, record))
    }

    /// Saves the run as a baseline, unless a gate failed, a metric regressed or the comparison
    /// failed.
    fn save(
        &self,
        exit: Exit,
        compared: Exit,
        request: &SessionRequest,
        record: &RunRecord,
    ) -> Exit {
        let Some(path) = self.save.as_deref() else {
            return Exit::Success;
        };
        let against = match (exit, compared) {
            (Exit::GateFailed, _) => Some("the run failed"),
            (_, Exit::GateFailed) => Some("a metric regressed"),
            (_, Exit::Success) => None,
            _ => Some("the run could not be compared"),
        };
        if let Some(reason) = against {
            console::say(&format!(
                "not saved as a baseline: {reason}; any earlier baseline is unchanged"
            ));
            return Exit::Success;
        }
        match baselines::save(record, path) {
            Ok(()) => {
                if !request.output.quiet {
                    console::say(&format!("baseline saved in {}", path.display()));
                }
                Exit::Success
            }
            Err(trouble) => trouble.tell(),
        }
    }
}

fn against(
    baseline: (&str, &RunRecord),
    request: &SessionRequest,
    folder: &RunFolder,
    record: &RunRecord,
) -> Result<Exit, Trouble> {
    let name = folder.path().display().to_string();
    let candidates = [(name, record.clone())];
    let compared = comparing::of_records(baseline, &candidates, &request.how)?;
    // One line less, since an empty line is printed first.
    if let Some(screen) = request.output.screen(COMPARISON - 1) {
        comparing::show(&compared, screen);
    }
    folder
        .write("comparison.json", comparison::json(&compared).as_bytes())
        .map_err(|e| Trouble::record(&e))?;
    Ok(comparing::exit_of(&compared, &request.how))
}
