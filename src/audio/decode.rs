//! Decodes audio files of any supported format to PCM.
//!
//! In: the bytes of a file and the extension of its name. Out: the file's channels, or mono `i16`
//! at 48 kHz. Invariants: the audio that a player presents at time t is at sample t · 48 kHz,
//! because the codec's delay is removed and edit lists are applied; size and length are bounded;
//! hostile bytes cause an error, never a panic.

mod matroska;
mod mp4;
mod packets;
mod wav;

use super::recording::Recording;
use super::{AudioError, Pcm};
use packets::{Decoding, damaged, unsupported};
use std::io::{Cursor, ErrorKind};
use std::ops::Range;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_CAF, FORMAT_ID_ISOMP4, FORMAT_ID_MKV};
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::{MetadataOptions, RawValue};
use wav::Wav;

/// Largest file accepted, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// Tolerance of a container's sample count, for the codec's delay and padding.
const COUNT_SLACK: u64 = 4096;

/// Decodes a file to mono at 48 kHz. `Recording::mono` specifies how channels are mixed.
///
/// # Errors
/// The errors of `recording` and of the resampler.
pub fn decode(bytes: &[u8], extension: Option<&str>) -> Result<Pcm, AudioError> {
    Ok(recording(bytes, extension)?.mono(None)?.0)
}

/// Decodes a file: WAV with the reader in `wav`, everything else (FLAC, MP3, AAC, Ogg, WebM, MP4,
/// CAF, …) with symphonia, which detects the format from the bytes; `extension` (without the dot)
/// is only a hint. Opus is decoded by libopus.
///
/// # Errors
/// [`AudioError`]: empty, truncated, unsupported, damaged, longer than [`MAX_BYTES`] or 600 s.
pub(crate) fn recording(bytes: &[u8], extension: Option<&str>) -> Result<Recording, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    if bytes.len() > MAX_BYTES {
        return Err(AudioError::TooLarge {
            bytes: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    let recording = match wav::read(bytes)? {
        Some(Wav::Blocks(blocks)) => without_panic(|| blocks.decode())?,
        Some(Wav::Mp3(data)) => without_panic(|| by_symphonia(data, Some("mp3")))?,
        None => without_panic(|| by_symphonia(bytes, extension))?,
    };
    match recording.samples() {
        0 => Err(AudioError::Empty),
        _ => Ok(recording),
    }
}

/// Turns a panic of the decoder into an error. Damaged headers can make symphonia panic: version
/// 0.6.1 shifts a channel mask out of range, which panics if overflow checks are on.
fn without_panic(
    decode: impl FnOnce() -> Result<Recording, AudioError>,
) -> Result<Recording, AudioError> {
    // Nothing outlives the closure, so no inconsistent state can be observed afterwards.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(AudioError::Damaged {
            detail: "the decoder crashed on its contents".to_owned(),
        })
    })
}

/// The decoded track as its container describes it.
#[derive(Debug, Clone, Copy)]
struct Track {
    id: u32,
    format: FormatId,
    /// Number of samples in the track, if the container states it.
    promised: Option<u64>,
    /// Samples to trim before and after the recording; 0 if the container does not state them.
    delay: u64,
    padding: u64,
}

fn by_symphonia(bytes: &[u8], extension: Option<&str>) -> Result<Recording, AudioError> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let probe = symphonia::default::get_probe();
    let (options, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = probe
        .probe(&hint, stream, options, metadata)
        .map_err(unsupported)?;
    let missing = |what: &str| AudioError::Unsupported {
        detail: what.to_owned(),
    };
    let container = format.format_info().format;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| missing("no audio track"))?;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio());
    let mut decoding = Decoding::new(params.ok_or_else(|| missing("no known codec"))?)?;
    let track = Track {
        id: track.id,
        format: container,
        promised: track.num_frames,
        delay: track.delay.unwrap_or(0).into(),
        padding: track.padding.unwrap_or(0).into(),
    };
    let (mut recording, tail) = read_track(&mut *format, &mut decoding, track.id)?;
    let present = recording.samples() as u64;
    match track.promised {
        Some(promised) if promised > present + COUNT_SLACK => {
            return Err(AudioError::Truncated {
                promised,
                present,
                unit: "samples",
            });
        }
        _ => {}
    }
    let all = 0..present.saturating_sub(tail);
    let pieces = pieces(bytes, track, &decoding, recording.rate(), all, &mut *format);
    let in_memory = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let pieces: Vec<Range<usize>> = pieces
        .iter()
        .map(|r| in_memory(r.start)..in_memory(r.end))
        .collect();
    recording.keep(&pieces)?;
    Ok(recording)
}

