//! The end of speech found in a live stream, compared with the annotation and with the end found in
//! the whole recording.

use super::*;
use crate::audio::test_signals::{FIXTURES, mix, noise, sine};
use crate::audio::{OPUS_LOOKAHEAD, SoundInfo, Utterance, opus, speech_span};
use SpeechEvent::{Ended, Resumed, Started};
use proptest::prelude::*;

const HANGOVER: Duration = Duration::from_millis(250);

/// All events of a stream that is pushed in pieces of `size`.
fn listen(ear: &mut EndOfSpeech, at: u64, pcm: &[i16], size: usize) -> Vec<SpeechEvent> {
    let mut told = Vec::new();
    for (k, part) in pcm.chunks(size).enumerate() {
        told.extend(ear.push(at + (k * size) as u64, part));
        told.extend(std::iter::from_fn(|| ear.poll()));
    }
    told
}

fn decoded(utterance: &Utterance, silent_frames: usize) -> Vec<i16> {
    let silence = opus::silence_frame().expect("libopus");
    let mut decoder = opus::Decoder::new().expect("libopus");
    let frames = utterance
        .frames
        .iter()
        .chain(std::iter::repeat_n(&silence, silent_frames));
    frames
        .flat_map(|f| decoder.decode(f).expect("own packet").to_vec())
        .collect()
}

#[test]
fn the_end_of_speech_is_found_in_opus_for_every_fixture() {
    for fixture in FIXTURES {
        let utterance =
            Utterance::new(fixture.wav, SoundInfo::default()).expect("a usable fixture");
        let mut ear = EndOfSpeech::new(HANGOVER);
        let told = listen(&mut ear, 5_000, &decoded(&utterance, 50), FRAME);
        let [Started { position: start }, Ended { position: end }] = told[..] else {
            panic!("{}: {told:?}", fixture.name);
        };
        let ms = |position: u64, known: f64| (position as f64 - 5_312.0 - known) / 48.0;
        let known_start = utterance.speech_start.as_secs_f64() * 48_000.0;
        let (start, end) = (ms(start, known_start), ms(end, fixture.end()));
        assert!(end.abs() <= 2.0, "{}: end off by {end} ms", fixture.name);
        // The detected start is coarse, and the codec smears the start towards earlier samples.
        assert!(
            start.abs() <= 25.0,
            "{}: start off by {start} ms",
            fixture.name
        );
    }
}

#[test]
fn hum_does_not_delay_the_end_of_speech() {
    for fixture in FIXTURES {
        let spoken = [fixture.pcm(), vec![0; 48_000]].concat();
        let pcm = mix(&spoken, &sine(50.0, -50.0, spoken.len()));
        let frames = opus::encode(&pcm).expect("libopus");
        let mut decoder = opus::Decoder::new().expect("libopus");
        let heard: Vec<i16> = frames
            .iter()
            .flat_map(|f| decoder.decode(f).expect("own packet").to_vec())
            .collect();
        let told = listen(&mut EndOfSpeech::new(HANGOVER), 0, &heard, FRAME);
        let ends = told.iter().filter_map(|event| match event {
            Ended { position } => Some(*position as f64 - OPUS_LOOKAHEAD as f64),
            _ => None,
        });
        let off: Vec<f64> = ends.map(|end| (end - fixture.end()) / 48.0).collect();
        // The codec rings for more than a pitch period after a cut at an arbitrary point of
        // the waveform.
        assert!(
            matches!(off[..], [ms] if ms.abs() <= 20.0),
            "{}: {off:.1?} ms",
            fixture.name
        );
    }
}

#[test]
fn silence_and_hiss_are_not_speech() {
    for (name, pcm) in [
        ("digital silence", vec![0; 96_000]),
        ("one bit", (0..96_000).map(|n| (n % 2) as i16).collect()),
        ("hiss at -65 dBFS", noise(-65.0, 96_000, 2)),
    ] {
        assert_eq!(
            listen(&mut EndOfSpeech::new(HANGOVER), 0, &pcm, FRAME),
            [],
            "{name}"
        );
    }
}

