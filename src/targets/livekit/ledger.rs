//! Which runs have rooms open, so that those of a crashed run can be deleted later.
//!
//! In: a run's server and room prefix. Out: a small file until the run has cleaned up.
//! Invariants: no secret is written; a run counts as crashed only if its process is gone.

use crate::targets::state_folder;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One run's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Address of the server.
    pub server: String,
    /// Prefix of all of the run's room names.
    pub prefix: String,
    /// Process id of the run.
    pub pid: u32,
    /// Start time of that process in kernel ticks, because process ids are reused.
    pub started: u64,
}

/// The folder of open runs: `$XDG_STATE_HOME/loadgen/runs`.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

fn process_start(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(process.stat().ok()?.starttime)
}

impl Ledger {
    /// The user's ledger; `None` without a home directory.
    pub(super) fn of_user() -> Option<Self> {
        Some(Self(state_folder()?.join("runs")))
    }

    #[cfg(test)]
    fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn file(&self, prefix: &str) -> PathBuf {
        self.0.join(format!("{prefix}.json"))
    }

    /// Adds this process's run.
    ///
    /// # Errors
    /// The entry cannot be written.
    pub(super) fn open(&self, server: &str, prefix: &str) -> std::io::Result<()> {
        let pid = std::process::id();
        let entry = Entry {
            server: server.to_owned(),
            prefix: prefix.to_owned(),
            pid,
            started: process_start(pid).unwrap_or(0),
        };
        std::fs::create_dir_all(&self.0)?;
        std::fs::write(self.file(prefix), serde_json::to_vec(&entry)?)
    }

    /// Removes a run that has cleaned up.
    pub(super) fn close(&self, prefix: &str) {
        // The next run looks again at an entry that cannot be removed.
        let _ = std::fs::remove_file(self.file(prefix));
    }

    /// Room prefixes of runs on `server` whose process is gone.
    pub(super) fn crashed(&self, server: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let entries = files.flatten().filter_map(|f| read(&f.path()));
        let gone = |e: &Entry| process_start(e.pid) != Some(e.started);
        entries
            .filter(|e| e.server == server && gone(e) && is_prefix(&e.prefix))
            .map(|e| e.prefix)
            .collect()
    }
}

/// Largest file that is read as an entry, in bytes.
const MAX_ENTRY: u64 = 4_096;

fn read(path: &Path) -> Option<Entry> {
    if path.metadata().ok()?.len() > MAX_ENTRY {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether `prefix` has the form that `run` creates: some text, a dash, the run's id, a dash. A
/// tampered entry must not delete every room on the server.
fn is_prefix(prefix: &str) -> bool {
    let mut parts = prefix.rsplit('-');
    parts.next() == Some("")
        && parts
            .next()
            .is_some_and(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        && parts.next().is_some_and(|p| !p.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_of_processes_that_are_gone_have_crashed() {
        let dir = tempfile::tempdir().expect("dir");
        let ledger = Ledger::at(&dir.path().join("runs"));
        assert!(ledger.crashed("ws://a").is_empty(), "no folder yet");
        ledger.open("ws://a", "loadgen-0123abcd-").expect("open");
        assert!(ledger.crashed("ws://a").is_empty(), "we are alive");

        let dead = Entry {
            server: "ws://a".into(),
            prefix: "loadgen-deadbeef-".into(),
            pid: std::process::id(),
            started: 1, // the id has been reused since
        };
        std::fs::write(ledger.file("x"), serde_json::to_vec(&dead).expect("json")).expect("write");
        std::fs::write(ledger.file("y"), b"not json").expect("write");
        assert_eq!(ledger.crashed("ws://a"), ["loadgen-deadbeef-"]);
        assert!(ledger.crashed("ws://b").is_empty(), "another server's");

        ledger.close("loadgen-0123abcd-");
        assert!(!ledger.file("loadgen-0123abcd-").exists());
    }

    #[test]
    fn a_prefix_that_we_never_make_deletes_nothing() {
        for bad in [
            "",
            "-",
            "loadgen-",
            "loadgen-x-",
            "-0123abcd-",
            "loadgen-0123abcd",
        ] {
            assert!(!is_prefix(bad), "{bad}");
        }
        assert!(is_prefix("my-rooms-0123abcd-"));
    }
}
