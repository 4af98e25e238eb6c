//! Telephone digits as tones, in the speech band.
//!
//! In: digits. Out: PCM. Invariants: frequencies are those of ITU-T Q.23; tones and pauses are
//! longer than the 40 ms that ITU-T Q.24 lists as the most that a receiver needs.

use crate::audio::level::power_at;
use crate::audio::{Pcm, RATE, samples_in};
use std::f64::consts::TAU;
use std::fmt;
use std::time::Duration;

/// Length of a tone, and of the pause between two.
const TONE: Duration = Duration::from_millis(100);
/// Silence before the first tone.
const LEAD: Duration = Duration::from_millis(20);
/// Silence after the last tone.
const TAIL: Duration = Duration::from_millis(100);
/// Length of a comma.
const COMMA: Duration = Duration::from_millis(500);
/// Level of each of the two frequencies: −10 dBm0, which is −16 dBFS.
const DBFS: f64 = -16.0;
/// Length of a tone's edges: 2 ms.
const EDGE: usize = RATE as usize / 500;
/// Largest number of digits and commas.
const MOST: usize = 64;

const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: &str = "123A456B789C*0#D";

/// What a caller dials: digits, `*`, `#`, `A` to `D`, and `,` for a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digits(String);

/// The text cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    #[error("there is no digit to dial")]
    Nothing,
    #[error("{0} characters are more than {MOST}")]
    TooMany(usize),
    #[error("`{0}` is no key of a telephone")]
    NoKey(char),
}

impl std::str::FromStr for Digits {
    type Err = DialError;

    fn from_str(text: &str) -> Result<Self, DialError> {
        if let Some(other) = text.chars().find(|c| *c != ',' && !KEYS.contains(*c)) {
            return Err(DialError::NoKey(other));
        }
        match text.len() {
            count if count > MOST => Err(DialError::TooMany(count)),
            _ if text.chars().all(|c| c == ',') => Err(DialError::Nothing),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tones of digits, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialled {
    pub pcm: Pcm,
    /// Start and end of each tone, in samples.
    pub tones: Vec<(usize, usize)>,
    /// The key of each tone.
    pub keys: Vec<char>,
}

/// Number of a key in RFC 4733: 0 to 9, `*` is 10, `#` 11, `A` to `D` 12 to 15.
pub(crate) fn event_code(key: char) -> Option<u32> {
    "0123456789*#ABCD".find(key).map(|at| at as u32)
}

/// The tones of these digits, one after another, with the pauses between them.
pub(crate) fn dial(digits: &Digits) -> Dialled {
    let mut pcm = vec![0; samples_in(LEAD) as usize];
    let (mut tones, mut keys) = (Vec::new(), Vec::new());
    let silence = |length: Duration| std::iter::repeat_n(0, samples_in(length) as usize);
    for key in digits.0.chars() {
        let Some(place) = KEYS.find(key) else {
            pcm.extend(silence(COMMA));
            continue;
        };
        let start = pcm.len();
        pcm.extend(tone(ROWS[place / 4], COLUMNS[place % 4]));
        tones.push((start, pcm.len()));
        keys.push(key);
        pcm.extend(silence(TONE));
    }
    pcm.extend(silence(TAIL));
    Dialled { pcm, tones, keys }
}

fn tone(low: f64, high: f64) -> impl Iterator<Item = i16> {
    let peak = (2.0 * power_at(DBFS)).sqrt();
    let count = samples_in(TONE) as usize;
    (0..count).map(move |n| {
        let angle = TAU * n as f64 / f64::from(RATE);
        let edge = (n.min(count - 1 - n) as f64 / EDGE as f64).min(1.0);
        (peak * edge * ((angle * low).sin() + (angle * high).sin())).round() as i16
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::Goertzel;
    use crate::audio::level::dbfs_of;

    #[test]
    fn every_key_has_its_two_frequencies_and_its_timing() {
        let dialled = dial(&KEYS.parse().expect("all keys"));
        assert_eq!(dialled.tones.len(), 16);
        for (place, &(start, end)) in dialled.tones.iter().enumerate() {
            assert_eq!((start, end - start), (960 + place * 9_600, 4_800));
            let tone = &dialled.pcm[start + EDGE..end - EDGE];
            let level = |hz: f64| dbfs_of(Goertzel::new(hz).power(tone));
            for (hz, own) in ROWS
                .iter()
                .zip([place / 4; 4])
                .enumerate()
                .map(|(n, (hz, row))| (hz, n == row))
                .chain(
                    COLUMNS
                        .iter()
                        .enumerate()
                        .map(|(n, hz)| (hz, n == place % 4)),
                )
            {
                let found = level(*hz);
                match own {
                    true => assert!((found - DBFS).abs() < 0.5, "{place}: {hz} Hz at {found}"),
                    false => assert!(found < DBFS - 20.0, "{place}: {hz} Hz at {found}"),
                }
            }
            assert!(dialled.pcm[end..end + 4_800].iter().all(|x| *x == 0));
        }
    }

    #[test]
    fn keys_have_the_codes_of_rfc_4733() {
        let codes = ['0', '9', '*', '#', 'A', 'D', 'x'].map(event_code);
        assert_eq!(
            codes,
            [0, 9, 10, 11, 12, 15]
                .map(Some)
                .into_iter()
                .chain([None])
                .collect::<Vec<_>>()[..]
        );
    }

    #[test]
    fn what_is_no_key_cannot_be_dialled() {
        for (text, expected) in [
            ("", Err(DialError::Nothing)),
            (",,", Err(DialError::Nothing)),
            ("12a", Err(DialError::NoKey('a'))),
            ("1 2", Err(DialError::NoKey(' '))),
            ("1é", Err(DialError::NoKey('é'))),
            ("1,2#", Ok(Digits("1,2#".to_owned()))),
        ] {
            assert_eq!(text.parse::<Digits>(), expected, "{text:?}");
        }
        let long = "1".repeat(MOST + 1);
        assert_eq!(long.parse::<Digits>(), Err(DialError::TooMany(MOST + 1)));
        let paused = dial(&"1,2".parse().expect("two digits"));
        assert_eq!(paused.tones[1].0 - paused.tones[0].1, 4_800 + 24_000);
    }
}
