//! A disk that fails under the journal.
//!
//! In: a fault, and the range of writes or syncs that fail. Out: a file with the bytes that were
//! written, and the number of failures. Invariant: other writes and syncs are those of a file.

use loadgen::record::Storage;
use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing can be written.
    Full,
    /// Half of a line is written, then nothing more.
    Short,
    /// Like `Short`, and the partial line cannot be removed either.
    Ragged,
    /// Nothing can be synced.
    Sync,
    /// A planted defect that the simulation must find: writes report success and are lost.
    Lies,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "disk full",
            Self::Short => "disk short write",
            Self::Ragged => "disk ragged write",
            Self::Sync => "disk sync",
            Self::Lies => "disk lies",
        }
    }
}

/// A disk, its fault, and the range of operations that fail.
#[derive(Debug, Clone)]
pub(super) struct FaultyDisk {
    pub(super) fault: Fault,
    /// Number of the first line, or sync, that fails.
    pub(super) from: u64,
    /// Number of the first line, or sync, that succeeds again.
    pub(super) until: u64,
    /// Number of lines, or syncs, so far, in both files.
    seen: Arc<AtomicU64>,
    fired: Arc<AtomicU64>,
}

impl FaultyDisk {
    pub(super) fn new(fault: Fault, from: u64, until: u64) -> Self {
        Self {
            fault,
            from,
            until,
            seen: Arc::default(),
            fired: Arc::default(),
        }
    }

    /// Number of times that the fault has fired.
    pub(super) fn fired(&self) -> u64 {
        self.fired.load(Relaxed)
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(Faulty {
            file: File::create_new(path)?,
            disk: self.clone(),
            half: false,
        }))
    }

    /// Whether the next line, or sync, fails.
    fn strikes(&self) -> bool {
        let number = self.seen.fetch_add(1, Relaxed);
        let strikes = (self.from..self.until).contains(&number);
        self.fired.fetch_add(u64::from(strikes), Relaxed);
        strikes
    }
}

/// One file on the disk.
#[derive(Debug)]
struct Faulty {
    file: File,
    disk: FaultyDisk,
    /// Whether half of a line has just been written.
    half: bool,
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.half) {
            return Err(full());
        }
        if self.disk.fault == Fault::Sync || !self.disk.strikes() {
            self.file.write_all(bytes)?;
            return Ok(bytes.len());
        }
        match self.disk.fault {
            Fault::Lies => Ok(bytes.len()),
            Fault::Short | Fault::Ragged => {
                self.half = true;
                let half = bytes.len() / 2;
                self.file.write_all(&bytes[..half])?;
                Ok(half)
            }
            Fault::Full | Fault::Sync => Err(full()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for Faulty {
    fn sync(&mut self) -> io::Result<()> {
        match self.disk.fault == Fault::Sync && self.disk.strikes() {
            true => Err(io::ErrorKind::Other.into()),
            false => Ok(()),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let fails = self.disk.seen.load(Relaxed) < self.disk.until;
        if self.disk.fault == Fault::Ragged && fails {
            // The journal tries to cut again before it writes its next line.
            self.disk.seen.fetch_add(1, Relaxed);
            return Err(io::ErrorKind::Other.into());
        }
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length)).map(drop)
    }
}
