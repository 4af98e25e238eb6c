//! The stretches of an utterance in which the caller speaks.
//!
//! In: the span of the speech and the pauses inside it, annotated or found by level. Out: segments,
//! in order. Invariants: the first segment starts at the start of the speech, the last ends at its
//! end; two segments are at least [`SHORTEST_PAUSE`] apart.

use super::error::AudioError;
use std::time::Duration;

/// A shorter pause is part of speech: it is closed.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// Start and end of a stretch, from the start of the audio.
pub(crate) type SpeechSegment = (Duration, Duration);

/// Divides the speech from `start` to `end` at its pauses, which are in order and do not overlap.
/// Pauses that are too short are ignored, and so are those that are not inside the speech.
pub(crate) fn segments(
    start: Duration,
    end: Duration,
    pauses: &[SpeechSegment],
) -> Vec<SpeechSegment> {
    let mut found = Vec::with_capacity(pauses.len() + 1);
    let mut from = start;
    for &(silent, speaks) in pauses {
        let inside = silent > from && speaks < end;
        if inside && speaks.saturating_sub(silent) >= SHORTEST_PAUSE {
            found.push((from, silent));
            from = speaks;
        }
    }
    found.push((from, end));
    found
}

/// Checks annotated pauses: each is inside the speech, and they are in order.
///
/// # Errors
/// [`AudioError::PauseOutside`] for the first pause that is not.
pub(crate) fn check_pauses(
    start: Duration,
    end: Duration,
    pauses: &[SpeechSegment],
) -> Result<(), AudioError> {
    let mut from = start;
    for &(silent, speaks) in pauses {
        if silent <= from || speaks <= silent || speaks >= end {
            return Err(AudioError::PauseOutside {
                pause: (silent, speaks),
                speech: (start, end),
            });
        }
        from = speaks;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(pairs: &[(u64, u64)]) -> Vec<SpeechSegment> {
        let time = Duration::from_millis;
        pairs.iter().map(|&(a, b)| (time(a), time(b))).collect()
    }

    #[test]
    fn speech_is_divided_at_pauses_of_200_ms_and_more() {
        let (start, end) = (Duration::from_millis(50), Duration::from_millis(3_000));
        type Case = (&'static str, &'static [(u64, u64)], &'static [(u64, u64)]);
        let cases: &[Case] = &[
            ("none", &[], &[(50, 3_000)]),
            ("one", &[(1_000, 1_400)], &[(50, 1_000), (1_400, 3_000)]),
            ("the shortest", &[(500, 700)], &[(50, 500), (700, 3_000)]),
            ("too short", &[(500, 699)], &[(50, 3_000)]),
            (
                "two, and a short one between them",
                &[(500, 900), (1_000, 1_100), (2_000, 2_500)],
                &[(50, 500), (900, 2_000), (2_500, 3_000)],
            ),
            ("after the end", &[(2_900, 3_200)], &[(50, 3_000)]),
        ];
        for (name, pauses, expected) in cases {
            assert_eq!(segments(start, end, &ms(pauses)), ms(expected), "{name}");
        }
    }

    #[test]
    fn pauses_outside_the_speech_or_out_of_order_are_refused() {
        let (start, end) = (Duration::from_millis(50), Duration::from_millis(3_000));
        for (pauses, good) in [
            (&[][..], true),
            (&[(60, 400), (500, 900)], true),
            (&[(20, 400)], false),
            (&[(50, 400)], false),
            (&[(2_000, 3_000)], false),
            (&[(2_000, 2_000)], false),
            (&[(500, 900), (800, 1_200)], false),
            (&[(900, 1_200), (200, 400)], false),
        ] {
            let checked = check_pauses(start, end, &ms(pauses));
            assert_eq!(checked.is_ok(), good, "{pauses:?}");
        }
    }
}
