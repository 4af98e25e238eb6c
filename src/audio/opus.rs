//! Encodes PCM to Opus and decodes Opus to PCM.
//!
//! In: mono PCM at 48 kHz, or Opus packets in mono or stereo. Out: packets of 20 ms, or mono PCM
//! at 48 kHz. Invariants: decoded audio lags its input by [`OPUS_LOOKAHEAD`] samples; an
//! utterance's packets end in silence.

use super::stereo::{ChannelEnergy, Stereo, is_stereo};
use super::{AudioError, FRAME, MAX_PACKET, OPUS_LOOKAHEAD, RATE};
use opus::{Application, Bitrate, Channels};

/// Bit rate of the caller's voice in bit/s: WebRTC's default for speech.
pub const BITRATE: i32 = 24_000;
/// Bit rate in bit/s of the last frames of an utterance that is cut off at a sample.
const FINE_BITRATE: i32 = 128_000;
/// Number of silent frames at the end of an utterance. During these frames the codec's memory of
/// the utterance fades, before the caller switches to [`silence_frame`].
pub(crate) const SETTLE_FRAMES: usize = 5;
/// Room for any packet of 20 ms (RFC 6716, 3.2.1: 1275 bytes and the TOC).
const MAX_BYTES: usize = 1276;
/// The unit of every Opus duration, in samples: 2.5 ms.
const UNIT: usize = 120;

fn encoder(dtx: bool) -> Result<opus::Encoder, AudioError> {
    let mut encoder = opus::Encoder::new(RATE, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
    encoder.set_dtx(dtx)?;
    Ok(encoder)
}

/// Encodes an utterance: 20 ms packets, 24 kbit/s, mono, VoIP, no DTX.
///
/// There are enough packets for the decoder to output the last sample despite the look-ahead,
/// followed by 100 ms of silence.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub fn encode(pcm: &[i16]) -> Result<Vec<Box<[u8]>>, AudioError> {
    encode_with(pcm, false)
}

/// Like [`encode`], with DTX if `dtx`: a packet of at most two bytes is one that a sender with DTX
/// leaves out.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub(crate) fn encode_with(pcm: &[i16], dtx: bool) -> Result<Vec<Box<[u8]>>, AudioError> {
    let mut encoder = encoder(dtx)?;
    frames(pcm, |_, frame| {
        Ok(encoder.encode_vec(frame, MAX_BYTES)?.into_boxed_slice())
    })
}

/// Encodes an utterance that ends abruptly and whose frames from number `fine` on replace those of
/// another encoding of the same utterance.
///
/// These frames have [`FINE_BITRATE`], at which the codec rings after a hard end for less than 1 ms
/// rather than for up to 25 ms.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub(crate) fn encode_end(pcm: &[i16], fine: usize) -> Result<Vec<Box<[u8]>>, AudioError> {
    let mut encoder = encoder(false)?;
    // The encoder changes its mode one frame after its bit rate.
    frames(pcm, |k, frame| {
        if k + 1 == fine.max(1) {
            encoder.set_bitrate(Bitrate::Bits(FINE_BITRATE))?;
        }
        Ok(encoder.encode_vec(frame, MAX_BYTES)?.into_boxed_slice())
    })
}

/// Calls `encode` with each frame of an utterance and the silence after it.
fn frames(
    pcm: &[i16],
    mut encode: impl FnMut(usize, &[i16]) -> Result<Box<[u8]>, AudioError>,
) -> Result<Vec<Box<[u8]>>, AudioError> {
    let count = (pcm.len() + OPUS_LOOKAHEAD).div_ceil(FRAME) + SETTLE_FRAMES;
    let mut frame = [0i16; FRAME];
    (0..count)
        .map(|k| {
            let rest = pcm.get(k * FRAME..).unwrap_or_default();
            let taken = rest.len().min(FRAME);
            frame[..taken].copy_from_slice(&rest[..taken]);
            frame[taken..].fill(0);
            encode(k, &frame)
        })
        .collect()
}

/// Encodes audio that goes on: whole frames of `pcm`, as they follow `before`.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub(crate) fn encode_after(before: &[i16], pcm: &[i16]) -> Result<Vec<Box<[u8]>>, AudioError> {
    let mut encoder = encoder(false)?;
    for frame in before.chunks_exact(FRAME) {
        encoder.encode_vec(frame, MAX_BYTES)?;
    }
    let frames = pcm.chunks_exact(FRAME);
    frames
        .map(|frame| Ok(encoder.encode_vec(frame, MAX_BYTES)?.into_boxed_slice()))
        .collect()
}

/// Returns one packet of digital silence, which a silent caller sends. The packet can follow the
/// last packet of any utterance, and can be repeated.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub fn silence_frame() -> Result<Box<[u8]>, AudioError> {
    // After its start-up the encoder produces the same bytes for each silent frame.
    let mut frames = encode(&[0; 10 * FRAME])?;
    frames.pop().ok_or(AudioError::Empty)
}

