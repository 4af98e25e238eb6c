//! Receives the audio of ended turns and writes the selected part of it, on a separate thread.
//!
//! In: takes from media threads, through a bounded queue. Out: files and the index. Invariants:
//! offering a take never blocks; takes that do not fit in the queue or on disk are counted and
//! reported; at most [`EVIDENCE_BYTES`] are written, part of which is reserved for the slowest and
//! the failed turns.

use super::capture::Capture;
use super::queue::{EvidenceResult, Message, QUEUE, Sink};
use super::select::Selection;
use super::take::{LONGEST, Take};
use crate::audio::{Codec, samples_in};
use crate::record::{
    EVIDENCE_BYTES, EVIDENCE_VERSION, Evidence, EvidenceFolder, EvidenceReason, EvidenceTurn,
    MEASUREMENT_VERSION, wav_bytes,
};
use crate::run::RunError;
use crate::run::watchdog::{Pulses, WatchedPart};
use crate::scenario;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::oneshot;

/// Handle of a run's evidence thread.
#[derive(Debug)]
pub(in crate::run) struct Desk {
    sink: Sink,
    /// The pending notice to show while the run is in progress.
    notice: Arc<Mutex<Option<String>>>,
}

impl Desk {
    /// Creates the folder and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be created, or the system cannot start a thread.
    pub(in crate::run) fn start(
        path: &Path,
        asked: scenario::EvidenceSelection,
        pulses: Pulses,
    ) -> Result<Self, RunError> {
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
            pulses,
        };
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || writer.work(&inbox))
            .map_err(RunError::Thread)?;
        Ok(Self { sink, notice })
    }

    /// The capture for call number `call`.
    pub(in crate::run) fn capture(&self, call: usize, codec: Codec) -> Capture {
        Capture::new(call, codec, self.sink.clone())
    }

    /// Takes the pending notice to show while the run is in progress, if there is one.
    pub(in crate::run) fn notice(&self) -> Option<String> {
        self.notice.lock().ok()?.take()
    }

    /// Writes the selected turns and the index, once all calls have ended. `None` if the thread no
    /// longer runs.
    pub(in crate::run) async fn finish(&self, run_start: Instant) -> Option<EvidenceResult> {
        let (answer, done) = oneshot::channel();
        let takes = self.sink.takes.clone();
        // Sending blocks while the queue is full.
        let asked =
            tokio::task::spawn_blocking(move || takes.send(Message::Finish(run_start, answer)));
        asked.await.ok()?.ok()?;
        done.await.ok()
    }
}

/// Bytes of `room` to reserve for the slowest and the failed turns. Their number and length are not
/// known in advance, so this is enough for the requested number at maximum length, but at most half
/// of `room`.
fn reserved(asked: scenario::EvidenceSelection, room: u64) -> u64 {
    let longest = wav_bytes(samples_in(LONGEST) as usize);
    let turns = u64::from(asked.slowest) + u64::from(asked.failed);
    (turns * longest).min(room / 2)
}

/// State of the evidence thread.
struct Writer {
    asked: scenario::EvidenceSelection,
    folder: EvidenceFolder,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    /// Number of bytes that may still be written.
    room: u64,
    /// Part of `room` that is reserved for the slowest and the failed turns.
    reserved: u64,
    written: Vec<(Take, EvidenceReason)>,
    /// Number of turns that did not fit, or that could not be written.
    full: usize,
    /// The first error that occurred while writing.
    trouble: Option<String>,
    notice: Arc<Mutex<Option<String>>>,
    pulses: Pulses,
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
                    // The receiver has been dropped if the run was abandoned meanwhile.
                    let _ = answer.send(self.close(run_start));
                    return;
                }
            }
        }
    }

    /// Writes a turn, if it fits.
    fn write(&mut self, mut take: Take, why: EvidenceReason) {
        self.pulses.beat(WatchedPart::Evidence);
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
                // Only the metadata is needed from here on: free the audio.
                take.packets = Default::default();
                take.said = Vec::new();
                self.written.push((take, why));
            }
            Err(e) => self.left_out(Some(e)),
        }
    }

    /// Counts a turn that did not fit or could not be written; the first such turn causes a notice.
    fn left_out(&mut self, trouble: Option<String>) {
        let first = self.full == 0;
        self.full += 1;
        if let (true, Ok(mut notice)) = (first, self.notice.lock()) {
            let limit = EVIDENCE_BYTES >> 20;
            *notice = Some(match &trouble {
                Some(trouble) => format!("evidence is incomplete: {trouble}"),
                None => format!(
                    "a run keeps at most {limit} MiB of audio: from here on only the slowest and \
                     the failed turns are kept"
                ),
            });
        }
        if let Some(trouble) = trouble {
            self.trouble.get_or_insert(trouble);
        }
    }

    /// Writes the index and reports what was left out.
    fn close(mut self, run_start: Instant) -> EvidenceResult {
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
                "turns left out of the evidence: {full}; a run keeps at most {limit} MiB of audio"
            ));
        }
        if lost > 0 {
            notices.push(format!(
                "turns left out of the evidence: {lost}; more ended at once than could be queued"
            ));
        }
        EvidenceResult { evidence, notices }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
