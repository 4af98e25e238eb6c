//! Records which runs have open rooms, so that the rooms of a crashed run can be deleted later.
//!
//! In: a run's server and room prefix. Out: a small file, locked until the run has cleaned up.
//! Invariants: no secret is written. A run counts as crashed only if the kernel has released its
//! lock, or if the run's machine has been restarted. Process ids alone would not suffice, because
//! two containers that share a home directory cannot see each other's processes. On a file system
//! without locks, the process id decides, but only for entries of the same machine and container.

use crate::os;
use crate::targets::state_folder;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One run's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub server: String,
    /// Prefix of all room names of the run.
    pub prefix: String,
    /// Process id of the run.
    pub pid: u32,
    /// When that process started, in the system's own unit, because process ids are reused.
    pub started: u64,
    /// The machine that the run uses; `None` in an entry of an earlier release, or if the system
    /// does not identify the machine.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// Whether the entry was written on a file system without locks.
    #[serde(default)]
    pub lockless: bool,
}

/// A machine, identified together with its current boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Host name of the machine; a container has a host name of its own.
    pub host: String,
    /// Identifies the current boot; containers share it with their host.
    pub boot: String,
}

impl Machine {
    fn this() -> Option<Self> {
        let os::Boot { host, id } = os::boot()?;
        Some(Self { host, boot: id })
    }
}

/// A run's entry, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Noted {
    _locked: File,
}

/// The folder of open runs: `$XDG_STATE_HOME/loadgen/runs`.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

impl Ledger {
    /// The user's ledger; `None` without a home directory.
    pub(super) fn of_user() -> Option<Self> {
        Some(Self(state_folder()?.join("runs")))
    }

    #[cfg(test)]
    fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The file of a run's entry. A run with several servers has one entry per server.
    fn file(&self, server: &str, prefix: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let server: String = server.chars().map(plain).take(LONGEST_NAME).collect();
        self.0.join(format!("{prefix}{server}.json"))
    }

    /// Adds an entry for this process's run.
    ///
    /// # Errors
    /// The entry cannot be written.
    pub(super) fn open(&self, server: &str, prefix: &str) -> std::io::Result<Noted> {
        std::fs::create_dir_all(&self.0)?;
        let mut options = File::options();
        let path = self.file(server, prefix);
        let mut file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // The entry is locked before anything is written, because an empty entry belongs to no run.
        let lockless = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => return Err(TryLockError::WouldBlock.into()),
            Err(TryLockError::Error(_)) => true,
        };
        file.set_len(0)?;
        let pid = std::process::id();
        let entry = Entry {
            server: server.to_owned(),
            prefix: prefix.to_owned(),
            pid,
            started: os::process_start(pid).unwrap_or(0),
            machine: Machine::this(),
            lockless,
        };
        file.write_all(&serde_json::to_vec(&entry)?)?;
        Ok(Noted { _locked: file })
    }

    /// Removes the entry of a run that has cleaned up on this server.
    pub(super) fn close(&self, server: &str, prefix: &str) {
        // If the entry cannot be removed, the next run checks it again.
        let _ = std::fs::remove_file(self.file(server, prefix));
    }

    /// Removes the entry of a run that crashed, even if the file has the name that an earlier
    /// release gave it.
    pub(super) fn forget(&self, crashed: &Crashed) {
        let _ = std::fs::remove_file(&crashed.path);
    }

    /// The runs on `server` that have crashed.
    pub(super) fn crashed(&self, server: &str) -> Vec<Crashed> {
        let Ok(files) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let here = Machine::this();
        let paths = files.flatten().map(|f| f.path());
        paths
            .filter_map(|path| Some((read(&path)?, path)))
            .filter(|(e, path)| {
                e.server == server && is_prefix(&e.prefix) && has_crashed(e, path, here.as_ref())
            })
            .map(|(e, path)| Crashed {
                prefix: e.prefix,
                path,
            })
            .collect()
    }
}

/// A run that crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crashed {
    /// Prefix of all room names of the run.
    pub prefix: String,
    path: PathBuf,
}

/// Whether an entry's run has ended without removing the entry.
fn has_crashed(entry: &Entry, path: &Path, here: Option<&Machine>) -> bool {
    match (&entry.machine, here) {
        // An earlier release wrote this entry, so only the process id is available.
        (None, _) => os::process_start(entry.pid) != Some(entry.started),
        // Processes of another container are not visible, so its run may still be in progress.
        (Some(there), here) if entry.lockless => {
            here == Some(there) && os::process_start(entry.pid) != Some(entry.started)
        }
        (Some(there), Some(here)) if there.boot == here.boot => is_unlocked(path),
        // The entry is from this machine, before its last restart.
        (Some(there), Some(here)) => there.host == here.host && is_unlocked(path),
        // The state of a run on another machine cannot be determined.
        (Some(_), None) => false,
    }
}

