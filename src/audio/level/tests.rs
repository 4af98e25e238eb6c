//! Tables for the active level and the span of speech.

use super::*;
use crate::audio::test_signals::{FIXTURES, noise, sine};
use proptest::prelude::*;

#[test]
fn active_level_of_known_signals() {
    // P.56: the level of a steady signal is its RMS; pauses beyond the hangover do not lower it.
    let steady = sine(1000.0, -20.0, 96_000);
    let mut talking = Vec::new();
    for _ in 0..4 {
        talking.extend(sine(400.0, -26.0, 48_000));
        talking.extend(vec![0i16; 96_000]);
    }
    // Each second of sound also counts 200 ms of hangover and the envelope's decay as active.
    let cases = [
        ("steady tone", steady, -20.0, 0.7),
        ("one second of every three", talking, -26.0, 1.5),
    ];
    for (name, pcm, expected, within) in cases {
        let mut meter = ActiveLevel::default();
        meter.push(&pcm);
        let level = meter.level().expect(name);
        assert!(
            (level - expected).abs() < within,
            "{name}: {level} for {expected}"
        );
    }
}

#[test]
fn active_level_of_fixtures_agrees_with_an_independent_meter() {
    // scripts/make-fixtures has an independent P.56 meter, at 24 kHz.
    for fixture in FIXTURES {
        let span = speech_span(&fixture.pcm()).expect(fixture.name);
        let error = f64::from(span.active_level_dbfs) - fixture.dbfs;
        assert!(error.abs() < 0.2, "{}: {span:?}", fixture.name);
    }
}

