//! A decoder that skips packets that the sender marks as silence.
//!
//! In: packets, with their level from the RTP header (RFC 6464), if present. Out: their audio.
//! Invariants: only digital silence is skipped, and only once the sound before it has faded; the
//! last skipped packets are decoded before the next packet that is not skipped, so that the decoder
//! reaches the same state as without skipping.

use super::codec::{Codec, FrameDecoder};
use super::stereo::ChannelEnergy;
use super::{AudioError, MAX_PACKET};
use std::collections::VecDeque;

/// Level that marks digital silence (RFC 6464): -127 dBov or less.
pub(crate) const DIGITAL_SILENCE: u8 = 127;
/// Number of packets still decoded at the start of a silence, while the codec's look-ahead and
/// memory fade.
const SETTLED: usize = 5;
/// Number of skipped packets kept, to restore the decoder's state.
const KEPT: usize = 4;

#[derive(Debug)]
pub(super) struct Sparing {
    decoder: FrameDecoder,
    /// Number of consecutive packets of digital silence.
    silent: usize,
    kept: VecDeque<Vec<u8>>,
    /// Buffers for reuse in `kept`.
    spare: Vec<Vec<u8>>,
}

static SILENCE: [i16; MAX_PACKET] = [0; MAX_PACKET];

impl Sparing {
    pub(super) fn new(codec: Codec) -> Result<Self, AudioError> {
        Ok(Self {
            decoder: FrameDecoder::new(codec)?,
            silent: 0,
            kept: VecDeque::new(),
            spare: Vec::new(),
        })
    }

    /// Decodes a packet. `level` is the packet's level in -dBov; `None` if it is unknown or cannot
    /// be relied on.
    ///
    /// # Errors
    /// The same as [`FrameDecoder::decode`].
    pub(super) fn decode(
        &mut self,
        packet: &[u8],
        level: Option<u8>,
    ) -> Result<&[i16], AudioError> {
        if level.is_none_or(|level| level < DIGITAL_SILENCE) {
            self.silent = 0;
            self.lead_back();
            return self.decoder.decode(packet);
        }
        self.silent += 1;
        if self.silent <= SETTLED {
            return self.decoder.decode(packet);
        }
        let samples = self.decoder.length(packet)?;
        let mut room = match self.kept.len() {
            KEPT => self.kept.pop_front().unwrap_or_default(),
            _ => self.spare.pop().unwrap_or_default(),
        };
        room.clear();
        room.extend_from_slice(packet);
        self.kept.push_back(room);
        Ok(&SILENCE[..samples])
    }

    /// Like [`FrameDecoder::channels`].
    pub(super) fn channels(&self) -> Option<ChannelEnergy> {
        self.decoder.channels()
    }

    /// Like [`FrameDecoder::conceal`].
    pub(super) fn conceal(&mut self, samples: usize) -> Result<&[i16], AudioError> {
        self.lead_back();
        self.decoder.conceal(samples)
    }

    /// Like [`FrameDecoder::reset`].
    pub(super) fn reset(&mut self) -> Result<(), AudioError> {
        self.silent = 0;
        self.spare.extend(self.kept.drain(..));
        self.decoder.reset()
    }

    fn lead_back(&mut self) {
        while let Some(packet) = self.kept.pop_front() {
            // A packet that cannot be decoded leaves the decoder's state unchanged.
            let _ = self.decoder.decode(&packet);
            self.spare.push(packet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::FIXTURES;
    use crate::audio::{FRAME, opus};

    /// Packets of speech, two seconds of digital silence, and speech; each with its input's level.
    fn stream(before: &[i16], after: &[i16]) -> Vec<(Box<[u8]>, u8)> {
        let mut pcm = before.to_vec();
        pcm.resize(pcm.len() + 96_000, 0);
        pcm.extend(after);
        let frames = opus::encode(&pcm).expect("libopus");
        let level = |k: usize| {
            let input = pcm.get(k * FRAME..).unwrap_or_default();
            let loud = input.iter().take(FRAME).any(|x| *x != 0);
            if loud { 30 } else { DIGITAL_SILENCE }
        };
        let levels = (0..).map(level);
        frames.into_iter().zip(levels).collect()
    }

    #[test]
    fn skipped_silence_does_not_change_the_audio_after_it() {
        for pair in FIXTURES.windows(2) {
            let (mut always, mut sparing) = (
                Sparing::new(Codec::Opus).expect("libopus"),
                Sparing::new(Codec::Opus).expect("libopus"),
            );
            let mut skipped = 0;
            for (packet, level) in stream(&pair[0].pcm(), &pair[1].pcm()) {
                let expected = always.decode(&packet, None).expect("own packet").to_vec();
                let got = sparing.decode(&packet, Some(level)).expect("own packet");
                assert_eq!(got.len(), expected.len());
                let off = got.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(
                    off <= Some(2),
                    "{} then {}: {off:?}",
                    pair[0].name,
                    pair[1].name
                );
                skipped += usize::from(sparing.kept.len() == KEPT);
            }
            assert!(skipped > 80, "{skipped} of 100 packets were skipped");
        }
    }
}
