//! The folder `evidence/` of a run: the audio of some turns and calls, and its index.
//!
//! In: both sides' samples of a turn or a call. Out: stereo WAV files and `index.json`. Invariants:
//! the index is written last, atomically; if both `onset_ms` and the turn's `ttfa_ms` are present,
//! the onset is the end of speech + `ttfa_ms` to the last printed digit.

use super::error::RecordError;
use super::folder::{EVIDENCE_FOLDER, RunFolder, create_private};
use super::lines::{io_error, versioned};
use super::measurement::first;
use super::ms::Ms;
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter};
use std::path::Path;

/// Version of the index. Fields may be added within a version.
pub(crate) const EVIDENCE_VERSION: u32 = 1;
/// Maximum size of the audio that a run keeps, in bytes.
pub(crate) const EVIDENCE_BYTES: u64 = 1 << 30;
const INDEX: &str = "index.json";
/// Largest index that is read, in bytes: a run keeps the audio of a few hundred turns and of at most
/// a hundred calls, and lists at most 500 turns of each.
const LARGEST_INDEX: u64 = 16 << 20;
/// Bytes before the first sample of a file.
const WAV_HEADER: u64 = 44;

/// Why the audio of a turn or a call was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceReason {
    /// One of the turns with the longest `ttfa`, or one of the calls with such a turn.
    Slowest,
    /// The turn was missed or answered early, or its call failed; or a call with such a turn.
    Failed,
    /// The audio of all turns is kept; or a call without a `ttfa`, for which there was room.
    All,
}

/// The audio of one turn. Times other than `start_ms` are relative to the file's first sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceTurn {
    /// Name of the file, next to the index.
    pub file: String,
    /// Index of the turn's call in the plan.
    pub call: usize,
    /// Index of the turn in its call.
    pub turn: usize,
    /// Why the audio was kept.
    pub why: EvidenceReason,
    /// Sample rate of each of the two channels, in Hz.
    pub(crate) sample_rate: u32,
    /// Time of the file's first sample, from the start of the run.
    pub start_ms: Ms,
    /// Length of the file.
    pub(crate) length_ms: Ms,
    /// End of the caller's speech, in the left channel.
    pub speech_end_ms: Ms,
    /// The reply's onset at the loudspeaker, in the right channel, if there was one.
    pub onset_ms: Option<Ms>,
    /// The same onset on the wire: earlier by the playout delay.
    pub onset_wire_ms: Option<Ms>,
    /// Some packets of the turn did not fit in memory, so the right channel ends early.
    #[serde(default)]
    pub(crate) cut: bool,
}

/// The audio of one call, from the first frame that the caller sent until it hung up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceCall {
    /// Name of the file, next to the index.
    pub file: String,
    /// Index of the call in the plan.
    pub call: usize,
    /// Why the audio was kept.
    pub why: EvidenceReason,
    /// Sample rate of each of the two channels, in Hz.
    pub sample_rate: u32,
    /// Time of the file's first sample, from the start of the run.
    pub start_ms: Ms,
    /// Length of the file.
    pub length_ms: Ms,
    /// The turns in which the caller spoke, in order; at most 500.
    pub turns: Vec<EvidencePlace>,
    /// Some packets of the call did not fit in memory: there are holes in both channels.
    #[serde(default)]
    pub(crate) cut: bool,
}

/// Where a turn is in the recording of its call, in times from the file's first sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidencePlace {
    /// Index of the turn in its call.
    pub turn: usize,
    /// Start of the caller's utterance, in the left channel.
    pub started_ms: Ms,
    /// End of the caller's speech, in the left channel.
    pub speech_end_ms: Ms,
    /// The reply's onset at the loudspeaker, in the right channel, if there was one.
    pub onset_ms: Option<Ms>,
    /// The same onset on the wire: earlier by the playout delay.
    pub onset_wire_ms: Option<Ms>,
}

/// `evidence/index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Version of this file.
    pub(crate) version: u32,
    /// Version of the measurement definitions behind the instants in this file.
    #[serde(default = "first")]
    pub(crate) measurement_version: u32,
    /// Sorted by call, then by turn index.
    pub turns: Vec<EvidenceTurn>,
    /// Number of turns that should have been kept but were not, for lack of space or time.
    #[serde(default)]
    pub left_out: usize,
    /// The calls that are kept whole, the worst first.
    #[serde(default)]
    pub calls: Vec<EvidenceCall>,
    /// Number of calls that should have been kept but were not, for lack of space or time.
    #[serde(default)]
    pub calls_left_out: usize,
}

