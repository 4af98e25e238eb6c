//! Finds doubts about a recording that is nevertheless usable.
//!
//! In: PCM and the span of its speech. Out: doubts, each with a message and a next step. Invariant:
//! a recording of one voice that ends in 100 ms of silence causes no doubt.

use super::level::{BELOW_ACTIVE_DB, Judged, WINDOW, dbfs_of};
use super::pauses::pauses;
use super::{AudioError, RATE, time_of};
use crate::vocab::Channel;
use std::fmt;
use std::time::Duration;

/// The last sound is isolated if the pause before it is at least this long: 300 ms.
const LONE_AFTER: usize = RATE as usize * 3 / 10;
/// A sound of at most this length is a click, not a word: 50 ms.
const CLICK: usize = RATE as usize / 20;
/// Noise at the end of a file is measured over the file's last 20 ms.
const TAIL: usize = RATE as usize / 50;
/// Noise at most this far below the threshold occasionally counts as speech, in dB: 2 ms windows of
/// noise rarely exceed the mean of the noise by more.
const NOISE_MARGIN_DB: f64 = 3.0;

/// A doubt about a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Two channels cancel each other out when they are averaged.
    ChannelsCancel {
        /// The channel that is used.
        said: Channel,
    },
    /// Each of two channels holds a different voice.
    TwoVoices {
        /// The channel that is used.
        said: Channel,
    },
    /// Judged by level, speech continues to the end of the file.
    SpeechToEnd,
    /// The file ends with noise that occasionally counts as speech.
    Noise {
        /// How far the noise is below the active speech level, in dB.
        below_db: u32,
    },
    /// A short sound after a long silence counts as the end of speech.
    LateClick {
        /// Where the sound begins.
        at: Duration,
        /// Length of the sound.
        length: Duration,
        /// Length of the silence before the sound.
        silence: Duration,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        match self {
            Self::ChannelsCancel { said: Channel::Mix } => {
                write!(f, "its two channels cancel each other out in the mix")
            }
            Self::ChannelsCancel { said } => write!(
                f,
                "its two channels cancel each other out; only the {} one is used",
                said.name()
            ),
            Self::TwoVoices { said } => write!(
                f,
                "each of its two channels holds a voice; only the {} one is used",
                said.name()
            ),
            Self::SpeechToEnd => {
                write!(
                    f,
                    "judged by level, speech runs to the very end of the file"
                )
            }
            Self::Noise { below_db } => write!(
                f,
                "it ends with noise only {below_db} dB below the speech, which can count as speech"
            ),
            Self::LateClick {
                at,
                length,
                silence,
            } => write!(
                f,
                "judged by level, speech ends with a click of {:.1} ms at {:.0} ms, after {:.0} ms \
                 of silence",
                ms(length),
                ms(at),
                ms(silence)
            ),
        }
    }
}

impl Doubt {
    /// What to try next; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::ChannelsCancel { .. } => "choose one with `channel: left` or `channel: right`",
            Self::TwoVoices { .. } => {
                "choose one with `channel: left` or `channel: right`; `channel: mix` uses both"
            }
            Self::SpeechToEnd => {
                "set `speech_end` where the last word ends; noise less than 20 dB below the speech \
                 counts as speech, and a word that is cut off has no end"
            }
            Self::Noise { .. } => {
                "set `speech_end` where the last word ends, or remove the noise from the file"
            }
            Self::LateClick { .. } => {
                "cut off the click, or set `speech_end` where the last word ends"
            }
        }
    }

    /// The error for a recording without speech, given the doubt about its channels.
    pub(crate) fn no_speech(channels: Option<Self>) -> AudioError {
        match channels {
            Some(Self::ChannelsCancel { .. }) => AudioError::ChannelsCancel,
            _ => AudioError::NoSpeech,
        }
    }

    /// The doubt about an end of speech that was found by level, if there is one.
    pub(crate) fn of_end(judged: &Judged<'_>) -> Option<Self> {
        let (pcm, span) = (&judged.pcm[..], &judged.span);
        // How far a part is below the speech level, in dB. If that is at most `passes`, the part
        // occasionally counts as speech.
        let below = |part: &[i16]| f64::from(span.active_level_dbfs) - dbfs_of(power(part));
        let passes = BELOW_ACTIVE_DB + NOISE_MARGIN_DB;
        let last = pauses(pcm, span, LONE_AFTER).pop();
        if let Some(last) = last.filter(|last| span.end - last.end <= CLICK)
            && below(&pcm[last.clone()]) > passes
        {
            return Some(Self::LateClick {
                at: time_of(last.end as u64),
                length: time_of((span.end - last.end) as u64),
                silence: time_of(last.len() as u64),
            });
        }
        if span.end + WINDOW >= pcm.len() {
            return Some(Self::SpeechToEnd);
        }
        let tail = below(&pcm[pcm.len().saturating_sub(TAIL)..]);
        (tail <= passes).then_some(Self::Noise {
            below_db: tail.max(0.0).round() as u32,
        })
    }
}

/// Mean square of the samples.
fn power(part: &[i16]) -> f64 {
    let sum: f64 = part.iter().map(|&x| f64::from(x).powi(2)).sum();
    sum / part.len().max(1) as f64
}

#[cfg(test)]
mod tests;
