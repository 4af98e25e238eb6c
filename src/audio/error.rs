//! What can be wrong with audio from outside, said so that it can be mended.
//!
//! Holds: the message names what is wrong; the next step stands apart, in `hint()`.

use std::time::Duration;

/// Why a file is no utterance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// No bytes, or no samples in them.
    #[error("the audio is empty")]
    Empty,
    /// The header promises more than the file holds.
    #[error("the audio is truncated: its header promises {promised} {unit}, it holds {present}")]
    Truncated {
        /// What the header says.
        promised: u64,
        /// What is there.
        present: u64,
        /// `bytes` or `samples`.
        unit: &'static str,
    },
    /// Not a format that is decoded here.
    #[error("the audio cannot be decoded ({detail})")]
    Unsupported {
        /// What the decoder said.
        detail: String,
    },
    /// A known format, but broken.
    #[error("the audio is damaged ({detail})")]
    Damaged {
        /// What was found.
        detail: String,
    },
    /// More bytes than are read.
    #[error("the file has {bytes} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More audio than an utterance may have.
    #[error("the audio is longer than {limit:?}")]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// Decoded well, but silent.
    #[error("there is no speech in the audio")]
    NoSpeech,
    /// An annotation that cannot be read.
    #[error("the annotation is wrong ({detail})")]
    Annotation {
        /// What is wrong with it.
        detail: String,
    },
    /// An annotation that points outside the audio, or ends before it starts.
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
    /// libopus or the resampler refused.
    #[error("the codec failed ({detail})")]
    Codec {
        /// What it said.
        detail: String,
    },
}

impl AudioError {
    /// What to try next; printed on its own `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "record it again, or check the path: the file holds no samples",
            Self::Truncated { .. } => {
                "the copy or recording broke off: copy it again, or rewrite its header with `sox --ignore-length IN OUT`"
            }
            Self::Unsupported { .. } => {
                "use WAV, FLAC, MP3, Ogg Vorbis or AAC at 4 to 192 kHz; `ffmpeg -i IN OUT.wav` converts the rest"
            }
            Self::Damaged { .. } => {
                "does it play elsewhere? Convert it with `ffmpeg -i IN OUT.wav`"
            }
            Self::TooLarge { .. } | Self::TooLong { .. } => {
                "an utterance is what a caller says in one turn: cut the file into turns"
            }
            Self::NoSpeech => {
                "nothing in it is louder than -60 dBFS: check the recording's level and channel"
            }
            Self::Annotation { .. } => {
                "the sidecar is {\"version\": 1, \"speech_start_ms\": …, \"speech_end_ms\": …}"
            }
            Self::AnnotationOutside { .. } => {
                "speech times count from the start of the file; leave the annotation out to have the end found by level"
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
