//! Writes the reference agent's truth file: every timestamp of everything that it does, as JSON lines.
//!
//! In: lines from the media threads. Out: a file, one object per line.
//! Invariant: a media thread is never blocked by the disk; lines that do not fit in the queue are
//! counted, and the count is reported at the end.

use super::told::TruthLine;
use super::{AgentNotice, Tell};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Maximum number of lines that may be queued.
const QUEUE: usize = 4_096;
/// Time without a new line after which buffered lines are flushed to the file.
const FLUSH: Duration = Duration::from_millis(100);

/// Queues lines for the truth file.
#[derive(Debug, Clone)]
pub(super) struct TruthSender {
    queue: SyncSender<TruthLine>,
    lost: Arc<AtomicU64>,
}

impl TruthSender {
    /// A sender whose lines a test reads.
    #[cfg(test)]
    pub(super) fn to_test() -> (Self, Receiver<TruthLine>) {
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::default();
        (Self { queue, lost }, lines)
    }

    /// Queues a line without blocking; a line that does not fit is counted as lost.
    pub(super) fn send(&self, line: TruthLine) {
        if self.queue.try_send(line).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// A thread that writes the truth file.
#[derive(Debug)]
pub(crate) struct TruthWriter {
    sender: Option<TruthSender>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    tell: Tell,
}

impl TruthWriter {
    /// Creates the file, readable by its owner only, or truncates it. `tell` is called at the end
    /// if lines are missing.
    ///
    /// # Errors
    /// The operating system refuses the file or the thread.
    pub(crate) fn create(path: &Path, tell: Tell) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        let file = BufWriter::new(file.open(path)?);
        let (queue, lines) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("truth".into())
            .spawn(move || write(file, &lines))?;
        Ok(Self {
            sender: Some(TruthSender {
                queue,
                lost: Arc::default(),
            }),
            thread: Some(thread),
            tell,
        })
    }

    pub(super) fn sender(&self) -> TruthSender {
        // Only `drop` takes the sender, and `drop` has exclusive access.
        self.sender
            .clone()
            .expect("the sender lives as long as the writer")
    }
}

fn write(mut file: BufWriter<File>, lines: &Receiver<TruthLine>) -> std::io::Result<()> {
    loop {
        match lines.recv_timeout(FLUSH) {
            Ok(line) => {
                serde_json::to_writer(&mut file, &line)?;
                file.write_all(b"\n")?;
            }
            Err(RecvTimeoutError::Timeout) => file.flush()?,
            Err(RecvTimeoutError::Disconnected) => return file.flush(),
        }
    }
}

impl Drop for TruthWriter {
    fn drop(&mut self) {
        let lost = self.sender.take().map_or(0, |s| s.lost.load(Relaxed));
        let written = self.thread.take().map(JoinHandle::join);
        if lost > 0 {
            (self.tell)(AgentNotice::TruthLost(lost));
        }
        if let Some(Ok(Err(e))) = written {
            (self.tell)(AgentNotice::TruthIncomplete(e));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::agent::told::Told;

    #[test]
    fn truth_lines_are_on_disk_once_the_writer_is_dropped() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("truth.jsonl");
        let writer = TruthWriter::create(&path, |notice| panic!("{notice}")).expect("create");
        let sender = writer.sender();
        for turn in 0..100 {
            sender.send(TruthLine {
                room: "r\n".into(),
                told: Told::Silent {
                    turn,
                    speech_end_ns: 2,
                },
            });
        }
        drop(sender);
        drop(writer);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("file").permissions());
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("file");
        let turns: Vec<u64> = text
            .lines()
            .map(|l| {
                serde_json::from_str::<serde_json::Value>(l).expect("json")["turn"]
                    .as_u64()
                    .expect("turn")
            })
            .collect();
        assert_eq!(turns, (0..100).collect::<Vec<_>>());
    }
}
