//! The storage of a journal file: a real file or, in a test, a disk that fails.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};

/// A file that is only ever appended to. [`Write::write_all`] appends.
pub trait Storage: Write + Debug + Send {
    /// Syncs all writes to disk, so that they survive a power cut.
    ///
    /// # Errors
    /// The operating system's error; the state of the disk is then unknown.
    fn sync(&mut self) -> io::Result<()>;

    /// Removes everything after the first `length` bytes; later writes append there.
    ///
    /// # Errors
    /// The operating system's error.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}
