//! Why a run could not be carried out.

use crate::audio::AudioError;
use crate::call::Failure;
use crate::net::NetError;
use crate::record::RecordError;
use std::path::PathBuf;

/// A failure of the run itself, not of one of its calls.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The first call showed that no other can succeed.
    #[error("the first call failed, so the run ends here: {0}")]
    Canary(Failure),
    /// The embedded agent does not start.
    #[error("{0}")]
    Embedded(Failure),
    /// The media engine does not start.
    #[error("the media engine does not start: {0}")]
    Engine(#[from] NetError),
    /// The system gives no more threads.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// There is no place for evidence.
    #[error("{0}")]
    Evidence(RecordError),
    /// The codec does not work.
    #[error("the audio codec failed: {0}")]
    Codec(AudioError),
    /// A sound file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A sound file cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: AudioError,
    },
}

impl RunError {
    /// What to try next.
    pub fn hint(&self) -> String {
        match self {
            Self::Canary(f) | Self::Embedded(f) => f.hint().into(),
            Self::Engine(_) | Self::Thread(_) => "check `ulimit -n` and `ulimit -u`".into(),
            Self::Evidence(e) => e.hint().into(),
            Self::Codec(e) => e.hint().to_string(),
            Self::Unreadable { .. } => "paths are relative to the scenario file's folder".into(),
            Self::Unusable { source, .. } => source.hint().to_string(),
        }
    }
}
