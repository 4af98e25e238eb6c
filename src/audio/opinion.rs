//! Checks independently of the ear whether a reply is a voice, and where it begins.
//!
//! In: the audio around an onset. Out: whether the half second after the onset is speech, and where
//! that speech begins, according to a small neural voice activity detector (earshot). Invariants:
//! one buffer is reused; the opinion does not depend on audio that was judged before.

use super::{RATE, time_of};
use std::f32::consts::PI;
use std::time::Duration;

/// The two detectors disagree if their onsets are further apart than this.
pub(crate) const DISAGREEMENT: Duration = Duration::from_millis(60);
/// Samples of audio to supply before the onset, at [`RATE`]: 200 ms.
pub(crate) const OPINION_BEFORE: usize = 9600;
/// Samples examined from the onset on, at [`RATE`]: half a second.
pub(crate) const OPINION_AFTER: usize = 24_000;
/// Length of earshot's frames: 16 ms at 16 kHz.
const FRAME: usize = 256;
/// Decimation from 48 to 16 kHz.
const DECIMATION: usize = 3;
/// Half-length of the anti-aliasing filter, in samples at 48 kHz.
const REACH: usize = 24;
/// Number of partial sums accumulated in parallel.
const LANES: usize = 8;
/// Cut-off frequency of the anti-aliasing filter.
const CUT_OFF_HZ: f32 = 7000.0;
/// A frame with at least this score is voiced (as earshot recommends).
const VOICE: f32 = 0.5;
/// Speech has at least this share of voiced frames.
const SPEECH_SHARE: f32 = 0.3;

/// Smallest standard deviation of a voice's frame levels within half a second, in dB. Without this
/// check, earshot mistakes a low steady tone for a voice.
const STEADY_DB: f32 = 1.5;
/// Frames this far below the loudest frame are not part of the sound, in dB.
const BELOW_LOUDEST_DB: f32 = 20.0;
/// Number of frames in half a second, including a frame that the onset divides.
const FRAMES: usize = OPINION_AFTER / (FRAME * DECIMATION) + 2;

/// The verdict of the voice activity detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Opinion {
    /// Whether the first half second is speech.
    pub speech: bool,
    /// Share of the frames of that half second that are voiced.
    pub voiced: f32,
    /// Where the first voiced frame begins, from the start of the audio; `None` if none is voiced.
    pub begins: Option<Duration>,
}

impl Opinion {
    /// Distance between the first voiced frame and an onset `before` samples into the audio.
    pub(crate) fn apart(&self, before: usize) -> Option<Duration> {
        self.begins.map(|at| at.abs_diff(time_of(before as u64)))
    }
}

/// The voice activity detector, with its resampler to 16 kHz.
pub(crate) struct SecondEar {
    detector: Box<earshot::Detector>,
    filter: [f32; 2 * REACH + 1],
    /// The audio to judge, in −1..1.
    samples: Vec<f32>,
}

impl std::fmt::Debug for SecondEar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecondEar").finish_non_exhaustive()
    }
}

impl Default for SecondEar {
    fn default() -> Self {
        Self::new()
    }
}

impl SecondEar {
    /// Creates a detector.
    pub(crate) fn new() -> Self {
        Self {
            detector: Box::default(),
            filter: low_pass(),
            samples: Vec::new(),
        }
    }

    /// Judges audio whose onset, as found by the [`Ear`](super::Ear), is `before` samples into it.
    /// The audio should begin [`OPINION_BEFORE`] samples before the onset and go on for
    /// [`OPINION_AFTER`] samples after it.
    pub(crate) fn judge(&mut self, pcm: &[i16], before: usize) -> Opinion {
        self.detector.reset();
        let step = FRAME * DECIMATION;
        let until = pcm.len().min(before + OPINION_AFTER);
        self.take(pcm);
        let (mut begins, mut voiced, mut count) = (None, 0, 0);
        let mut levels = [f32::NEG_INFINITY; FRAMES];
        for start in (0..until.saturating_sub(step - 1)).step_by(step) {
            let frame: [f32; FRAME] = std::array::from_fn(|n| self.slow(start + n * DECIMATION));
            let is_voice = self.detector.predict_f32(&frame) >= VOICE;
            if is_voice && begins.is_none() {
                begins = Some(time_of(start as u64));
            }
            if start + step > before && count < FRAMES {
                let energy: f32 = frame.iter().map(|x| x * x).sum();
                levels[count] = 10.0 * energy.max(1e-12).log10();
                count += 1;
                voiced += usize::from(is_voice);
            }
        }
        let voiced = voiced as f32 / count.max(1) as f32;
        Opinion {
            speech: voiced >= SPEECH_SHARE && !is_steady(&levels),
            voiced,
            begins,
        }
    }

    fn take(&mut self, pcm: &[i16]) {
        let samples = pcm.iter().map(|&x| f32::from(x) / 32768.0);
        self.samples.clear();
        self.samples.extend(samples);
    }

