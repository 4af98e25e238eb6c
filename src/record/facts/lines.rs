//! One file of a journal: one JSON object per line, appended and read back; also reads other
//! versioned files.
//!
//! In: anything that serde can serialize. Out: a file that is intact except, at worst, for a torn
//! end. Invariants: a line is one write, so a killed process loses no line; after a failed write
//! the file ends where it did before, or nothing more is appended; reads are bounded.

use super::error::RecordError;
use super::storage::Storage;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line read, newline included. A turn takes about 700 bytes; names are bounded elsewhere.
pub(in crate::record) const LONGEST_LINE: u64 = 1 << 20;

/// An open file of lines.
#[derive(Debug)]
pub(in crate::record) struct LineFile {
    storage: Box<dyn Storage>,
    path: PathBuf,
    len: u64,
    /// Whether the first `len` bytes are followed by a partly written line.
    ragged: bool,
    /// Whether appended lines have not been synced to disk yet.
    pub(super) unsynced: bool,
}

/// The result of [`read`].
pub(in crate::record) struct LinesRead<T> {
    /// The items, in the order of the file.
    pub(super) items: Vec<T>,
    /// The part that is left out because it was torn.
    pub(super) torn: Option<Torn>,
}

/// Part of a file that a kill or a power cut tore: it was only partly written, or not all of it had
/// reached the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}`, line {line}: {bytes} bytes were torn when the run was killed or the power failed; they are left out",
    path.display()
)]
pub struct Torn {
    pub(crate) path: PathBuf,
    /// Number of the first torn line, from 1.
    pub(crate) line: usize,
    /// Number of unreadable bytes.
    pub(crate) bytes: u64,
}

impl LineFile {
    /// An empty file, which is read back from `path`.
    pub(in crate::record) fn over(storage: Box<dyn Storage>, path: &Path) -> Self {
        Self {
            storage,
            path: path.to_owned(),
            len: 0,
            ragged: false,
            unsynced: false,
        }
    }

    pub(in crate::record) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line in a single write.
    pub(in crate::record) fn append(&mut self, item: &impl Serialize) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(item).map_err(|e| self.error("encode", e.into()))?;
        line.push(b'\n');
        if self.ragged {
            // A line appended to half a line could not be read either.
            let cut = self.storage.cut(self.len);
            cut.map_err(|e| self.error("append to", e))?;
            self.ragged = false;
        }
        if let Err(error) = self.storage.write_all(&line) {
            self.ragged = self.storage.cut(self.len).is_err();
            return Err(self.error("append to", error));
        }
        self.len += line.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Syncs appended lines to disk.
    pub(in crate::record) fn sync(&mut self) -> Result<(), RecordError> {
        self.storage.sync().map_err(|e| self.error("sync", e))?;
        self.unsynced = false;
        Ok(())
    }

    fn error(&self, action: &'static str, source: io::Error) -> RecordError {
        io_error(action, &self.path, source)
    }
}

/// Reads lines of versions up to `known`. Leaves out the parts that a kill or a power cut tore:
/// everything after the last line that parses, and lines that contain a NUL. No run writes a NUL,
/// so these are holes where the data had not yet reached the disk. Any other line that does not
/// parse is [`RecordError::Corrupt`].
pub(in crate::record) fn read<T: DeserializeOwned>(
    path: &Path,
    known: u32,
) -> Result<LinesRead<T>, RecordError> {
    let mut items = Vec::new();
    let torn = each(path, known, |item| items.push(item))?;
    Ok(LinesRead { items, torn })
}

/// Like [`read`], but hands each item to `take` as soon as it is read, also if an error follows.
pub(in crate::record) fn each<T: DeserializeOwned>(
    path: &Path,
    known: u32,
    mut take: impl FnMut(T),
) -> Result<Option<Torn>, RecordError> {
    let file = File::open(path).map_err(|e| io_error("open", path, e))?;
    let mut reader = BufReader::new(file);
    let mut torn: Option<Torn> = None;
    // The first line that does not parse; it counts as torn only if no later line parses.
    let mut doubtful: Option<(usize, String)> = None;
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
        match (parse(&line, known), &doubtful) {
            (Ok(_), Some((line, detail))) => {
                return Err(RecordError::Corrupt {
                    path: path.to_owned(),
                    line: *line,
                    detail: detail.clone(),
                });
            }
            (Ok(item), None) => take(item),
            (Err(Unreadable::Newer(found)), _) => return Err(newer(path, number, found, known)),
            (Err(Unreadable::Corrupt(detail)), _) => {
                let torn = torn.get_or_insert_with(|| Torn {
                    path: path.to_owned(),
                    line: number,
                    bytes: 0,
                });
                torn.bytes += read as u64;
                if !line.contains(&0) {
                    doubtful.get_or_insert((number, detail));
                }
            }
        }
    }
    Ok(torn)
}

