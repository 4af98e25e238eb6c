//! Distinguishes a reply from an echo of the caller's own voice.
//!
//! In: the caller's utterances with their capture times; an onset with the audio that follows it.
//! Out: the strength and the delay of their correlation. Invariants: nothing is computed while the
//! caller speaks, only when an onset is compared (0.2 ms); all callers share an utterance's
//! samples.

use super::RATE;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f32::consts::TAU;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// An onset that correlates with the caller's own audio by more than this is an echo.
pub(crate) const ECHO_CORRELATION: f32 = 0.5;
/// Longest echo delay that is searched.
pub(crate) const ECHO_RANGE: Duration = Duration::from_secs(1);
/// Number of samples compared from an onset on: 450 ms at [`RATE`]. Two voices can correlate by
/// chance over one syllable, but hardly ever over two.
pub(crate) const ECHO_AUDIO: usize = 21_600;
/// Decimation from 48 to 4 kHz: codecs preserve the waveform only in the remaining band.
const DECIMATION: usize = 12;
const SLOW_RATE: u64 = RATE as u64 / DECIMATION as u64;
/// Number of samples compared from an onset on, at [`SLOW_RATE`].
const WINDOW: usize = ECHO_AUDIO / DECIMATION;
/// Number of delay steps, one per sample at [`SLOW_RATE`].
const DELAYS: usize = SLOW_RATE as usize;
/// Length of the FFT: large enough for the window at every delay without circular wrap-around.
const FFT: usize = 8192;
const _: () = assert!(FFT > WINDOW + DELAYS);
/// An onset with fewer samples than this is not compared: 50 ms.
const LEAST: usize = WINDOW / 9;
/// Sent audio below this mean square (a few 16-bit quantisation steps) causes no echo.
const SILENCE: f32 = 4.0;
/// Pre-emphasis: this share of the previous sample is subtracted, so that two voices do not
/// correlate through their low frequencies alone.
const EMPHASIS: f32 = 0.8;
/// A Hann window over three decimated samples, with a gain of 1. It must suppress the band above
/// 2 kHz, where codecs preserve the level but not the waveform: sound in that band would lower the
/// correlation of an echo.
static LOW_PASS: LazyLock<[f32; 3 * DECIMATION]> = LazyLock::new(|| {
    let length = (3 * DECIMATION) as f32;
    std::array::from_fn(|n| (1.0 - (TAU * (n as f32 + 0.5) / length).cos()) / length)
});

/// The correlation of an onset with the caller's own audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Magnitude of the highest normalised correlation of either sign, 0 to 1.
    pub correlation: f32,
    /// The delay at which that correlation was found.
    pub(crate) delay: Duration,
}

impl Likeness {
    /// No correlation.
    const NONE: Self = Self {
        correlation: 0.0,
        delay: Duration::ZERO,
    };

    /// Whether the onset is an echo of the caller's own voice.
    pub fn is_echo(&self) -> bool {
        self.correlation > ECHO_CORRELATION
    }
}

/// An utterance, prepared for the comparison.
#[derive(Debug, Clone)]
pub struct Spoken(Arc<[f32]>);

impl Spoken {
    /// Prepares an utterance from its samples at 48 kHz.
    pub fn new(pcm: &[i16]) -> Self {
        Self(slow(pcm).into())
    }

    fn length(&self) -> Duration {
        Duration::from_nanos(self.0.len() as u64 * 1_000_000_000 / SLOW_RATE)
    }
}

/// Compares the audio from an onset on with the caller's audio of up to a second earlier.
///
/// `said` holds utterances, each with the capture time of its first sample. `onset` is when the
/// onset's first sample was received. `pcm` begins with that sample; at most 450 ms of it are used.
pub fn compare<'a>(
    said: impl IntoIterator<Item = (Instant, &'a Spoken)>,
    onset: Instant,
    pcm: &[i16],
) -> Likeness {
    let heard = slow(&pcm[..pcm.len().min(ECHO_AUDIO)]);
    let own: f32 = heard.iter().map(|x| x * x).sum();
    if heard.len() < LEAST || own <= 0.0 {
        return Likeness::NONE;
    }
    let mut sent = vec![0f32; FFT];
    let mut spoken = false;
    for (start, utterance) in said {
        spoken |= lay(&mut sent[..heard.len() + DELAYS], start, utterance, onset);
    }
    if !spoken {
        return Likeness::NONE;
    }
    let energies = energies(&sent, heard.len());
    let Some(products) = correlate(sent, &heard) else {
        return Likeness::NONE;
    };
    let mut best = Likeness::NONE;
    for (k, (&product, &energy)) in products.iter().zip(&energies).enumerate() {
        if energy < SILENCE * heard.len() as f32 {
            continue;
        }
        let correlation = (product / (energy * own).sqrt()).abs().min(1.0);
        if correlation > best.correlation {
            let delay = Duration::from_nanos((DELAYS - k) as u64 * 1_000_000_000 / SLOW_RATE);
            best = Likeness { correlation, delay };
        }
    }
    best
}

