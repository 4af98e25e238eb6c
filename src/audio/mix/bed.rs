//! Background noise that goes on for a whole call.
//!
//! In: a recording, or a kind of noise; a level; the caller's line. Out: a loop, and its frames,
//! encoded once. Invariants: the loop is a whole number of frames, joins without a step, and has
//! its level over its whole length.

use super::noise::generated;
use super::{FRAME, Line, Pcm, RATE, rms_level, rounded, scale};
use crate::audio::{AudioError, Codec};
use crate::vocab::NoiseKind;
use std::sync::Arc;

/// Length of generated noise: 20 s.
const GENERATED: usize = 20 * RATE as usize;
/// Longest part of a recording that is used: 60 s.
const LONGEST: usize = 60 * RATE as usize;
/// Shortest recording: half a second.
const SHORTEST: usize = RATE as usize / 2;
/// Length of the cross-fade where the loop joins: 50 ms.
const JOIN: usize = RATE as usize / 20;
/// Samples on both sides of the loop in which filters and the codec settle: 100 ms.
const SETTLE: usize = 5 * FRAME;

/// A loop of noise.
#[derive(Debug, Clone)]
pub(crate) struct Bed {
    /// At the microphone.
    pub samples: Arc<[f32]>,
    /// At the far end of the line.
    pub frames: Arc<[Arc<[u8]>]>,
}

/// Makes a loop of a recording: its first minute at most, its end faded into its beginning.
///
/// # Errors
/// [`AudioError::ShortNoise`] below half a second, [`AudioError::SilentNoise`].
pub(crate) fn loop_of(recording: &[f32]) -> Result<Arc<[f32]>, AudioError> {
    if recording.len() < SHORTEST {
        return Err(AudioError::ShortNoise);
    }
    let whole = &recording[..recording.len().min(LONGEST)];
    let length = (whole.len() - JOIN) / FRAME * FRAME;
    let mut made = whole[..length].to_vec();
    for n in 0..JOIN {
        // Of equal power, since the two parts are not correlated.
        let part = (n as f32 + 0.5) / JOIN as f32 * std::f32::consts::FRAC_PI_2;
        made[n] = whole[n] * part.sin() + whole[length + n] * part.cos();
    }
    rms_level(&made).ok_or(AudioError::SilentNoise)?;
    Ok(made.into())
}

/// Makes a loop of generated noise.
pub(crate) fn noise_loop(kind: NoiseKind, seed: u64) -> Result<Arc<[f32]>, AudioError> {
    loop_of(&generated(kind, GENERATED + JOIN, seed))
}

impl Bed {
    /// Brings a loop to its level (of all samples, in dBFS), and encodes it as it arrives at the
    /// far end of the line.
    ///
    /// # Errors
    /// [`AudioError::SilentNoise`], or an error of the encoder.
    pub(crate) fn new(
        noise: &[f32],
        dbfs: f64,
        line: &Line,
        codec: Codec,
    ) -> Result<Self, AudioError> {
        let own = rms_level(noise).ok_or(AudioError::SilentNoise)?;
        let mut samples = noise.to_vec();
        scale(&mut samples, dbfs - own);
        let heard = passed(&samples, line);
        let before = &heard[heard.len() - SETTLE..];
        Ok(Self {
            frames: codec.encode_after(before, &heard)?.into(),
            samples: samples.into(),
        })
    }

    /// Encodes an utterance that was mixed with the loop from sample `from` on, as it follows the
    /// frames of the loop.
    ///
    /// # Errors
    /// An error of the encoder.
    pub(crate) fn encode(
        &self,
        mixed: &[i16],
        from: usize,
        line: &Line,
        codec: Codec,
    ) -> Result<Vec<Arc<[u8]>>, AudioError> {
        let length = self.samples.len();
        let before = self.samples.iter().cycle();
        let before = before.skip((from + length - SETTLE % length) % length);
        let mut before: Vec<f32> = before.take(SETTLE).copied().collect();
        without_clipping(line).pass(&mut before);
        codec.encode_after(&rounded(&before), mixed)
    }
}

/// The loop at the far end of a line. Filters see what comes before and after it.
fn passed(samples: &[f32], line: &Line) -> Pcm {
    let around = samples.iter().cycle();
    let around = around.skip(samples.len() - SETTLE % samples.len());
    let mut wide: Vec<f32> = around.take(samples.len() + 2 * SETTLE).copied().collect();
    without_clipping(line).pass(&mut wide);
    rounded(&wide[SETTLE..SETTLE + samples.len()])
}

