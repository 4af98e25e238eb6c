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