/// The ranges of decoded samples that a player presents, within `all`. Samples that symphonia's
/// decoders trim themselves (MP3, Vorbis) have already been removed.
fn pieces(
    bytes: &[u8],
    track: Track,
    decoding: &Decoding,
    rate: u32,
    all: Range<u64>,
    format: &mut (dyn FormatReader + '_),
) -> Vec<Range<u64>> {
    let pre_skip = decoding.pre_skip();
    let (start, end) = match track.format {
        FORMAT_ID_ISOMP4 => {
            if let Some(pieces) = mp4::pieces(bytes, track.id, rate, all.end) {
                return pieces;
            }
            let (start, length) = gapless(format).unwrap_or((pre_skip.unwrap_or(0), u64::MAX));
            (start, start.saturating_add(length))
        }
        FORMAT_ID_MKV => {
            let trim = matroska::trim(bytes, track.id.into());
            let samples = |ns: u64| {
                let samples = (u128::from(ns) * u128::from(rate) + 500_000_000) / 1_000_000_000;
                u64::try_from(samples).unwrap_or(u64::MAX)
            };
            let start = pre_skip.unwrap_or_else(|| samples(trim.start));
            (start, all.end.saturating_sub(samples(trim.end)))
        }
        FORMAT_ID_CAF => {
            let start = match track.delay {
                0 => pre_skip.unwrap_or(0),
                delay => delay,
            };
            (start, all.end.saturating_sub(track.padding))
        }
        _ => (pre_skip.unwrap_or(0), u64::MAX),
    };
    let end = end.min(all.end);
    std::iter::once(start.min(end)..end).collect()
}

/// Start and length of a recording in samples, from the tag that iTunes writes: `iTunSMPB`, which
/// holds the hexadecimal numbers 0, delay, padding and length.
fn gapless(format: &mut (dyn FormatReader + '_)) -> Option<(u64, u64)> {
    let mut metadata = format.metadata();
    let tags = &metadata.skip_to_latest()?.media.tags;
    let tag = tags.iter().find(|t| t.raw.key.ends_with("iTunSMPB"))?;
    let RawValue::String(value) = &tag.raw.value else {
        return None;
    };
    let mut numbers = value.split_whitespace().skip(1);
    let mut next = || u64::from_str_radix(numbers.next()?, 16).ok();
    let (delay, _padding, length) = (next()?, next()?, next()?);
    // Every encoder's delay is shorter than this; ffmpeg uses the same bound.
    (1..16_384)
        .contains(&delay)
        .then_some((delay, length.max(1)))
}

/// Decodes all packets of a track. Also returns the number of samples to trim from the end: the
/// last page of an Opus stream specifies the position of its end (RFC 7845, 4.4).
fn read_track(
    format: &mut (dyn FormatReader + '_),
    decoding: &mut Decoding,
    track: u32,
) -> Result<(Recording, u64), AudioError> {
    let (mut recording, mut tail) = (None, 0);
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Several readers report truncation with this error; the sample count is checked later.
            Err(SymphoniaError::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(damaged(error)),
        };
        if packet.track_id != track {
            continue;
        }
        if decoding.is_opus() {
            tail = match packet.trim_end.get() {
                0 => 0,
                trimmed => trimmed.saturating_add(tail),
            };
        }
        let decoded = decoding.decode(&packet)?;
        let recording: &mut Recording = match &mut recording {
            Some(recording) => recording,
            none => none.insert(Recording::new(decoded.rate, decoded.channels)?),
        };
        if (decoded.rate, decoded.channels) != (recording.rate(), recording.channels()) {
            let detail = "its sample rate or channels change midway".to_owned();
            return Err(AudioError::Unsupported { detail });
        }
        recording.append(decoded.samples)?;
    }
    Ok((recording.ok_or(AudioError::Empty)?, tail))
}

#[cfg(test)]
mod tests;
