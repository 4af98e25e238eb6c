//! What callers say, how it sounds, and what is wrong with that.

use super::*;
use crate::vocab::UtteranceKind;

/// The problems of `SMALL` with `lines` in place of its own, each as `line path: message`.
fn problems(lines: &str) -> Vec<String> {
    let replaced = |line: &&str| !lines.lines().any(|l| key(l) == key(line));
    let kept: Vec<&str> = SMALL.lines().filter(replaced).collect();
    let text = format!("{}\n{lines}\n", kept.join("\n"));
    let problems = match check_text(&text, Unset::Problem) {
        Ok(_) => return Vec::new(),
        Err(problems) => problems,
    };
    let shown = problems.iter().map(|p| {
        assert!(!p.hint.is_empty(), "{p:?}");
        assert!(p.place.line > 2, "{p:?}");
        format!("{}: {}", p.path, p.message)
    });
    shown.collect()
}

/// The key of a line at the top level; lines below it belong to no key of their own.
fn key(line: &str) -> Option<&str> {
    line.split_once(':')
        .map(|(key, _)| key)
        .filter(|key| !key.starts_with([' ', '-']))
}

#[test]
fn wrong_sounds_are_told_with_their_place() {
    let call = |keys: &str| format!("call: {{{keys}, turns: [{{say: a}}]}}");
    let utterance = |keys: &str| format!("utterances: {{a: {{{keys}}}}}");
    let cases = [
        (
            call("sound: {gain: 90dB}"),
            "call.sound.gain: `gain` must be between -60dB and 40dB",
        ),
        (
            call("sound: {gain: '3'}"),
            "call.sound.gain: `gain`: `3` is not a difference of level",
        ),
        (
            call("sound: {level: -26dB}"),
            "call.sound.level: `level`: `-26dB` is not a level",
        ),
        (
            call("sound: {clip: 0dB}"),
            "call.sound.clip: `clip` must be between 0.1dB and 40dB",
        ),
        (
            call("sound: {room: {rt60: 9s}}"),
            "call.sound.room.rt60: `rt60` must be between 50ms and 3s",
        ),
        (
            call("sound: {noise: {snr: 5dB}}"),
            "call.sound.noise: the noise has neither `kind` nor `file`",
        ),
        (
            call("sound: {noise: {kind: pink, file: a.wav, snr: 5dB}}"),
            "call.sound.noise.file: a noise has either `kind` or `file`, not both",
        ),
        (
            call("sounds: [{noise: {file: missing.wav, snr: 5dB}}]"),
            "call.sounds[0].noise.file: there is no file `dir/missing.wav`",
        ),
        (
            call("sound: {bystander: {say: b, snr: 5dB}}"),
            "call.sound.bystander.say: there is no utterance `b`",
        ),
        (
            call("sound: {bystander: {snr: 5dB}}"),
            "call.sound.bystander: the bystander has neither `file` nor `say`",
        ),
        (
            call("sound: {band: wideband}, sounds: [{band: telephone}]"),
            "call.sounds: a call has either `sound` or `sounds`, not both",
        ),
        (
            call("background: {kind: pink, level: 3dBFS}"),
            "call.background.level: `level` must be between -80dBFS and -10dBFS",
        ),
        (
            utterance("text: hi"),
            "utterances.a: the utterance has no `file`",
        ),
        (
            utterance("file: a.wav, dtmf: '12'"),
            "utterances.a.dtmf: an utterance has only one of `file`, `silence` and `dtmf`",
        ),
        (
            utterance("silence: 1ms"),
            "utterances.a.silence: `silence` must be between 100ms and 10m",
        ),
        (
            utterance("dtmf: '12x'"),
            "utterances.a.dtmf: `dtmf`: `x` is no key of a telephone",
        ),
        (
            utterance("silence: 1s, dtmf_as: events"),
            "utterances.a.dtmf_as: `dtmf_as` is about `dtmf`, and there is none",
        ),
        (
            utterance("silence: 1s, channel: left"),
            "utterances.a.channel: `channel` is about a `file`, and there is none",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(problems(&lines), [expected], "{lines}");
    }
    // Missing and unknown keys, and values of another type, are the schema's.
    for lines in [
        call("sound: {noise: {kind: pink}}"),
        call("sound: {noise: {kind: brown, snr: 5dB}}"),
        call("sound: {bandwidth: telephone}"),
        call("background: {kind: pink}"),
        utterance("dtmf: 1234"),
    ] {
        assert_eq!(problems(&lines).len(), 1, "{lines}: {:?}", problems(&lines));
    }
}

#[test]
fn too_many_mixes_are_refused() {
    let utterances: Vec<String> = (0..900).map(|n| format!("u{n}: {{file: u.wav}}")).collect();
    let sounds: Vec<String> = (0..16).map(|n| format!("{{gain: -{n}dB}}")).collect();
    let lines = format!(
        "utterances: {{a: {{file: a.wav}}, {}}}\ncall: {{sounds: [{}], turns: [{{say: a}}]}}",
        utterances.join(", "),
        sounds.join(", ")
    );
    let found = problems(&lines);
    assert_eq!(
        found,
        ["call: 901 utterances in 16 sounds are 14416 mixes, more than 10000"]
    );
}

#[test]
fn noise_that_hides_the_end_of_speech_from_the_embedded_agent_is_doubtful() {
    for (kind, snr, expected) in [("embedded", 10, 1), ("embedded", 30, 0), ("livekit", 10, 0)] {
        let text = SMALL.replace("livekit", kind).replace(
            "{turns",
            &format!("{{sound: {{noise: {{kind: babble, snr: {snr}dB}}}}, turns"),
        );
        let scenario = check_text(&text, Unset::Problem).expect("valid");
        assert_eq!(scenario.doubts.len(), expected, "{kind}, {snr} dB");
    }
}

#[test]
fn settings_of_variants_and_utterances_replace_those_of_the_call_by_key() {
    let text = format!(
        "{}variants: [{{name: x}}, {{name: y, sound: {{gain: -2dB}}, \
         background: {{kind: white, level: -50dBFS}}}}]\n",
        SMALL
            .replace(
                "{file: a.wav}",
                "{file: a.wav, sound: {clip: 3dB, band: telephone}}"
            )
            .replace("{turns", "{sound: {gain: -1dB, band: wideband}, turns")
    );
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let db = |of: Option<crate::vocab::Decibels>| of.map(|db| db.as_f64());
    for (variant, gain, background) in [(0, -1.0, false), (1, -2.0, true)] {
        let scene = scenario.scene(variant, 0);
        assert_eq!(scene.background.is_some(), background);
        let sound = scenario.utterances[0].sound.over(&scene.sound);
        assert_eq!((db(sound.gain), db(sound.clip)), (Some(gain), Some(3.0)));
        assert_eq!(sound.band, Some(crate::vocab::Band::Telephone));
    }
}

#[test]
fn sounds_that_are_not_speech_cannot_be_answered() {
    let sounds = "utterances: {a: {file: a.wav, kind: cough}, b: {file: b.wav}}";
    for (turns, expected) in [
        ("{say: a, expect: ignore}", None),
        ("{say: b}", None),
        ("{say: a}", Some(("say", "respond"))),
        (
            "{say: [b, a], expect: respond}",
            Some(("expect", "respond")),
        ),
    ] {
        let found = problems(&format!("{sounds}\ncall: {{turns: [{turns}]}}"));
        let expected = expected.map(|(key, expect)| {
            format!(
                "call.turns[0].{key}: `a` is of kind `cough`, which an agent should not answer, \
                 but the turn has `expect: {expect}`"
            )
        });
        assert_eq!(found, Vec::from_iter(expected), "{turns}");
    }
    let found = problems("utterances: {a: {file: a.wav, kind: tv}}");
    assert_eq!(found.len(), 1, "{found:?}");
    let scenario = check_text(SMALL, Unset::Problem).expect("valid");
    assert_eq!(scenario.utterances[0].kind, UtteranceKind::Speech);
}
