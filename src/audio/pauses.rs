//! Finds the pauses inside a recording's speech.
//!
//! In: PCM and the span of its speech. Out: silent stretches. Invariant: silence is defined by the
//! same rule as the start and end of speech, so speech samples bound a pause on both sides.

use super::level::{BELOW_ACTIVE_DB, SpeechSpan, WINDOW, power_at};
use std::ops::Range;

/// Finds the stretches of at least `shortest` samples without speech inside `span`.
pub(crate) fn pauses(pcm: &[i16], span: &SpeechSpan, shortest: usize) -> Vec<Range<usize>> {
    let power = power_at(f64::from(span.active_level_dbfs) - BELOW_ACTIVE_DB);
    let needed = (power * WINDOW as f64).ceil() as i64;
    let square = |at: usize| i64::from(pcm[at]) * i64::from(pcm[at]);
    let mut found = Vec::new();
    // The sample after the last speech sample, and the first sample not yet examined.
    let (mut spoken, mut seen) = (span.start, span.start);
    let mut sum = 0;
    for at in span.start..span.end.min(pcm.len()) {
        sum += square(at);
        if at >= span.start + WINDOW {
            sum -= square(at - WINDOW);
        }
        if sum < needed {
            continue;
        }
        for inside in seen.max((at + 1).saturating_sub(WINDOW))..=at {
            if square(inside) as f64 >= power {
                if inside - spoken >= shortest {
                    found.push(spoken..inside);
                }
                spoken = inside + 1;
            }
        }
        seen = at + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech_span;
    use crate::audio::test_signals::{FIXTURES, mix, noise, sine};

    #[test]
    fn inserted_pauses_are_found_at_their_positions() {
        let say = || sine(500.0, -20.0, 24_000);
        let made = [say(), vec![0; 9600], say(), vec![0; 4700], say()].concat();
        for (name, pcm) in [
            ("clean", made.clone()),
            (
                "padded",
                [vec![0; 5000], made.clone(), vec![0; 30_000]].concat(),
            ),
            ("noisy", mix(&made, &noise(-60.0, made.len(), 2))),
        ] {
            let span = speech_span(&pcm).expect("loud");
            let found = pauses(&pcm, &span, 4800);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            let from = span.start + 24_000;
            // The last samples of a tone may lie near a zero crossing.
            assert!(
                found[0].start.abs_diff(from) <= 24 && found[0].end.abs_diff(from + 9600) <= 24,
                "{name}: {found:?}"
            );
            assert_eq!(pauses(&pcm, &span, 4600).len(), 2, "{name}");
        }
    }

    #[test]
    fn fixtures_have_no_long_pauses() {
        for fixture in FIXTURES {
            let pcm = fixture.pcm();
            let span = speech_span(&pcm).expect("speech");
            let found = pauses(&pcm, &span, 12_000);
            assert!(found.is_empty(), "{}: {found:?}", fixture.name);
        }
    }
}