/// Adds an utterance to the sent audio, whose first sample is [`ECHO_RANGE`] before the onset.
/// Returns whether any part of the utterance lies inside.
fn lay(sent: &mut [f32], start: Instant, utterance: &Spoken, onset: Instant) -> bool {
    if start + utterance.length() + ECHO_RANGE < onset {
        return false;
    }
    let before = onset.checked_duration_since(start).map(slow_samples);
    let after = start.checked_duration_since(onset).map(slow_samples);
    // Where the utterance begins, relative to the first sample of `sent`.
    let at = DELAYS as i64 - before.unwrap_or(0) + after.unwrap_or(0);
    let mut any = false;
    for (k, x) in utterance.0.iter().enumerate() {
        let Ok(k) = usize::try_from(at + k as i64) else {
            continue;
        };
        let Some(out) = sent.get_mut(k) else { break };
        *out += x;
        any = true;
    }
    any
}

fn slow_samples(time: Duration) -> i64 {
    let nanos = time.as_nanos() as u64;
    (nanos
        .saturating_mul(SLOW_RATE / 1000)
        .saturating_add(500_000)
        / 1_000_000) as i64
}

/// Energy of the sent audio under the window, at each delay.
fn energies(sent: &[f32], window: usize) -> Vec<f32> {
    // In f64, so that rounding leaves no energy in the silence after a loud word.
    let square = |k: usize| f64::from(sent[k]).powi(2);
    let mut sum: f64 = (0..window).map(square).sum();
    let mut all = Vec::with_capacity(DELAYS + 1);
    for k in 0..=DELAYS {
        all.push(sum.max(0.0) as f32);
        if k < DELAYS {
            sum += square(k + window) - square(k);
        }
    }
    all
}

type Plans = (Arc<dyn RealToComplex<f32>>, Arc<dyn ComplexToReal<f32>>);

static PLANS: LazyLock<Plans> = LazyLock::new(|| {
    let mut planner = RealFftPlanner::new();
    (planner.plan_fft_forward(FFT), planner.plan_fft_inverse(FFT))
});

/// Scalar product of `heard` with `sent` at each delay. The result is never `None`, because the
/// plans reject only buffers of the wrong length.
fn correlate(mut sent: Vec<f32>, heard: &[f32]) -> Option<Vec<f32>> {
    let (forward, inverse) = &*PLANS;
    let mut padded = forward.make_input_vec();
    padded[..heard.len()].copy_from_slice(heard);
    let (mut a, mut b) = (forward.make_output_vec(), forward.make_output_vec());
    forward.process(&mut sent, &mut a).ok()?;
    forward.process(&mut padded, &mut b).ok()?;
    for (a, b) in a.iter_mut().zip(&b) {
        *a *= b.conj();
    }
    // The spectrum of a real signal is real at 0 Hz and at Nyquist. So is the product of two such
    // spectra, apart from rounding.
    for end in [0, FFT / 2] {
        a[end].im = 0.0;
    }
    inverse.process(&mut a, &mut sent).ok()?;
    let scale = 1.0 / FFT as f32;
    Some(sent[..=DELAYS].iter().map(|x| x * scale).collect())
}

