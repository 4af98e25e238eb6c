//! Takes the audio of ended turns in and writes what is kept, on a thread of its own.
//!
//! In: takes from media threads, through a bounded queue. Out: files and the index. Holds: who
//! offers never waits; what finds no room in the queue or on the disk is counted, and told when
//! it first happens; at most [`EVIDENCE_BYTES`] are written, and what the slowest and the failed
//! turns may need of them is left for these.

use super::capture::{Capture, LONGEST};
use super::select::Selection;
use super::take::Take;
use crate::audio::samples_in;
use crate::record::{
    EVIDENCE_BYTES, EVIDENCE_VERSION, Evidence, EvidenceFolder, EvidenceReason, EvidenceTurn,
    MEASUREMENT_VERSION, wav_bytes,
};
use crate::run::RunError;
use crate::scenario;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::oneshot;

/// Takes that may wait to be looked at, and their bytes: of some two thousand usual turns.
const QUEUE: usize = 4_096;
const QUEUE_BYTES: usize = 64 << 20;

enum Message {
    Take(Box<Take>),
    Finish(Instant, oneshot::Sender<Done>),
}

/// What came of it: the index, and what is to be said of it.
#[derive(Debug)]
pub(in crate::run) struct Done {
    pub evidence: Evidence,
    pub notices: Vec<String>,
}

