//! Check 4: labelled speech onsets, sharp and soft, in white and babble noise.

use crate::listen::{coded, hear};
use crate::noises::{Seed, babble, white};
use crate::signals::{VOICE_DBFS, Voice, add, body, cuts, ms, voices};
use crate::{in_parallel, quantile, size, within};

/// Fades, in ms: sharp and soft.
const RAMPS: [usize; 4] = [0, 5, 20, 50];
/// Onsets further from their label are not that reply's: it was missed.
const OWN_MS: f64 = 150.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Noise {
    None,
    White,
    Babble,
}

/// One reply to be heard.
struct Case {
    voice: usize,
    cut: usize,
    ramp: usize,
    seed: u64,
}

/// What came of a condition.
#[derive(Default)]
struct Score {
    errors: Vec<f64>,
    flagged: usize,
    missed: usize,
    false_onsets: usize,
    cases: usize,
}

fn cases(voices: &[Voice]) -> Vec<Case> {
    let mut made = Vec::new();
    for (voice, sound) in voices.iter().enumerate() {
        for (k, cut) in cuts(sound).into_iter().take(size(2, 7)).enumerate() {
            for ramp in RAMPS {
                let seed = (voice * 1000 + k * 10 + ramp) as u64;
                made.push(Case {
                    voice,
                    cut,
                    ramp: ms(ramp),
                    seed,
                });
            }
        }
    }
    made
}

fn measure(voices: &[Voice], cases: &[Case], noise: Noise, snr: f64) -> Score {
    let heard = in_parallel(cases, |case| {
        let mut seed = Seed::new(case.seed);
        let voice = &voices[case.voice];
        let (pcm, audible) = body(voice, case.cut, case.ramp);
        let lead = ms(1500) + seed.below(ms(700));
        let mut stream = vec![0; lead + pcm.len() + ms(900)];
        add(&mut stream, lead, &pcm);
        let level = VOICE_DBFS - snr;
        let noise = match noise {
            Noise::None => vec![],
            Noise::White => white(level, stream.len(), case.seed),
            Noise::Babble => babble(voices, &voice.name, level, stream.len(), case.seed),
        };
        add(&mut stream, 0, &noise);
        (lead as f64 + audible, hear(&coded(&stream), None))
    });
    let mut score = Score::default();
    for (truth, found) in heard {
        score.cases += 1;
        let error = |at: f64| (at - truth) / 48.0;
        let own = found
            .iter()
            .filter(|f| error(f.at).abs() <= OWN_MS)
            .min_by(|a, b| error(a.at).abs().total_cmp(&error(b.at).abs()));
        match own {
            Some(own) => {
                score.errors.push(error(own.at));
                score.flagged += usize::from(own.low);
            }
            None => score.missed += 1,
        }
        score.false_onsets += found.len() - usize::from(own.is_some());
    }
    score
}

impl Score {
    /// Of all cases: a missed one is within nothing.
    fn within(&self, bound: f64) -> f64 {
        within(&self.errors, bound) * self.errors.len() as f64 / self.cases as f64
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.cases as f64
    }

    fn print(&self, name: &str) {
        let sizes: Vec<f64> = self.errors.iter().map(|e| e.abs()).collect();
        eprintln!(
            "check 4: {name:<14} n {:3} median {:5.2} ms  p95 {:6.2}  worst {:6.2}  \
             ≤10 {:5.1} %  ≤20 {:5.1} %  ≤50 {:5.1} %  flagged {:5.1} %  missed {:4.1} %  false {:4.1} %",
            self.cases,
            quantile(&sizes, 0.5),
            quantile(&sizes, 0.95),
            quantile(&sizes, 1.0),
            100.0 * self.within(10.0),
            100.0 * self.within(20.0),
            100.0 * self.within(50.0),
            100.0 * self.share(self.flagged),
            100.0 * self.share(self.missed),
            100.0 * self.share(self.false_onsets),
        );
    }
}

#[test]
fn labelled_onsets_are_found() {
    let voices = voices();
    let cases = cases(&voices);
    assert!(cases.len() >= size(60, 200), "{} labels", cases.len());
    for (name, noise, snr) in [
        ("clean", Noise::None, 90.0),
        ("white 30 dB", Noise::White, 30.0),
        ("white 20 dB", Noise::White, 20.0),
        ("white 10 dB", Noise::White, 10.0),
        ("babble 30 dB", Noise::Babble, 30.0),
        ("babble 20 dB", Noise::Babble, 20.0),
        ("babble 10 dB", Noise::Babble, 10.0),
    ] {
        let score = measure(&voices, &cases, noise, snr);
        score.print(name);
    }
}