/// Converts samples to 4 kHz, with a low-pass filter and pre-emphasis.
fn slow(pcm: &[i16]) -> Vec<f32> {
    let at = |n: usize| f32::from(pcm[n.saturating_sub(DECIMATION).min(pcm.len() - 1)]);
    let mut before = None;
    let count = pcm.len() / DECIMATION;
    let samples = (0..count).map(|k| {
        let taps = LOW_PASS.iter().enumerate();
        let sum: f32 = taps.map(|(n, tap)| tap * at(k * DECIMATION + n)).sum();
        let emphasised = sum - EMPHASIS * before.unwrap_or(sum);
        before = Some(sum);
        emphasised
    });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, mix, noise};
    use crate::audio::{FRAME, opus, tone};

    fn coded(pcm: &[i16]) -> Vec<i16> {
        let mut decoder = opus::Decoder::new().expect("libopus");
        let frames = opus::encode(pcm).expect("libopus");
        let mut decode = |f: &[u8]| decoder.decode(f).expect("own packet").to_vec();
        frames.iter().flat_map(|f| decode(f)).collect()
    }

    /// Compares an onset with a single utterance.
    fn alike(said: &[i16], start: Instant, onset: Instant, heard: &[i16]) -> Likeness {
        compare([(start, &Spoken::new(said))], onset, heard)
    }

    #[test]
    fn callers_own_voice_is_detected_as_echo() {
        let start = Instant::now();
        for fixture in FIXTURES {
            let said = fixture.pcm();
            let span = crate::audio::speech_span(&said).expect("speech");
            for (db, delay) in [(20.0, 35u64), (30.0, 240), (40.0, 900)] {
                let gain = 10f64.powf(-db / 20.0);
                let back: Vec<i16> = coded(&said)
                    .iter()
                    .map(|x| (f64::from(*x) * gain).round() as i16)
                    .collect();
                let back = coded(&back);
                // The audio passed through the codec twice: two look-aheads of delay.
                let from = span.start + 624;
                let at = start + Duration::from_millis(delay) + super::super::time_of(from as u64);
                let likeness = alike(&said, start, at, &back[from..]);
                assert!(
                    likeness.is_echo(),
                    "{} at -{db} dB: {likeness:?}",
                    fixture.name
                );
                let known = Duration::from_millis(delay + 13);
                // Speech repeats itself after a pitch period, so the delay is only coarse.
                assert!(
                    likeness.delay.abs_diff(known) < Duration::from_millis(30),
                    "{}: {likeness:?}",
                    fixture.name
                );
            }
        }
    }

    #[test]
    fn a_reply_is_not_detected_as_echo() {
        let start = Instant::now();
        let mut highest = 0f32;
        for said in FIXTURES {
            let spoken = Spoken::new(&said.pcm());
            for reply in FIXTURES.iter().filter(|f| f.name != said.name) {
                let heard = reply.pcm();
                let span = crate::audio::speech_span(&heard).expect("speech");
                for after in [300u64, 700, 1100] {
                    let onset = start + Duration::from_millis(after);
                    let likeness = compare([(start, &spoken)], onset, &heard[span.start..]);
                    highest = highest.max(likeness.correlation);
                }
            }
        }
        assert!(
            highest <= ECHO_CORRELATION,
            "two voices correlate by {highest}"
        );
    }

    #[test]
    fn no_echo_while_the_caller_is_silent() {
        let start = Instant::now();
        let voice = FIXTURES[0].pcm();
        assert!(!compare([], start, &voice).is_echo());
        let soon = start + Duration::from_millis(100);
        assert!(!alike(&[0; FRAME], start, soon, &voice).is_echo());
        let later = start + Duration::from_secs(7);
        let long_ago = alike(&voice, start, later, &voice[9600..]);
        assert!(!long_ago.is_echo(), "long ago");
        let little = alike(&voice, start, start, &voice[9600..9700]);
        assert!(!little.is_echo(), "too little");
        let reply = tone(Duration::from_millis(400));
        let likeness = alike(&voice, start, start + Duration::from_secs(1), &reply);
        assert!(!likeness.is_echo(), "a tone: {likeness:?}");
        // With two utterances, the later one is found.
        let said = [
            (start, &Spoken::new(&voice)),
            (later, &Spoken::new(&voice[9600..9600 + 15 * FRAME])),
        ];
        let likeness = compare(said, later + Duration::from_millis(200), &voice[9600..]);
        assert!(
            likeness.is_echo()
                && likeness.delay.abs_diff(Duration::from_millis(200)) < Duration::from_millis(1),
            "{likeness:?}"
        );
    }

    #[test]
    fn echo_under_noise_is_still_echo() {
        let start = Instant::now();
        let said = FIXTURES[0].pcm();
        let quiet: Vec<i16> = said.iter().map(|x| x / 10).collect();
        let noisy = mix(&quiet, &noise(-55.0, quiet.len(), 4));
        let from = 9600;
        let at = start + Duration::from_millis(150) + super::super::time_of(from as u64);
        assert!(alike(&said, start, at, &noisy[from..]).is_echo());
    }
}
