//! Tables of recordings with and without doubts about their end.

use super::*;
use crate::audio::level::judge;
use crate::audio::test_signals::{FIXTURES, mix, noise, sine};

fn doubt(pcm: &[i16]) -> Option<Doubt> {
    Doubt::of_end(&judge(pcm).expect("speech"))
}

#[test]
fn uncertain_ends_of_speech_are_reported() {
    let speech = FIXTURES[7].pcm();
    let end = judge(&speech).expect("speech").span.end;
    let level = -29.1;
    let silence = |ms: usize| vec![0i16; ms * 48];
    let behind = |ms: usize, more: Vec<i16>| [speech[..end].to_vec(), silence(ms), more].concat();
    let click = |ms: usize| sine(2_000.0, -25.0, ms * 48);
    let hiss = |db: f64, seed| mix(&behind(600, vec![]), &noise(db, end + 28_800, seed));
    let is_click = |doubt: &Option<Doubt>| matches!(doubt, Some(Doubt::LateClick { .. }));
    let is_to_end = |doubt: &Option<Doubt>| *doubt == Some(Doubt::SpeechToEnd);
    let is_noise =
        |doubt: &Option<Doubt>| matches!(doubt, Some(Doubt::SpeechToEnd | Doubt::Noise { .. }));
    let is_none = |doubt: &Option<Doubt>| doubt.is_none();
    type Case<'a> = (&'static str, Vec<i16>, &'a dyn Fn(&Option<Doubt>) -> bool);
    let cases: [Case<'_>; 15] = [
        ("unchanged", speech.clone(), &is_none),
        ("silence of 20 ms", behind(20, vec![]), &is_none),
        ("cut off", speech[..end].to_vec(), &is_to_end),
        (
            "cut off in mid-word",
            speech[..end / 2].to_vec(),
            &is_to_end,
        ),
        ("silence of 1 ms", behind(1, vec![]), &is_to_end),
        ("noise at 40 dB", hiss(level - 40.0, 1), &is_none),
        ("noise at 30 dB", hiss(level - 30.0, 2), &is_none),
        ("noise at 22 dB", hiss(level - 22.0, 3), &is_noise),
        ("noise at 20 dB", hiss(level - 20.0, 4), &is_noise),
        ("noise at 15 dB", hiss(level - 15.0, 5), &is_noise),
        (
            "a click",
            behind(500, [click(2), silence(600)].concat()),
            &is_click,
        ),
        (
            "a longer click",
            behind(310, [click(40), silence(600)].concat()),
            &is_click,
        ),
        (
            "a click shortly after the speech",
            behind(250, [click(2), silence(600)].concat()),
            &is_none,
        ),
        (
            "a word",
            behind(500, [click(100), silence(600)].concat()),
            &is_none,
        ),
        ("a click at the very end", behind(500, click(2)), &is_click),
    ];
    for (name, pcm, expected) in cases {
        let found = doubt(&pcm);
        assert!(expected(&found), "{name}: {found:?}");
        if let Some(found) = found {
            assert!(!found.to_string().is_empty() && !found.hint().is_empty());
        }
    }
    let pcm = behind(500, [click(2), silence(600)].concat());
    let told = doubt(&pcm).expect("a click").to_string();
    assert!(
        told.contains("a click of 2.0 ms") && told.contains("after 500 ms"),
        "{told}"
    );
}
