//! A temporary folder for readers that take a path.
//!
//! In: file names and contents. Out: the folder's path. Invariants: each thread has its own folder,
//! which is in memory if the system has such a file system; the folder is removed when the thread
//! ends.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Folder in which Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";

thread_local! {
    static FOLDER: TempDir = tempfile::Builder::new()
        .prefix("loadgen-fuzz-")
        .tempdir_in(IN_MEMORY)
        .or_else(|_| TempDir::new())
        .expect("a temporary folder");
}

pub(super) fn empty(name: &str) -> PathBuf {
    let path = FOLDER.with(|folder| folder.path().join(name));
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("our own folder");
    }
    std::fs::create_dir(&path).expect("a folder within our own");
    path
}

pub(super) fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).expect("a file in our own folder");
}