/// A decoder of one stream. Its output is always mono at 48 kHz.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
    /// Replaces `inner` from the first stereo packet on.
    stereo: Option<Box<Stereo>>,
    /// Output buffer, as long as the longest packet so far; nearly all packets hold 20 ms.
    samples: Vec<i16>,
    /// The packet whose audio is in `samples`, and the number of times in a row that it was
    /// decoded.
    last: Repeated,
}

/// The last packet decoded, to recognise the silence that an encoder repeats.
#[derive(Debug)]
struct Repeated {
    payload: [u8; REPEATED_BYTES],
    length: usize,
    count: usize,
    times: u32,
    /// Whether every decoding of the packet so far was silent.
    quiet: bool,
}

/// Maximum size of a packet of silence. At 24 kbit/s, such packets have 25 bytes.
const REPEATED_BYTES: usize = 64;
/// Once the same silent packet has been decoded this often, further repeats need no decoding: a
/// test verifies that the output is bit-identical even after a single repeat.
const SETTLED: u32 = 4;
/// Silence decodes to samples of at most this magnitude: the lowest of the 16 bits.
const SILENT: u16 = 1;

impl Repeated {
    const NOTHING: Self = Self {
        payload: [0; REPEATED_BYTES],
        length: 0,
        count: 0,
        times: 0,
        quiet: false,
    };

    fn is(&self, payload: &[u8]) -> bool {
        self.length == payload.len() && self.payload[..self.length] == *payload
    }

    /// Records that `payload` was decoded to `pcm`.
    fn note(&mut self, payload: &[u8], pcm: &[i16]) {
        let again = self.length > 0 && self.is(payload);
        if payload.len() > REPEATED_BYTES {
            self.length = 0;
            return;
        }
        let quiet = pcm.iter().all(|x| x.unsigned_abs() <= SILENT);
        (self.times, self.quiet) = match again {
            true => (self.times + 1, self.quiet && quiet),
            false => (1, quiet),
        };
        self.payload[..payload.len()].copy_from_slice(payload);
        (self.length, self.count) = (payload.len(), pcm.len());
    }
}

