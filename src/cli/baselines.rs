//! Resolves baselines: files, run folders, or names in the state folder.
//!
//! In: the argument as typed. Out: a record, or the path to write one to. Invariant: a name never
//! resolves to a path outside the state folder.

use super::exit::Exit;
use super::reports;
use super::trouble::Trouble;
use crate::record::{Baseline, RunRecord};
use crate::targets::state_folder;
use std::path::{Path, PathBuf};

/// File extension of baselines.
const JSON: &str = "json";

/// Whether `text` is a path rather than the name of a baseline in the state folder.
fn is_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|e| e == JSON)
}

fn folder() -> Result<PathBuf, Trouble> {
    state_folder().map(|f| f.join("baselines")).ok_or_else(|| {
        let message =
            "there is no place for named baselines: neither XDG_STATE_HOME nor HOME is set";
        Trouble::new(
            Exit::Usage,
            message,
            "set one of them, or give a file such as ./main.json",
        )
    })
}

/// The file of the baseline `text`: the path itself, or a file of that name in the state folder.
pub(super) fn file(text: &str) -> Result<PathBuf, Trouble> {
    if is_path(text) {
        return Ok(PathBuf::from(text));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(plain) {
        let message = format!("`{text}` is not a valid baseline name");
        let hint = "use letters, digits, `.`, `_`, `-`; or a path such as ./main.json";
        return Err(Trouble::new(Exit::Usage, message, hint));
    }
    Ok(folder()?.join(format!("{text}.{JSON}")))
}

/// Reads the record that `text` refers to: a named baseline if there is one, else a run folder or a
/// baseline file.
pub(super) fn read(text: &str) -> Result<RunRecord, Trouble> {
    let path = Path::new(text);
    // A saved baseline takes precedence over a local file or folder of the same name.
    let named = match is_path(text) {
        true => None,
        false => file(text).ok().filter(|named| named.is_file()),
    };
    if named.is_none() && path.is_dir() {
        return reports::read_figures(path).map_err(|e| Trouble::record(&e));
    }
    let path = match (named, path.is_file()) {
        (Some(named), _) => named,
        (None, true) => path.to_owned(),
        (None, false) => file(text)?,
    };
    if !path.exists() {
        let message = format!("there is no run folder, baseline file or baseline named `{text}`");
        return Err(Trouble::new(Exit::Usage, message, known()));
    }
    Baseline::read(&path)
        .map(Baseline::into_record)
        .map_err(|e| Trouble::record(&e))
}

/// Names of the saved baselines, sorted.
pub(super) fn names() -> Vec<String> {
    let entries = folder().ok().and_then(|f| std::fs::read_dir(f).ok());
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let named = path.extension().is_some_and(|e| e == JSON);
        named.then(|| path.file_stem().map(|s| s.to_string_lossy().into_owned()))?
    };
    let mut names: Vec<String> = entries.into_iter().flatten().filter_map(name).collect();
    names.sort();
    names
}

/// Hint that lists the saved baselines.
fn known() -> String {
    let names = names();
    match names.is_empty() {
        true => "save one with `loadgen run … --save-baseline NAME`".to_owned(),
        false => format!("saved baselines: {}", names.join(", ")),
    }
}

/// Saves a run as a baseline, unless the run is invalid.
pub(super) fn save(record: &RunRecord, path: &Path) -> Result<(), Trouble> {
    if let Some(reason) = record.summary.verdict.against_the_run() {
        let message = format!("not saved as a baseline: {reason}");
        let hint = "any earlier baseline is unchanged; a baseline must be a valid run";
        return Err(Trouble::new(Exit::InvalidRun, message, hint));
    }
    Baseline::of(record)
        .write(path)
        .map_err(|e| Trouble::record(&e))
}
