//! Terms of how a caller sounds: noises, bands, microphones, differences of level.

use super::number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{IntoStaticStr, VariantArray};

/// A noise that is generated.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum NoiseKind {
    /// The same power at every frequency.
    White,
    /// The same power in every octave.
    Pink,
    /// The long-term spectrum of speech (Byrne et al. 1994), without its rhythm.
    SpeechShaped,
    /// Six talkers, imitated by speech-shaped noise with the rhythm of syllables; no words.
    Babble,
}

/// A frequency band that a line passes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Band {
    /// 300 to 3400 Hz: a telephone line.
    Telephone,
    /// 50 to 7000 Hz: wideband telephony ("HD voice").
    Wideband,
}

/// A microphone with audible faults.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Microphone {
    /// 200 Hz to 6 kHz with a resonance of 6 dB at 3 kHz, and soft saturation.
    Cheap,
}

/// How digits reach the agent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    IntoStaticStr,
    VariantArray,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum DialledAs {
    /// As tones in the audio.
    #[default]
    Tones,
    /// As messages, as LiveKit's telephone service passes RFC 4733 events on; the audio is silent.
    Events,
    /// As both.
    Both,
}

named!(pub(crate) for NoiseKind, Band, Microphone, DialledAs);

impl DialledAs {
    /// Whether the agent hears tones.
    pub(crate) fn has_tones(self) -> bool {
        self != Self::Events
    }

    /// Whether the agent receives messages.
    pub(crate) fn has_events(self) -> bool {
        self != Self::Tones
    }
}

/// A level, or a difference of level, to a hundredth of a decibel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Decibels(i32);

impl Decibels {
    /// The nearest representable value; what is out of range becomes the nearest one in range.
    pub(crate) fn new(db: f64) -> Self {
        // `as` saturates.
        Self((db * 100.0).round() as i32)
    }

    pub(crate) fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Decibels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dB", self.as_f64())
    }
}

/// The text is not a difference of level, or not a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub(crate) struct DecibelError {
    text: String,
    what: &'static str,
    hint: String,
}

impl DecibelError {
    /// What to write instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

/// Reads a difference of level such as `15dB` or `-6.5 dB`.
pub(crate) fn decibels(text: &str) -> Result<Decibels, DecibelError> {
    with_unit(text, "dB", "a difference of level", "15dB")
}

/// Reads a level relative to full scale, such as `-26dBFS`.
pub(crate) fn level(text: &str) -> Result<Decibels, DecibelError> {
    with_unit(text, "dBFS", "a level", "-26dBFS")
}

fn with_unit(
    text: &str,
    unit: &str,
    what: &'static str,
    example: &str,
) -> Result<Decibels, DecibelError> {
    let text = text.trim();
    let found = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (digits, written) = text.split_at(found);
    let digits = digits.trim();
    let plain = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    let is_number = plain.starts_with(|c: char| c.is_ascii_digit())
        && plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value = digits.parse::<f64>().ok().filter(|_| is_number);
    match value {
        Some(value) if written == unit => Ok(Decibels::new(value)),
        _ => {
            let hint = match value {
                Some(_) => format!("write `{digits}{unit}`"),
                None => match number::meant(plain, true) {
                    Some(meant) => format!("write `{meant}{unit}`, for example `{example}`"),
                    None => format!("write a number with its unit, for example `{example}`"),
                },
            };
            Err(DecibelError {
                text: text.chars().take(64).collect(),
                what,
                hint,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_need_their_unit() {
        for (text, expected) in [
            ("15dB", Some(15.0)),
            ("-6.5 dB", Some(-6.5)),
            ("+3dB", Some(3.0)),
            (" 0dB ", Some(0.0)),
            ("15", None),
            ("15db", None),
            ("-26dBFS", None),
            ("dB", None),
            ("--3dB", None),
            ("1e9dB", None),
            ("infdB", None),
            ("", None),
        ] {
            let read = decibels(text).map(Decibels::as_f64);
            assert_eq!(read.as_ref().ok().copied(), expected, "{text:?}");
            if let Err(e) = read {
                assert!(e.hint().contains("dB"), "{text:?}: {}", e.hint());
            }
        }
        assert_eq!(level("-26dBFS").ok(), Some(Decibels::new(-26.0)));
        let error = level("-26dB").expect_err("no level");
        assert_eq!(error.hint(), "write `-26dBFS`");
    }
}
