//! The journal of a run: `turns.jsonl`, one line per ended turn, and next to it `calls.jsonl`, one
//! line when a call starts and one when it ends.
//!
//! In: records as they are made. Out: two files that are intact except, at worst, for a torn end.
//! Invariants: a line is one write, so a killed process loses no turn that has ended; a power cut
//! loses nothing that had been synced; an amended turn gets another line, and its last line counts.

use super::calls::CallRecord;
use super::error::RecordError;
use super::folder::{create_private, sync_folder_of};
use super::lines::{self, LineFile, Torn, io_error};
use super::storage::Storage;
use super::turns::TurnRecord;
use crate::record::{CALL_VERSION, TURN_VERSION};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval between syncs to disk: a power cut loses at most the turns of one interval.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    turns: LineFile,
    calls: LineFile,
    last_sync: Option<Instant>,
}

/// The result of [`Journal::read`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JournalRead {
    /// The turns, in the order in which they ended, each from its last line.
    pub turns: Vec<TurnRecord>,
    /// The part that is left out because it was torn: the run was killed, or the power failed.
    pub(crate) torn: Option<Torn>,
}

/// The file of calls that belongs to a file of turns.
fn calls_beside(turns: &Path) -> PathBuf {
    turns.with_file_name("calls.jsonl")
}

/// Keeps the last record of each turn, at the position of its first. Turns of sentinel calls are
/// never amended, and all of them are kept.
pub(crate) fn last_of_each(turns: Vec<TurnRecord>) -> Vec<TurnRecord> {
    let mut places = HashMap::new();
    let mut kept: Vec<TurnRecord> = Vec::with_capacity(turns.len());
    for turn in turns {
        if turn.sentinel {
            kept.push(turn);
            continue;
        }
        let place = *places.entry((turn.call, turn.turn)).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(earlier) => *earlier = turn,
            None => kept.push(turn),
        }
    }
    kept
}

impl Journal {
    /// Creates the file of turns, and the file of calls next to it.
    ///
    /// # Errors
    /// [`RecordError::Io`], also when one of the files already exists.
    pub fn create(turns: &Path) -> Result<Self, RecordError> {
        let create =
            |path: &Path| -> io::Result<Box<dyn Storage>> { Ok(Box::new(create_private(path)?)) };
        let journal = Self::create_on(turns, &create)?;
        // Syncing the contents later only helps if the files' names are on disk.
        sync_folder_of(turns);
        Ok(journal)
    }

    /// Like [`Self::create`], with storage that `open` provides for the path of each file, so that
    /// a test can simulate a failing disk. The journal is read back from the paths.
    ///
    /// # Errors
    /// [`RecordError::Io`] when `open` fails.
    pub fn create_on(
        turns: &Path,
        open: &dyn Fn(&Path) -> io::Result<Box<dyn Storage>>,
    ) -> Result<Self, RecordError> {
        let lines = |path: &Path| {
            let storage = open(path).map_err(|e| io_error("create", path, e))?;
            Ok(LineFile::over(storage, path))
        };
        Ok(Self {
            turns: lines(turns)?,
            calls: lines(&calls_beside(turns))?,
            last_sync: None,
        })
    }

    /// A journal on a full disk.
    #[cfg(test)]
    pub(crate) fn over_full_disk() -> Self {
        let full = |_: &Path| -> io::Result<Box<dyn Storage>> { Ok(Box::new(FullDisk)) };
        Self::create_on(Path::new("full"), &full).expect("nothing is written yet")
    }

    /// Appends one turn in a single write, which the operating system has accepted when this
    /// returns.
    ///
    /// # Errors
    /// [`RecordError::Io`]; the journal then ends with the previous turn and can still be used.
    pub fn append(&mut self, turn: &TurnRecord) -> Result<(), RecordError> {
        self.turns.append(turn)
    }

    /// Appends the current state of a call. To be called when the call starts, with no end yet, and
    /// again when it ends.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_call(&mut self, call: &CallRecord) -> Result<(), RecordError> {
        self.calls.append(call)
    }

    /// Syncs appended lines to disk, at most once a second; to be called at short intervals.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), RecordError> {
        let due = self
            .last_sync
            .is_none_or(|last| now.saturating_duration_since(last) >= SYNC_INTERVAL);
        if due && (self.turns.unsynced || self.calls.unsynced) {
            self.last_sync = Some(now);
            return self.sync();
        }
        Ok(())
    }

    /// Syncs appended lines to disk now.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn sync(&mut self) -> Result<(), RecordError> {
        let turns = self.turns.sync();
        turns.and(self.calls.sync())
    }

    /// Reads back what was appended: turns in the order in which they ended, calls by index.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_back(&self) -> Result<(Vec<TurnRecord>, Vec<CallRecord>), RecordError> {
        let turns = self.turns.path();
        Ok((Self::read(turns)?.turns, Self::read_calls(turns)?.0))
    }

    /// Reads the turns. Torn parts are left out: an end that does not parse, and holes.
    ///
    /// # Errors
    /// [`RecordError::Corrupt`] for a line that is not a turn but is followed by one,
    /// [`RecordError::Newer`] for a turn of a later version, [`RecordError::Io`].
    pub fn read(turns: &Path) -> Result<JournalRead, RecordError> {
        let read = lines::read(turns, TURN_VERSION)?;
        Ok(JournalRead {
            turns: last_of_each(read.items),
            torn: read.torn,
        })
    }

    /// Reads the calls that belong to a file of turns, ordered by index, each from its last line,
    /// and what was torn; no calls if their file does not exist.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_calls(turns: &Path) -> Result<(Vec<CallRecord>, Option<Torn>), RecordError> {
        let path = calls_beside(turns);
        let read: lines::LinesRead<CallRecord> = match lines::read(&path, CALL_VERSION) {
            Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok((Vec::new(), None));
            }
            read => read?,
        };
        let by_index: BTreeMap<usize, CallRecord> =
            read.items.into_iter().map(|c| (c.call, c)).collect();
        Ok((by_index.into_values().collect(), read.torn))
    }
}

/// A disk that is full.
#[cfg(test)]
#[derive(Debug)]
struct FullDisk;

#[cfg(test)]
impl io::Write for FullDisk {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Storage for FullDisk {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
