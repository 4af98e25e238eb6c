//! The reference agent's utterances: frames with a known first and last audible sample.
//!
//! In: a tone's length, or a recording. Out: frames, shared by all calls.
//! Invariants: the onset is located by the caller's own onset detector, on the decoded frames; the
//! last audible sample by the same level. Positions are samples of the decoded audio, which lags
//! the recording by the codec's look-ahead.

use crate::audio::{
    self, ActiveLevel, AudioError, BELOW_ACTIVE_DB, Codec, Ear, FRAME, FRAME_TIME, FrameDecoder,
    Heard, Packet, Pcm, RATE, loud_span, power_at, samples_in,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of silent frames played before the clip, so that the ear measures the noise floor, and
/// again after the clip.
const LEAD_IN: usize = 75;
/// Longest tone.
const MAX_TONE: Duration = Duration::from_secs(60);
/// The level of a reply is that of its first half second, as in the onset detector.
const LEVEL_OF: usize = RATE as usize / 2;
/// Largest frame that a sender with DTX leaves out, in bytes.
pub(super) const DTX_BYTES: usize = 2;

/// Why a clip cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipError {
    /// The recording cannot be used.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The recording has no audible part.
    #[error("the reply has no audible part")]
    Silent,
    /// The tone is shorter than 100 ms or longer than a minute.
    #[error("a tone must be between 100ms and 60s long, not {0:?}")]
    Length(Duration),
}

impl ClipError {
    /// What to try next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Audio(e) => e.hint(),
            Self::Silent => "use a recording whose speech is louder than −50 dBFS",
            Self::Length(_) => "try --reply-length 1.5s",
        }
    }
}

/// An utterance of the agent.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(super) codec: Codec,
    /// Whether silence inside the clip is not sent.
    pub(super) dtx: bool,
    /// The recording.
    pub(super) pcm: Pcm,
    /// Frames of 20 ms.
    pub(super) frames: Vec<Arc<[u8]>>,
    /// First audible sample.
    pub(super) onset: u64,
    /// The sample after the last audible one.
    pub(super) end: u64,
    /// Audibility threshold, as a mean square.
    pub(super) power: f64,
}

impl Clip {
    /// Makes a clip from a 1 kHz tone.
    ///
    /// # Errors
    /// The length is out of range.
    pub(crate) fn tone(length: Duration, codec: Codec) -> Result<Self, ClipError> {
        if length < Duration::from_millis(100) || length > MAX_TONE {
            return Err(ClipError::Length(length));
        }
        Self::from_pcm(audio::tone(length), codec, false)
    }

    /// Makes a clip from a recording, which `audio::decode` decodes.
    ///
    /// # Errors
    /// The bytes are not a recording, or the recording is silent.
    pub(crate) fn recording(
        bytes: &[u8],
        extension: Option<&str>,
        codec: Codec,
    ) -> Result<Self, ClipError> {
        Self::from_pcm(audio::decode(bytes, extension)?, codec, false)
    }

    /// The same recording with DTX.
    ///
    /// # Errors
    /// The codec fails (out of memory).
    pub(super) fn with_dtx(self) -> Result<Self, ClipError> {
        Self::from_pcm(self.pcm, self.codec, true)
    }

    pub(super) fn from_pcm(pcm: Pcm, codec: Codec, dtx: bool) -> Result<Self, ClipError> {
        let frames = codec.encode_with(&pcm, dtx)?;
        let onset = onset(&frames, codec)?.ok_or(ClipError::Silent)?;
        let mut heard = Vec::with_capacity(frames.len() * FRAME);
        decoded(&frames, codec, |samples| heard.extend_from_slice(samples))?;
        let power = audible_power(&heard[(onset as usize).min(heard.len())..]);
        let end = loud_span(&heard, power).map_or(onset, |(_, end)| end as u64);
        Ok(Self {
            codec,
            dtx,
            pcm,
            frames,
            onset,
            end: end.max(onset + 1),
            power,
        })
    }
}

/// Audibility threshold of a reply whose audio from the onset on is `heard`, as a mean square.
fn audible_power(heard: &[i16]) -> f64 {
    let mut meter = ActiveLevel::default();
    meter.push(&heard[..heard.len().min(LEVEL_OF)]);
    // A reply that the detector has heard has a level.
    power_at(meter.so_far().unwrap_or_default() - BELOW_ACTIVE_DB)
}

/// Decodes frames one after the other; those that are not sent decode to silence.
pub(super) fn decoded(
    frames: &[Arc<[u8]>],
    codec: Codec,
    mut take: impl FnMut(&[i16]),
) -> Result<(), AudioError> {
    let mut decoder = FrameDecoder::new(codec)?;
    for frame in frames {
        match frame.len() > DTX_BYTES {
            true => take(decoder.decode(frame)?),
            false => take(&[0; FRAME]),
        }
    }
    Ok(())
}

/// Plays the frames to an ear in virtual time; returns the position of the onset, if there is one.
pub(super) fn onset(frames: &[Arc<[u8]>], codec: Codec) -> Result<Option<u64>, AudioError> {
    let silence = codec.silence()?;
    let mut ear = Ear::of(codec)?;
    let zero = Instant::now();
    let lead = (0..LEAD_IN).map(|_| &*silence);
    let tail = (0..LEAD_IN).map(|_| &*silence);
    let stream = lead.chain(frames.iter().map(|f| &**f)).chain(tail);
    let numbered = (0u64..).zip(stream.enumerate().filter(|(_, f)| f.len() > DTX_BYTES));
    for (sequence, (i, payload)) in numbered {
        ear.packet(&Packet {
            arrival: zero + FRAME_TIME * i as u32,
            kernel_stamp: true,
            rtp_time: (i * FRAME) as u32,
            sequence,
            level: None,
            payload,
        });
        while let Some(heard) = ear.poll_heard() {
            if let Heard::Onset(o) = heard {
                let position = samples_in(o.at.wire().duration_since(zero));
                return Ok(position.checked_sub((LEAD_IN * FRAME) as u64));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_audible_after_the_codecs_look_ahead() {
        let clip = Clip::tone(Duration::from_millis(300), Codec::Opus).expect("tone");
        let onset = clip.onset as f64 / 48.0;
        let lookahead = 312.0 / 48.0;
        // The codec's pre-echo of an abrupt start begins up to 5 ms earlier. It is 20 dB quieter,
        // which is exactly the limit of audibility.
        let range = lookahead - 5.0..lookahead + 1.5;
        assert!(range.contains(&onset), "onset at {onset} ms");
    }

    #[test]
    fn the_last_audible_sample_is_known_with_and_without_dtx() {
        for dtx in [false, true] {
            let tone = audio::tone(Duration::from_millis(300));
            let clip = Clip::from_pcm(tone, Codec::Opus, dtx).expect("tone");
            let end = clip.end as f64 / 48.0;
            // A hard end is smeared by up to 20 ms.
            assert!((306.0..327.0).contains(&end), "dtx {dtx}: {end} ms");
        }
    }

    #[test]
    fn silent_replies_are_refused() {
        assert!(matches!(
            Clip::from_pcm(vec![0; 48_000], Codec::Opus, false),
            Err(ClipError::Silent)
        ));
        assert!(Clip::tone(Duration::ZERO, Codec::Opus).is_err());
        assert!(Clip::recording(b"not audio", Some("wav"), Codec::Opus).is_err());
    }
}
