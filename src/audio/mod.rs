//! Audio: decodes files and Opus to PCM, encodes PCM, measures levels and finds onsets.
//!
//! Pure: this module works on bytes and samples, reads no files and no clock, and takes instants as
//! arguments. Its PCM is mono `i16` at 48 kHz, in frames of [`FRAME`] samples.

pub mod chirp;
mod codec;
mod condition;
pub(crate) mod decode;
mod doubt;
mod ear;
pub mod echo;
pub(crate) mod end_of_speech;
mod error;
pub(crate) mod goertzel;
mod heard;
mod level;
pub mod marker;
pub(crate) mod mix;
pub(crate) mod opinion;
pub mod opus;
pub mod packets;
mod pauses;
mod recording;
pub(crate) mod replay;
mod resample;
mod rumble;
mod segments;
mod sparing;
mod stereo;
#[cfg(test)]
mod test_signals;
mod tone;
mod utterance;

pub use crate::vocab::{Confidence, Packet};
pub use codec::Codec;
pub use condition::ReplyWindow;
pub use decode::decode;
pub use ear::{Ear, Resumption};
pub use error::AudioError;
pub use heard::{Heard, HeardAt, Onset, Pause, SPURT_GAP, Segment};
pub use level::{SpeechSpan, speech_span};
pub use tone::tone;

pub(crate) use codec::FrameDecoder;
pub(crate) use doubt::Doubt;
pub(crate) use end_of_speech::{EndOfSpeech, SpeechEvent};
pub(crate) use heard::PAUSE;
pub(crate) use level::{ActiveLevel, BELOW_ACTIVE_DB, Judged, dbfs_of, judge, loud_span, power_at};
pub(crate) use pauses::pauses;
pub(crate) use resample::Third;
pub(crate) use segments::{SHORTEST_PAUSE, SpeechSegment};
#[cfg(test)]
pub(crate) use sparing::DIGITAL_SILENCE;
pub(crate) use tone::TONE_HZ;
pub(crate) use utterance::{Annotation, SoundInfo, Utterance};

use std::time::Duration;

/// Sample rate inside the program, in Hz.
pub(crate) const RATE: u32 = 48_000;
/// Samples of one 20 ms frame at 48 kHz.
pub const FRAME: usize = 960;
/// Duration of one frame.
pub const FRAME_TIME: Duration = Duration::from_millis(20);
/// The Opus encoder's look-ahead at 48 kHz, in samples: decoded audio lags its input by this much.
pub const OPUS_LOOKAHEAD: usize = 312;
/// Longest Opus packet, in samples: 120 ms.
pub(crate) const MAX_PACKET: usize = 6 * FRAME;

/// Mono samples at [`RATE`].
pub(crate) type Pcm = Vec<i16>;

/// Duration of a number of samples at [`RATE`], rounded down to a nanosecond.
pub(crate) fn time_of(samples: u64) -> Duration {
    let rate = u64::from(RATE);
    let nanos = (samples % rate) * 1_000_000_000 / rate;
    Duration::new(samples / rate, nanos as u32)
}

/// Number of samples at [`RATE`] in a duration, rounded to the nearest: the inverse of
/// [`time_of`].
pub(crate) fn samples_in(time: Duration) -> u64 {
    let rate = u64::from(RATE);
    let part = u64::from(time.subsec_nanos()) * rate;
    time.as_secs()
        .saturating_mul(rate)
        .saturating_add((part + 500_000_000) / 1_000_000_000)
}
