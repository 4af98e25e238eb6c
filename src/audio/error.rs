//! Errors of audio files and codecs.
//!
//! Invariant: the message states the problem; the next step is separate, in `hint()`.

use std::time::Duration;

/// Why audio cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// The file has no bytes, or no samples.
    #[error("the audio is empty")]
    Empty,
    /// The header specifies more data than the file holds.
    #[error(
        "the audio is truncated: its header promises {promised} {unit}, but it holds {present}"
    )]
    Truncated {
        /// Amount that the header specifies.
        promised: u64,
        /// Amount that is present.
        present: u64,
        /// Unit of both amounts: `bytes` or `samples`.
        unit: &'static str,
    },
    /// The format is not supported.
    #[error("the audio cannot be decoded ({detail})")]
    Unsupported {
        /// The decoder's message.
        detail: String,
    },
    /// The format is known, but the data is damaged.
    #[error("the audio is damaged ({detail})")]
    Damaged {
        /// Description of the damage.
        detail: String,
    },
    /// The file has more bytes than the limit.
    #[error("the file has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The audio is longer than the limit.
    #[error("the audio is longer than {limit:?}")]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// The audio was decoded but contains no speech.
    #[error("there is no speech in the audio")]
    NoSpeech,
    /// A noise is silent where it would be heard.
    #[error("the noise is silent")]
    SilentNoise,
    /// A noise is too short to be repeated.
    #[error("the noise is shorter than 500 ms")]
    ShortNoise,
    /// Two channels cancel each other out, so that their mix contains no speech.
    #[error("its two channels cancel each other out: there is no speech in their mix")]
    ChannelsCancel,
    /// The right channel of a mono file was requested.
    #[error("the audio has one channel, so there is no right channel")]
    NoSuchChannel,
    /// The JSON file next to the recording is not an annotation.
    #[error("it is not a loadgen annotation: another program wrote it")]
    Foreign,
    /// The annotation cannot be read.
    #[error("the annotation is invalid ({detail})")]
    Annotation {
        /// Description of the problem.
        detail: String,
    },
    /// The annotated speech lies outside the audio, or ends before it starts.
    #[error(
        "the annotated speech ({start:?} to {end:?}) does not lie inside the audio ({length:?})"
    )]
    AnnotationOutside {
        /// Start of speech.
        start: Duration,
        /// End of speech.
        end: Duration,
        /// Length of the audio.
        length: Duration,
    },
    /// An annotated pause is not inside the speech, or the pauses are not in order.
    #[error(
        "the annotated pause ({:?} to {:?}) is not inside the speech ({:?} to {:?}), or not after the pause before it",
        pause.0, pause.1, speech.0, speech.1
    )]
    PauseOutside {
        /// Start and end of the pause.
        pause: (Duration, Duration),
        /// Start and end of the speech.
        speech: (Duration, Duration),
    },
    /// libopus or the resampler reported an error.
    #[error("the codec failed ({detail})")]
    Codec {
        /// The message of libopus or the resampler.
        detail: String,
    },
}

impl AudioError {
    /// What to try next; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "record it again, or check the path: the file holds no samples",
            Self::Truncated { .. } => {
                "the copy or recording was cut short: copy it again, or rewrite its header with `sox --ignore-length IN OUT`"
            }
            Self::Unsupported { .. } => {
                "use WAV, FLAC, MP3, AAC, Vorbis or Opus (mono or stereo) at 4 to 192 kHz; `ffmpeg -i IN OUT.wav` converts the rest"
            }
            Self::Damaged { .. } => {
                "if another player can play it, convert it with `ffmpeg -i IN OUT.wav`"
            }
            Self::TooLarge { .. } | Self::TooLong { .. } => {
                "an utterance is what a caller says in one turn: cut the file into turns"
            }
            Self::NoSpeech => {
                "nothing in it is louder than -60 dBFS: check the recording's level and channel"
            }
            Self::SilentNoise => "nothing in it is louder than -90 dBFS: check the recording",
            Self::ShortNoise => "it is repeated for the length of a call: record some seconds",
            Self::ChannelsCancel => "choose one with `channel: left` or `channel: right`",
            Self::NoSuchChannel => "leave `channel` out",
            Self::Foreign => {
                "rename it, or set the end of speech with `speech_end` in the scenario"
            }
            Self::Annotation { .. } => {
                "the sidecar is {\"version\": 1, \"speech_start_ms\": …, \"speech_end_ms\": …}"
            }
            Self::AnnotationOutside { .. } => {
                "speech times count from the start of the file; leave the annotation out to have the end found by level"
            }
            Self::PauseOutside { .. } => {
                "pauses count from the start of the file: {\"start_ms\": …, \"end_ms\": …}; leave `pauses` out to have them found by level"
            }
            Self::Codec { .. } => "check free memory; otherwise this is a bug worth reporting",
        }
    }
}

impl From<opus::Error> for AudioError {
    fn from(error: opus::Error) -> Self {
        Self::Codec {
            detail: error.to_string(),
        }
    }
}
