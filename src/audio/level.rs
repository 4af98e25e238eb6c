//! Measures the active speech level and finds where speech starts and ends relative to that level.
//!
//! In: PCM at 48 kHz. Out: a level in dBFS (0 dB = the RMS of a full-scale square wave), a span
//! in samples. Invariants: silence before or after changes neither the level nor the span's place
//! in the audio; samples may arrive in pieces of any size.

use super::rumble::without_rumble;
use std::borrow::Cow;

/// Where the speech in a recording lies, and its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeechSpan {
    /// First speech sample.
    pub start: usize,
    /// The sample after the last speech sample.
    pub end: usize,
    /// Active speech level (ITU-T P.56), in dBFS.
    pub active_level_dbfs: f32,
}

/// Length of the windows by which the start and end of speech are found: 2 ms.
pub(crate) const WINDOW: usize = 96;
/// A window is speech if it is at most this far below the active level, in dB.
pub(crate) const BELOW_ACTIVE_DB: f64 = 20.0;
/// Below this active level there is no speech, in dBFS.
pub(crate) const NO_SPEECH_DBFS: f64 = -60.0;

/// Ends of speech no further apart than this count as the same, in samples: 3 ms.
const SAME: usize = 144;
/// The rumble filter spreads speech by at most this much beyond its ends, in samples: 10 ms.
const SPREAD: usize = 480;

/// P.56: decay per sample of the two smoothing stages, exp(−1 / (48 kHz · 30 ms)).
const DECAY: f64 = 0.9993057966262922;
/// P.56: margin between the active level and the threshold that determines it, in dB.
const MARGIN_DB: f64 = 15.9;
/// The envelope is compared once a millisecond (P.56 requires 600 Hz or more).
const STEP: u32 = 48;
/// P.56: hangover of 200 ms, in steps.
const HANGOVER: u16 = 200;
/// P.56 thresholds: 2^-15 of full scale (one bit) and its doublings.
const THRESHOLDS: usize = 16;

/// Full-scale power of `i16` samples.
const FULL_SCALE: f64 = 32768.0 * 32768.0;

/// Mean square of samples at a level in dBFS.
pub(crate) fn power_at(dbfs: f64) -> f64 {
    FULL_SCALE * 10f64.powf(dbfs / 10.0)
}

/// Level in dBFS of a mean square of samples.
pub(crate) fn dbfs_of(power: f64) -> f64 {
    10.0 * (power / FULL_SCALE).log10()
}

/// Meter of a stream's active speech level, after ITU-T P.56 (12/2011), method B.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActiveLevel {
    energy: f64,
    first: f64,
    second: f64,
    in_step: u32,
    active: [u32; THRESHOLDS],
    /// Steps of hangover left.
    hang: [u16; THRESHOLDS],
}

impl ActiveLevel {
    /// Adds the next samples.
    pub(crate) fn push(&mut self, pcm: &[i16]) {
        for &x in pcm {
            self.sample(f64::from(x));
        }
    }

    /// Adds the next samples, of which 1 is full scale.
    pub(crate) fn push_floats(&mut self, samples: &[f32]) {
        for &x in samples {
            self.sample(f64::from(x) * 32768.0);
        }
    }

    fn sample(&mut self, x: f64) {
        self.energy += x * x;
        self.first = DECAY * self.first + (1.0 - DECAY) * x.abs();
        self.second = DECAY * self.second + (1.0 - DECAY) * self.first;
        self.in_step += 1;
        if self.in_step == STEP {
            self.in_step = 0;
            self.step();
        }
    }

    fn step(&mut self) {
        let mut threshold = 1.0;
        for (active, hang) in self.active.iter_mut().zip(&mut self.hang) {
            if self.second >= threshold {
                *active += 1;
                *hang = HANGOVER;
            } else if *hang > 0 {
                *active += 1;
                *hang -= 1;
            }
            threshold *= 2.0;
        }
    }

    /// The level after the hangovers have run out, as if silence followed; `None` for near-silence.
    pub(crate) fn level(&self) -> Option<f64> {
        let mut ended = self.clone();
        while ended.second >= 1.0 || ended.hang.iter().any(|&h| h > 0) {
            ended.sample(0.0);
        }
        ended.so_far()
    }

