//! Signals with a known ground truth: spoken fixtures cut at known samples, ramps of known length.
//!
//! In: the fixtures, seeds. Out: PCM at 48 kHz. Invariant: the same samples on every machine.

use loadgen::audio::{decode, speech_span};
use std::path::Path;

/// Number of samples in `ms` milliseconds.
pub fn ms(ms: usize) -> usize {
    ms * 48
}

/// The active level that every voice is scaled to, in dBFS.
pub const VOICE_DBFS: f64 = -23.0;

/// A spoken fixture at [`VOICE_DBFS`].
pub struct Voice {
    /// The fixture's name.
    pub name: String,
    /// Its samples at 48 kHz.
    pub pcm: Vec<i16>,
    /// First speech sample.
    pub start: usize,
    /// The sample after the last speech sample.
    pub end: usize,
}

/// The fixtures in which a voice says a sentence without a pause.
const VOICES: [&str; 9] = [
    "account-number",
    "cancel",
    "help",
    "long-story",
    "opening-hours",
    "order-status",
    "reply",
    "thanks",
    "yes",
];

/// Every spoken fixture, sorted by name.
pub fn voices() -> Vec<Voice> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = VOICES.map(|name| folder.join(name).with_extension("wav"));
    let voice = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).expect("readable");
        let pcm = decode(&bytes, Some("wav")).expect("a fixture");
        let span = speech_span(&pcm).expect("speech");
        let gain = VOICE_DBFS - f64::from(span.active_level_dbfs);
        Voice {
            name: path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            pcm: scaled(&pcm, gain),
            start: span.start,
            end: span.end,
        }
    };
    files.into_iter().map(voice).collect()
}

/// Amplifies a signal by `db`.
pub fn scaled(pcm: &[i16], db: f64) -> Vec<i16> {
    let gain = 10f64.powf(db / 20.0);
    pcm.iter()
        .map(|&x| (f64::from(x) * gain).round() as i16)
        .collect()
}

/// RMS of samples.
pub fn rms(pcm: &[i16]) -> f64 {
    let sum: f64 = pcm.iter().map(|&x| f64::from(x).powi(2)).sum();
    (sum / pcm.len().max(1) as f64).sqrt()
}

/// RMS of samples at a level in dBFS.
pub fn rms_at(dbfs: f64) -> f64 {
    32768.0 * 10f64.powf(dbfs / 20.0)
}

/// Adds `b` to `a`, beginning at sample `at` of `a`.
pub fn add(a: &mut [i16], at: usize, b: &[i16]) {
    for (x, y) in a.iter_mut().skip(at).zip(b) {
        *x = x.saturating_add(*y);
    }
}

/// Samples at which a voice can be cut so that its first sample is audible by construction: that
/// sample reaches half the active level, and the RMS of the 20 ms from there reaches the full
/// level. The cuts are at least 60 ms apart.
pub fn cuts(voice: &Voice) -> Vec<usize> {
    let level = rms_at(VOICE_DBFS);
    let mut found: Vec<usize> = Vec::new();
    let mut at = voice.start + ms(20);
    while at + ms(150) < voice.end {
        let first = f64::from(voice.pcm[at].unsigned_abs());
        let next = rms(&voice.pcm[at..at + ms(20)]);
        if first >= 0.5 * level && next >= level {
            found.push(at);
            at += ms(60);
        } else {
            at += 1;
        }
    }
    found
}

/// At most a second of a voice, starting at a cut, rescaled to [`VOICE_DBFS`] (active level) and
/// faded in over `ramp` samples. Also returns the sample at which the excerpt becomes audible by
/// construction: where the ramp brings the voice, at its RMS there, to 20 dB below the level.
pub fn body(voice: &Voice, cut: usize, ramp: usize) -> (Vec<i16>, f64) {
    let pcm = &voice.pcm[cut..voice.end.min(cut + ms(1000))];
    let active = speech_span(pcm).expect("speech").active_level_dbfs;
    let mut pcm = scaled(pcm, VOICE_DBFS - f64::from(active));
    if ramp == 0 {
        return (pcm, 0.0);
    }
    let local = rms(&pcm[..ramp]);
    for (n, x) in pcm.iter_mut().enumerate().take(ramp) {
        *x = (f64::from(*x) * n as f64 / ramp as f64).round() as i16;
    }
    let audible = ramp as f64 * 0.1 * rms_at(VOICE_DBFS) / local;
    (pcm, audible)
}
