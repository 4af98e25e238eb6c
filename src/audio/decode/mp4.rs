//! Reads the edit lists of MP4, M4A, MOV and 3GP files (ISO/IEC 14496-12, 8.6.6), which symphonia
//! does not apply.
//!
//! In: the bytes of a file and a track. Out: which of the track's samples are presented, in order.
//! Invariants: every step advances by at least a box's header, so the time is at most linear in the
//! file's size; no more than [`MAX_EDITS`] edits are read.

use std::ops::Range;

/// Largest number of edits that are read: an utterance has one or two.
const MAX_EDITS: usize = 1_000;

/// The parts of a file that are needed to apply edit lists.
#[derive(Debug, Default)]
struct Movie {
    /// Time scale of the movie, in units per second.
    scale: u32,
    tracks: Vec<Track>,
}

#[derive(Debug, Default)]
struct Track {
    id: u32,
    /// Time scale of the media, in units per second.
    scale: u32,
    edits: Vec<Edit>,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    /// In units of the movie; 0, which occurs in fragmented files, means up to the end.
    length: u64,
    /// In units of the media; negative for a pause before the track.
    start: i64,
}

/// The pieces of a track that are presented, in samples at `rate`; `decoded` is the number of
/// samples of the whole track. `None` if the track has no edit list.
///
/// Pauses before and between pieces are omitted; ffmpeg does the same when it writes audio only.
pub(super) fn pieces(bytes: &[u8], track: u32, rate: u32, decoded: u64) -> Option<Vec<Range<u64>>> {
    let movie = movie(bytes);
    let track = movie.tracks.iter().find(|t| t.id == track)?;
    let (movie_scale, media_scale) = (u64::from(movie.scale), u64::from(track.scale));
    if track.edits.is_empty() || movie_scale == 0 || media_scale == 0 {
        return None;
    }
    let in_samples = |units: u64, scale: u64| {
        let scale = u128::from(scale);
        let samples = (u128::from(units) * u128::from(rate) + scale / 2) / scale;
        u64::try_from(samples).unwrap_or(u64::MAX)
    };
    let piece = |edit: &Edit| {
        let start = in_samples(u64::try_from(edit.start).ok()?, media_scale);
        let length = match edit.length {
            0 => decoded,
            length => in_samples(length, movie_scale),
        };
        let end = start.saturating_add(length).min(decoded);
        (start < end).then_some(start..end)
    };
    Some(track.edits.iter().filter_map(piece).collect())
}

/// Walks the boxes: enters those that lead to edit lists and skips all others.
fn movie(bytes: &[u8]) -> Movie {
    let mut movie = Movie::default();
    let mut at = 0;
    while let Some((kind, body, end)) = header(bytes, at) {
        let content = &bytes[body..end];
        at = end;
        match kind {
            b"moov" | b"edts" | b"mdia" => at = body,
            b"trak" => {
                movie.tracks.push(Track::default());
                at = body;
            }
            b"mvhd" => movie.scale = field(content).unwrap_or(0),
            b"mdhd" | b"tkhd" | b"elst" => {
                let Some(track) = movie.tracks.last_mut() else {
                    continue;
                };
                match kind {
                    b"mdhd" => track.scale = field(content).unwrap_or(0),
                    b"tkhd" => track.id = field(content).unwrap_or(0),
                    _ => track.edits = edits(content),
                }
            }
            _ => {}
        }
    }
    movie
}

/// Kind of the box at `at`, and start and end of its content. A box whose size exceeds the rest of
/// the file is cut off at the end of the file.
fn header(bytes: &[u8], at: usize) -> Option<(&[u8], usize, usize)> {
    let kind = bytes.get(at + 4..at + 8)?;
    let (size, header) = match number(bytes, at, 4)? {
        0 => (bytes.len() as u64, 8),
        1 => (number(bytes, at + 8, 8)?, 16),
        size => (size, 8),
    };
    let body = at + header;
    let end = usize::try_from(size).map_or(usize::MAX, |size| at.saturating_add(size));
    (end >= body && body <= bytes.len()).then_some((kind, body, end.min(bytes.len())))
}

/// A big-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(width)?)?;
    Some(digits.iter().fold(0, |n, &digit| n << 8 | u64::from(digit)))
}

/// The number after the creation and modification times: the time scale of `mvhd` and `mdhd`, the
/// id of `tkhd`.
fn field(content: &[u8]) -> Option<u32> {
    let at = match content.first()? {
        0 => 12,
        _ => 20,
    };
    u32::try_from(number(content, at, 4)?).ok()
}

fn edits(content: &[u8]) -> Vec<Edit> {
    let wide = content.first() == Some(&1);
    let count = number(content, 4, 4).unwrap_or(0) as usize;
    let edit = |k: usize| {
        Some(match wide {
            true => Edit {
                length: number(content, 8 + 20 * k, 8)?,
                start: number(content, 16 + 20 * k, 8)? as i64,
            },
            false => Edit {
                length: number(content, 8 + 12 * k, 4)?,
                start: i64::from(number(content, 12 + 12 * k, 4)? as u32 as i32),
            },
        })
    };
    (0..count.min(MAX_EDITS)).map_while(edit).collect()
}

#[cfg(test)]
mod tests;
