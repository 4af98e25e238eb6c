//! Writes the log of what the simulated networks did to each datagram, on a thread of its own.
//!
//! In: batches of entries from the media threads. Out: a CSV file in the run folder, and notices
//! about what is missing from it. Invariants: no call ever waits for the log; the file is bounded.

use super::error::RunError;
use crate::net::{Dropped, Kind, LogBatch, LogEntry, LogSink};
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Batches that wait for the thread: 256 datagrams each.
const QUEUE: usize = 1_024;
/// Maximum number of lines: about 250 MB.
const MOST_LINES: u64 = 2_500_000;
/// How long the end of the run waits for the connections of the last calls to close.
const LONGEST_END: Duration = Duration::from_secs(5);
const COLUMNS: [&str; 13] = [
    "room",
    "direction",
    "connection",
    "kind",
    "number",
    "ssrc",
    "sequence",
    "rtp_time",
    "bytes",
    "entered_ms",
    "arrives_ms",
    "lost",
    "copies",
];

/// Handle of the thread that writes the log.
#[derive(Debug)]
pub(super) struct ImpairmentLog {
    sender: Mutex<Option<SyncSender<LogBatch>>>,
    lost: Arc<AtomicU64>,
    result: Mutex<Option<oneshot::Receiver<Vec<String>>>>,
}

impl ImpairmentLog {
    /// Starts the thread; times in the log are counted from `zero`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(file: File, zero: Instant) -> Result<Self, RunError> {
        let (sender, inbox) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let (done, result) = oneshot::channel();
        let writer = Writer {
            zero,
            lines: 0,
            lost: lost.clone(),
        };
        std::thread::Builder::new()
            .name("impairments".into())
            .spawn(move || {
                // The run may have stopped waiting.
                let _ = done.send(writer.run(file, &inbox));
            })
            .map_err(RunError::Thread)?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            lost,
            result: Mutex::new(Some(result)),
        })
    }

    /// Where the entries about the call in `room` go.
    pub(super) fn sink(&self, room: &str) -> Option<LogSink> {
        let sender = locked(&self.sender).as_ref()?.clone();
        Some(LogSink::new(room.into(), sender, self.lost.clone()))
    }

    /// Waits until everything is written; returns notices about what is missing.
    pub(super) async fn finish(&self) -> Vec<String> {
        drop(locked(&self.sender).take());
        let result = locked(&self.result).take();
        let Some(result) = result else {
            return Vec::new();
        };
        match tokio::time::timeout(LONGEST_END, result).await {
            Ok(Ok(notices)) => notices,
            _ => vec!["the log of the simulated network was not finished in time".to_owned()],
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    zero: Instant,
    lines: u64,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, file: File, inbox: &Receiver<LogBatch>) -> Vec<String> {
        let mut csv = csv::Writer::from_writer(BufWriter::new(file));
        let mut written = csv.write_record(COLUMNS).map_err(io::Error::from);
        for (room, entries) in inbox {
            for entry in entries {
                if written.is_ok() && self.lines < MOST_LINES {
                    written = csv
                        .write_record(self.line(&room, &entry))
                        .map_err(io::Error::from);
                    self.lines += 1;
                } else {
                    self.lost.fetch_add(1, Relaxed);
                }
            }
        }
        let written = written.and_then(|()| csv.flush());
        let lost = self.lost.load(Relaxed);
        let missing = (lost > 0).then(|| {
            format!("the log of the simulated network lacks {lost} packets; it holds {MOST_LINES} at most")
        });
        let failed = written
            .err()
            .map(|e| format!("impairments.csv cannot be written: {e}"));
        missing.into_iter().chain(failed).collect()
    }

    fn line(&self, room: &str, entry: &LogEntry) -> [String; COLUMNS.len()] {
        let since = |at: Instant| {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            match at.checked_duration_since(self.zero) {
                Some(after) => format!("{:.3}", ms(after)),
                None => format!("-{:.3}", ms(self.zero - at)),
            }
        };
        let rtp = |part: fn((u32, u16, u32)) -> u32| {
            entry
                .rtp
                .map_or_else(String::new, |rtp| part(rtp).to_string())
        };
        let passage = entry.passage;
        let lost = match passage.arrives {
            Ok(_) => "",
            Err(Dropped::Loss) => "loss",
            Err(Dropped::Queue) => "queue",
            Err(Dropped::Outage) => "outage",
        };
        let kind = match entry.kind {
            Kind::Media => "rtp",
            Kind::Rest => "other",
        };
        let copies = match passage.arrives {
            Ok(_) => 1 + u8::from(passage.twice),
            Err(_) => 0,
        };
        [
            room.to_owned(),
            if entry.down { "down" } else { "up" }.to_owned(),
            entry.connection.to_string(),
            kind.to_owned(),
            passage.number.to_string(),
            rtp(|(ssrc, ..)| ssrc),
            rtp(|(_, sequence, _)| sequence.into()),
            rtp(|(.., time)| time),
            entry.bytes.to_string(),
            since(entry.entered),
            passage.arrives.map_or_else(|_| String::new(), since),
            lost.to_owned(),
            copies.to_string(),
        ]
    }
}
