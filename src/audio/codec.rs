//! The codecs that targets use for audio.
//!
//! In: mono PCM at 48 kHz, or frames of a codec. Out: frames, or PCM. Invariant: a stream keeps one
//! codec from its first frame to its last.

use super::stereo::ChannelEnergy;
use super::{AudioError, FRAME, MAX_PACKET, OPUS_LOOKAHEAD, opus};
use std::sync::Arc;

/// How audio is encoded in a stream's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Opus packets, mono or stereo.
    #[default]
    Opus,
    /// Mono samples at 48 kHz, 16 bits each, little-endian.
    Pcm,
}

impl Codec {
    /// Number of samples by which decoded audio lags its input.
    pub(crate) fn lookahead(self) -> usize {
        match self {
            Self::Opus => OPUS_LOOKAHEAD,
            Self::Pcm => 0,
        }
    }

    /// Encodes an utterance in frames of 20 ms; the last frame is padded with silence.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn encode(self, pcm: &[i16]) -> Result<Vec<Arc<[u8]>>, AudioError> {
        self.encode_with(pcm, false)
    }

    /// Like [`Codec::encode`], with DTX if `dtx` and if the codec has it: frames of at most two
    /// bytes are not sent.
    ///
    /// # Errors
    /// As for [`Codec::encode`].
    pub(crate) fn encode_with(self, pcm: &[i16], dtx: bool) -> Result<Vec<Arc<[u8]>>, AudioError> {
        match self {
            Self::Opus => {
                let frames = opus::encode_with(pcm, dtx)?;
                Ok(frames.into_iter().map(Arc::from).collect())
            }
            Self::Pcm => Ok(pcm.chunks(FRAME).map(bytes).collect()),
        }
    }

    /// Encodes an utterance that ends abruptly; its frames from number `fine` on replace those of
    /// another encoding of the same utterance, and its last sample stays in its place.
    ///
    /// # Errors
    /// As for [`Codec::encode`].
    pub(crate) fn encode_end(self, pcm: &[i16], fine: usize) -> Result<Vec<Arc<[u8]>>, AudioError> {
        match self {
            Self::Opus => {
                let frames = opus::encode_end(pcm, fine)?;
                Ok(frames.into_iter().map(Arc::from).collect())
            }
            Self::Pcm => self.encode(pcm),
        }
    }

    /// Encodes audio that goes on: whole frames of `pcm`, as they follow `before`.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn encode_after(
        self,
        before: &[i16],
        pcm: &[i16],
    ) -> Result<Vec<Arc<[u8]>>, AudioError> {
        match self {
            Self::Opus => {
                let frames = opus::encode_after(before, pcm)?.into_iter();
                Ok(frames.map(Arc::from).collect())
            }
            Self::Pcm => Ok(pcm.chunks_exact(FRAME).map(bytes).collect()),
        }
    }

    /// One frame of silence, which can follow any frame.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn silence(self) -> Result<Arc<[u8]>, AudioError> {
        match self {
            Self::Opus => Ok(opus::silence_frame()?.into()),
            Self::Pcm => Ok(bytes(&[])),
        }
    }
}

