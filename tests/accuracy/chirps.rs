//! Check 1: a chirp through Opus at 24 kbit/s, after subtracting the codec's own delay.
//!
//! The codec's own delay is its look-ahead plus the phase shift of its encoder's high-pass. The
//! residual at 24 kbit/s comes from the resamplers of the speech layer, which libopus aligns to
//! whole samples at 16 kHz; the same chirp at 128 kbit/s, which bypasses that layer, shows the
//! error of `locate` itself.

use crate::signals::ms;
use crate::{in_parallel, size};
use loadgen::audio::chirp::{chirp, locate};
use loadgen::audio::{FRAME, OPUS_LOOKAHEAD, opus};

/// Statistics of the chirps' residuals, in ms.
struct Residuals {
    mean: f64,
    sd: f64,
    worst: f64,
}

fn decoded<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<i16> {
    let mut decoder = opus::Decoder::new().expect("libopus");
    let mut heard = Vec::new();
    for frame in frames {
        heard.extend_from_slice(decoder.decode(frame).expect("own packet"));
    }
    heard
}

/// Encodes `pcm` at 24 kbit/s with the callers' encoder, then decodes the result.
fn at_24_kbit(pcm: &[i16]) -> Vec<i16> {
    let frames = opus::encode(pcm).expect("libopus");
    decoded(frames.iter().map(AsRef::as_ref))
}

/// Encodes `pcm` at 128 kbit/s, without Opus's speech layer and high-pass, then decodes the result.
fn at_128_kbit(pcm: &[i16]) -> Vec<i16> {
    use ::opus::{Application, Bitrate, Channels, Encoder};
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Audio).expect("libopus");
    encoder
        .set_bitrate(Bitrate::Bits(128_000))
        .expect("libopus");
    let frames: Vec<Vec<u8>> = pcm
        .chunks_exact(FRAME)
        .map(|frame| encoder.encode_vec(frame, 1276).expect("libopus"))
        .collect();
    decoded(frames.iter().map(AsRef::as_ref))
}

/// The high-pass of libopus's encoder for voice at its lowest cut-off, 60 Hz (`hp_cutoff` in
/// opus_encoder.c; the cut-off rises to 100 Hz with the pitch of the voice).
fn high_passed(pcm: &[i16]) -> Vec<i16> {
    let fc = 1.5 * std::f64::consts::PI / 1000.0 * 60.0 / 48.0;
    let r = 1.0 - 0.92 * fc;
    let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
    let mut filter = |x: f64| {
        let y = r * (x - 2.0 * x1 + x2) + r * (2.0 - fc * fc) * y1 - r * r * y2;
        (x2, x1, y2, y1) = (x1, x, y1, y);
        y.round() as i16
    };
    pcm.iter().map(|&x| filter(f64::from(x))).collect()
}

/// Shift of the chirp caused by the high-pass, in samples.
fn moved_by_high_pass() -> f64 {
    let pcm = [vec![0; 500], chirp(), vec![0; 1000]].concat();
    let found = locate(&high_passed(&pcm), &chirp(), 400..600).expect("a chirp");
    found.position - 500.0
}

/// Residual of one chirp that begins at sample `lead`, in ms.
fn residual(lead: usize, coded: impl Fn(&[i16]) -> Vec<i16>, own_delay: f64) -> f64 {
    let reference = chirp();
    let pcm = [vec![0; lead], reference.clone(), vec![0; ms(60)]].concat();
    let near = lead + OPUS_LOOKAHEAD;
    let found = locate(&coded(&pcm), &reference, near - 150..near + 150).expect("a chirp");
    (found.position - lead as f64 - own_delay) / 48.0
}

fn residuals(coded: impl Fn(&[i16]) -> Vec<i16> + Copy + Sync, own_delay: f64) -> Residuals {
    // Spread the starts over the phases of a frame: the step is coprime with the frame length.
    let count = size(32, 240);
    let leads: Vec<usize> = (0..count).map(|k| ms(200) + k * 977 % 960).collect();
    let all = in_parallel(&leads, |&lead| residual(lead, coded, own_delay));
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|r| (r - mean).powi(2)).sum::<f64>();
    Residuals {
        mean,
        sd: (variance / all.len() as f64).sqrt(),
        worst: all.iter().fold(0f64, |w, r| w.max(r.abs())),
    }
}

#[test]
fn a_chirp_is_located_through_the_codec() {
    let look_ahead = OPUS_LOOKAHEAD as f64;
    let moved = moved_by_high_pass();
    let Residuals { mean, sd, worst } = residuals(at_24_kbit, look_ahead + moved);
    eprintln!(
        "check 1: 24 kbit/s: residual {mean:+.4} ms, sd {sd:.4}, worst {worst:.4}; the high-pass \
         moves the chirp by {:+.4} ms",
        moved / 48.0
    );
    assert!(mean.abs() <= 0.05, "residual {mean} ms");
    assert!(sd <= 0.02, "sd {sd} ms");
    let Residuals { mean, sd, .. } = residuals(at_128_kbit, look_ahead);
    eprintln!("check 1: 128 kbit/s, no speech layer: residual {mean:+.4} ms, sd {sd:.4}");
    assert!(mean.abs() <= 0.005 && sd <= 0.005, "{mean} {sd}");
}
