//! Tells the caller's own voice, coming back, from a reply.
//!
//! In: what the caller sends, with its instants; an onset with its first 450 ms of audio. Out: how
//! much they are alike, and at which delay. Holds: memory is bounded and taken once; what is
//! sent costs a few additions a sample, and only the question costs more (8 million
//! multiplications).

use super::RATE;
use std::time::{Duration, Instant};

/// An onset that is more like the caller's own audio than this is echo.
pub const ECHO_CORRELATION: f32 = 0.5;
/// The longest way back that is looked at.
pub const ECHO_RANGE: Duration = Duration::from_secs(1);
/// Audio of an onset that is compared: 450 ms at [`RATE`]. Two voices may be alike by more than
/// half over 300 ms.
pub const ECHO_AUDIO: usize = 21_600;
/// 48 → 4 kHz: the band that codecs keep the waveform of.
const DECIMATION: usize = 12;
const SLOW_RATE: u64 = RATE as u64 / DECIMATION as u64;
/// Samples of an onset at the slow rate.
const WINDOW: usize = ECHO_AUDIO / DECIMATION;
/// Delays compared, one a slow sample.
const DELAYS: usize = SLOW_RATE as usize;
/// Slow samples kept: 4 s. The range, the window, and the time that an ear takes to be sure.
const KEPT: usize = 16_384;
/// Less of an onset than this is no question: 50 ms.
const LEAST: usize = WINDOW / 9;
/// Sent audio below this mean square (of differences, a few steps of 16 bit) makes no echo.
const SILENCE: f32 = 4.0;

/// What an onset has in common with the caller's own audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// The highest normalised correlation, of either sign, 0 to 1.
    pub correlation: f32,
    /// The delay at which it was found.
    pub delay: Duration,
}

impl Likeness {
    /// Whether the onset is the caller's own voice.
    pub fn is_echo(&self) -> bool {
        self.correlation > ECHO_CORRELATION
    }
}

