//! Sound files, from their bytes to an utterance.
//!
//! In: a byte that chooses the file name's extension, then a file. Properties: the decoded audio is
//! bounded, and an utterance can be made from it.

use super::planted::planted;
use crate::audio::{MAX_PACKET, RATE, SoundInfo, Utterance, decode, speech_span};
use std::time::Duration;

/// File name extensions; a name may have no extension, or a wrong one.
const EXTENSIONS: [Option<&str>; 9] = [
    None,
    Some("wav"),
    Some("flac"),
    Some("mp3"),
    Some("ogg"),
    Some("m4a"),
    Some("txt"),
    Some("webm"),
    Some("caf"),
];
/// Longest audio, in samples: 600 s, plus the samples that the resampler rounds up.
const LONGEST: usize = 600 * RATE as usize + MAX_PACKET;
/// Longest audio from which an utterance is made here, since encoding takes time.
const SHORT: Duration = Duration::from_millis(200);

pub(super) fn run(bytes: &[u8]) {
    let Some((first, file)) = bytes.split_first() else {
        return;
    };
    let extension = EXTENSIONS[usize::from(*first) % EXTENSIONS.len()];
    let pcm = match decode(file, extension) {
        Ok(pcm) => pcm,
        Err(error) => {
            assert!(error.to_string().chars().count() < 1_000, "{error}");
            return;
        }
    };
    assert!(
        !pcm.is_empty() && pcm.len() <= LONGEST,
        "{} samples",
        pcm.len()
    );
    let full_scale = pcm.iter().any(|sample| sample.unsigned_abs() > 32_000);
    planted([full_scale]);
    if let Some(span) = speech_span(&pcm) {
        assert!(span.start < span.end && span.end <= pcm.len(), "{span:?}");
        assert!(span.active_level_dbfs.is_finite());
    }
    let utterance = match pcm.len() <= crate::audio::samples_in(SHORT) as usize {
        true => Utterance::new(
            file,
            SoundInfo {
                extension,
                ..SoundInfo::default()
            },
        ),
        false => return,
    };
    if let Ok(utterance) = utterance {
        assert!(utterance.speech_start < utterance.speech_end);
        assert!(utterance.speech_end <= utterance.length());
        assert!(!utterance.frames.is_empty());
    }
}
