//! Loads sound files as utterances, each encoded once.
//!
//! In: paths, with annotations. Out: utterances, and their encoded frames, which callers share.
//! Invariant: a file's size is bounded before it is read.

use super::error::RunError;
use crate::audio::chirp::chirp;
use crate::audio::echo::Spoken;
use crate::audio::{Annotation, Codec, Utterance, time_of};
use crate::scenario;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Read limit: the largest sound file that `audio::decode` accepts, plus one byte, so that a larger
/// file is noticed.
const MAX_BYTES: u64 = (64 << 20) + 1;
/// Read limit of a sidecar, in bytes.
const MAX_SIDECAR: u64 = 64 << 10;

fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a sound file. Its end of speech is taken from `speech_end` (the scenario), else from its
/// sidecar (`NAME.json`), else from the level.
///
/// # Errors
/// The file or its sidecar cannot be read or used.
pub fn load_utterance(
    name: &str,
    path: &Path,
    speech_end: Option<Duration>,
) -> Result<Utterance, RunError> {
    let unusable = |path: &Path, source| RunError::Unusable {
        path: path.to_owned(),
        source,
    };
    let bytes = read(path, MAX_BYTES).map_err(|source| RunError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let sidecar = path.with_extension("json");
    let annotation = match read(&sidecar, MAX_SIDECAR) {
        Ok(json) => Some(Annotation::parse(&json).map_err(|e| unusable(&sidecar, e))?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => {
            return Err(RunError::Unreadable {
                path: sidecar,
                source,
            });
        }
    };
    let start = annotation.as_ref().and_then(Annotation::speech_start);
    let end = speech_end.or(annotation.as_ref().map(Annotation::speech_end));
    let extension = path.extension().and_then(|e| e.to_str());
    Utterance::annotated(name, &bytes, extension, start, end).map_err(|e| unusable(path, e))
}

/// Frames of an utterance, shared by all callers that say it.
pub(super) type Frames = Arc<[Arc<[u8]>]>;

/// An utterance as callers send it.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub frames: Frames,
    /// For recognizing the caller's own echo.
    pub spoken: Spoken,
    pub speech_start: Duration,
    pub speech_end: Duration,
}

impl Said {
    /// The calibration chirp.
    pub(super) fn chirp(codec: Codec) -> Result<Self, RunError> {
        let pcm = chirp();
        Ok(Self {
            frames: codec.encode(&pcm).map_err(RunError::Codec)?.into(),
            spoken: Spoken::new(&pcm),
            speech_start: Duration::ZERO,
            speech_end: time_of(pcm.len() as u64),
        })
    }
}

/// All utterances of a scenario, and a frame of silence.
#[derive(Debug)]
pub(super) struct Sounds {
    pub said: Vec<Said>,
    pub silence: Arc<[u8]>,
    /// The codec of the frames.
    pub codec: Codec,
}

impl Sounds {
    /// Reads and encodes all utterances.
    pub(super) fn load(utterances: &[scenario::Utterance], codec: Codec) -> Result<Self, RunError> {
        let said = utterances.iter().map(|u| {
            let loaded = load_utterance(&u.name, &u.file, u.speech_end)?;
            let frames = match codec {
                Codec::Opus => loaded.frames.iter().map(|f| Arc::from(&**f)).collect(),
                other => other.encode(&loaded.pcm).map_err(RunError::Codec)?.into(),
            };
            Ok(Said {
                spoken: Spoken::new(&loaded.pcm),
                frames,
                speech_start: loaded.speech_start,
                speech_end: loaded.speech_end,
            })
        });
        Ok(Self {
            said: said.collect::<Result<_, RunError>>()?,
            silence: codec.silence().map_err(RunError::Codec)?,
            codec,
        })
    }
}