    /// The level while speech continues: the rest of the hangover is not counted.
    pub(crate) fn so_far(&self) -> Option<f64> {
        let mut below: Option<(f64, f64)> = None;
        for (j, &active) in self.active.iter().enumerate().take_while(|(_, a)| **a > 0) {
            let level = dbfs_of(self.energy / (f64::from(active) * f64::from(STEP)));
            let margin = level - dbfs_of(4f64.powi(j as i32));
            if margin <= MARGIN_DB {
                return Some(below.map_or(level, |(lower, wider)| {
                    lower + (level - lower) * (wider - MARGIN_DB) / (wider - margin)
                }));
            }
            below = Some((level, margin));
        }
        below.map(|(level, _)| level)
    }
}

/// Finds where speech starts and ends. Callers and the reference agent use this rule.
///
/// Speech extends from the first to the last 2 ms window (at any offset) whose RMS is at least the
/// active speech level (ITU-T P.56, method B) − 20 dB. Inside these two windows, it starts and ends
/// at the first and the last sample of that magnitude. DC and sound below the voice band are not
/// speech. `None` when the active level is below −60 dBFS.
pub fn speech_span(pcm: &[i16]) -> Option<SpeechSpan> {
    judge(pcm).map(|judged| judged.span)
}

/// A recording with its speech.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged<'a> {
    /// Where speech lies.
    pub span: SpeechSpan,
    /// The samples that the span was judged by: those of the recording, or the high-passed ones.
    pub pcm: Cow<'a, [i16]>,
}

/// Like [`speech_span`], with the samples by which it was judged.
///
/// DC and hum would count as speech up to the end of the file, so the start and the end are first
/// found in the high-passed samples. The high-pass filter spreads sound near its corner frequency
/// by some milliseconds. If the start (or end) found in the unfiltered samples is close to that
/// position or slightly further inside, it is used instead. Start and end are judged separately: a
/// thump after the speech does not affect the start.
pub(crate) fn judge(pcm: &[i16]) -> Option<Judged<'_>> {
    let above = without_rumble(pcm);
    let voice = span_by_level(&above)?;
    let whole = span_by_level(pcm);
    let starts = voice.start.saturating_sub(SAME)..=voice.start + SPREAD;
    let ends = voice.end.saturating_sub(SPREAD)..=voice.end + SAME;
    let start = whole.map(|s| s.start).filter(|at| starts.contains(at));
    let end = whole.map(|s| s.end).filter(|at| ends.contains(at));
    if let (Some(_), Some(_), Some(span)) = (start, end, whole) {
        return Some(Judged {
            span,
            pcm: pcm.into(),
        });
    }
    let span = SpeechSpan {
        start: start.unwrap_or(voice.start),
        end: end.unwrap_or(voice.end),
        ..voice
    };
    Some(Judged {
        span: if span.start < span.end { span } else { voice },
        pcm: above.into(),
    })
}

fn span_by_level(pcm: &[i16]) -> Option<SpeechSpan> {
    let mut meter = ActiveLevel::default();
    meter.push(pcm);
    let level = meter.level().filter(|&level| level >= NO_SPEECH_DBFS)?;
    let (start, end) = loud_span(pcm, power_at(level - BELOW_ACTIVE_DB))?;
    Some(SpeechSpan {
        start,
        end,
        active_level_dbfs: level as f32,
    })
}

/// Returns the first loud sample and the one after the last. A sample is loud if its square is at
/// least `power` inside a 2 ms window whose mean square is too. Outside `pcm` there is silence.
pub(crate) fn loud_span(pcm: &[i16], power: f64) -> Option<(usize, usize)> {
    let loud = |&x: &i16| square(x) as f64 >= power;
    let to = first_window(pcm.len(), |i| pcm[i], power)? + 1;
    let from = to.saturating_sub(WINDOW);
    let start = from + pcm[from..to].iter().position(loud)?;

    let last = first_window(pcm.len(), |i| pcm[pcm.len() - 1 - i], power)?;
    let from = pcm.len() - 1 - last;
    let to = (from + WINDOW).min(pcm.len());
    let end = from + pcm[from..to].iter().rposition(loud)? + 1;
    Some((start, end))
}

/// The last sample of the first window with a mean square of at least `power`.
fn first_window(length: usize, sample: impl Fn(usize) -> i16, power: f64) -> Option<usize> {
    let needed = (power * WINDOW as f64).ceil() as i64;
    let mut sum = 0;
    (0..length).find(|&i| {
        sum += square(sample(i));
        if i >= WINDOW {
            sum -= square(sample(i - WINDOW));
        }
        sum >= needed
    })
}

fn square(x: i16) -> i64 {
    i64::from(x) * i64::from(x)
}

#[cfg(test)]
mod tests;
