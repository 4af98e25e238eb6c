//! Mixes stereo Opus down to mono without letting the channels cancel each other out.
//!
//! In: Opus packets of a stream that contains stereo packets. Out: mono PCM at 48 kHz. Invariant:
//! the output is not silent if one channel is the inverse of the other.

use super::{AudioError, MAX_PACKET, RATE};
use opus::Channels;

/// Bit of a packet's first byte that marks it as stereo (RFC 6716, 3.1).
const STEREO_BIT: u8 = 0x04;
/// Channels cancel each other out if the energy of their mean is less than this share of their
/// mean energy. The share is 1 for equal channels and 0.5 for independent channels or a single one.
pub(super) const CANCELLED: f64 = 0.25;

/// Whether a packet holds two channels.
pub(super) fn is_stereo(payload: &[u8]) -> bool {
    payload.first().is_some_and(|toc| toc & STEREO_BIT != 0)
}

/// Decodes stereo packets to mono.
#[derive(Debug)]
pub(super) struct Stereo {
    inner: opus::Decoder,
    /// Of the last packet.
    energy: ChannelEnergy,
    /// Output buffer: left, right, left, …
    interleaved: Vec<i16>,
}

/// Energies of both channels and of their mean: sums of squares.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChannelEnergy {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) mean: f64,
}

impl Stereo {
    pub(super) fn new() -> Result<Self, AudioError> {
        Ok(Self {
            inner: opus::Decoder::new(RATE, Channels::Stereo)?,
            energy: ChannelEnergy::default(),
            interleaved: vec![0; 2 * MAX_PACKET],
        })
    }

    /// Decodes `payload` into `mono` and returns the number of samples; an empty `payload` conceals
    /// a loss.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when the packet is not Opus or does not fit.
    pub(super) fn decode(&mut self, payload: &[u8], mono: &mut [i16]) -> Result<usize, AudioError> {
        let room = self.interleaved.len().min(2 * mono.len());
        let interleaved = &mut self.interleaved[..room];
        let count = self.inner.decode(payload, interleaved, false)?;
        self.energy = mix(&interleaved[..2 * count], mono);
        Ok(count)
    }

    /// The energies of the channels in the last packet.
    pub(super) fn energy(&self) -> ChannelEnergy {
        self.energy
    }
}

/// Writes the mean of both channels, or the louder channel if they cancel each other out.
fn mix(interleaved: &[i16], mono: &mut [i16]) -> ChannelEnergy {
    let (mut left, mut right, mut mean) = (0.0, 0.0, 0.0);
    for (both, mono) in interleaved.chunks_exact(2).zip(&mut *mono) {
        let (l, r) = (f64::from(both[0]), f64::from(both[1]));
        left += l * l;
        right += r * r;
        mean += (l + r) * (l + r) / 4.0;
        // The mean of two `i16` fits in an `i16`.
        *mono = ((i32::from(both[0]) + i32::from(both[1])) / 2) as i16;
    }
    let energy = ChannelEnergy { left, right, mean };
    if mean >= (left + right) / 2.0 * CANCELLED {
        return energy;
    }
    let louder = usize::from(right > left);
    for (both, mono) in interleaved.chunks_exact(2).zip(mono) {
        *mono = both[louder];
    }
    energy
}

#[cfg(test)]
mod tests {
    use super::super::opus::Decoder;
    use super::super::test_signals::{FIXTURES, noise};
    use super::super::{FRAME, OPUS_LOOKAHEAD};
    use super::*;

    /// Encodes `pcm` in stereo; `channels` maps a sample to its left and right samples.
    fn encoded(pcm: &[i16], channels: fn(i16) -> [i16; 2]) -> Vec<Vec<u8>> {
        let mut encoder =
            opus::Encoder::new(RATE, Channels::Stereo, opus::Application::Voip).expect("libopus");
        encoder
            .set_bitrate(opus::Bitrate::Bits(64_000))
            .expect("libopus");
        let frames = pcm.chunks_exact(FRAME);
        let frame = |frame: &[i16]| {
            let both: Vec<i16> = frame.iter().flat_map(|&x| channels(x)).collect();
            encoder.encode_vec(&both, 4_000).expect("libopus")
        };
        frames.map(frame).collect()
    }

    fn energy(pcm: &[i16]) -> f64 {
        pcm.iter().map(|&x| f64::from(x).powi(2)).sum()
    }

    /// Level of a decoded fixture relative to the original, in dB.
    fn heard(channels: fn(i16) -> [i16; 2]) -> f64 {
        let pcm = FIXTURES[0].pcm();
        let packets = encoded(&pcm, channels);
        assert!(packets.iter().any(|p| is_stereo(p)));
        let mut decoder = Decoder::new().expect("libopus");
        let mut heard = Vec::new();
        for packet in &packets {
            heard.extend_from_slice(decoder.decode(packet).expect("own packet"));
        }
        let audible = &pcm[..heard.len() - OPUS_LOOKAHEAD];
        10.0 * (energy(&heard) / energy(audible)).log10()
    }

    #[test]
    fn inverted_and_single_channels_stay_audible() {
        type Case = (&'static str, fn(i16) -> [i16; 2], f64);
        let cases: [Case; 5] = [
            ("identical", |x| [x, x], 0.0),
            ("right inverted", |x| [x, x.saturating_neg()], 0.0),
            ("right inverted and quieter", |x| [x, -(x / 2)], 0.0),
            ("left only", |x| [x, 0], -6.0),
            ("right only", |x| [0, x], -6.0),
        ];
        for (name, channels, expected) in cases {
            let level = heard(channels);
            assert!((level - expected).abs() < 1.5, "{name}: {level:.1} dB");
        }
    }

    #[test]
    fn a_stream_that_switches_to_mono_stays_audible_and_mono_streams_are_unaffected() {
        let pcm = noise(-20.0, 48_000, 5);
        let stereo = encoded(&pcm, |x| [x, x.saturating_neg()]);
        let mono = super::super::opus::encode(&pcm).expect("libopus");
        let mut decoder = Decoder::new().expect("libopus");
        let mut plain = opus::Decoder::new(RATE, Channels::Mono).expect("libopus");
        let mut expected = vec![0; MAX_PACKET];
        for packet in &mono {
            let count = plain.decode(packet, &mut expected, false).expect("libopus");
            assert_eq!(
                decoder.decode(packet).expect("own packet"),
                &expected[..count]
            );
        }
        let mut loud = 0;
        let mono = mono.into_iter().map(Vec::from).collect::<Vec<_>>();
        for packet in stereo.iter().chain(&mono) {
            let heard = decoder.decode(packet).expect("own packet");
            loud += usize::from(energy(heard) > energy(&pcm[..FRAME]) / 8.0);
        }
        assert!(loud + 8 >= stereo.len() + mono.len(), "{loud}");
        assert!(!decoder.conceal(FRAME).expect("libopus").is_empty());
    }
}
