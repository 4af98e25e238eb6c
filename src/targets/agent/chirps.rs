//! Locates the end of the caller's calibration chirp to the sample.
//!
//! In: decoded samples with their position, and the approximate position at which the level
//! indicates the end of a chirp. Out: the position of the sample after the chirp's last one.
//! Invariants: only correlation counts. The codec stretches a hard edge by up to 20 ms, which moves
//! the drop in level but not the correlation peak. Memory is bounded.

use crate::audio::Pcm;
use crate::audio::chirp::{CHIRP, chirp, locate};
use crate::audio::{FRAME, RATE};

/// Number of samples kept: more than a chirp, the hangover and two packets combined.
const KEPT: usize = RATE as usize / 2;
/// The level indicates the end of a chirp at most this much before its last sample, because the
/// chirp's edge is soft …
const BEFORE: u64 = 10 * RATE as u64 / 1_000;
/// … and at most this much after it.
const AFTER: u64 = 25 * RATE as u64 / 1_000;
/// The coarse search takes every fourth sample: 12 kHz is enough for a chirp of up to 3.4 kHz.
const STEP: usize = 4;

/// Detects chirps in one stream.
pub(super) struct Chirps {
    reference: Pcm,
    thinned: Pcm,
    /// The latest samples, at most twice [`KEPT`].
    pcm: Pcm,
    /// Position of the sample after the last one in `pcm`.
    next: u64,
}

fn thinned(pcm: &[i16]) -> Pcm {
    pcm.iter().step_by(STEP).copied().collect()
}

impl Chirps {
    pub(super) fn new() -> Self {
        let reference = chirp();
        Self {
            thinned: thinned(&reference),
            reference,
            pcm: Vec::with_capacity(2 * KEPT + FRAME),
            next: 0,
        }
    }

    /// Adds samples that start at `position`; missing samples before that position count as
    /// silence.
    pub(super) fn hear(&mut self, position: u64, pcm: &[i16]) {
        let missing = position.saturating_sub(self.next).min(2 * KEPT as u64);
        self.pcm.extend(std::iter::repeat_n(0, missing as usize));
        self.pcm.extend_from_slice(pcm);
        self.next = position + pcm.len() as u64;
        if self.pcm.len() > 2 * KEPT {
            self.pcm.drain(..self.pcm.len() - KEPT);
        }
    }

    /// Position after the last sample of the chirp that ended near `by_level`; `None` if there was
    /// no chirp, or if part of the chirp is no longer kept.
    pub(super) fn end_near(&self, by_level: u64) -> Option<u64> {
        let oldest = self.next.checked_sub(self.pcm.len() as u64)?;
        let chirp = CHIRP as u64;
        let from = by_level.checked_sub(chirp + AFTER)?.checked_sub(oldest)? as usize;
        let to = (by_level + BEFORE).min(self.next) - oldest;
        let slice = self.pcm.get(from..to as usize)?;
        let coarse = locate(&thinned(slice), &self.thinned, 0..slice.len() / STEP)?;
        // The thinned peak is flat, so the true peak is within a few samples of it.
        let near = (coarse.position.max(0.0) as usize) * STEP;
        let fine = near.saturating_sub(2 * STEP)..near + 2 * STEP;
        let found = locate(slice, &self.reference, fine)?;
        Some(oldest + from as u64 + found.position.round() as u64 + chirp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{OPUS_LOOKAHEAD, opus};

    /// `lead` samples of silence, a chirp and half a second of silence, encoded and decoded.
    fn heard(lead: usize) -> Pcm {
        let pcm = [vec![0; lead], chirp(), vec![0; 24_000]].concat();
        let mut decoder = opus::Decoder::new().expect("decoder");
        let frames = opus::encode(&pcm).expect("encoded");
        let decode = |f: Box<[u8]>| decoder.decode(&f).expect("decoded").to_vec();
        frames.into_iter().flat_map(decode).collect()
    }

    #[test]
    fn the_end_of_a_chirp_is_found_to_the_sample_through_the_codec() {
        for lead in [9_600, 10_007, 10_319, 48_000] {
            let mut chirps = Chirps::new();
            let pcm = heard(lead);
            // Everything up to 150 ms after the chirp.
            let until = lead + CHIRP + 7_200;
            for (k, part) in pcm[..until].chunks(FRAME).enumerate() {
                chirps.hear((k * FRAME) as u64, part);
            }
            let end = (lead + CHIRP + OPUS_LOOKAHEAD) as u64;
            for by_level in [end - 400, end, end + 960] {
                let found = chirps.end_near(by_level).expect("a chirp");
                // The codec itself accounts for 0.05 ms.
                assert!(
                    found.abs_diff(end) <= 4,
                    "{lead}, {by_level}: {found} for {end}"
                );
            }
        }
    }

    #[test]
    fn silence_gaps_and_other_sounds_are_not_chirps() {
        let mut chirps = Chirps::new();
        assert_eq!(chirps.end_near(10_000), None, "nothing heard");
        chirps.hear(
            0,
            &crate::audio::tone(std::time::Duration::from_millis(400)),
        );
        assert_eq!(chirps.end_near(19_200), None, "a tone");
        chirps.hear(1_000_000, &[0; FRAME]);
        assert_eq!(chirps.end_near(1_000_000), None, "a gap");
        assert_eq!(chirps.end_near(5), None, "long ago");
    }
}