/// Why a line or file cannot be read as a versioned object.
enum Unreadable {
    Corrupt(String),
    Newer(u32),
}

/// Largest count, index or size that is accepted in a file, so that sums stay far below 2⁶⁴. A seed
/// may be any number.
const LARGEST_NUMBER: u64 = 1_000_000_000_000;

/// Properties of an object that are checked before it is read.
#[derive(Default)]
struct Scan {
    /// The object's version, if it has one.
    version: Option<u64>,
    /// The largest whole number in it.
    largest: u64,
}

impl<'de> Deserialize<'de> for Scan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scanner)
    }
}

struct Scanner;

impl<'de> Visitor<'de> for Scanner {
    type Value = Scan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_u64<E>(self, largest: u64) -> Result<Scan, E> {
        let version = None;
        Ok(Scan { version, largest })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scan, E> {
        Ok(Scan::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scan, E> {
        Ok(Scan::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scan, E> {
        Ok(Scan::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Scan, E> {
        Ok(Scan::default())
    }

    fn visit_unit<E>(self) -> Result<Scan, E> {
        Ok(Scan::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scan, A::Error> {
        let mut scan = Scan::default();
        while let Some(item) = items.next_element::<Scan>()? {
            scan.largest = scan.largest.max(item.largest);
        }
        Ok(scan)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scan, A::Error> {
        let mut scan = Scan::default();
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            let value: Scan = entries.next_value()?;
            match key.as_ref() {
                "seed" => {}
                "version" => scan.version = Some(value.largest),
                _ => scan.largest = scan.largest.max(value.largest),
            }
        }
        Ok(scan)
    }
}

/// Parses the object in `text`, whose version may be up to `known`.
fn parse<T: DeserializeOwned>(text: &[u8], known: u32) -> Result<T, Unreadable> {
    // Check the version first: a later one may have other fields, which is not corruption.
    if let Ok(Scan { version, largest }) = serde_json::from_slice(text) {
        let version = version.and_then(|version| u32::try_from(version).ok());
        if let Some(version) = version.filter(|version| *version > known) {
            return Err(Unreadable::Newer(version));
        }
        if largest > LARGEST_NUMBER {
            let detail = format!("{largest} is larger than any count or size");
            return Err(Unreadable::Corrupt(detail));
        }
    }
    serde_json::from_slice(text).map_err(|e| Unreadable::Corrupt(e.to_string()))
}

/// Reads a whole file of at most `largest` bytes; `None` if it does not exist.
pub(in crate::record) fn bounded(
    path: &Path,
    largest: u64,
) -> Result<Option<Vec<u8>>, RecordError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| io_error("open", path, e))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(largest.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| io_error("read", path, e))?;
    if bytes.len() as u64 > largest {
        let larger = format!("larger than {} MiB", largest >> 20);
        let larger = io::Error::new(io::ErrorKind::InvalidData, larger);
        return Err(io_error("read", path, larger));
    }
    Ok(Some(bytes))
}

/// Reads the single object in a file of at most `largest` bytes, of a version up to `known`;
/// `None` if there is no file.
pub(in crate::record) fn versioned<T: DeserializeOwned>(
    path: &Path,
    known: u32,
    largest: u64,
) -> Result<Option<T>, RecordError> {
    let Some(bytes) = bounded(path, largest)? else {
        return Ok(None);
    };
    match parse(&bytes, known) {
        Ok(object) => Ok(Some(object)),
        Err(Unreadable::Newer(found)) => Err(newer(path, 1, found, known)),
        Err(Unreadable::Corrupt(detail)) => Err(RecordError::Corrupt {
            path: path.to_owned(),
            line: 1,
            detail,
        }),
    }
}

fn newer(path: &Path, line: usize, found: u32, known: u32) -> RecordError {
    RecordError::Newer {
        path: path.to_owned(),
        line,
        found,
        known,
    }
}

pub(in crate::record) fn io_error(
    action: &'static str,
    path: &Path,
    source: io::Error,
) -> RecordError {
    RecordError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
