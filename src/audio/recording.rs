//! Holds the channels of a decoded file and mixes them down to mono.
//!
//! In: interleaved samples in −1..1. Out: mono samples at the file's rate. Invariants: rate,
//! channels, length and level are bounded; two channels that cancel each other out, or that hold
//! two voices, are not averaged unless that is requested.

use super::doubt::Doubt;
use super::resample::to_rate;
use super::stereo::CANCELLED;
use super::{AudioError, Pcm};
use crate::vocab::Channel;
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// Longest audio accepted.
pub(super) const MAX_LENGTH: Duration = Duration::from_secs(600);
/// Accepted sample rates, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Largest number of channels accepted.
const MAX_CHANNELS: usize = 32;
/// Largest sample accepted, where full scale is 1. Some writers scale to 32768. A file with far
/// larger samples is damaged, and such samples would make the resampler's filters overflow.
const LOUDEST: f32 = 1e6;

/// A channel is at least this loud while somebody speaks on it, in dBFS.
const VOICE_DB: f64 = -50.0;
/// A voice is active in a frame that is at most this far below the voice's loudest frames, in dB.
const ACTIVE_DB: f64 = 25.0;
/// A voice is alone if the other channel is this much quieter, in dB.
const ALONE_DB: f64 = 10.0;
/// Two voices are recognised as such if each is alone for at least this many frames of 20 ms.
const ALONE_FRAMES: usize = 10;
/// A sound that is active in more than this share of all frames is noise, because a voice pauses.
const NEVER_PAUSES: f64 = 0.9;

/// The decoded channels of a file.
#[derive(Debug)]
pub(crate) struct Recording {
    rate: u32,
    channels: usize,
    left: Vec<f32>,
    /// Empty if there is one channel.
    right: Vec<f32>,
    /// The sum of all further channels; empty if there are none.
    others: Vec<f32>,
}

/// How two channels relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The channels can be averaged.
    Mixable,
    Cancel,
    TwoVoices,
}

impl Recording {
    /// An empty recording.
    ///
    /// # Errors
    /// [`AudioError::Unsupported`] for a rate or a number of channels that is out of bounds.
    pub(super) fn new(rate: u32, channels: usize) -> Result<Self, AudioError> {
        if !RATES.contains(&rate) {
            let detail = format!("sample rate of {rate} Hz");
            return Err(AudioError::Unsupported { detail });
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(AudioError::Unsupported {
                detail: format!("{channels} channels"),
            });
        }
        Ok(Self {
            rate,
            channels,
            left: Vec::new(),
            right: Vec::new(),
            others: Vec::new(),
        })
    }

    /// Sample rate in Hz.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Samples of each channel.
    pub(super) fn samples(&self) -> usize {
        self.left.len()
    }

    /// Appends interleaved samples.
    ///
    /// # Errors
    /// The recording becomes too long, or a sample is too large or not finite.
    pub(super) fn append(&mut self, interleaved: &[f32]) -> Result<(), AudioError> {
        self.check_length(self.left.len() + interleaved.len() / self.channels)?;
        for frame in interleaved.chunks_exact(self.channels) {
            if let Some(wrong) = frame.iter().find(|x| !x.is_finite() || x.abs() > LOUDEST) {
                let detail = match wrong.is_finite() {
                    true => "a sample is far above full scale",
                    false => "a sample is not a number",
                };
                let detail = detail.to_owned();
                return Err(AudioError::Damaged { detail });
            }
            self.left.push(frame[0]);
            self.right.extend(frame.get(1));
            if let Some(others) = frame.get(2..).filter(|others| !others.is_empty()) {
                self.others.push(others.iter().sum());
            }
        }
        Ok(())
    }

    fn check_length(&self, samples: usize) -> Result<(), AudioError> {
        if samples as u64 > MAX_LENGTH.as_secs() * u64::from(self.rate) {
            return Err(AudioError::TooLong { limit: MAX_LENGTH });
        }
        Ok(())
    }

    /// Replaces the samples with those of `pieces`, in the order of the pieces.
    ///
    /// # Errors
    /// [`AudioError::TooLong`]: pieces may overlap.
    pub(super) fn keep(&mut self, pieces: &[Range<usize>]) -> Result<(), AudioError> {
        let all = self.left.len();
        if matches!(pieces, [piece] if *piece == (0..all)) {
            return Ok(());
        }
        let inside = |r: &Range<usize>| r.start.min(all)..r.end.min(all).max(r.start.min(all));
        let pieces: Vec<Range<usize>> = pieces.iter().map(inside).collect();
        let total = pieces.iter().map(Range::len).fold(0, usize::saturating_add);
        self.check_length(total)?;
        for channel in [&mut self.left, &mut self.right, &mut self.others] {
            if !channel.is_empty() {
                let kept = pieces.iter().flat_map(|r| &channel[r.clone()]);
                *channel = kept.copied().collect();
            }
        }
        Ok(())
    }

