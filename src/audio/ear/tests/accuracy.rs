//! Error of the onset in audio that was coded with Opus at 24 kbit/s.

use super::*;
use crate::audio::test_signals::FIXTURES;
use crate::audio::{speech_span, tone};

/// Applies a linear ramp of `ramp_ms` to the start of a signal.
fn ramped(mut pcm: Vec<i16>, ramp_ms: usize) -> Vec<i16> {
    let ramp = ms(ramp_ms);
    for (n, x) in pcm.iter_mut().enumerate().take(ramp) {
        *x = (i64::from(*x) * n as i64 / ramp as i64) as i16;
    }
    pcm
}

/// When a ramped sine becomes audible by definition: at 20 dB below its level.
fn audible_after_ms(ramp_ms: usize) -> f64 {
    0.1 * ramp_ms as f64
}

/// Onset errors in ms of one signal that starts at several positions within a frame.
fn errors(lead_in: &[usize], body: &[i16], floor_dbfs: Option<f64>, expected_ms: f64) -> Vec<f64> {
    let error = |&lead: &usize| {
        let clean = [vec![0; lead], body.to_vec(), silence(900)].concat();
        let noisy = floor_dbfs.map(|dbfs| mix(&clean, &noise(dbfs, clean.len(), lead as u64)));
        let told = hear(&stream(&noisy.unwrap_or(clean)));
        check_order("accuracy", &told);
        let onsets = onsets(&told);
        assert_eq!(
            onsets.len(),
            1,
            "lead {lead}, floor {floor_dbfs:?}: {told:?}"
        );
        onsets[0] - lead as f64 / 48.0 - expected_ms
    };
    lead_in.iter().map(error).collect()
}

fn median(errors: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Leading silences of 0.5 to 1.5 s, in samples, ending at different positions within a frame.
const LEADS: [usize; 6] = [24_000, 30_011, 48_333, 52_800, 61_613, 72_959];

#[test]
fn the_median_onset_error_of_an_abrupt_tone_is_within_a_millisecond() {
    let body = tone(Duration::from_millis(700));
    for floor in [None, Some(-60.0)] {
        let errors = errors(&LEADS, &body, floor, 0.0);
        // If the tone starts in mid-frame, up to 2.5 ms of the codec's pre-echo are audible too.
        assert!(
            errors.iter().all(|e| e.abs() <= 2.5),
            "{floor:?}: {errors:?}"
        );
        assert!(median(&errors) <= 1.0, "{floor:?}: {errors:?}");
    }
    // The reference agent starts its tone at the start of a frame.
    let errors = errors(&[24_000, 48_000, 52_800, 59_520], &body, None, 0.0);
    assert!(errors.iter().all(|e| e.abs() <= 0.2), "{errors:?}");
}

#[test]
fn tones_with_ramps_are_within_2_ms() {
    let mut all = Vec::new();
    for (hz, ramp, floor) in [
        (1000.0, 0, None),
        (1000.0, 5, None),
        (1000.0, 20, None),
        (440.0, 5, None),
        (440.0, 20, Some(-60.0)),
        (250.0, 5, Some(-60.0)),
        (1000.0, 20, Some(-60.0)),
    ] {
        let body = ramped(sine(hz, -20.0, ms(600)), ramp);
        let errors = errors(&LEADS, &body, floor, audible_after_ms(ramp));
        assert!(
            errors.iter().all(|e| e.abs() <= 6.0),
            "{hz} {ramp} {floor:?}: {errors:?}"
        );
        all.extend(errors);
    }
    assert!(median(&all) <= 2.0, "median {}", median(&all));
}

#[test]
fn speech_cut_at_known_samples_is_within_2_ms() {
    let mut all = Vec::new();
    for fixture in FIXTURES {
        let pcm = fixture.pcm();
        let span = speech_span(&pcm).expect("loud");
        // Cut at a loud sample, so that the first sample is audible by construction.
        let level = 10f64.powf(f64::from(span.active_level_dbfs) / 20.0) * 32768.0;
        let rms = |at: usize| {
            let sum: f64 = pcm[at..at + 960]
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum();
            (sum / 960.0).sqrt()
        };
        let start = span.start + ms(40);
        let loud =
            |&at: &usize| f64::from(pcm[at].unsigned_abs()) >= 0.5 * level && rms(at) >= level;
        let cut = (start..pcm.len() - 960).find(loud).expect("loud somewhere");
        for floor in [None, Some(-60.0)] {
            let errors = errors(&LEADS[..3], &pcm[cut..span.end], floor, 0.0);
            all.extend(errors);
        }
    }
    let far = all.iter().filter(|e| e.abs() > 10.0).count();
    assert!(median(&all) <= 2.0, "median {}", median(&all));
    assert!(
        far * 20 <= all.len(),
        "{far} of {} beyond 10 ms: {all:.1?}",
        all.len()
    );
}

#[test]
fn onset_and_end_of_whole_fixtures_match_their_speech_span() {
    let mut all = Vec::new();
    for fixture in FIXTURES {
        let pcm = fixture.pcm();
        let span = speech_span(&pcm).expect("loud");
        let told = hear(&stream(&[silence(500), pcm, silence(900)].concat()));
        check_order(fixture.name, &told);
        let (on, off) = (onsets(&told), ends(&told));
        assert_eq!((on.len(), off.len()), (1, 1), "{}: {told:?}", fixture.name);
        let start = on[0] - 500.0 - span.start as f64 / 48.0;
        let end = off[0] - 500.0 - fixture.end() / 48.0;
        // The codec rings for another pitch period, which is audible if the reply began softly.
        assert!(end.abs() <= 20.0, "{}: end off by {end} ms", fixture.name);
        all.push(start);
    }
    assert!(median(&all) <= 10.0, "median {}", median(&all));
}

#[test]
fn onset_confidence_depends_on_the_signal_to_noise_ratio() {
    for (floor, expected) in [
        (-60.0, Confidence::High),
        (-45.0, Confidence::High),
        (-34.0, Confidence::Low),
    ] {
        let clean = [silence(1500), sine(440.0, -20.0, ms(800)), silence(900)].concat();
        let told = hear(&stream(&mix(&clean, &noise(floor, clean.len(), 9))));
        let found = told.iter().find_map(|(_, told)| match told {
            Told::Onset(onset, _) => Some(*onset),
            _ => None,
        });
        let onset = found.unwrap_or_else(|| panic!("{floor}: {told:?}"));
        assert_eq!(onset.confidence, expected, "{floor}: {onset:?}");
        assert!(
            (f64::from(onset.snr_db) - (-20.0 - floor)).abs() < 4.0,
            "{floor}: {onset:?}"
        );
    }
}
