//! Loads sound files as utterances, each encoded once.
//!
//! In: paths, with annotations. Out: utterances, and the type of their encoded frames, which callers
//! share.
//! Invariant: a file's size is bounded before it is read.

use super::error::RunError;
use super::read::read_at_most;
use crate::audio::chirp::chirp;
use crate::audio::echo::Spoken;
use crate::audio::mix::{Dialled, dial};
use crate::audio::{
    Annotation, AudioError, Codec, FRAME, SoundInfo, SpeechSegment, Utterance, decode, time_of,
};
use crate::scenario::{SoundFile, UtteranceConfig, UtteranceSource};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Largest size of a sidecar in bytes, one less than 64 KiB; a sidecar normally has a line or two.
/// At most one byte more is read, and truncated JSON does not parse.
pub(crate) const MAX_SIDECAR: usize = (64 << 10) - 1;

/// Reads a sound file. Its end of speech is taken from the scenario, otherwise from its sidecar
/// (`NAME.json`), otherwise from the signal level. If the scenario specifies the end of speech, a
/// sidecar written by another program is ignored.
///
/// # Errors
/// The file or its sidecar cannot be read or used.
pub(crate) fn load_utterance(sound: &SoundFile<'_>) -> Result<Utterance, RunError> {
    let path = sound.path;
    let bytes = read_at_most(path, decode::MAX_BYTES).map_err(|source| RunError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let annotation = annotation(sound)?;
    let annotation = annotation.as_ref();
    let about = SoundInfo {
        extension: path.extension().and_then(|e| e.to_str()),
        channel: sound.channel,
        speech_start: annotation.and_then(Annotation::speech_start),
        speech_end: sound.speech_end.or(annotation.map(Annotation::speech_end)),
        pauses: annotation.and_then(Annotation::pauses),
    };
    Utterance::new(&bytes, about).map_err(|e| unusable(path, e))
}

/// Reads the sidecar of a sound, if one exists and applies.
fn annotation(sound: &SoundFile<'_>) -> Result<Option<Annotation>, RunError> {
    if !sound.annotated {
        return Ok(None);
    }
    let sidecar = sound.path.with_extension("json");
    let json = match read_at_most(&sidecar, MAX_SIDECAR) {
        Ok(json) => json,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(RunError::Unreadable {
                path: sidecar,
                source,
            });
        }
    };
    match Annotation::parse(&json) {
        Ok(annotation) => Ok(Some(annotation)),
        Err(AudioError::Foreign) if sound.speech_end.is_some() => Ok(None),
        Err(error) => Err(unusable(&sidecar, error)),
    }
}

pub(super) fn unusable(path: &Path, source: AudioError) -> RunError {
    RunError::Unusable {
        path: path.to_owned(),
        source,
    }
}

/// Frames of an utterance, shared by all callers that speak it.
pub(super) type Frames = Arc<[Arc<[u8]>]>;

/// An utterance as callers send it.
#[derive(Debug, Clone)]
pub(super) struct EncodedUtterance {
    pub frames: Frames,
    /// The utterance in the form in which the caller's own echo is recognised.
    pub spoken: Spoken,
    pub speech_start: Duration,
    pub speech_end: Duration,
    /// The stretches in which the caller speaks ([`Utterance::speech_segments`]); none if it says
    /// nothing.
    pub segments: Arc<[SpeechSegment]>,
    /// Frame of the background that its first frame contains.
    pub background: usize,
    /// The keys that the caller presses ([`presses`]).
    pub presses: Arc<[(usize, char)]>,
}

impl EncodedUtterance {
    /// No sound at all.
    pub(super) fn nothing() -> Self {
        Self {
            frames: Frames::default(),
            spoken: Spoken::new(&[]),
            speech_start: Duration::ZERO,
            speech_end: Duration::ZERO,
            segments: Arc::default(),
            background: 0,
            presses: Arc::default(),
        }
    }

