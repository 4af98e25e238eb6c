//! The journal of a run, `turns.jsonl`: one ended turn a line, appended as it ends.
//!
//! In: turn records. Out: a file that is whole up to, at worst, a torn last line. Holds: a line
//! is one write, so that a killed process leaves every ended turn; after a failed write the file
//! ends where it did before.

use super::{RecordError, TURN_VERSION, TurnRecord};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest line read, newline included. A turn takes about 700 bytes; names are bounded elsewhere.
const LONGEST_LINE: u64 = 1 << 20;
/// Turns that a power cut may cost: those of one such interval.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len: u64,
    unsynced: bool,
    last_sync: Option<Instant>,
}

/// What [`Journal::read`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRead {
    /// The turns, in the order in which they ended.
    pub turns: Vec<TurnRecord>,
    /// The last line was torn and is left out: the run was killed while it wrote.
    pub torn: bool,
}

impl Journal {
    /// Creates the file.
    ///
    /// # Errors
    /// [`RecordError::Io`], also when there is such a file already.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let file = File::create_new(path).map_err(|e| io_error("create", path, e))?;
        Ok(Self::over(file, path))
    }

    fn over(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            len: 0,
            unsynced: false,
            last_sync: None,
        }
    }

    /// Appends one turn: one write, handed to the system when this returns.
    ///
    /// # Errors
    /// [`RecordError::Io`]; the journal then ends with the turn before and can be used further.
    pub fn append(&mut self, turn: &TurnRecord) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(turn).map_err(|e| self.error("encode", e.into()))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // A device has no length; there the write's own error is the one to tell.
            let _ = self.file.set_len(self.len);
            let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.len));
            return Err(self.error("append to", error));
        }
        self.len += line.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// To be called now and then: brings what was appended to the disk, at most once a second.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn tick(&mut self, now: Instant) -> Result<(), RecordError> {
        let due = self
            .last_sync
            .is_none_or(|last| now.saturating_duration_since(last) >= SYNC_INTERVAL);
        if due && self.unsynced {
            self.last_sync = Some(now);
            return self.sync();
        }
        Ok(())
    }

    /// Brings what was appended to the disk, now.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn sync(&mut self) -> Result<(), RecordError> {
        self.file.sync_data().map_err(|e| self.error("sync", e))?;
        self.unsynced = false;
        Ok(())
    }

    fn error(&self, action: &'static str, source: io::Error) -> RecordError {
        io_error(action, &self.path, source)
    }

    /// Reads a journal back. A last line without its newline that is not a turn is left out.
    ///
    /// # Errors
    /// [`RecordError::Corrupt`] for any other line that is not a turn,
    /// [`RecordError::Newer`] for a turn of a later version, [`RecordError::Io`].
    pub fn read(path: &Path) -> Result<JournalRead, RecordError> {
        let file = File::open(path).map_err(|e| io_error("open", path, e))?;
        let mut reader = BufReader::new(file);
        let mut found = JournalRead {
            turns: Vec::new(),
            torn: false,
        };
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .map_err(|e| io_error("read", path, e))?;
            if read == 0 {
                break;
            }
            let last = line.last() != Some(&b'\n') && (read as u64) < LONGEST_LINE;
            match parse(&line) {
                Ok(turn) => found.turns.push(turn),
                Err(Unreadable::Newer(version)) => return Err(newer(path, number, version)),
                Err(Unreadable::NoTurn(_)) if last => found.torn = true,
                Err(Unreadable::NoTurn(detail)) => {
                    let path = path.to_owned();
                    return Err(RecordError::Corrupt {
                        path,
                        line: number,
                        detail,
                    });
                }
            }
        }
        Ok(found)
    }
}

enum Unreadable {
    NoTurn(String),
    Newer(u32),
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn parse(line: &[u8]) -> Result<TurnRecord, Unreadable> {
    // The version first: a later one may have other fields, which is not corruption.
    if let Ok(Versioned { version }) = serde_json::from_slice(line)
        && version > TURN_VERSION
    {
        return Err(Unreadable::Newer(version));
    }
    serde_json::from_slice(line).map_err(|e| Unreadable::NoTurn(e.to_string()))
}

fn newer(path: &Path, line: usize, found: u32) -> RecordError {
    RecordError::Newer {
        path: path.to_owned(),
        line,
        found,
        known: TURN_VERSION,
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> RecordError {
    RecordError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
