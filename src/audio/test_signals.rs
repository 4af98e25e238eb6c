//! Signals for the tests of this module, exact to the sample: tones, noise and spoken fixtures.

use super::decode::decode;
use super::utterance::Annotation;
use std::f64::consts::{PI, SQRT_2};

/// A spoken fixture.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    /// The active level at which the fixture was generated.
    pub(crate) dbfs: f64,
    pub(crate) wav: &'static [u8],
    sidecar: &'static [u8],
}

impl Fixture {
    /// The end of speech as annotated, in samples at 48 kHz.
    pub(crate) fn end(&self) -> f64 {
        self.annotation().speech_end().as_secs_f64() * 48_000.0
    }

    pub(crate) fn annotation(&self) -> Annotation {
        Annotation::parse(self.sidecar).expect(self.name)
    }

    pub(crate) fn pcm(&self) -> Vec<i16> {
        decode(self.wav, Some("wav")).expect(self.name)
    }
}

macro_rules! fixtures {
    ($(#[$about:meta])* $list:ident: $($name:literal $dbfs:literal),* $(,)?) => {
        $(#[$about])*
        pub(crate) const $list: &[Fixture] = &[$(Fixture {
            name: $name,
            dbfs: $dbfs,
            wav: include_bytes!(concat!("../../fixtures/", $name, ".wav")),
            sidecar: include_bytes!(concat!("../../fixtures/", $name, ".json")),
        }),*];
    };
}

fixtures! {
    /// Every spoken fixture of one sentence.
    FIXTURES: "order-status" -19.9, "thanks" -26.8, "yes" -17.5, "opening-hours" -22.8, "cancel" -16.2,
    "long-story" -24.0, "account-number" -32.0, "help" -29.1, "reply" -20.0,
}

fixtures! {
    /// What else callers do: hesitate, correct themselves, spell, cough.
    CALLERS: "hesitation" -21.9, "correction" -20.9, "spelled-name" -22.8, "mhm" -26.0,
    "uh-huh" -25.0, "side-speech" -27.0, "cough" -24.1, "door" -23.4,
}

/// A sine that starts at its crest, at an RMS level in dBFS.
pub(crate) fn sine(hz: f64, dbfs: f64, samples: usize) -> Vec<i16> {
    let peak = 32768.0 * SQRT_2 * 10f64.powf(dbfs / 20.0);
    let wave = |n: usize| (2.0 * PI * hz * n as f64 / 48_000.0).cos();
    (0..samples)
        .map(|n| (peak * wave(n)).round() as i16)
        .collect()
}

/// White noise (uniform) at an RMS level in dBFS, from a seed.
pub(crate) fn noise(dbfs: f64, samples: usize, seed: u64) -> Vec<i16> {
    let peak = 32768.0 * 3f64.sqrt() * 10f64.powf(dbfs / 20.0);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = move || {
        // xorshift64*, Vigna 2016.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..samples)
        .map(|_| (peak * uniform()).round() as i16)
        .collect()
}

/// The sum of two signals, as long as the longer.
pub(crate) fn mix(a: &[i16], b: &[i16]) -> Vec<i16> {
    let at = |x: &[i16], n: usize| x.get(n).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .map(|n| at(a, n).saturating_add(at(b, n)))
        .collect()
}