#[test]
fn speech_span_of_synthetic_signals() {
    let tone = sine(1000.0, -20.0, 24_000);
    let with =
        |before: usize, after: usize| [vec![0; before], tone.clone(), vec![0; after]].concat();
    let faint: Vec<i16> = [with(0, 0), sine(1000.0, -55.0, 24_000)].concat();
    type Case = (&'static str, Vec<i16>, Option<(usize, usize)>);
    let cases: [Case; 9] = [
        ("nothing", vec![], None),
        ("digital silence", vec![0; 48_000], None),
        (
            "one bit of noise",
            (0..48_000).map(|n| (n % 2) as i16).collect(),
            None,
        ),
        ("noise at -70 dBFS", noise(-70.0, 48_000, 1), None),
        ("tone alone", with(0, 0), Some((0, 24_000))),
        ("tone, then silence", with(0, 48_000), Some((0, 24_000))),
        ("silence, then tone", with(1234, 0), Some((1234, 25_234))),
        ("silence on both sides", with(7, 9), Some((7, 24_007))),
        ("a tail 35 dB below the tone", faint, Some((0, 24_000))),
    ];
    for (name, pcm, expected) in cases {
        let span = speech_span(&pcm).map(|s| (s.start, s.end));
        let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
        match (span, expected) {
            (None, None) => {}
            (Some(a), Some(b)) => assert!(near(a.0, b.0) && near(a.1, b.1), "{name}: {a:?} {b:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn speech_span_ends_at_the_cut_of_every_fixture() {
    for fixture in FIXTURES {
        let span = speech_span(&fixture.pcm()).expect(fixture.name);
        let error = span.end as f64 - fixture.end();
        assert!(error.abs() <= 24.0, "{}: {error} samples", fixture.name);
    }
}

/// Adds hum and DC in floating point: −50 dBFS is only a few steps of 16-bit audio.
fn with_hum(pcm: &[i16], hz: f64, dbfs: f64, dc: f64) -> Vec<i16> {
    let peak = 32768.0 * 2f64.sqrt() * 10f64.powf(dbfs / 20.0);
    let hum = |n: usize| peak * (2.0 * std::f64::consts::PI * hz * n as f64 / 48_000.0 + 0.7).sin();
    let sample = |(n, &x): (usize, &i16)| (f64::from(x) + hum(n) + dc * 32768.0).round() as i16;
    pcm.iter().enumerate().map(sample).collect()
}

#[test]
fn dc_hum_and_rumble_do_not_move_the_speech_span() {
    let cases = [
        ("DC of 0.35 %", 50.0, -200.0, 0.0035),
        ("DC of -2 %", 50.0, -200.0, -0.02),
        ("hum of 50 Hz", 50.0, -50.0, 0.0),
        ("hum of 60 Hz", 60.0, -50.0, 0.0),
        ("louder hum", 50.1, -44.0, 0.0),
        ("rumble and DC", 20.0, -40.0, 0.01),
    ];
    for fixture in FIXTURES {
        let pcm = [fixture.pcm(), vec![0; 28_800]].concat();
        let clean = speech_span(&pcm).expect(fixture.name);
        for (name, hz, dbfs, dc) in cases {
            let span = speech_span(&with_hum(&pcm, hz, dbfs, dc)).expect(name);
            let ms = |a: usize, b: usize| a.abs_diff(b) as f64 / 48.0;
            let (start, end) = (ms(span.start, clean.start), ms(span.end, clean.end));
            let level = f64::from((span.active_level_dbfs - clean.active_level_dbfs).abs());
            assert!(
                start <= 5.0 && end <= 5.0 && level < 0.5,
                "{}, {name}: start {start:.1} ms, end {end:.1} ms, level {level:.2} dB",
                fixture.name
            );
        }
        // Without sound below the voice band, the unfiltered samples are used.
        let mut raw = ActiveLevel::default();
        raw.push(&pcm);
        let level = raw.level().expect("loud");
        let (start, end) = loud_span(&pcm, power_at(level - BELOW_ACTIVE_DB)).expect("loud");
        assert_eq!((clean.start, clean.end), (start, end), "{}", fixture.name);
        assert!(
            judge(&pcm).is_some_and(|j| j.pcm[..] == pcm[..]),
            "{}",
            fixture.name
        );
    }
    for (name, pcm) in [
        ("DC alone", vec![3_000; 48_000]),
        ("hum alone", sine(50.0, -25.0, 48_000)),
    ] {
        assert_eq!(speech_span(&pcm), None, "{name}");
    }
    // A thump half a second after the speech does not move the span. The thump fades in and out,
    // because an abrupt edge is audible.
    let fixture = &FIXTURES[7];
    let clean = speech_span(&fixture.pcm()).expect("speech");
    let fade = |n: usize| (std::f64::consts::PI * n as f64 / 9_600.0).sin().powi(2);
    let thump = sine(30.0, -40.0, 9_600);
    let thump = thump.iter().enumerate();
    let thump: Vec<i16> = thump
        .map(|(n, &x)| (f64::from(x) * fade(n)) as i16)
        .collect();
    let pcm = [fixture.pcm(), vec![0; 24_000], thump, vec![0; 24_000]].concat();
    let span = speech_span(&pcm).expect("speech");
    assert!(span.end.abs_diff(clean.end) <= 240, "{span:?} {clean:?}");
}

#[test]
fn the_filter_does_not_ring_into_silence_after_a_hard_cut() {
    for (before, after, length, seed) in [(0, 438, 2_439, 880), (346, 0, 2_000, 785)] {
        let burst = noise(-10.0, length, seed);
        let bare = speech_span(&burst).expect("loud");
        let padded = [vec![0; before], burst, vec![0; after]].concat();
        let span = speech_span(&padded).expect("loud");
        assert!(
            span.end.abs_diff(bare.end + before) <= 2,
            "{span:?} {bare:?}"
        );
    }
}

#[test]
fn a_noise_floor_around_a_hard_cut_does_not_move_the_speech_span() {
    for seed in 0..40 {
        let burst = noise(-12.0, 2_000 + 100 * seed as usize, seed);
        let bare = speech_span(&burst).expect("loud");
        let floor = |seed| noise(-80.0, 9_600, seed);
        let padded = [floor(seed + 100), burst, floor(seed + 200)].concat();
        let span = speech_span(&padded).expect("loud");
        let moved = (
            span.start.abs_diff(bare.start + 9_600),
            span.end.abs_diff(bare.end + 9_600),
        );
        assert!(moved.0 <= 2 && moved.1 <= 2, "seed {seed}: {moved:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn silent_padding_does_not_change_the_speech_span(before in 0usize..3000, after in 0usize..100_000, level in -40.0..-10.0f64,
                             length in 2_000usize..30_000, seed in 0u64..1000) {
        let speech = noise(level, length, seed);
        let bare = speech_span(&speech).expect("loud");
        let tail = speech_span(&[speech.clone(), vec![0; after]].concat());
        prop_assert_eq!(tail, Some(bare));
        // The meter's 1 ms grid starts at the first sample, so leading silence may change the level
        // slightly.
        let head = speech_span(&[vec![0; before], speech].concat()).expect("loud");
        prop_assert!(head.start.abs_diff(bare.start + before) <= 2, "{head:?} {bare:?}");
        prop_assert!(head.end.abs_diff(bare.end + before) <= 2, "{head:?} {bare:?}");
    }

    #[test]
    fn chunk_size_does_not_change_the_active_level(cuts in prop::collection::vec(1usize..2000, 1..20)) {
        let pcm = noise(-30.0, 20_000, 5);
        let (mut whole, mut pieces) = (ActiveLevel::default(), ActiveLevel::default());
        whole.push(&pcm);
        let mut rest = &pcm[..];
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(head);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(whole.level(), pieces.level());
    }
}
