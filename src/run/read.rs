//! Reads files up to a size limit.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _};
use std::path::Path;

/// Reads at most `limit` bytes and one more, so that the caller can detect a file that is too
/// large.
///
/// # Errors
/// The operating system's error; reading a folder is also an error.
pub(crate) fn read_at_most(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(Error::from(ErrorKind::IsADirectory));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
