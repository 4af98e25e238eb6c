//! Reads how much to trim from the start and the end of a track in WebM and Matroska files
//! (RFC 9559). Symphonia parses these values but does not expose them.
//!
//! In: the bytes of a file and a track. Out: durations. Invariant: every step advances by at least
//! an element's header, so the time is at most linear in the file's size.

/// How much to trim from a track, in ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trim {
    /// `CodecDelay`: at the start.
    pub(super) start: u64,
    /// `DiscardPadding` of the last block: at the end.
    pub(super) end: u64,
}

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK_ENTRY: u64 = 0xAE;
const TRACK_NUMBER: u64 = 0xD7;
const CODEC_DELAY: u64 = 0x56AA;
const CLUSTER: u64 = 0x1F43_B675;
const BLOCK_GROUP: u64 = 0xA0;
const BLOCK: u64 = 0xA1;
const SIMPLE_BLOCK: u64 = 0xA3;
const DISCARD_PADDING: u64 = 0x75A2;

/// Reads how much to trim from the track with the number `wanted`.
pub(super) fn trim(bytes: &[u8], wanted: u64) -> Trim {
    let mut trim = Trim::default();
    // The track that is being described, its delay, and the track of the last block.
    let (mut described, mut delay, mut block) = (0, 0, 0);
    let mut padding = None;
    let mut at = 0;
    while let Some((id, body, size)) = element(bytes, at) {
        let end = usize::try_from(size).map_or(usize::MAX, |size| body.saturating_add(size));
        let content = &bytes[body..end.min(bytes.len())];
        at = end;
        match id {
            SEGMENT | TRACKS | CLUSTER => at = body,
            BLOCK_GROUP => (at, padding, block) = (body, None, 0),
            TRACK_ENTRY => (at, described, delay) = (body, 0, 0),
            TRACK_NUMBER => described = unsigned(content),
            CODEC_DELAY => delay = unsigned(content),
            BLOCK | SIMPLE_BLOCK => {
                if id == SIMPLE_BLOCK {
                    padding = None;
                }
                block = number(content, 0, false).map_or(0, |(track, _)| track);
            }
            // Negative padding trims the start of a block; it occurs only in live streams.
            DISCARD_PADDING => padding = Some(unsigned(content)),
            _ => {}
        }
        // The track number and the delay may come in either order.
        if described == wanted && described != 0 {
            trim.start = delay;
        }
        if block == wanted {
            trim.end = padding.filter(|&p| p < 1 << 63).unwrap_or(0);
        }
    }
    trim
}

/// Id, start and length of the element at `at`. An element of unknown length, as in live
/// recordings, extends to the end of the file; its children are still found.
fn element(bytes: &[u8], at: usize) -> Option<(u64, usize, u64)> {
    let (id, width) = number(bytes, at, true)?;
    let at = at + width;
    let (size, width) = number(bytes, at, false)?;
    let unknown = size == (1 << (7 * width)) - 1;
    Some((id, at + width, if unknown { u64::MAX } else { size }))
}

/// The variable-length number at `at`, and its length in bytes; an id keeps its marker.
fn number(bytes: &[u8], at: usize, keep_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let width = first.leading_zeros() as usize + 1;
    let digits = bytes
        .get(at..at.checked_add(width)?)
        .filter(|_| width <= 8)?;
    let all = digits.iter().fold(0, |n, &digit| n << 8 | u64::from(digit));
    let marker = if keep_marker { 0 } else { 1 << (7 * width) };
    Some((all & !marker, width))
}

fn unsigned(content: &[u8]) -> u64 {
    let last = &content[content.len().saturating_sub(8)..];
    last.iter().fold(0, |n, &digit| n << 8 | u64::from(digit))
}

#[cfg(test)]
mod tests;
