//! Noises, and sounds that are not a reply.
//!
//! In: levels, lengths, seeds. Out: PCM at 48 kHz. Invariant: the same samples on every machine.

use crate::signals::{Voice, ms, rms, rms_at, scaled};

/// Pseudorandom numbers from a seed (xorshift64*, Vigna 2016).
pub struct Seed(u64);

impl Seed {
    /// A generator that yields the same sequence for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut made = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| _ = made.unit());
        made
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in a range.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

/// White noise at an RMS level.
pub fn white(dbfs: f64, samples: usize, seed: u64) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    let peak = rms_at(dbfs) * 3f64.sqrt();
    (0..samples)
        .map(|_| seed.between(-peak, peak).round() as i16)
        .collect()
}

/// Eight voices at once, excluding the voice named `but`, each looped from its own random position.
pub fn babble(voices: &[Voice], but: &str, dbfs: f64, samples: usize, seed: u64) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    let mut sum = vec![0f64; samples];
    for voice in voices.iter().filter(|v| v.name != but).take(8) {
        let spoken = &voice.pcm[voice.start..voice.end];
        let from = seed.below(spoken.len());
        for (n, x) in sum.iter_mut().enumerate() {
            *x += f64::from(spoken[(from + n) % spoken.len()]) / 4.0;
        }
    }
    let mixed: Vec<i16> = sum.iter().map(|x| x.round() as i16).collect();
    let gain = 20.0 * (rms_at(dbfs) / rms(&mixed)).log10();
    scaled(&mixed, gain)
}

/// Typing on a keyboard: 5 to 11 keys a second, with pauses. Each key makes a burst of noise that
/// decays in 2 to 6 ms, and a softer burst on release. `peak_dbfs`: level of the loudest burst.
pub fn typing(peak_dbfs: f64, samples: usize, seed: u64) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    let mut pcm = vec![0f64; samples];
    let mut at = ms(300);
    let mut strike = |seed: &mut Seed, at: usize, peak: f64| {
        let decay = seed.between(2.0, 6.0) * 48.0;
        let mut dull = 0.0;
        for (n, x) in pcm.iter_mut().skip(at).take(ms(40)).enumerate() {
            dull += 0.4 * (seed.between(-1.0, 1.0) - dull);
            *x += peak * (-(n as f64) / decay).exp() * dull;
        }
    };
    while at + ms(300) < samples {
        let peak = rms_at(peak_dbfs + seed.between(-8.0, 0.0));
        strike(&mut seed, at, peak);
        let up = at + ms(40) + seed.below(ms(40));
        strike(&mut seed, up, peak / 3.0);
        let pause = if seed.unit() < 0.06 { 900.0 } else { 0.0 };
        at += (seed.between(90.0, 200.0) + pause * seed.unit()) as usize * 48;
    }
    pcm.iter().map(|x| x.round() as i16).collect()
}

/// Room noise: low-pass noise (falling 6 dB per octave above 100 Hz) whose level wanders by 3 dB
/// over seconds, with mains hum 10 dB below it.
pub fn ambience(dbfs: f64, samples: usize, seed: u64) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    let (mut dull, mut wander, mut target) = (0.0, 0.0, 0.0);
    let mut made: Vec<f64> = Vec::with_capacity(samples);
    for n in 0..samples {
        if n % ms(1000) == 0 {
            target = seed.between(-3.0, 3.0);
        }
        wander += (target - wander) / 48_000.0;
        dull += 0.013 * (seed.between(-1.0, 1.0) - dull);
        made.push(dull * 10f64.powf(wander / 20.0));
    }
    let level = (made.iter().map(|x| x * x).sum::<f64>() / samples as f64).sqrt();
    let hum = |n: usize| {
        let turn = std::f64::consts::TAU * n as f64 / 48_000.0;
        0.35 * (50.0 * turn).sin() + 0.25 * (150.0 * turn).sin()
    };
    let sample = |(n, x): (usize, &f64)| (rms_at(dbfs) * (x / level + hum(n))).round() as i16;
    made.iter().enumerate().map(sample).collect()
}

/// A melody with chords of two or three pure or plucked tones in equal temperament.
pub fn music(samples: usize, seed: u64) -> Vec<i16> {
    let mut seed = Seed::new(seed);
    let mut pcm = vec![0f64; samples];
    let mut at = 0;
    while at < samples {
        let length = ms(120 + seed.below(600));
        let plucked = seed.unit() < 0.5;
        for _ in 0..1 + seed.below(3) {
            // A2 to A7.
            let hz = 110.0 * 2f64.powf(seed.below(61) as f64 / 12.0);
            let step = std::f64::consts::TAU * hz / 48_000.0;
            for (n, x) in pcm.iter_mut().skip(at).take(length).enumerate() {
                let fade = if plucked {
                    (-(n as f64) / 9600.0).exp()
                } else {
                    1.0
                };
                let harmonics = if plucked { 3 } else { 1 };
                for h in 1..=harmonics {
                    *x += 1800.0 / h as f64 * fade * (step * (h * n) as f64).sin();
                }
            }
        }
        at += length;
    }
    pcm.iter().map(|x| x.round() as i16).collect()
}