    /// Returns mono at 48 kHz: the requested channel, or else the mean of all channels. Two
    /// channels that cancel each other out or hold two voices are not averaged by default: in the
    /// former case the louder one is used, in the latter case the left one. Also returns the doubt
    /// about that choice, if any.
    ///
    /// # Errors
    /// The requested channel does not exist, the recording is empty, or the resampler fails.
    pub(crate) fn mono(&self, asked: Option<Channel>) -> Result<(Pcm, Option<Doubt>), AudioError> {
        let (samples, doubt) = self.chosen(asked)?;
        if samples.is_empty() {
            return Err(AudioError::Empty);
        }
        Ok((to_rate(&samples, self.rate)?, doubt))
    }

    fn chosen(
        &self,
        asked: Option<Channel>,
    ) -> Result<(Cow<'_, [f32]>, Option<Doubt>), AudioError> {
        if self.channels == 1 {
            return match asked {
                Some(Channel::Right) => Err(AudioError::NoSuchChannel),
                _ => Ok(((&self.left[..]).into(), None)),
            };
        }
        let relation = self.relation();
        let louder = match energy(&self.right) > energy(&self.left) {
            true => Channel::Right,
            false => Channel::Left,
        };
        let said = asked.unwrap_or(match relation {
            Relation::Mixable => Channel::Mix,
            Relation::TwoVoices => Channel::Left,
            Relation::Cancel => louder,
        });
        let doubt = match (relation, asked) {
            (Relation::Cancel, None | Some(Channel::Mix)) => Some(Doubt::ChannelsCancel { said }),
            (Relation::TwoVoices, None) => Some(Doubt::TwoVoices { said }),
            _ => None,
        };
        let samples = match said {
            Channel::Left => (&self.left[..]).into(),
            Channel::Right => (&self.right[..]).into(),
            Channel::Mix => self.mean().into(),
        };
        Ok((samples, doubt))
    }

    fn mean(&self) -> Vec<f32> {
        let others = self.others.iter().copied().chain(std::iter::repeat(0.0));
        let both = self.left.iter().zip(&self.right).zip(others);
        both.map(|((l, r), o)| (l + r + o) / self.channels as f32)
            .collect()
    }

    fn relation(&self) -> Relation {
        if self.channels != 2 {
            return Relation::Mixable;
        }
        if cancel(&self.left, &self.right) {
            return Relation::Cancel;
        }
        let frame = (self.rate / 50) as usize;
        match two_voices(&levels(&self.left, frame), &levels(&self.right, frame)) {
            true => Relation::TwoVoices,
            false => Relation::Mixable,
        }
    }
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|&x| f64::from(x).powi(2)).sum()
}

/// Whether the energy of the mean is less than a quarter of the channels' mean energy. The energy
/// is that of the differences between neighbouring samples, so that DC or hum that is common to
/// both channels does not mask the cancellation of the voices.
fn cancel(left: &[f32], right: &[f32]) -> bool {
    let (mut apart, mut together) = (0.0, 0.0);
    for (l, r) in left.windows(2).zip(right.windows(2)) {
        let (l, r) = (f64::from(l[1] - l[0]), f64::from(r[1] - r[0]));
        apart += (l * l + r * r) / 2.0;
        together += (l + r) * (l + r) / 4.0;
    }
    together < apart * CANCELLED
}

/// Level of every frame in dBFS, without its DC.
fn levels(samples: &[f32], frame: usize) -> Vec<f64> {
    let level = |frame: &[f32]| {
        let count = frame.len() as f64;
        let mean = frame.iter().copied().map(f64::from).sum::<f64>() / count;
        let power = frame
            .iter()
            .map(|&x| (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / count;
        10.0 * power.max(1e-12).log10()
    };
    samples.chunks_exact(frame.max(1)).map(level).collect()
}

/// Whether each of two channels has a voice that sometimes speaks alone.
fn two_voices(left: &[f64], right: &[f64]) -> bool {
    // The level exceeded by a twentieth of the frames, so that a click does not count as a voice.
    let loudest = |levels: &[f64]| {
        let mut sorted = levels.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(levels.len() * 19 / 20).copied()
    };
    let (Some(l), Some(r)) = (loudest(left), loudest(right)) else {
        return false;
    };
    let alone = |own: &[f64], loudest: f64, other: &[f64]| {
        let active = |level: f64| level >= loudest - ACTIVE_DB && level >= VOICE_DB - ACTIVE_DB;
        let speaks = own.iter().filter(|&&x| active(x)).count();
        let frames = own.iter().zip(other);
        let alone = frames.filter(|(own, other)| active(**own) && **own - **other >= ALONE_DB);
        loudest >= VOICE_DB
            && alone.count() >= ALONE_FRAMES
            && speaks as f64 <= NEVER_PAUSES * own.len() as f64
    };
    alone(left, l, right) && alone(right, r, left)
}

#[cfg(test)]
mod tests;
