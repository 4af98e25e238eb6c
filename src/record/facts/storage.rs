//! What a file of the journal is kept on: a file, or in a test a disk that fails.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};

/// A file that is only ever appended to. [`Write::write_all`] appends.
pub trait Storage: Write + Debug + Send {
    /// Brings what was written to the disk: from then on a power cut leaves it.
    ///
    /// # Errors
    /// The operating system's error; nobody knows then what is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Removes what stands behind the first `length` bytes, and appends there from now on.
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
