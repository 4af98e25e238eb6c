//! Errors from reading and writing the files of a run.
//!
//! In: errors from the system or a parser. Out: a message that names the file, and a separate
//! hint.

use std::io;
use std::path::PathBuf;

/// A file of a run could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The requested folder is not empty.
    #[error("`{}` already holds {}", path.display(), if *finished { "a finished run" } else { "files" })]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// Whether the folder contains a summary.
        finished: bool,
    },
    /// The system reported an error.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The action that failed, as a verb such as `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder is not a run folder.
    #[error("`{}` is not a run folder", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A line of the journal, or another file of a run, cannot be parsed.
    #[error("`{}`, line {line}: cannot be parsed ({detail})", path.display())]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The parser's message.
        detail: String,
    },
    /// The file comes from a later release.
    #[error("`{}`, line {line}: version {found}, but this program reads only versions up to {known}", path.display())]
    Newer {
        /// Path of the file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The version of the file.
        found: u32,
        /// The latest version that this program reads.
        known: u32,
    },
}

impl RecordError {
    /// What to try next; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Occupied { .. } => {
                "runs are never overwritten: choose a new or empty folder with --out"
            }
            Self::NoRun { .. } => {
                "give a folder that contains `summary.json` or `turns.jsonl`; `loadgen list` shows the existing runs"
            }
            Self::Corrupt { .. } => {
                "the file was changed after the run: restore it, or delete that line to read the rest"
            }
            Self::Newer { .. } => "read it with the release that wrote it, or a later one",
            Self::Io { source, .. } => io_hint(source.kind()),
        }
    }
}

fn io_hint(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind as Kind;
    match kind {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            "the disk is full or a quota is used up: free some space, or choose another place with --out"
        }
        Kind::PermissionDenied => {
            "check the folder's owner and permissions, or choose another place with --out"
        }
        Kind::ReadOnlyFilesystem => {
            "the file system is mounted read-only: choose another place with --out"
        }
        Kind::NotADirectory | Kind::AlreadyExists | Kind::IsADirectory => {
            "there is a file where a folder is needed, or the other way round: choose another path"
        }
        Kind::NotFound => "check the path for a typo",
        _ => "check the path and the disk, or choose another place with --out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> RecordError {
        RecordError::Io {
            action: "write",
            path: "reports/a/summary.json".into(),
            source: kind.into(),
        }
    }

    #[test]
    fn every_error_has_a_message_and_a_hint() {
        let path = PathBuf::from("reports/a");
        let errors = [
            RecordError::Occupied {
                path: path.clone(),
                finished: true,
            },
            RecordError::Occupied {
                path: path.clone(),
                finished: false,
            },
            RecordError::NoRun { path: path.clone() },
            RecordError::Corrupt {
                path: path.clone(),
                line: 3,
                detail: "EOF".into(),
            },
            RecordError::Newer {
                path,
                line: 1,
                found: 9,
                known: 1,
            },
            io_error(io::ErrorKind::StorageFull),
            io_error(io::ErrorKind::PermissionDenied),
            io_error(io::ErrorKind::ReadOnlyFilesystem),
            io_error(io::ErrorKind::NotADirectory),
            io_error(io::ErrorKind::NotFound),
            io_error(io::ErrorKind::TimedOut),
        ];
        let text: Vec<String> = errors
            .iter()
            .map(|e| format!("{e}\n  hint: {}", e.hint()))
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