#[test]
fn pauses_resume_or_end_the_speech_by_their_length() {
    let word = sine(300.0, -20.0, 24_000);
    let say = |parts: &[usize]| -> Vec<i16> {
        parts
            .iter()
            .flat_map(|&gap| [word.clone(), vec![0; gap]].concat())
            .collect()
    };
    let long = 100_000;
    let (short_pause, long_pause, a_turn) = (9_600, 24_000, 96_000);
    let cases: [(&str, Vec<i16>, Vec<&str>); 4] = [
        ("one word", say(&[long]), vec!["S0", "E24000"]),
        (
            "a pause within the hangover",
            say(&[short_pause, long]),
            vec!["S0", "E57600"],
        ),
        (
            "a longer pause",
            say(&[long_pause, long]),
            vec!["S0", "E24000", "R48000", "E72000"],
        ),
        (
            "two utterances",
            say(&[a_turn, long]),
            vec!["S0", "E24000", "S120000", "E144000"],
        ),
    ];
    let code = |event: &SpeechEvent| match event {
        Started { position } => format!("S{position}"),
        Ended { position } => format!("E{position}"),
        Resumed { position } => format!("R{position}"),
    };
    for (name, pcm, expected) in cases {
        let told = listen(&mut EndOfSpeech::new(HANGOVER), 0, &pcm, FRAME);
        assert_eq!(
            told.iter().map(code).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
    }
    // If nothing is sent in the pauses (DTX), the next packet or `advance` finds the end.
    let mut ear = EndOfSpeech::new(HANGOVER);
    assert_eq!(listen(&mut ear, 0, &word, FRAME), [Started { position: 0 }]);
    assert_eq!(ear.advance(30_000), None);
    assert_eq!(ear.advance(36_000), Some(Ended { position: 24_000 }));
    let told = listen(&mut ear, 900_000_000, &word, FRAME);
    assert_eq!(
        told,
        [Started {
            position: 900_000_000
        }]
    );
    let told = listen(&mut ear, 900_048_000, &word, FRAME);
    assert_eq!(
        told,
        [
            Ended {
                position: 900_024_000
            },
            Resumed {
                position: 900_048_000
            }
        ]
    );
}

#[test]
fn speech_after_next_utterance_starts_a_new_utterance() {
    let word = sine(300.0, -20.0, 24_000);
    let mut ear = EndOfSpeech::new(HANGOVER);
    let told = listen(
        &mut ear,
        0,
        &[word.clone(), vec![0; 24_000]].concat(),
        FRAME,
    );
    assert_eq!(told, [Started { position: 0 }, Ended { position: 24_000 }]);
    ear.next_utterance();
    assert_eq!(
        listen(&mut ear, 48_000, &word, FRAME),
        [Started { position: 48_000 }]
    );
}

#[test]
fn duplicates_are_skipped_and_a_reset_timeline_starts_anew() {
    let word = sine(300.0, -20.0, 24_000);
    let mut ear = EndOfSpeech::new(HANGOVER);
    assert_eq!(listen(&mut ear, 1_000_000, &word, FRAME).len(), 1);
    assert_eq!(ear.push(1_000_000, &word[..FRAME]), None);
    assert_eq!(
        ear.advance(1_050_000),
        Some(Ended {
            position: 1_024_000
        })
    );
    assert_eq!(
        listen(&mut ear, 77, &word, FRAME),
        [Started { position: 77 }]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn chunk_size_does_not_change_the_end_of_speech(size in 100usize..5_000, fixture in 0usize..4, level in 0.1..1.0f64) {
        let spoken: Vec<i16> =
            FIXTURES[fixture].pcm().iter().map(|&x| (f64::from(x) * level) as i16).collect();
        let pcm = [spoken, vec![0; 40_000]].concat();
        let told = listen(&mut EndOfSpeech::new(HANGOVER), OPUS_LOOKAHEAD as u64, &pcm, size);
        let end = speech_span(&pcm).expect("loud").end + OPUS_LOOKAHEAD;
        prop_assert_eq!(told.last(), Some(&Ended { position: end as u64 }));
    }
}