impl Decoder {
    /// Creates a decoder with a fresh state.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub fn new() -> Result<Self, AudioError> {
        let inner = opus::Decoder::new(RATE, Channels::Mono)?;
        Ok(Self {
            inner,
            stereo: None,
            samples: vec![0; FRAME],
            last: Repeated::NOTHING,
        })
    }

    /// Decodes a packet and returns its samples, at most 120 ms of them.
    ///
    /// Allocates only for a packet longer than any before, and for the first in stereo. A packet of
    /// silence that an encoder repeats is decoded a few times; after that the result is reused.
    ///
    /// # Errors
    /// [`AudioError::Empty`] when the packet is empty, [`AudioError::Codec`] when it is not Opus;
    /// the decoder stays usable.
    pub fn decode(&mut self, payload: &[u8]) -> Result<&[i16], AudioError> {
        if payload.is_empty() {
            return Err(AudioError::Empty);
        }
        let last = &self.last;
        if last.quiet && last.times >= SETTLED && last.is(payload) {
            return Ok(&self.samples[..last.count]);
        }
        let length = self.inner.get_nb_samples(payload).unwrap_or(FRAME);
        self.make_room(length);
        if self.stereo.is_none() && is_stereo(payload) {
            self.stereo = Some(Box::new(Stereo::new()?));
        }
        let count = match self.decode_into(payload, self.samples.len()) {
            Ok(count) => count,
            Err(e) => {
                self.last = Repeated::NOTHING;
                return Err(e);
            }
        };
        self.last.note(payload, &self.samples[..count]);
        Ok(&self.samples[..count])
    }

    /// Decodes into the first `room` samples of the buffer; returns how many were written.
    fn decode_into(&mut self, payload: &[u8], room: usize) -> Result<usize, AudioError> {
        let samples = &mut self.samples[..room];
        match &mut self.stereo {
            Some(stereo) => stereo.decode(payload, samples),
            None => Ok(self.inner.decode(payload, samples, false)?),
        }
    }

    /// The energies of the channels in the last packet, once the stream has been stereo.
    pub(super) fn channels(&self) -> Option<ChannelEnergy> {
        self.stereo.as_ref().map(|stereo| stereo.energy())
    }

    /// Number of samples that a packet holds.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when the packet is not Opus.
    pub(crate) fn length(&self, payload: &[u8]) -> Result<usize, AudioError> {
        Ok(self.inner.get_nb_samples(payload)?.min(MAX_PACKET))
    }

    fn make_room(&mut self, samples: usize) {
        let samples = samples.min(MAX_PACKET);
        if self.samples.len() < samples {
            self.samples.resize(samples, 0);
        }
    }

    /// Conceals lost audio: returns at most `samples`, and at most [`MAX_PACKET`], in whole units
    /// of 2.5 ms.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn conceal(&mut self, samples: usize) -> Result<&[i16], AudioError> {
        let wanted = samples.min(MAX_PACKET) / UNIT * UNIT;
        if wanted == 0 {
            return Ok(&[]);
        }
        self.make_room(wanted);
        self.last = Repeated::NOTHING;
        let count = self.decode_into(&[], wanted)?;
        Ok(&self.samples[..count])
    }

    /// Resets the decoder for a new stream.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn reset(&mut self) -> Result<(), AudioError> {
        self.last = Repeated::NOTHING;
        self.stereo = None;
        Ok(self.inner.reset_state()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, noise};

    fn decoded(frames: &[Box<[u8]>]) -> Vec<i16> {
        let mut decoder = Decoder::new().expect("libopus");
        frames
            .iter()
            .flat_map(|f| decoder.decode(f).expect("own packet").to_vec())
            .collect()
    }

    /// The lag, in samples, at which `b` correlates best with `a`.
    fn lag(a: &[i16], b: &[i16]) -> usize {
        let at = |lag: usize| -> f64 {
            a.iter()
                .zip(&b[lag..])
                .map(|(&x, &y)| f64::from(x) * f64::from(y))
                .sum()
        };
        (0..1000)
            .max_by(|&i, &j| at(i).total_cmp(&at(j)))
            .expect("not empty")
    }

    #[test]
    fn decoded_audio_lags_by_the_look_ahead() {
        // The lag is exact for full-band sound. The part of speech that SILK carries comes 2 or 3
        // samples (0.06 ms) early, because the delay of its resamplers is not a whole number.
        for fixture in FIXTURES.iter().take(3) {
            let pcm = fixture.pcm();
            let lag = lag(&pcm, &decoded(&encode(&pcm).expect("libopus")));
            assert!(lag.abs_diff(OPUS_LOOKAHEAD) <= 3, "{}: {lag}", fixture.name);
        }
        let hiss = noise(-20.0, 24_000, 3);
        assert_eq!(
            lag(&hiss, &decoded(&encode(&hiss).expect("libopus"))),
            OPUS_LOOKAHEAD
        );
        assert_eq!(
            encoder(false)
                .expect("libopus")
                .get_lookahead()
                .expect("libopus"),
            OPUS_LOOKAHEAD as i32
        );
    }

    #[test]
    fn an_utterance_ends_in_silence_and_silent_frames_stay_silent() {
        let silence = silence_frame().expect("libopus");
        for fixture in FIXTURES {
            let pcm = fixture.pcm();
            let mut frames = encode(&pcm).expect("libopus");
            let spoken = frames.len() * FRAME;
            assert!(spoken >= pcm.len() + OPUS_LOOKAHEAD + SETTLE_FRAMES * FRAME);
            frames.extend(std::iter::repeat_n(silence.clone(), 50));
            let heard = decoded(&frames);
            let peak = |range: &[i16]| range.iter().map(|x| x.unsigned_abs()).max();
            let tail = &heard[spoken - FRAME..];
            assert!(
                peak(tail) <= Some(4),
                "{}: {:?} after the end",
                fixture.name,
                peak(tail)
            );
        }
    }

    #[test]
    fn skipping_repeated_silence_does_not_change_the_output() {
        let silence = silence_frame().expect("libopus");
        for pair in FIXTURES.windows(2) {
            let before = encode(&pair[0].pcm()).expect("libopus");
            let after = encode(&pair[1].pcm()).expect("libopus");
            let mut skips = Decoder::new().expect("libopus");
            let mut always = opus::Decoder::new(RATE, Channels::Mono).expect("libopus");
            let mut samples = vec![0; MAX_PACKET];
            let pause = std::iter::repeat_n(&silence, 100);
            for (k, payload) in before.iter().chain(pause).chain(&after).enumerate() {
                let n = always
                    .decode(payload, &mut samples, false)
                    .expect("libopus");
                let got = skips.decode(payload).expect("libopus");
                assert_eq!(
                    got,
                    &samples[..n],
                    "{} then {}, packet {k}",
                    pair[0].name,
                    pair[1].name
                );
            }
        }
    }

    #[test]
    fn repeated_audible_packets_are_decoded() {
        let mut decoder = Decoder::new().expect("libopus");
        let loud = encode(&noise(-20.0, 4_800, 1))
            .expect("libopus")
            .swap_remove(2);
        let first = decoder.decode(&loud).expect("own packet").to_vec();
        let fifth = (0..4)
            .map(|_| decoder.decode(&loud).expect("own packet").to_vec())
            .last();
        assert_ne!(Some(first), fifth, "the decoder's state advances");
    }

    #[test]
    fn broken_packets_are_errors_and_concealment_is_bounded() {
        let mut decoder = Decoder::new().expect("libopus");
        assert!(decoder.decode(&[]).is_err());
        assert!(decoder.decode(&[0xFF, 0xFF, 0xFF]).is_err());
        for (asked, given) in [
            (0, 0),
            (119, 0),
            (120, 120),
            (1000, 960),
            (1_000_000, MAX_PACKET),
        ] {
            assert_eq!(
                decoder.conceal(asked).expect("libopus").len(),
                given,
                "{asked}"
            );
        }
        let frames = encode(&noise(-20.0, 4_800, 1)).expect("libopus");
        assert_eq!(
            decoder.decode(&frames[0]).expect("still usable").len(),
            FRAME
        );
    }
}