/// Whether no process holds the lock of an entry.
fn is_unlocked(path: &Path) -> bool {
    // The lock is released again when the file is closed.
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// Longest part of a server's address in a file's name.
const LONGEST_NAME: usize = 80;
/// Largest file that is read as an entry, in bytes.
const MAX_ENTRY: u64 = 4_096;

fn read(path: &Path) -> Option<Entry> {
    if path.metadata().ok()?.len() > MAX_ENTRY {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether `prefix` has the form that `run` creates: some text, a dash, the run's id, a dash. This
/// prevents a tampered entry from deleting every room on the server.
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
    fn only_runs_whose_process_has_ended_count_as_crashed() {
        let dir = tempfile::tempdir().expect("dir");
        let ledger = Ledger::at(&dir.path().join("runs"));
        let crashed = |server| {
            let all = ledger.crashed(server).into_iter();
            all.map(|crashed| crashed.prefix).collect::<Vec<_>>()
        };
        assert!(crashed("ws://a").is_empty(), "no folder yet");
        let noted = ledger.open("ws://a", "loadgen-0123abcd-").expect("open");
        assert!(
            crashed("ws://a").is_empty(),
            "this process is still running"
        );
        drop(noted);
        assert_eq!(
            crashed("ws://a"),
            ["loadgen-0123abcd-"],
            "the lock is released"
        );
        let _noted = ledger.open("ws://a", "loadgen-0123abcd-").expect("open");

        let dead = Entry {
            server: "ws://a".into(),
            prefix: "loadgen-deadbeef-".into(),
            pid: std::process::id(),
            started: 1, // the id has been reused since
            machine: None,
            lockless: false,
        };
        std::fs::write(
            ledger.file("x", ""),
            serde_json::to_vec(&dead).expect("json"),
        )
        .expect("write");
        std::fs::write(ledger.file("y", ""), b"not json").expect("write");
        assert_eq!(crashed("ws://a"), ["loadgen-deadbeef-"]);
        assert!(
            crashed("ws://b").is_empty(),
            "the run belongs to another server"
        );

        ledger.close("ws://a", "loadgen-0123abcd-");
        assert!(!ledger.file("ws://a", "loadgen-0123abcd-").exists());
    }

    #[test]
    fn a_run_with_two_servers_has_two_entries() {
        let dir = tempfile::tempdir().expect("dir");
        let ledger = Ledger::at(&dir.path().join("runs"));
        let prefix = "loadgen-0123abcd-";
        let notes = ["ws://a:7880", "ws://b:7880"].map(|server| ledger.open(server, prefix));
        assert!(notes.iter().all(Result::is_ok), "{notes:?}");
        assert!(ledger.open("ws://a:7880", prefix).is_err(), "already noted");
        ledger.close("ws://a:7880", prefix);
        drop(notes);
        let left = ledger.crashed("ws://b:7880");
        assert_eq!(left.len(), 1);
        ledger.forget(&left[0]);
        assert!(ledger.crashed("ws://b:7880").is_empty());
    }

    #[test]
    fn runs_in_other_containers_and_on_other_machines_count_as_alive() {
        let dir = tempfile::tempdir().expect("dir");
        let ledger = Ledger::at(&dir.path().join("runs"));
        let here = Machine::this().expect("known");
        let noted = ledger.open("ws://a", "loadgen-0123abcd-").expect("open");
        let path = ledger.file("ws://a", "loadgen-0123abcd-");
        let mut entry = read(&path).expect("an entry");
        // Simulates another container: another host name, and no visible process with this id.
        (entry.pid, entry.started) = (4_000_000, 7);
        entry.machine = Some(Machine {
            host: "container".into(),
            ..here.clone()
        });
        assert!(!has_crashed(&entry, &path, Some(&here)), "its lock is held");
        let same_name = Entry {
            machine: Some(Machine {
                boot: "another".into(),
                ..here.clone()
            }),
            ..entry.clone()
        };
        assert!(
            !has_crashed(&same_name, &path, Some(&here)),
            "a machine of the same name"
        );
        drop(noted);
        assert!(
            has_crashed(&entry, &path, Some(&here)),
            "its lock is released"
        );
        let restarted = |host: &str| Entry {
            machine: Some(Machine {
                host: host.to_owned(),
                boot: "another".into(),
            }),
            ..entry.clone()
        };
        assert!(has_crashed(&restarted(&here.host), &path, Some(&here)));
        assert!(!has_crashed(&restarted("elsewhere"), &path, Some(&here)));
    }

    #[test]
    fn only_runs_of_this_container_count_as_crashed_without_locks() {
        let here = Machine::this().expect("known");
        let gone = |machine: &Machine| Entry {
            server: "ws://a".into(),
            prefix: "loadgen-0123abcd-".into(),
            pid: std::process::id(),
            started: 1, // the id has been reused since
            machine: Some(machine.clone()),
            lockless: true,
        };
        let other = Machine {
            host: "container".into(),
            ..here.clone()
        };
        let path = Path::new("not-read");
        assert!(has_crashed(&gone(&here), path, Some(&here)));
        assert!(!has_crashed(&gone(&other), path, Some(&here)));
        assert!(!has_crashed(&gone(&here), path, None));
        let alive = Entry {
            started: os::process_start(std::process::id()).expect("this process"),
            ..gone(&here)
        };
        assert!(!has_crashed(&alive, path, Some(&here)));
    }

    #[test]
    fn only_prefixes_made_by_loadgen_are_accepted() {
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
