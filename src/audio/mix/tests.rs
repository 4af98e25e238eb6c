//! Tests of mixes, by measurement.

use super::*;
use crate::audio::test_signals::{FIXTURES, noise};

fn apart(mix: &[i16], speech: &[f32]) -> Vec<f32> {
    let mix = floats(mix);
    let clean = speech.iter().copied().chain(std::iter::repeat(0.0));
    mix.iter().zip(clean).map(|(m, s)| m - s).collect()
}

#[test]
fn noise_has_its_distance_from_the_active_level() {
    let recording = loop_of(&floats(&noise(-3.0, 30_000, 5))).expect("long enough");
    let mut sources: Vec<NoiseSource> = NoiseKind::ALL
        .iter()
        .copied()
        .map(NoiseSource::Kind)
        .collect();
    sources.push(NoiseSource::Loop(recording));
    for fixture in [&FIXTURES[0], &FIXTURES[2], &FIXTURES[6]] {
        let pcm = fixture.pcm();
        let level = active_level(&floats(&pcm)).expect("speech");
        for source in &sources {
            for snr in [0.0, 10.0, 25.0] {
                let effects = Effects {
                    noise: Some((source.clone(), snr)),
                    seed: 3,
                    ..Effects::default()
                };
                let mix = mixed(&pcm, &effects, None).expect("mixed");
                assert_eq!(mix.len(), pcm.len());
                let noise = rms_level(&apart(&mix, &floats(&pcm))).expect("not silent");
                let found = level - noise;
                assert!(
                    (found - snr).abs() < 0.1,
                    "{}, {source:?}: {found}",
                    fixture.name
                );
            }
        }
    }
}

#[test]
fn a_bystander_has_a_distance_from_the_active_level_and_a_start() {
    let (caller, other) = (FIXTURES[2].pcm(), FIXTURES[3].pcm());
    let level = active_level(&floats(&caller)).expect("speech");
    let start = Duration::from_millis(300);
    let effects = Effects {
        bystander: Some(Bystander {
            voice: other.clone().into(),
            snr_db: 8.0,
            start,
        }),
        ..Effects::default()
    };
    let mix = mixed(&caller, &effects, None).expect("mixed");
    assert_eq!(mix.len(), 14_400 + other.len());
    let rest = apart(&mix, &floats(&caller));
    assert!(rest[..14_400].iter().all(|x| x.abs() < 1e-4));
    let found = level - active_level(&rest[14_400..]).expect("speech");
    assert!((found - 8.0).abs() < 0.1, "{found}");
}

#[test]
fn levels_gains_and_clipping_are_exact() {
    let pcm = FIXTURES[0].pcm();
    let measured = |effects: &Effects| {
        let mix = floats(&mixed(&pcm, effects, None).expect("mixed"));
        let peak = mix.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
        (
            active_level(&mix).expect("speech"),
            20.0 * f64::from(peak).log10(),
        )
    };
    let (level, peak) = measured(&Effects::default());
    let at_level = Effects {
        level_dbfs: Some(-26.0),
        ..Effects::default()
    };
    assert!((measured(&at_level).0 + 26.0).abs() < 0.05);
    let line = |gain_db, clip_db| Effects {
        line: Line {
            gain_db,
            clip_db,
            ..Line::default()
        },
        ..Effects::default()
    };
    let (quieter, _) = measured(&line(-6.0, None));
    assert!((level - 6.0 - quieter).abs() < 0.05, "{quieter}");
    let (_, clipped) = measured(&line(0.0, Some(6.0)));
    assert!((peak - 6.0 - clipped).abs() < 0.01, "{clipped}");
    let reverberant = Effects {
        room: Some(Room {
            rt60: Duration::from_millis(600),
            direct_db: 0.0,
        }),
        ..Effects::default()
    };
    let (heard, _) = measured(&reverberant);
    assert!((heard - level).abs() < 0.1, "{heard} and {level}");
}

#[test]
fn reverberation_follows_the_end_of_speech_and_does_not_move_it() {
    let fixture = &FIXTURES[0];
    let (pcm, end) = (fixture.pcm(), fixture.end() as usize);
    let effects = Effects {
        room: Some(Room {
            rt60: Duration::from_millis(400),
            direct_db: 3.0,
        }),
        ..Effects::default()
    };
    let mix = floats(&mixed(&pcm, &effects, None).expect("mixed"));
    let level = |from: usize| rms_level(&mix[from..from + 2_400]).expect("not silent");
    assert!(level(end - 2_400) > level(end) + 3.0);
    // 60 dB in 400 ms are 15 dB in 100 ms.
    let fallen = level(end) - level(end + 4_800);
    assert!((fallen - 15.0).abs() < 3.0, "{fallen}");
}

#[test]
fn silence_is_mixed_with_the_background_alone() {
    let effects = Effects {
        noise: Some((NoiseSource::Kind(NoiseKind::White), 10.0)),
        ..Effects::default()
    };
    let silence = vec![0; 9_600];
    let mix = mixed(&silence, &effects, None).expect("mixed");
    assert!(mix.iter().all(|x| *x == 0));
    let bed = noise_loop(NoiseKind::White, 1).expect("noise");
    let mix = mixed(&silence, &effects, Some((&bed, 0))).expect("mixed");
    assert_eq!(mix.len(), frames_of(9_600) * FRAME);
    assert!(rms_level(&floats(&mix)).is_some());
}

#[test]
fn the_seed_determines_a_mix() {
    let pcm = FIXTURES[2].pcm();
    let made = |seed| {
        let effects = Effects {
            room: Some(Room {
                rt60: Duration::from_millis(300),
                direct_db: 3.0,
            }),
            noise: Some((NoiseSource::Kind(NoiseKind::Babble), 15.0)),
            seed,
            ..Effects::default()
        };
        mixed(&pcm, &effects, None).expect("mixed")
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
}