/// The caller's own recent audio.
#[derive(Debug)]
pub struct Echo {
    /// When slow sample 0 was captured.
    start: Option<Instant>,
    /// Slow samples so far.
    end: u64,
    ring: Box<[f32]>,
    /// The last sample before the difference.
    before: f32,
    /// Room for a question.
    sent: Box<[f32]>,
    heard: Vec<f32>,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Echo {
    /// A caller that has said nothing.
    pub fn new() -> Self {
        Self {
            start: None,
            end: 0,
            ring: vec![0.0; KEPT].into_boxed_slice(),
            before: 0.0,
            sent: vec![0.0; WINDOW + DELAYS].into_boxed_slice(),
            heard: Vec::with_capacity(WINDOW),
        }
    }

    /// The caller sends `pcm` (a multiple of 12 samples), whose first sample was captured at
    /// `at`. What lies between it and the frame before was silence.
    pub fn sent(&mut self, at: Instant, pcm: &[i16]) {
        let start = *self.start.get_or_insert(at);
        let gap = place(start, at).saturating_sub(self.end);
        // A step of one sample is the clock's, not a gap.
        if gap > 1 {
            (0..gap.min(KEPT as u64)).for_each(|k| self.ring[(self.end + k) as usize % KEPT] = 0.0);
            self.end += gap;
            self.before = 0.0;
        }
        for slow in pcm.chunks_exact(DECIMATION).map(mean) {
            self.ring[self.end as usize % KEPT] = slow - self.before;
            self.before = slow;
            self.end += 1;
        }
    }

    /// Compares an onset, whose first sample was heard at `onset`, with what was sent in the
    /// second before it. `pcm` begins with the onset; of it [`ECHO_AUDIO`] is looked at.
    pub fn compare(&mut self, onset: Instant, pcm: &[i16]) -> Likeness {
        let mut best = Likeness {
            correlation: 0.0,
            delay: Duration::ZERO,
        };
        self.heard.clear();
        let mut before = pcm.first().map_or(0.0, |x| f32::from(*x));
        for slow in pcm.chunks_exact(DECIMATION).take(WINDOW).map(mean) {
            self.heard.push(slow - before);
            before = slow;
        }
        let length = self.heard.len();
        let own = dot(&self.heard, &self.heard);
        let Some(start) = self.start.filter(|_| length >= LEAST && own > 0.0) else {
            return best;
        };
        // `sent[k]` was captured k slow samples after a range before the onset.
        let first = place(start, onset) as i64 - DELAYS as i64;
        for (k, out) in self.sent[..length + DELAYS].iter_mut().enumerate() {
            let at = first + k as i64;
            let kept = at >= 0 && (at as u64) < self.end && at as u64 + KEPT as u64 >= self.end;
            *out = if kept {
                self.ring[at as usize % KEPT]
            } else {
                0.0
            };
        }
        for k in 0..=DELAYS {
            let window = &self.sent[k..k + length];
            let energy = dot(window, window);
            if energy < SILENCE * length as f32 {
                continue;
            }
            let correlation = (dot(window, &self.heard) / (energy * own).sqrt()).abs();
            if correlation > best.correlation {
                let delay = Duration::from_nanos((DELAYS - k) as u64 * 1_000_000_000 / SLOW_RATE);
                best = Likeness { correlation, delay };
            }
        }
        best
    }
}

/// The slow sample at an instant, to the nearest.
fn place(start: Instant, at: Instant) -> u64 {
    let nanos = at.saturating_duration_since(start).as_nanos() as u64;
    (nanos.saturating_mul(SLOW_RATE / 1000) + 500_000) / 1_000_000
}

fn mean(samples: &[i16]) -> f32 {
    let sum: i32 = samples.iter().map(|&x| i32::from(x)).sum();
    sum as f32 / samples.len() as f32
}

/// In eight lanes, so that it is fast.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (x, y) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = x
        .remainder()
        .iter()
        .zip(y.remainder())
        .map(|(p, q)| p * q)
        .sum();
    for (x, y) in x.zip(y) {
        for (lane, (p, q)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += p * q;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_signals::{FIXTURES, mix, noise};
    use crate::audio::{FRAME, FRAME_TIME, opus, tone};

    fn coded(pcm: &[i16]) -> Vec<i16> {
        let mut decoder = opus::Decoder::new().expect("libopus");
        let frames = opus::encode(pcm).expect("libopus");
        let mut decode = |f: &[u8]| decoder.decode(f).expect("own packet").to_vec();
        frames.iter().flat_map(|f| decode(f)).collect()
    }

    fn saying(pcm: &[i16], start: Instant) -> Echo {
        let mut echo = Echo::new();
        for (k, frame) in pcm.chunks_exact(FRAME).enumerate() {
            echo.sent(start + FRAME_TIME * k as u32, frame);
        }
        echo
    }

    #[test]
    fn the_own_voice_is_echo_at_its_delay() {
        let start = Instant::now();
        let mut known_as_echo = 0;
        for fixture in FIXTURES {
            let mut said = fixture.pcm();
            // The question comes while what was said is still kept.
            said.truncate(2 * 48_000);
            let span = crate::audio::speech_span(&said).expect("speech");
            for (db, delay) in [(20.0, 35u64), (30.0, 240), (40.0, 900)] {
                let gain = 10f64.powf(-db / 20.0);
                let back: Vec<i16> = coded(&said)
                    .iter()
                    .map(|x| (f64::from(*x) * gain).round() as i16)
                    .collect();
                let back = coded(&back);
                // Twice the look-ahead later.
                let from = span.start + 624;
                let at = start + Duration::from_millis(delay) + super::super::time_of(from as u64);
                let likeness = saying(&said, start).compare(at, &back[from..]);
                known_as_echo += usize::from(likeness.is_echo());
                assert!(
                    likeness.correlation > 0.45,
                    "{} at -{db} dB: {likeness:?}",
                    fixture.name
                );
                let known = Duration::from_millis(delay + 13);
                // Speech repeats itself after a pitch period: the delay is a coarse one.
                assert!(
                    likeness.delay.abs_diff(known) < Duration::from_millis(30),
                    "{}: {likeness:?}",
                    fixture.name
                );
            }
        }
        // Three begin with a short vowel before a long hiss, of which the codec keeps no waveform.
        assert!(known_as_echo >= 24, "{known_as_echo} of 27");
    }

    #[test]
    fn a_reply_is_no_echo() {
        let start = Instant::now();
        let mut highest = 0f32;
        for said in FIXTURES {
            let mut echo = saying(&said.pcm(), start);
            for reply in FIXTURES.iter().filter(|f| f.name != said.name) {
                let heard = reply.pcm();
                let span = crate::audio::speech_span(&heard).expect("speech");
                for after in [300u64, 700, 1100] {
                    let likeness =
                        echo.compare(start + Duration::from_millis(after), &heard[span.start..]);
                    highest = highest.max(likeness.correlation);
                }
            }
        }
        assert!(
            highest <= ECHO_CORRELATION,
            "two voices are alike by {highest}"
        );
    }

    #[test]
    fn where_nothing_was_said_there_is_no_echo() {
        let start = Instant::now();
        let voice = FIXTURES[0].pcm();
        let mut silent = Echo::new();
        assert!(!silent.compare(start, &voice).is_echo());
        silent.sent(start, &[0; FRAME]);
        assert!(
            !silent
                .compare(start + Duration::from_millis(100), &voice)
                .is_echo()
        );
        let mut echo = saying(&voice, start);
        let later = start + Duration::from_secs(7);
        assert!(!echo.compare(later, &voice[9600..]).is_echo(), "long ago");
        assert!(
            !echo.compare(start, &voice[9600..9700]).is_echo(),
            "too little"
        );
        let reply = tone(Duration::from_millis(400));
        let likeness = echo.compare(start + Duration::from_secs(1), &reply);
        assert!(!likeness.is_echo(), "a tone: {likeness:?}");
        // The instants count, not the number of frames.
        echo.sent(later, &voice[9600..9600 + 15 * FRAME]);
        let likeness = echo.compare(later + Duration::from_millis(200), &voice[9600..]);
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
        assert!(saying(&said, start).compare(at, &noisy[from..]).is_echo());
    }
}
