//! Receives the audio of turns and calls and writes the selected part of it, on a separate thread.
//!
//! In: takes and pieces from media threads, through a bounded queue. Out: files and the index.
//! Invariants: offering audio never blocks; audio that does not fit in the queue, in memory or on
//! disk is counted and reported; at most [`EVIDENCE_BYTES`] are written, part of which is reserved
//! for the slowest and the failed turns, and for calls.

use super::calls::{CALLS_BYTES, Calls};
use super::capture::Capture;
use super::queue::{EvidenceResult, Message, QUEUE, Sink, queue};
use super::recording::Recording;
use super::select::Selection;
use super::take::{LONGEST, Take};
use crate::audio::{Codec, Third, samples_in};
use crate::record::{
    EVIDENCE_BYTES, EVIDENCE_VERSION, Evidence, EvidenceCall, EvidenceFolder, EvidenceReason,
    EvidenceTurn, MEASUREMENT_VERSION, wav_bytes,
};
use crate::run::RunError;
use crate::run::watchdog::{Pulses, WatchedPart};
use crate::scenario;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Handle of a run's evidence thread.
#[derive(Debug)]
pub(in crate::run) struct Desk {
    asked: scenario::EvidenceSelection,
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
        let (sink, inbox) = queue(QUEUE);
        let notice = Arc::default();
        let writer = Writer::new(asked, folder, &sink, Arc::clone(&notice), pulses);
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || writer.work(&inbox))
            .map_err(RunError::Thread)?;
        Ok(Self {
            asked,
            sink,
            notice,
        })
    }

    /// The capture for call number `call`.
    pub(in crate::run) fn capture(&self, call: usize, codec: Codec) -> Capture {
        Capture::new(call, codec, self.asked, self.sink.clone())
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

/// Length of a call for which space is reserved.
const USUAL_CALL: Duration = Duration::from_secs(300);

/// Bytes of `room` to reserve for the slowest and the failed turns, and for calls. Their number and
/// length are not known in advance, so this is enough for the requested number of turns at maximum
/// length and of calls of [`USUAL_CALL`], but at most half of `room`.
fn reserved(asked: scenario::EvidenceSelection, room: u64) -> u64 {
    let longest = wav_bytes(samples_in(LONGEST) as usize);
    let turns = u64::from(asked.slowest) + u64::from(asked.failed);
    let call = wav_bytes((samples_in(USUAL_CALL) / 3) as usize);
    (turns * longest + u64::from(asked.calls) * call).min(room / 2)
}

/// State of the evidence thread.
struct Writer {
    asked: scenario::EvidenceSelection,
    folder: EvidenceFolder,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    lost_calls: Arc<AtomicUsize>,
    /// Number of bytes that may still be written.
    room: u64,
    /// Part of `room` that is reserved for the slowest and the failed turns, and for calls.
    reserved: u64,
    written: Vec<(Take, EvidenceReason)>,
    written_calls: Vec<EvidenceCall>,
    /// Number of selected calls that did not fit in memory or on disk, or could not be written.
    full_calls: usize,
    /// Number of turns that did not fit, or that could not be written.
    full: usize,
    /// The first error that occurred while writing.
    trouble: Option<String>,
    notice: Arc<Mutex<Option<String>>>,
    pulses: Pulses,
}

impl Writer {
    fn new(
        asked: scenario::EvidenceSelection,
        folder: EvidenceFolder,
        sink: &Sink,
        notice: Arc<Mutex<Option<String>>>,
        pulses: Pulses,
    ) -> Self {
        Self {
            asked,
            folder,
            waiting: sink.waiting.clone(),
            lost: sink.lost.clone(),
            lost_calls: sink.lost_calls.clone(),
            room: EVIDENCE_BYTES,
            reserved: reserved(asked, EVIDENCE_BYTES),
            written: Vec::new(),
            written_calls: Vec::new(),
            full_calls: 0,
            full: 0,
            trouble: None,
            notice,
            pulses,
        }
    }

    fn work(mut self, inbox: &Receiver<Message>) {
        let mut selection = Selection::new(self.asked);
        let mut calls = Calls::new(self.asked.calls, CALLS_BYTES);
        let mut is_told = false;
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Take(take) => {
                    self.waiting.fetch_sub(take.weight(), Relaxed);
                    let fallen = selection.offer(*take);
                    if let Some(take) = fallen.filter(|_| self.asked.all) {
                        self.write(take, EvidenceReason::All);
                    }
                }
                Message::Piece(piece) => {
                    self.waiting.fetch_sub(piece.weight(), Relaxed);
                    if calls.add(*piece) && !std::mem::replace(&mut is_told, true) {
                        let limit = CALLS_BYTES >> 20;
                        self.tell(format!(
                            "calls in progress take more than {limit} MiB: from here on some are \
                             not recorded"
                        ));
                    }
                }
                Message::Finish(run_start, answer) => {
                    for (take, why) in selection.chosen() {
                        self.write(take, why);
                    }
                    let (chosen, missing) = calls.chosen();
                    self.full_calls += missing;
                    for recording in chosen {
                        self.write_call(&recording, run_start);
                    }
                    // The receiver has been dropped if the run was abandoned meanwhile.
                    let _ = answer.send(self.close(run_start));
                    return;
                }
            }
        }
    }

    /// Writes a call, if it fits.
    fn write_call(&mut self, recording: &Recording, run_start: Instant) {
        let bytes = recording.bytes();
        if self.room < bytes {
            self.full_calls += 1;
            return;
        }
        let placed = recording.placed();
        let pulses = self.pulses.clone();
        let parts = recording.parts(&placed).map_err(std::io::Error::other);
        let written = parts.and_then(|mut parts| {
            let name = EvidenceFolder::call_name(recording.call);
            let parts = || {
                pulses.beat(WatchedPart::Evidence);
                parts().map_err(std::io::Error::other)
            };
            let written = self.folder.audio_in_parts(&name, Third::RATE, parts);
            written.map_err(std::io::Error::other)
        });
        match written {
            Ok(()) => {
                self.room -= bytes;
                self.written_calls.push(recording.entry(&placed, run_start));
            }
            Err(e) => {
                self.full_calls += 1;
                self.trouble.get_or_insert(e.to_string());
            }
        }
    }

    /// Shows a notice while the run is in progress.
    fn tell(&self, text: String) {
        if let Ok(mut notice) = self.notice.lock() {
            *notice = Some(text);
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
        if first {
            let limit = EVIDENCE_BYTES >> 20;
            self.tell(match &trouble {
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
        let lost_calls = self.lost_calls.load(Relaxed);
        let entry = |(take, why): &(Take, EvidenceReason)| take.entry(*why, run_start);
        let mut turns: Vec<EvidenceTurn> = self.written.iter().map(entry).collect();
        turns.sort_by_key(|turn| (turn.call, turn.turn));
        let evidence = Evidence {
            version: EVIDENCE_VERSION,
            measurement_version: MEASUREMENT_VERSION,
            turns,
            left_out: self.full + lost,
            calls: std::mem::take(&mut self.written_calls),
            calls_left_out: self.full_calls + lost_calls,
        };
        if let Err(e) = self.folder.index(&evidence) {
            self.trouble.get_or_insert(e.to_string());
        }
        let notices = self.notices(lost, lost_calls);
        EvidenceResult { evidence, notices }
    }

    fn notices(&self, lost: usize, lost_calls: usize) -> Vec<String> {
        let mut notices = Vec::new();
        let (disk, memory) = (EVIDENCE_BYTES >> 20, CALLS_BYTES >> 20);
        let (full, full_calls) = (self.full, self.full_calls);
        if let Some(trouble) = &self.trouble {
            notices.push(format!("evidence is incomplete: {trouble}"));
        } else {
            if full > 0 {
                notices.push(format!(
                    "turns left out of the evidence: {full}; a run keeps at most {disk} MiB of audio"
                ));
            }
            if full_calls > 0 {
                notices.push(format!(
                    "calls left out of the evidence: {full_calls}; a run keeps at most {memory} MiB \
                     of calls in memory, and {disk} MiB of audio on disk"
                ));
            }
        }
        for (what, lost) in [("turns", lost), ("calls", lost_calls)] {
            if lost > 0 {
                notices.push(format!(
                    "{what} left out of the evidence: {lost}; more ended at once than could be \
                     queued"
                ));
            }
        }
        notices
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
