//! The folder of a run: created once, never over another run's.
//!
//! In: a path, or a name and a time. Out: a folder, and files in it. Invariants: a file in it is
//! either whole or absent; a folder that contains anything is not used.

use super::error::RecordError;
use jiff::Timestamp;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// Parent of run folders without `--out`.
pub const DEFAULT_PARENT: &str = "reports";
/// Longest part of a scenario's name in a folder's name, in bytes.
const LONGEST_NAME: usize = 64;
/// Upper bound on runs of one scenario that start in the same second.
const SAME_SECOND: usize = 100;
/// The file whose presence says that a run is finished.
pub(in crate::record) const SUMMARY: &str = "summary.json";
/// The journal's file of turns.
pub(in crate::record) const TURNS: &str = "turns.jsonl";

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates the folder: `out`, or `reports/<UTC time>-<name>/` in the working directory.
    ///
    /// # Errors
    /// [`RecordError::Occupied`] when `out` contains anything; [`RecordError::Io`].
    pub fn create(
        out: Option<&Path>,
        started_at: Timestamp,
        name: &str,
    ) -> Result<Self, RecordError> {
        match out {
            Some(out) => Self::at(out),
            None => Self::within(Path::new(DEFAULT_PARENT), started_at, name),
        }
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    /// [`RecordError::NoRun`] when it contains no file of a run.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let path = path.to_owned();
        match [SUMMARY, TURNS].iter().any(|f| path.join(f).is_file()) {
            true => Ok(Self { path }),
            false => Err(RecordError::NoRun { path }),
        }
    }

    fn at(path: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(path).map_err(|e| error("create", path, e))?;
        let mut entries = fs::read_dir(path).map_err(|e| error("read", path, e))?;
        if entries.next().is_some() {
            return Err(RecordError::Occupied {
                path: path.to_owned(),
                finished: path.join(SUMMARY).exists(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    fn within(parent: &Path, started_at: Timestamp, name: &str) -> Result<Self, RecordError> {
        fs::create_dir_all(parent).map_err(|e| error("create", parent, e))?;
        let base = format!("{}-{}", started_at.strftime("%Y%m%dT%H%M%SZ"), safe(name));
        let mut path = parent.join(&base);
        for nth in 2..=SAME_SECOND {
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    path = parent.join(format!("{base}-{nth}"));
                }
                made => {
                    made.map_err(|e| error("create", &path, e))?;
                    return Ok(Self { path });
                }
            }
        }
        Err(error("create", &path, io::ErrorKind::AlreadyExists.into()))
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file atomically: to a temporary file, synced to disk, then renamed. Replaces a file
    /// of the same name.
    ///
    /// # Errors
    /// [`RecordError::Io`]; an existing file of that name is then unchanged. Also when `name` is
    /// not a plain file name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, RecordError> {
        let path = self.file(name);
        let mut parts = Path::new(name).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(error("write", &path, io::ErrorKind::InvalidInput.into()));
        }
        let temporary = self.file(&format!(".{name}.{}.tmp", std::process::id()));
        replace(&temporary, &path, bytes, |p| File::create(p))
            .map_err(|e| error("write", &path, e))?;
        Ok(path)
    }
}

/// `open` is an argument so that a test can put a full disk behind the temporary file.
pub(in crate::record) fn replace(
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
    open: fn(&Path) -> io::Result<File>,
) -> io::Result<()> {
    let filled = open(temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = filled.and_then(|()| fs::rename(temporary, path)) {
        let _ = fs::remove_file(temporary);
        return Err(error);
    }
    // The file is whole by now. A file system that cannot sync folders may lose the new name in
    // a power cut, which is no reason to fail.
    if let Some(folder) = path.parent().and_then(|p| File::open(p).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// `name` as part of a file name: keeps letters, digits, `_`, `-` and `.`, and turns each run of
/// other characters into one `-`.
fn safe(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if out.len() >= LONGEST_NAME {
            break;
        }
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let trimmed = out.trim_matches(['-', '.']);
    if trimmed.is_empty() {
        "run".to_owned()
    } else {
        trimmed.to_owned()
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> RecordError {
    RecordError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