/// Size in bytes of a file with `samples` samples in each channel.
pub(crate) fn wav_bytes(samples: usize) -> u64 {
    WAV_HEADER + 4 * samples as u64
}

/// The evidence folder while it is being written.
#[derive(Debug)]
pub(crate) struct EvidenceFolder(RunFolder);

impl EvidenceFolder {
    /// Creates the folder, which must be new or empty.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub(crate) fn create(path: &Path) -> Result<Self, RecordError> {
        RunFolder::part(path).map(Self)
    }

    /// The file name of a turn's audio.
    pub(crate) fn name(call: usize, turn: usize) -> String {
        format!("turn-{call:05}-{turn}.wav")
    }

    /// The file name of a whole call's audio.
    pub(crate) fn call_name(call: usize) -> String {
        format!("call-{call:05}.wav")
    }

    /// Writes a turn's audio: the caller in the left channel, the agent in the right one.
    ///
    /// # Errors
    /// [`RecordError::Io`]; a partly written file is removed.
    pub(crate) fn audio(
        &self,
        name: &str,
        sample_rate: u32,
        left: &[i16],
        right: &[i16],
    ) -> Result<(), RecordError> {
        let mut whole = Some([left, right]);
        self.audio_in_parts(name, sample_rate, || Ok(whole.take()))
    }

    /// Like [`Self::audio`], in parts: `next` returns both channels of the next part, and `None`
    /// after the last one. The shorter channel of a part is filled up with silence.
    ///
    /// # Errors
    /// [`RecordError::Io`], also for an error of `next`; a partly written file is removed.
    pub(crate) fn audio_in_parts<Samples: AsRef<[i16]>>(
        &self,
        name: &str,
        sample_rate: u32,
        next: impl FnMut() -> io::Result<Option<[Samples; 2]>>,
    ) -> Result<(), RecordError> {
        let path = self.0.file(name);
        // An existing file belongs to other audio and is kept.
        let file = create_private(&path).map_err(|e| io_error("create", &path, e))?;
        let written = stereo(BufWriter::new(file), sample_rate, next);
        written.map_err(|e| {
            let _ = std::fs::remove_file(&path);
            let source = match e {
                hound::Error::IoError(e) => e,
                other => io::Error::other(other),
            };
            io_error("write", &path, source)
        })
    }

    /// Writes the index.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub(crate) fn index(&self, evidence: &Evidence) -> Result<(), RecordError> {
        let text = serde_json::to_vec_pretty(evidence)
            .map_err(|e| io_error("encode", &self.0.file(INDEX), e.into()))?;
        self.0.write(INDEX, &[&text[..], b"\n"].concat()).map(drop)
    }
}

fn stereo<Samples: AsRef<[i16]>>(
    file: impl io::Write + io::Seek,
    sample_rate: u32,
    mut next: impl FnMut() -> io::Result<Option<[Samples; 2]>>,
) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::new(file, spec)?;
    while let Some([left, right]) = next()? {
        let (left, right) = (left.as_ref(), right.as_ref());
        let length = left.len().max(right.len());
        let mut samples = wav.get_i16_writer(2 * u32::try_from(length).unwrap_or(u32::MAX / 2));
        let at = |channel: &[i16], n: usize| channel.get(n).copied().unwrap_or(0);
        for n in 0..length {
            samples.write_sample(at(left, n));
            samples.write_sample(at(right, n));
        }
        samples.flush()?;
    }
    wav.finalize()
}

impl Evidence {
    /// Reads the index from a run folder; `None` if the run kept no audio. Turns and calls whose
    /// file name this program would not generate are left out, so reports never link outside the
    /// folder.
    ///
    /// # Errors
    /// [`RecordError::Io`], [`RecordError::Corrupt`], [`RecordError::Newer`].
    pub(crate) fn read(run: &Path) -> Result<Option<Self>, RecordError> {
        let path = run.join(EVIDENCE_FOLDER).join(INDEX);
        let mut read: Option<Self> = versioned(&path, EVIDENCE_VERSION, LARGEST_INDEX)?;
        if let Some(evidence) = &mut read {
            evidence.turns.retain(|turn| is_plain("turn-", &turn.file));
            evidence.calls.retain(|call| is_plain("call-", &call.file));
        }
        Ok(read)
    }
}

/// Whether a file name has the form that this program generates.
fn is_plain(prefix: &str, name: &str) -> bool {
    let middle = name
        .strip_prefix(prefix)
        .and_then(|n| n.strip_suffix(".wav"));
    middle.is_some_and(|m| m.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