/// A frame of PCM, padded with silence if `samples` are fewer than a frame.
fn bytes(samples: &[i16]) -> Arc<[u8]> {
    let silence = std::iter::repeat(&0);
    let samples = samples.iter().chain(silence).take(FRAME);
    samples.flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Decodes the frames of one stream.
#[derive(Debug)]
pub(crate) enum FrameDecoder {
    /// Opus packets.
    Opus(opus::Decoder),
    /// PCM frames; the buffer holds the last decoded frame.
    Pcm(Vec<i16>),
}

impl FrameDecoder {
    /// Creates a decoder with a fresh state.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn new(codec: Codec) -> Result<Self, AudioError> {
        Ok(match codec {
            Codec::Opus => Self::Opus(opus::Decoder::new()?),
            Codec::Pcm => Self::Pcm(Vec::with_capacity(FRAME)),
        })
    }

    /// Decodes a frame and returns its samples, at most [`MAX_PACKET`].
    ///
    /// # Errors
    /// [`AudioError::Empty`] when the frame is empty, [`AudioError::Codec`] when it is not a
    /// frame of this codec; the decoder stays usable.
    pub(crate) fn decode(&mut self, frame: &[u8]) -> Result<&[i16], AudioError> {
        match self {
            Self::Opus(decoder) => decoder.decode(frame),
            Self::Pcm(samples) => {
                let count = pcm_samples(frame)?;
                samples.clear();
                let pairs = frame.chunks_exact(2).take(count);
                samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                Ok(samples)
            }
        }
    }

    /// The energies of the channels in the last frame, once the stream has been stereo.
    pub(super) fn channels(&self) -> Option<ChannelEnergy> {
        match self {
            Self::Opus(decoder) => decoder.channels(),
            Self::Pcm(_) => None,
        }
    }

    /// Number of samples that a frame holds.
    ///
    /// # Errors
    /// As for [`FrameDecoder::decode`].
    pub(crate) fn length(&self, frame: &[u8]) -> Result<usize, AudioError> {
        match self {
            Self::Opus(decoder) => decoder.length(frame),
            Self::Pcm(_) => pcm_samples(frame),
        }
    }

    /// Conceals `lost` samples: returns at most that many. PCM is concealed with silence.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn conceal(&mut self, lost: usize) -> Result<&[i16], AudioError> {
        match self {
            Self::Opus(decoder) => decoder.conceal(lost),
            Self::Pcm(samples) => {
                samples.clear();
                samples.resize(lost.min(MAX_PACKET), 0);
                Ok(samples)
            }
        }
    }

    /// Resets the decoder for a new stream.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn reset(&mut self) -> Result<(), AudioError> {
        match self {
            Self::Opus(decoder) => decoder.reset(),
            Self::Pcm(_) => Ok(()),
        }
    }
}

/// Number of samples in a frame of PCM.
fn pcm_samples(frame: &[u8]) -> Result<usize, AudioError> {
    match frame.len() / 2 {
        0 => Err(AudioError::Empty),
        count => Ok(count.min(MAX_PACKET)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone;
    use std::time::Duration;

    #[test]
    fn pcm_round_trips_and_is_padded_with_silence() {
        let pcm = tone(Duration::from_millis(70));
        let frames = Codec::Pcm.encode(&pcm).expect("pcm");
        let mut decoder = FrameDecoder::new(Codec::Pcm).expect("pcm");
        let mut out = Vec::new();
        for frame in &frames {
            out.extend_from_slice(decoder.decode(frame).expect("a frame"));
        }
        assert_eq!(out.len(), 4 * FRAME);
        assert_eq!(out[..pcm.len()], pcm);
        assert!(out[pcm.len()..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn malformed_pcm_frames_are_bounded() {
        let mut decoder = FrameDecoder::new(Codec::Pcm).expect("pcm");
        assert!(decoder.decode(&[]).is_err() && decoder.decode(&[7]).is_err());
        let huge = vec![1; 1 << 20];
        assert_eq!(decoder.decode(&huge).expect("bounded").len(), MAX_PACKET);
        assert_eq!(decoder.length(&huge).expect("bounded"), MAX_PACKET);
        assert_eq!(decoder.conceal(1 << 20).expect("bounded").len(), MAX_PACKET);
        assert_eq!(decoder.decode(&[1, 0, 9]).expect("an odd length"), [1]);
    }

    #[test]
    fn output_lags_by_the_lookahead_of_each_codec() {
        let pcm = tone(Duration::from_millis(100));
        for codec in [Codec::Opus, Codec::Pcm] {
            let mut decoder = FrameDecoder::new(codec).expect("a decoder");
            let mut out = Vec::new();
            for frame in codec.encode(&pcm).expect("frames") {
                out.extend_from_slice(decoder.decode(&frame).expect("own frame"));
            }
            // The tone is loud right after the look-ahead, and quiet 10 ms after its end.
            let loud = |samples: &[i16]| samples.iter().any(|x| x.unsigned_abs() > 1_000);
            let (from, end) = (codec.lookahead(), codec.lookahead() + pcm.len());
            assert!(
                loud(&out[from..from + 96]) && loud(&out[end - 96..end]),
                "{codec:?}"
            );
            assert!(!loud(&out[(end + 480).min(out.len())..]), "{codec:?}");
            assert_eq!(
                codec.silence().expect("silence"),
                codec.silence().expect("silence")
            );
        }
    }
}
