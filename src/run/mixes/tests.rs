//! Tests of everything that callers send.

use super::*;
use crate::audio::FrameDecoder;
use crate::audio::mix::rms_level;
use crate::plan::Plan;
use crate::scenario::{LoadedSound, Unset, check};

/// Checks a scenario whose utterances are fixtures.
fn scenario(rest: &str) -> Scenario {
    let text = format!(
        "version: 1\nseed: 3\ntarget: {{kind: livekit}}\n\
         utterances: {{a: {{file: yes.wav}}, b: {{file: help.wav, sound: {{gain: -3dB}}}}, \
         c: {{silence: 400ms}}, d: {{dtmf: '12'}}}}\n{rest}\n"
    );
    let load = |_: &SoundFile<'_>| Ok(None::<LoadedSound>);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/x.yaml");
    let checked = check(
        text.as_bytes(),
        Path::new(path),
        &|_| None,
        Unset::Problem,
        &load,
    );
    checked.unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn turns(call: &str) -> String {
    format!("call: {{{call} turns: [{{say: a}}, {{say: b}}, {{say: c}}, {{say: d}}]}}")
}

fn decoded(frames: &[Arc<[u8]>], codec: Codec) -> Vec<f32> {
    let mut decoder = FrameDecoder::new(codec).expect("a decoder");
    let all = frames.iter();
    let pcm: Vec<i16> = all
        .flat_map(|f| decoder.decode(f).expect("own frame").to_vec())
        .collect();
    floats(&pcm)
}

#[test]
fn without_settings_everything_is_as_recorded() {
    let scenario = scenario(&turns(""));
    let sounds = Sounds::load(&scenario, Codec::Opus).expect("fixtures");
    let call = Plan::new(&scenario).call(0).expect("a call");
    let said = &sounds.of(&call).said;
    let clean = load_said(&scenario.utterances[0]).expect("a fixture");
    let frames: Vec<&[u8]> = said[0].frames.iter().map(|f| &**f).collect();
    let expected: Vec<&[u8]> = clean.frames.iter().map(|f| &**f).collect();
    assert_eq!(frames, expected);
    let ends = |at: usize| (said[at].speech_start, said[at].speech_end);
    assert_eq!(ends(0), (clean.speech_start, clean.speech_end));
    let silence = std::time::Duration::from_millis(400);
    assert_eq!((ends(2).1, said[2].segments.len()), (silence, 0));
    assert_eq!(said[3].segments.len(), 1);
    assert!(said[3].presses.is_empty());
    let mut background = sounds.background(&call);
    assert_eq!(
        [background.frame(), background.frame()],
        [sounds.silence.clone(), sounds.silence.clone()]
    );
}

#[test]
fn keys_are_pressed_at_the_start_of_their_tones() {
    for (dialled, tones, keys) in [("tones", true, 0), ("events", false, 3), ("both", true, 3)] {
        let mut scenario = scenario(&turns(""));
        scenario.utterances[3].source = crate::scenario::UtteranceSource::Dtmf(
            "1#2".parse().expect("keys"),
            *crate::vocab::DialledAs::ALL
                .iter()
                .find(|d| d.name() == dialled)
                .expect("a name"),
        );
        let sounds = Sounds::load(&scenario, Codec::Pcm).expect("fixtures");
        let call = Plan::new(&scenario).call(0).expect("a call");
        let said = &sounds.of(&call).said[3];
        let heard = rms_level(&decoded(&said.frames, Codec::Pcm)).is_some();
        assert_eq!((heard, said.presses.len()), (tones, keys), "{dialled}");
        if keys > 0 {
            assert_eq!(*said.presses, [(1, '1'), (11, '#'), (21, '2')]);
        }
        // Where the agent hears nothing, the caller has finished when the last event is sent: an
        // agent that answers at once is not early.
        let end = if tones { 520 } else { 440 };
        let ms = std::time::Duration::from_millis;
        assert_eq!(
            (said.speech_start, said.speech_end),
            (ms(20), ms(end)),
            "{dialled}"
        );
    }
}

#[test]
fn noise_leaves_the_ends_of_speech_where_they_are() {
    let noisy = "background: {kind: pink, level: -45dBFS}, \
                 sound: {noise: {kind: babble, snr: 20dB}, room: {rt60: 300ms}},";
    let (clean, noisy) = (scenario(&turns("")), scenario(&turns(noisy)));
    let call = Plan::new(&clean).call(0).expect("a call");
    let load = |scenario: &Scenario| Sounds::load(scenario, Codec::Opus).expect("fixtures");
    let (clean, noisy) = (load(&clean), load(&noisy));
    let pairs = clean.of(&call).said.iter().zip(&noisy.of(&call).said);
    for (clean, noisy) in pairs {
        assert_eq!(clean.speech_start, noisy.speech_start);
        assert_eq!(clean.speech_end, noisy.speech_end);
        assert_eq!(clean.segments, noisy.segments);
        assert_ne!(clean.frames, noisy.frames);
    }
    // A caller that says nothing is heard with its background.
    let silence = decoded(&noisy.of(&call).said[2].frames, Codec::Opus);
    let level = rms_level(&silence[9_600..]).expect("noise");
    // Opus at 24 kbit/s takes about 2 dB off quiet noise.
    assert!((level + 45.0).abs() < 3.0, "{level}");
    let mut background = noisy.background(&call);
    let frames: Vec<_> = (0..500).map(|_| background.frame()).collect();
    let level = rms_level(&decoded(&frames, Codec::Opus)[9_600..]).expect("noise");
    // Opus at 24 kbit/s takes about 2 dB off quiet noise.
    assert!((level + 45.0).abs() < 3.0, "{level}");
}

#[test]
fn equal_mixes_are_made_once_and_variants_replace_settings_by_key() {
    let scenario = scenario(&format!(
        "{}\nvariants: [{{name: clean}}, {{name: quiet, sound: {{gain: -9dB}}}}, {{name: same}}]\n\
         load: {{calls: 30}}",
        turns("sound: {band: telephone},")
    ));
    let sounds = Sounds::load(&scenario, Codec::Pcm).expect("fixtures");
    let plan = Plan::new(&scenario);
    let of = |variant: usize| {
        let call = plan
            .calls()
            .find(|c| c.variant == variant)
            .expect("each variant");
        sounds.of(&call).said.clone()
    };
    let (clean, quiet, same) = (of(0), of(1), of(2));
    assert!(Arc::ptr_eq(&clean[0].frames, &same[0].frames));
    let level =
        |said: &EncodedUtterance| rms_level(&decoded(&said.frames, Codec::Pcm)).expect("speech");
    let by = level(&clean[0]) - level(&quiet[0]);
    assert!((by - 9.0).abs() < 0.05, "{by}");
    // An utterance's own setting takes precedence over its variant's.
    assert!(Arc::ptr_eq(&clean[1].frames, &quiet[1].frames));
}

#[test]
fn the_seed_picks_a_sound_for_each_call() {
    let both = "sounds: [{gain: -1dB}, {gain: -20dB}],";
    let scenario = scenario(&format!("{}\nload: {{calls: 40}}", turns(both)));
    let sounds = Sounds::load(&scenario, Codec::Pcm).expect("fixtures");
    let plan = Plan::new(&scenario);
    let picks: Vec<usize> = plan.calls().map(|call| call.sound).collect();
    assert_eq!(
        picks,
        plan.calls().map(|call| call.sound).collect::<Vec<_>>()
    );
    let second = picks.iter().filter(|pick| **pick == 1).count();
    assert!((10..=30).contains(&second), "{second} of 40");
    let frames = |pick: usize| {
        let call = plan
            .calls()
            .find(|call| call.sound == pick)
            .expect("picked");
        sounds.of(&call).said[0].frames.clone()
    };
    assert_ne!(frames(0), frames(1));
}