/// Where takes go.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    takes: SyncSender<Message>,
    /// Bytes that wait in the queue.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Sink {
    /// Hands a take over, or counts it as lost.
    pub(super) fn offer(&self, take: Take) {
        let bytes = take.weight();
        let fits = self.waiting.fetch_add(bytes, Relaxed) + bytes <= QUEUE_BYTES;
        if !fits || self.takes.try_send(Message::Take(Box::new(take))).is_err() {
            self.waiting.fetch_sub(bytes, Relaxed);
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The desk of a run.
#[derive(Debug)]
pub(in crate::run) struct Desk {
    sink: Sink,
    /// The first thing that is to be said while the run goes on, until it is.
    notice: Arc<Mutex<Option<String>>>,
}

impl Desk {
    /// Makes the folder and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be made, or the system gives no thread.
    pub(in crate::run) fn start(path: &Path, asked: scenario::Evidence) -> Result<Self, RunError> {
        let folder = EvidenceFolder::create(path).map_err(RunError::Evidence)?;
        let (takes, inbox) = sync_channel(QUEUE);
        let sink = Sink {
            takes,
            waiting: Arc::default(),
            lost: Arc::default(),
        };
        let notice = Arc::default();
        let writer = Writer {
            asked,
            folder,
            waiting: sink.waiting.clone(),
            lost: sink.lost.clone(),
            room: EVIDENCE_BYTES,
            reserved: reserved(asked, EVIDENCE_BYTES),
            written: Vec::new(),
            full: 0,
            trouble: None,
            notice: Arc::clone(&notice),
        };
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || writer.work(&inbox))
            .map_err(RunError::Thread)?;
        Ok(Self { sink, notice })
    }

    /// What a call needs to take part.
    pub(in crate::run) fn capture(&self, call: usize) -> Capture {
        Capture::new(call, self.sink.clone())
    }

    /// What is to be said while the run goes on, once.
    pub(in crate::run) fn notice(&self) -> Option<String> {
        self.notice.lock().ok()?.take()
    }

    /// Writes what was kept; `None` where the thread is gone. All calls are over by now.
    pub(in crate::run) async fn finish(&self, run_start: Instant) -> Option<Done> {
        let (answer, done) = oneshot::channel();
        let takes = self.sink.takes.clone();
        // The queue may be full.
        let asked =
            tokio::task::spawn_blocking(move || takes.send(Message::Finish(run_start, answer)));
        asked.await.ok()?.ok()?;
        done.await.ok()
    }
}

/// Of `room` bytes, what the slowest and the failed turns may need: nobody knows how many are to
/// come, and how long. Where they may need more than half of it, half.
fn reserved(asked: scenario::Evidence, room: u64) -> u64 {
    let longest = wav_bytes(samples_in(LONGEST) as usize);
    let turns = u64::from(asked.slowest) + u64::from(asked.failed);
    (turns * longest).min(room / 2)
}

/// The thread.
struct Writer {
    asked: scenario::Evidence,
    folder: EvidenceFolder,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    /// Bytes that may still be written.
    room: u64,
    /// Of these, what other turns than the slowest and the failed ones leave.
    reserved: u64,
    written: Vec<(Take, EvidenceReason)>,
    /// Turns for which there was no room on the disk.
    full: usize,
    /// The first thing that went wrong.
    trouble: Option<String>,
    notice: Arc<Mutex<Option<String>>>,
}

impl Writer {
    fn work(mut self, inbox: &Receiver<Message>) {
        let mut selection = Selection::new(self.asked);
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Take(take) => {
                    self.waiting.fetch_sub(take.weight(), Relaxed);
                    let fallen = selection.offer(*take);
                    if let Some(take) = fallen.filter(|_| self.asked.all) {
                        self.write(take, EvidenceReason::All);
                    }
                }
                Message::Finish(run_start, answer) => {
                    for (take, why) in selection.chosen() {
                        self.write(take, why);
                    }
                    // The run may have been given up meanwhile.
                    let _ = answer.send(self.close(run_start));
                    return;
                }
            }
        }
    }

    /// Writes a turn, where there is room for it.
    fn write(&mut self, mut take: Take, why: EvidenceReason) {
        let bytes = take.bytes();
        let reserved = match why {
            EvidenceReason::All => self.reserved,
            EvidenceReason::Slowest | EvidenceReason::Failed => 0,
        };
        if self.room < bytes + reserved {
            return self.left_out(None);
        }
        let name = EvidenceFolder::name(take.call, take.turn);
        let written = match take.channels() {
            Ok((left, right)) => {
                let rate = crate::audio::RATE;
                let audio = self.folder.audio(&name, rate, &left, &right);
                audio.map_err(|e| e.to_string())
            }
            Err(e) => Err(e.to_string()),
        };
        match written {
            Ok(()) => {
                self.room -= bytes;
                // Only its facts are needed from here on.
                take.packets = Default::default();
                take.said = Vec::new();
                self.written.push((take, why));
            }
            Err(e) => self.left_out(Some(e)),
        }
    }

    /// A turn finds no room, or could not be written; the first one is told.
    fn left_out(&mut self, trouble: Option<String>) {
        let first = self.full == 0;
        self.full += 1;
        if let (true, Ok(mut notice)) = (first, self.notice.lock()) {
            let limit = EVIDENCE_BYTES >> 20;
            *notice = Some(match &trouble {
                Some(trouble) => format!("evidence is incomplete: {trouble}"),
                None => format!(
                    "a run keeps {limit} MiB of audio at most: from here on only the slowest and \
                     the failed turns are kept"
                ),
            });
        }
        if let Some(trouble) = trouble {
            self.trouble.get_or_insert(trouble);
        }
    }

    /// Writes the index; says what is not there.
    fn close(mut self, run_start: Instant) -> Done {
        let lost = self.lost.load(Relaxed);
        let entry = |(take, why): &(Take, EvidenceReason)| take.entry(*why, run_start);
        let mut turns: Vec<EvidenceTurn> = self.written.iter().map(entry).collect();
        turns.sort_by_key(|turn| (turn.call, turn.turn));
        let evidence = Evidence {
            version: EVIDENCE_VERSION,
            measurement_version: MEASUREMENT_VERSION,
            turns,
            left_out: self.full + lost,
        };
        if let Err(e) = self.folder.index(&evidence) {
            self.trouble.get_or_insert(e.to_string());
        }
        let mut notices = Vec::new();
        if let Some(trouble) = &self.trouble {
            notices.push(format!("evidence is incomplete: {trouble}"));
        } else if self.full > 0 {
            let limit = EVIDENCE_BYTES >> 20;
            let full = self.full;
            notices.push(format!(
                "evidence of {full} turns was left out: a run keeps {limit} MiB of audio at most"
            ));
        }
        if lost > 0 {
            notices.push(format!(
                "evidence of {lost} turns was left out: more ended at once than could be taken in"
            ));
        }
        Done { evidence, notices }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
