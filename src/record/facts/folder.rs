//! The folder of a run: created once, and never shared with another run.
//!
//! In: a path, or a name and a time. Out: a folder, and files in it. Invariants: a file in it is
//! either whole or absent, and readable by its owner only; a folder that contains anything, or that
//! another run has claimed, is not used; only what the run itself has created is ever removed.

use super::error::RecordError;
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Parent of run folders when `--out` is not given.
pub(crate) const DEFAULT_PARENT: &str = "reports";
/// Maximum length of the scenario's name within a folder's name, in bytes.
const LONGEST_NAME: usize = 64;
/// Upper bound on runs of one scenario that start in the same second.
const SAME_SECOND: usize = 100;
/// The file whose presence shows that a run is finished.
pub(in crate::record) const SUMMARY: &str = "summary.json";
/// The journal's file of turns.
pub(in crate::record) const TURNS: &str = "turns.jsonl";
/// The folder of a run's evidence, within the run's folder.
pub(crate) const EVIDENCE_FOLDER: &str = "evidence";
/// The file that describes a run at its start. Creating it claims the folder: if two runs are
/// started with the same folder, only one succeeds.
pub(in crate::record) const START: &str = "run.json";
/// Everything that a run may have created before its first call.
const BEFORE_THE_FIRST_CALL: [&str; 4] = [
    TURNS,
    "calls.jsonl",
    "scenario.yaml",
    "sentinel-truth.jsonl",
];

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether this run created the folder.
    made: bool,
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
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let path = path.to_owned();
        match [SUMMARY, TURNS].iter().any(|f| path.join(f).is_file()) {
            true => Ok(Self { path, made: false }),
            false => Err(RecordError::NoRun { path }),
        }
    }

    fn at(path: &Path) -> Result<Self, RecordError> {
        let folder = Self {
            path: path.to_owned(),
            made: make(path).map_err(|e| error("create", path, e))?,
        };
        folder.claim()?;
        Ok(folder)
    }

    /// Creates a folder within a run's folder, which has already been claimed.
    pub(in crate::record) fn part(path: &Path) -> Result<Self, RecordError> {
        let made = make(path).map_err(|e| error("create", path, e))?;
        let mut entries = fs::read_dir(path).map_err(|e| error("read", path, e))?;
        match entries.next() {
            None => Ok(Self {
                path: path.to_owned(),
                made,
            }),
            Some(_) => Err(RecordError::Occupied {
                path: path.to_owned(),
                finished: false,
            }),
        }
    }

    /// Makes sure that no other run uses the folder.
    fn claim(&self) -> Result<(), RecordError> {
        let path = &self.path;
        let occupied = || RecordError::Occupied {
            path: path.clone(),
            finished: path.join(SUMMARY).exists(),
        };
        let claim = self.file(START);
        if let Err(e) = create_private(&claim) {
            return Err(match e.kind() {
                io::ErrorKind::AlreadyExists => occupied(),
                _ => error("create", &claim, e),
            });
        }
        let others = fs::read_dir(path).map(|mut entries| {
            entries.any(|entry| entry.map_or(true, |entry| entry.file_name() != START))
        });
        let refused = match others {
            Ok(false) => return Ok(()),
            Ok(true) => occupied(),
            Err(e) => error("read", path, e),
        };
        let _ = fs::remove_file(claim);
        Err(refused)
    }

    fn within(parent: &Path, started_at: Timestamp, name: &str) -> Result<Self, RecordError> {
        make_all(parent).map_err(|e| error("create", parent, e))?;
        let base = format!("{}-{}", started_at.strftime("%Y%m%dT%H%M%SZ"), safe(name));
        let mut path = parent.join(&base);
        for nth in 1..=SAME_SECOND {
            if nth > 1 {
                path = parent.join(format!("{base}-{nth}"));
            }
            if make(&path).map_err(|e| error("create", &path, e))? {
                let folder = Self { path, made: true };
                folder.claim()?;
                return Ok(folder);
            }
        }
        Err(error("create", &path, io::ErrorKind::AlreadyExists.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file atomically: to a temporary file, synced to disk, then renamed. Replaces a file
    /// of the same name.
    ///
    /// # Errors
    /// [`RecordError::Io`], also when `name` is not a plain file name; an existing file of that
    /// name is then unchanged.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, RecordError> {
        let path = self.file(name);
        let mut parts = Path::new(name).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(error("write", &path, io::ErrorKind::InvalidInput.into()));
        }
        replace(&path, bytes, create_private).map_err(|e| error("write", &path, e))?;
        Ok(path)
    }

    /// Removes the files of a run that made no call. If others have put files into the folder,
    /// those files and the folder are kept.
    pub(crate) fn discard(&self) {
        for name in BEFORE_THE_FIRST_CALL {
            let _ = fs::remove_file(self.file(name));
        }
        // The system removes the folder only if it is empty.
        let _ = fs::remove_dir(self.file(EVIDENCE_FOLDER));
        // The claim is removed last: from here on another run may use the folder.
        let _ = fs::remove_file(self.file(START));
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Creates a folder that only its owner can read, and its parents; returns whether the folder is
/// new.
fn make(path: &Path) -> io::Result<bool> {
    make_all(parent_of(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            sync_folder_of(path);
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(e) => Err(e),
    }
}

/// Creates a folder and its parents so that they survive a power cut.
pub(in crate::record) fn make_all(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.is_dir()).collect();
    fs::create_dir_all(path)?;
    for folder in missing.iter().rev().filter(|p| !p.as_os_str().is_empty()) {
        sync_folder_of(folder);
    }
    Ok(())
}

/// The folder that holds a path.
fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Replaces a file as a whole, and creates its parent folders: after a power cut the file is either
/// the old one or the new one.
///
/// # Errors
/// The operating system's error; an existing file is then unchanged.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_all(parent_of(path))?;
    replace(path, bytes, create_private)
}

/// Creates a file that only its owner can read. The path must not exist yet, not even as a dangling
/// link.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Syncs the folder that holds `path`, so that the name of the file survives a power cut. A file
/// system that cannot sync folders may lose the name, which is not treated as an error.
pub(in crate::record) fn sync_folder_of(path: &Path) {
    let parent = parent_of(path);
    #[cfg(test)]
    tests::synced(parent);
    if let Ok(folder) = File::open(parent) {
        let _ = folder.sync_all();
    }
}

/// Writes a file next to `path` under an unguessable name, and renames it to `path`; a link there
/// is replaced, not followed. `open` is an argument so that a test can simulate a full disk.
pub(in crate::record) fn replace(
    path: &Path,
    bytes: &[u8],
    open: fn(&Path) -> io::Result<File>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".loadgen-").suffix(".tmp");
    // The temporary file is deleted when dropped, unless it has been renamed to `path`.
    let mut temporary = builder.make_in(parent_of(path), open)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_folder_of(path);
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
