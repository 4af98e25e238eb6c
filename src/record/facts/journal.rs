//! The journal of a run: `turns.jsonl`, one line per ended turn, and next to it `calls.jsonl`, one
//! line when a call starts and one when it ends, and `observed.jsonl`, if anything is observed.
//!
//! In: records as they are made. Out: files that are intact except, at worst, for a torn end.
//! Invariants: a line is one write, so a killed process loses no turn that has ended; a power cut
//! loses nothing that had been synced; an amended turn gets another line, and only the last line of
//! a turn counts; no failure of `observed.jsonl` affects the other two files.

use super::calls::CallRecord;
use super::error::RecordError;
use super::folder::{create_private, sync_folder_of};
use super::lines::{self, LineFile, LinesRead, Torn, io_error};
use super::observed::Reading;
use super::storage::Storage;
use super::thinned::Thinned;
use super::turns::TurnRecord;
use crate::record::{CALL_VERSION, OBSERVED_VERSION, TURN_VERSION};
use serde::de::DeserializeOwned;
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
    /// Created when the first reading is appended, since most runs observe nothing.
    observed: Option<LineFile>,
    /// Why readings could not be synced; the next append of a reading returns this error.
    unsynced_readings: Option<RecordError>,
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

/// The result of [`Journal::read_readings`].
#[derive(Debug, Default)]
pub(crate) struct ReadingsRead {
    /// In the order of the file. If the file is long, only every second reading of each source is
    /// kept, or every fourth, and so on.
    pub readings: Vec<Reading>,
    /// The part that is left out because it was torn.
    pub torn: Option<Torn>,
    /// The error that ended the reading, if any; the rest of the file is left out.
    pub error: Option<RecordError>,
}

/// The file of calls that belongs to a file of turns.
fn calls_beside(turns: &Path) -> PathBuf {
    turns.with_file_name("calls.jsonl")
}

/// The file of readings that belongs to a file of turns.
fn observed_beside(turns: &Path) -> PathBuf {
    turns.with_file_name("observed.jsonl")
}

/// Keeps the last record of each turn, at the position of the turn's first record. Turns of
/// sentinel calls are never amended, and all of them are kept.
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
            observed: None,
            unsynced_readings: None,
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

    /// Appends the current state of a call: once when the call starts, without an end, and again
    /// when it ends.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_call(&mut self, call: &CallRecord) -> Result<(), RecordError> {
        self.calls.append(call)
    }

    /// Appends one reading.
    ///
    /// # Errors
    /// As [`Self::append`], also when the file cannot be created, or when earlier readings could not
    /// be synced.
    pub(crate) fn append_reading(&mut self, reading: &Reading) -> Result<(), RecordError> {
        if let Some(error) = self.unsynced_readings.take() {
            return Err(error);
        }
        let file = match &mut self.observed {
            Some(file) => file,
            none => {
                let path = observed_beside(self.turns.path());
                let storage = create_private(&path).map_err(|e| io_error("create", &path, e))?;
                sync_folder_of(&path);
                none.insert(LineFile::over(Box::new(storage), &path))
            }
        };
        file.append(reading)
    }

    /// Syncs appended lines to disk, at most once a second; to be called at short intervals.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), RecordError> {
        let due = self
            .last_sync
            .is_none_or(|last| now.saturating_duration_since(last) >= SYNC_INTERVAL);
        let observed = self.observed.as_ref().is_some_and(|file| file.unsynced);
        if due && (self.turns.unsynced || self.calls.unsynced || observed) {
            self.last_sync = Some(now);
            return self.sync();
        }
        Ok(())
    }

    /// Syncs appended lines to disk now. A failure to sync readings is reported when the next
    /// reading is appended.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn sync(&mut self) -> Result<(), RecordError> {
        let turns = self.turns.sync();
        let calls = self.calls.sync();
        if let Some(Err(error)) = self.observed.as_mut().map(LineFile::sync) {
            self.unsynced_readings = Some(error);
        }
        turns.and(calls)
    }

    /// Reads back what was appended: turns in the order in which they ended, calls by index.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_back(&self) -> Result<(Vec<TurnRecord>, Vec<CallRecord>), RecordError> {
        let turns = self.turns.path();
        Ok((Self::read(turns)?.turns, Self::read_calls(turns)?.0))
    }

    /// Reads back the readings, in the order in which they were appended.
    pub(crate) fn readings(&self) -> ReadingsRead {
        Self::read_readings(self.turns.path())
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
        let read: LinesRead<CallRecord> = read_any(&calls_beside(turns), CALL_VERSION)?;
        let by_index: BTreeMap<usize, CallRecord> =
            read.items.into_iter().map(|c| (c.call, c)).collect();
        Ok((by_index.into_values().collect(), read.torn))
    }

    /// Reads the readings that belong to a file of turns; none if their file does not exist.
    /// Reading stops at an error, and the readings before it are kept: no figure is computed from
    /// readings, so no figure has to be withheld.
    pub(crate) fn read_readings(turns: &Path) -> ReadingsRead {
        let mut thinned = Thinned::default();
        let take = |reading| thinned.take(reading);
        let read = lines::each(&observed_beside(turns), OBSERVED_VERSION, take);
        let (torn, error) = match read {
            Ok(torn) => (torn, None),
            Err(error) if is_absent(&error) => (None, None),
            Err(error) => (None, Some(error)),
        };
        ReadingsRead {
            readings: thinned.into_readings(),
            torn,
            error,
        }
    }
}

/// Reads the lines of a file; none if it does not exist.
fn read_any<T: DeserializeOwned>(path: &Path, known: u32) -> Result<LinesRead<T>, RecordError> {
    match lines::read(path, known) {
        Err(error) if is_absent(&error) => Ok(LinesRead {
            items: Vec::new(),
            torn: None,
        }),
        read => read,
    }
}

/// Whether the file does not exist.
fn is_absent(error: &RecordError) -> bool {
    matches!(error, RecordError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
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