    /// The calibration chirp.
    pub(super) fn chirp(codec: Codec) -> Result<Self, RunError> {
        let pcm = chirp();
        let end = time_of(pcm.len() as u64);
        Ok(Self {
            frames: codec.encode(&pcm).map_err(RunError::Codec)?.into(),
            spoken: Spoken::new(&pcm),
            speech_start: Duration::ZERO,
            speech_end: end,
            segments: [(Duration::ZERO, end)].into(),
            background: 0,
            presses: Arc::default(),
        })
    }
}

/// The keys that the caller presses during an utterance, each with the frame before which it is
/// pressed; none if they only reach the agent as sound.
pub(super) fn presses(utterance: &UtteranceConfig) -> Arc<[(usize, char)]> {
    match &utterance.source {
        UtteranceSource::Dtmf(digits, dialled) if dialled.has_events() => {
            let Dialled { tones, keys, .. } = dial(digits);
            let frames = tones.iter().map(|tone| tone.0 / FRAME);
            frames.zip(keys).collect()
        }
        _ => Arc::default(),
    }
}

/// How an utterance of the scenario sounds as recorded.
///
/// # Errors
/// Its file or sidecar cannot be read or used.
pub(crate) fn load_said(utterance: &UtteranceConfig) -> Result<Utterance, RunError> {
    match &utterance.source {
        UtteranceSource::Silence(length) => Utterance::silence(*length).map_err(RunError::Codec),
        UtteranceSource::Dtmf(digits, dialled) => {
            Utterance::dialled(digits, dialled.has_tones()).map_err(RunError::Codec)
        }
        UtteranceSource::File(path) => load_utterance(&SoundFile {
            path,
            speech_end: utterance.speech_end,
            channel: utterance.channel,
            annotated: true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Channel;

    const FIXTURE: &[u8] = include_bytes!("../../fixtures/help.wav");
    const TRANSCRIPT: &str = r#"{"text": "can you help me", "segments": [], "language": "en"}"#;
    const TYPO: &str = r#"{"version": 1, "speech_end": 900}"#;

    fn loaded(sidecar: &str, change: impl Fn(&mut SoundFile<'_>)) -> Result<Utterance, RunError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("help.wav");
        std::fs::write(&path, FIXTURE).expect("writable");
        std::fs::write(path.with_extension("json"), sidecar).expect("writable");
        let mut sound = SoundFile {
            path: &path,
            speech_end: None,
            channel: None,
            annotated: true,
        };
        change(&mut sound);
        load_utterance(&sound)
    }

    #[test]
    fn foreign_annotations_are_ignored_unless_needed() {
        let end = Duration::from_millis(902);
        let set = loaded(TRANSCRIPT, |sound| sound.speech_end = Some(end));
        assert_eq!(
            set.expect("the scenario specifies the end of speech")
                .speech_end,
            end
        );
        let error = loaded(TRANSCRIPT, |_| {}).expect_err("the end of speech is not specified");
        let message = error.to_string();
        assert!(
            message.contains("help.json") && message.contains("another program"),
            "{message}"
        );
        assert!(error.hint().contains("`speech_end`"), "{}", error.hint());
        // An agent's utterance needs no end of speech.
        assert!(loaded(TRANSCRIPT, |sound| sound.annotated = false).is_ok());
        // A sidecar that is meant as an annotation is still checked.
        let error = loaded(TYPO, |sound| sound.speech_end = Some(end)).expect_err("a typo");
        assert!(
            error.to_string().contains("annotation is invalid"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_channel_is_an_error() {
        let right = loaded("", |sound| {
            (sound.annotated, sound.channel) = (false, Some(Channel::Right));
        });
        assert!(right.expect_err("mono").to_string().contains("one channel"));
        let left = loaded("", |sound| {
            (sound.annotated, sound.channel) = (false, Some(Channel::Left));
        });
        assert!(left.is_ok_and(|utterance| utterance.doubts.is_empty()));
    }
}
