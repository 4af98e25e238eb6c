//! The reference agent's utterances: frames with a known first audible sample.
//!
//! In: a tone's length, or a recording. Out: frames, shared by all calls.
//! Invariant: the onset is located by the caller's own onset detector, on the decoded frames.

use crate::audio::{self, AudioError, Codec, Ear, FRAME_TIME, Heard, Packet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of silent frames played before the clip, so that the ear measures the noise floor, and
/// again after the clip.
const LEAD_IN: u64 = 75;
/// Longest tone.
const MAX_TONE: Duration = Duration::from_secs(60);

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
    /// Frames of 20 ms.
    pub(super) frames: Vec<Arc<[u8]>>,
    /// The frame that contains the first audible decoded sample, and that sample's offset in the
    /// frame.
    pub(super) onset_frame: usize,
    pub(super) onset_offset: Duration,
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
        Self::from_pcm(&audio::tone(length), codec)
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
        Self::from_pcm(&audio::decode(bytes, extension)?, codec)
    }

    fn from_pcm(pcm: &[i16], codec: Codec) -> Result<Self, ClipError> {
        let frames = codec.encode(pcm)?;
        let (onset_frame, onset_offset) = onset(&frames, codec)?;
        Ok(Self {
            codec,
            frames,
            onset_frame,
            onset_offset,
        })
    }

    /// Time from sending the first packet to the first audible sample.
    pub(super) fn onset(&self) -> Duration {
        FRAME_TIME * self.onset_frame as u32 + self.onset_offset
    }
}

/// Plays the frames to an ear in virtual time; returns the frame and offset of the onset.
fn onset(frames: &[Arc<[u8]>], codec: Codec) -> Result<(usize, Duration), ClipError> {
    let silence = codec.silence()?;
    let mut ear = Ear::of(codec)?;
    let zero = Instant::now();
    let lead = (0..LEAD_IN).map(|_| &*silence);
    let tail = (0..LEAD_IN).map(|_| &*silence);
    let stream = lead.chain(frames.iter().map(|f| &**f)).chain(tail);
    for (i, payload) in stream.enumerate() {
        ear.packet(&Packet {
            arrival: zero + FRAME_TIME * i as u32,
            kernel_stamp: true,
            rtp_time: (i * audio::FRAME) as u32,
            sequence: i as u64,
            level: None,
            payload,
        });
        while let Some(heard) = ear.poll_heard() {
            if let Heard::Onset(o) = heard {
                let frame = o.at.arrival.duration_since(zero).as_millis() as u64 / 20;
                let frame = frame.checked_sub(LEAD_IN).ok_or(ClipError::Silent)?;
                return Ok((frame as usize, o.at.offset));
            }
        }
    }
    Err(ClipError::Silent)
}

/// The clips that an agent can play.
#[derive(Debug)]
pub(crate) struct Voice {
    /// The reply to every turn.
    pub(super) reply: Clip,
    /// Played once, when the caller has arrived.
    pub(super) greeting: Option<Clip>,
    /// A frame of silence.
    pub(super) silence: Arc<[u8]>,
}

impl Voice {
    /// Makes a voice from clips of the same codec.
    ///
    /// # Errors
    /// The codec fails (out of memory).
    pub(crate) fn new(reply: Clip, greeting: Option<Clip>) -> Result<Self, ClipError> {
        let silence = reply.codec.silence()?;
        Ok(Self {
            reply,
            greeting,
            silence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_audible_after_the_codecs_look_ahead() {
        let clip = Clip::tone(Duration::from_millis(300), Codec::Opus).expect("tone");
        let lookahead = 312.0 / 48.0;
        let onset = clip.onset().as_secs_f64() * 1e3;
        // The codec's pre-echo of an abrupt start begins up to 5 ms earlier. It is 20 dB quieter,
        // which is exactly the limit of audibility.
        let range = lookahead - 5.0..lookahead + 1.5;
        assert!(range.contains(&onset), "onset at {onset} ms");
    }

    #[test]
    fn silent_replies_are_refused() {
        assert!(matches!(
            Clip::from_pcm(&[0; 48_000], Codec::Opus),
            Err(ClipError::Silent)
        ));
        assert!(Clip::tone(Duration::ZERO, Codec::Opus).is_err());
        assert!(Clip::recording(b"not audio", Some("wav"), Codec::Opus).is_err());
    }
}