/// Noise between the turns is far below the level at which speech is cut off.
fn without_clipping(line: &Line) -> Line {
    Line {
        clip_db: None,
        ..line.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Effects, floats, mixed};
    use super::*;
    use crate::audio::FrameDecoder;
    use crate::audio::test_signals::{FIXTURES, noise, sine};

    fn decoded(frames: &[Arc<[u8]>], codec: Codec) -> Vec<i16> {
        let mut decoder = FrameDecoder::new(codec).expect("a decoder");
        let all = frames.iter();
        all.flat_map(|f| decoder.decode(f).expect("own frame").to_vec())
            .collect()
    }

    fn level(pcm: &[i16]) -> f64 {
        rms_level(&floats(pcm)).expect("not silent")
    }

    #[test]
    fn a_loop_joins_without_a_step_and_has_its_level() {
        let recording = floats(&sine(440.0, -20.0, 100_000));
        let made = loop_of(&recording).expect("long enough");
        assert_eq!(made.len() % FRAME, 0);
        let step = |n: usize| (made[n] - made[(n + made.len() - 1) % made.len()]).abs();
        let usual = (1..made.len()).map(step).fold(0.0, f32::max);
        assert!(step(0) <= usual * 1.01, "{} and {usual}", step(0));
        for codec in [Codec::Pcm, Codec::Opus] {
            let hiss = floats(&noise(-10.0, 96_000, 4));
            let hiss = loop_of(&hiss).expect("long enough");
            let bed = Bed::new(&hiss, -45.0, &Line::default(), codec).expect("a bed");
            let own = rms_level(&bed.samples).expect("not silent");
            assert!((own + 45.0).abs() < 0.01, "{own}");
            let twice: Vec<_> = bed.frames.iter().chain(&*bed.frames).cloned().collect();
            let heard = level(&decoded(&twice, codec)[9_600..]);
            assert!((heard + 45.0).abs() < 2.5, "{codec:?}: {heard} dBFS");
        }
    }

    #[test]
    fn short_and_silent_recordings_are_refused() {
        assert_eq!(loop_of(&[0.1; 20_000]).err(), Some(AudioError::ShortNoise));
        assert_eq!(loop_of(&[0.0; 48_000]).err(), Some(AudioError::SilentNoise));
    }

    #[test]
    fn noise_goes_on_before_during_and_after_an_utterance() {
        let fixture = &FIXTURES[0];
        let speech = fixture.pcm();
        let hiss = noise_loop(NoiseKind::White, 9).expect("noise");
        let line = Line::default();
        for codec in [Codec::Pcm, Codec::Opus] {
            let bed = Bed::new(&hiss, -45.0, &line, codec).expect("a bed");
            let from = 30 * FRAME;
            let pcm = mixed(&speech, &Effects::default(), Some((&bed.samples, from)));
            let pcm = pcm.expect("mixed");
            let frames = bed.encode(&pcm, from, &line, codec).expect("encoded");
            assert_eq!(frames.len() * FRAME, pcm.len());
            let (before, after) = (&bed.frames[..30], &bed.frames[30 + frames.len()..][..30]);
            let all: Vec<_> = before.iter().chain(&frames).chain(after).cloned().collect();
            let heard = decoded(&all, codec);
            let start = 30 * FRAME + codec.lookahead();
            let end = start + pcm.len();
            // Every 20 ms around both ends, where only noise is heard.
            let ends = [start - 9_600..start + 2_400, end - 9_600..end + 9_600];
            for at in ends.into_iter().flat_map(|range| range.step_by(FRAME)) {
                let here = level(&heard[at..at + FRAME]);
                assert!((here + 45.0).abs() < 5.0, "{codec:?}, {at}: {here} dBFS");
            }
            if codec == Codec::Pcm {
                // To the sample: the clean speech, and the loop from `from` on.
                for n in (0..speech.len()).step_by(97) {
                    let noise = bed.samples[(from + n) % bed.samples.len()] * 32768.0;
                    let sum = f32::from(speech[n]) + noise;
                    let apart = (f32::from(heard[30 * FRAME + n]) - sum).abs();
                    assert!(apart <= 1.0, "{n}: {apart}");
                }
            }
        }
    }
}