    /// The low-passed sample at a position, in −1..1; silence outside the audio.
    fn slow(&self, at: usize) -> f32 {
        let from = at.saturating_sub(REACH);
        let taps = &self.filter[from + REACH - at..];
        let (samples, taps) = (self.samples[from..].chunks(LANES), taps.chunks(LANES));
        // Partial sums in parallel: a single sum would have to wait for each addition.
        let mut sums = [0f32; LANES];
        for (samples, taps) in samples.zip(taps) {
            for ((sum, &x), tap) in sums.iter_mut().zip(samples).zip(taps) {
                *sum += x * tap;
            }
        }
        sums.iter().sum::<f32>().clamp(-1.0, 1.0)
    }
}

/// Whether all loud frames have similar levels, except the first, which the onset divides.
fn is_steady(levels: &[f32]) -> bool {
    let loudest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let loud = levels.iter().filter(|&&l| l > loudest - BELOW_LOUDEST_DB);
    let loud = loud.skip(1);
    let count = loud.clone().count().max(1) as f32;
    let mean = loud.clone().sum::<f32>() / count;
    let variance = loud.map(|l| (l - mean).powi(2)).sum::<f32>() / count;
    variance.sqrt() < STEADY_DB
}

/// Taps of a windowed sinc (Hann), with a gain of 1.
fn low_pass() -> [f32; 2 * REACH + 1] {
    let taps: [f32; 2 * REACH + 1] = std::array::from_fn(|n| {
        let t = n as f32 - REACH as f32;
        let x = 2.0 * PI * CUT_OFF_HZ / RATE as f32 * t;
        let sinc = if t == 0.0 { 1.0 } else { x.sin() / x };
        sinc * 0.5 * (1.0 + (PI * t / (REACH + 1) as f32).cos())
    });
    let sum: f32 = taps.iter().sum();
    taps.map(|tap| tap / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, noise, sine};
    use crate::audio::{samples_in, speech_span, tone};

    /// Prepends 200 ms of silence to audio that begins with its onset.
    fn after_silence(pcm: &[i16]) -> Vec<i16> {
        [&vec![0; OPINION_BEFORE], pcm].concat()
    }

    impl Opinion {
        /// Whether the audio is speech, but begins more than [`DISAGREEMENT`] away from an onset
        /// `before` samples into it.
        fn disagrees(&self, before: usize) -> bool {
            self.speech && self.apart(before).is_some_and(|by| by > DISAGREEMENT)
        }
    }

    #[test]
    fn fixtures_are_judged_as_speech_at_their_onset() {
        let mut ear = SecondEar::new();
        for fixture in FIXTURES {
            let pcm = fixture.pcm();
            let start = speech_span(&pcm).expect("speech").start;
            let opinion = ear.judge(&after_silence(&pcm[start..]), OPINION_BEFORE);
            assert!(opinion.speech, "{}: {opinion:?}", fixture.name);
            assert!(
                !opinion.disagrees(OPINION_BEFORE),
                "{}: {opinion:?}",
                fixture.name
            );
        }
    }

    #[test]
    fn a_misplaced_onset_is_disputed() {
        let pcm = FIXTURES[0].pcm();
        let start = speech_span(&pcm).expect("speech").start;
        let early = [
            vec![0; OPINION_BEFORE + samples_in(Duration::from_millis(150)) as usize],
            pcm[start..].to_vec(),
        ]
        .concat();
        let opinion = SecondEar::new().judge(&early, OPINION_BEFORE);
        assert!(
            opinion.speech && opinion.disagrees(OPINION_BEFORE),
            "{opinion:?}"
        );
    }

    #[test]
    fn tones_noise_and_typing_are_not_speech() {
        let mut ear = SecondEar::new();
        let click: Vec<i16> = (0..24_000)
            .map(|n| {
                if n % 7000 < 300 {
                    noise(-20.0, 1, n as u64)[0]
                } else {
                    0
                }
            })
            .collect();
        for (name, pcm) in [
            ("nothing", vec![]),
            ("silence", vec![0; 24_000]),
            ("a tone", tone(Duration::from_millis(600))),
            ("a low tone", sine(220.0, -20.0, 24_000)),
            ("noise", noise(-25.0, 24_000, 3)),
            ("typing", click),
        ] {
            let opinion = ear.judge(&after_silence(&pcm), OPINION_BEFORE);
            assert!(!opinion.speech, "{name}: {opinion:?}");
        }
    }

    #[test]
    fn aliases_are_filtered_out() {
        let mut ear = SecondEar::new();
        for (hz, wanted) in [
            (1000.0, 0.0..0.5),
            (5000.0, 0.0..1.0),
            (9500.0, 30.0..200.0),
            (14_000.0, 40.0..200.0),
        ] {
            let pcm = sine(hz, -10.0, 4800);
            ear.take(&pcm);
            let power: f32 = (500..1000)
                .map(|n| ear.slow(n * DECIMATION).powi(2))
                .sum::<f32>()
                / 500.0;
            let loss = -10.0 - 10.0 * power.max(1e-12).log10();
            assert!(
                wanted.contains(&loss) || (loss > -0.1 && wanted.start == 0.0 && loss < wanted.end),
                "{hz}: {loss}"
            );
        }
    }
}
