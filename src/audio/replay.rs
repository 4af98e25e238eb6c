//! Reconstructs the audio at the caller's microphone and loudspeaker, on the caller's clock.
//!
//! In: frames of one codec with their instants, a window of time. Out: PCM of exactly that window.
//! Invariants: the onset's packet, and any packet after a pause, is placed by its own arrival and
//! hold; lost packets are concealed by the codec at first, then by silence; where two packets of a
//! stream overlap, the later one is kept.

use super::codec::{Codec, FrameDecoder};
use super::packets::{HeldPacket, Packets};
use super::{AudioError, FRAME, Pcm, RATE};
use std::time::Instant;

/// A span of time on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Instant of the first sample.
    pub start: Instant,
    /// Length in samples.
    pub length: usize,
}

/// A frame that the caller sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SaidFrame<'a> {
    /// Index of the utterance within the call.
    pub turn: usize,
    /// When the frame's first sample was captured.
    pub captured: Instant,
    /// The frame as it was sent.
    pub payload: &'a [u8],
}

/// Decoded audio of at most this magnitude (−60 dBFS) is a pause, during which a jitter buffer can
/// adjust its playout delay.
const PAUSE: u16 = 33;
/// A packet that is due more than this after the position implied by its timestamp was too late for
/// the buffer: 30 ms.
const LATE: i64 = 30 * RATE as i64 / 1_000;
/// A packet that is due more than this before that position belongs to another timeline: 100 ms.
const EARLY: i64 = 100 * RATE as i64 / 1_000;
/// The codec conceals at most this much of a loss, as in the [`Ear`](super::Ear): 100 ms.
const CONCEALED: i64 = 5 * FRAME as i64;

impl Window {
    /// Position of an instant, in samples from the start.
    fn position(&self, at: Instant) -> i64 {
        let samples = |nanos: u128| {
            let nanos = i64::try_from(nanos).unwrap_or(i64::MAX / i64::from(RATE));
            (nanos.saturating_mul(i64::from(RATE)) + 500_000_000) / 1_000_000_000
        };
        match at.checked_duration_since(self.start) {
            Some(after) => samples(after.as_nanos()),
            None => -samples(self.start.saturating_duration_since(at).as_nanos()),
        }
    }

    fn silence(&self) -> Pcm {
        vec![0; self.length]
    }
}

/// Copies the part of `pcm` that lies inside `out` when `pcm` is placed at `at`.
fn put(out: &mut [i16], at: i64, pcm: &[i16]) {
    let skipped = usize::try_from(-at).unwrap_or(0).min(pcm.len());
    let Ok(from) = usize::try_from(at.max(0)) else {
        return;
    };
    let Some(room) = out.get_mut(from..) else {
        return;
    };
    let pcm = &pcm[skipped..];
    let count = pcm.len().min(room.len());
    room[..count].copy_from_slice(&pcm[..count]);
}

/// Reconstructs the caller's speech at the microphone, without the codec's delay.
///
/// # Errors
/// [`AudioError::Codec`] when libopus fails.
pub(crate) fn microphone<'a>(
    frames: impl Iterator<Item = SaidFrame<'a>>,
    window: Window,
    codec: Codec,
) -> Result<Pcm, AudioError> {
    let mut out = window.silence();
    let mut decoder = FrameDecoder::new(codec)?;
    let mut turn = None;
    for frame in frames {
        if turn.replace(frame.turn) != Some(frame.turn) {
            decoder.reset()?;
        }
        let at = window.position(frame.captured) - codec.lookahead() as i64;
        put(&mut out, at, decoder.decode(frame.payload)?);
    }
    Ok(out)
}

/// The playout of a stream so far.
struct Played {
    sequence: u64,
    /// The timestamp and the position right after the last packet.
    next_rtp: u32,
    end: i64,
    /// Length of the last packet in samples.
    samples: i64,
    pause: bool,
}

/// Reconstructs the agent's audio at the caller's loudspeaker, with all its streams mixed.
///
/// Consecutive packets of speech are played without gaps, like the output of a jitter buffer. The
/// packets that follow a pause, and the packet that arrived at `onset`, are placed by their own
/// arrival and hold.
///
/// # Errors
/// [`AudioError::Codec`] when libopus cannot create a decoder.
pub(crate) fn loudspeaker(
    packets: &Packets,
    window: Window,
    codec: Codec,
    onset: Option<Instant>,
) -> Result<Pcm, AudioError> {
    let mut ordered: Vec<HeldPacket<'_>> = packets.iter().collect();
    ordered.sort_by_key(|held| (held.stream, held.packet.sequence));
    ordered.dedup_by_key(|held| (held.stream, held.packet.sequence));
    let mut streams = ordered.chunk_by(|a, b| a.stream == b.stream);
    let mut out = match streams.next() {
        None => window.silence(),
        Some(first) => stream(first, window, codec, onset)?,
    };
    for other in streams {
        for (sum, sample) in out.iter_mut().zip(stream(other, window, codec, onset)?) {
            *sum = sum.saturating_add(sample);
        }
    }
    Ok(out)
}

/// Reconstructs the playout of one stream.
fn stream(
    ordered: &[HeldPacket<'_>],
    window: Window,
    codec: Codec,
    onset: Option<Instant>,
) -> Result<Pcm, AudioError> {
    let mut out = window.silence();
    let mut decoder = FrameDecoder::new(codec)?;
    let mut played: Option<Played> = None;
    for held in ordered {
        let packet = &held.packet;
        if packet.payload.is_empty() {
            // Padding has a sequence number but no audio.
            if let Some(played) = &mut played {
                played.sequence = packet.sequence;
            }
            continue;
        }
        let due = window.position(packet.arrival + held.hold);
        let start = match &played {
            None => due,
            Some(before) => {
                let anchored = Some(packet.arrival) == onset;
                let start = place(before, packet.rtp_time, due, anchored);
                conceal(&mut out, &mut decoder, before, packet, start);
                start
            }
        };
        let pcm = match decoder.decode(packet.payload) {
            Ok(pcm) => pcm,
            // The packet is not of this codec: play silence of the usual length.
            Err(_) => &[0; FRAME],
        };
        put(&mut out, start, pcm);
        played = Some(Played {
            sequence: packet.sequence,
            next_rtp: packet.rtp_time.wrapping_add(pcm.len() as u32),
            end: start + pcm.len() as i64,
            samples: pcm.len() as i64,
            pause: pcm.iter().all(|x| x.unsigned_abs() <= PAUSE),
        });
    }
    Ok(out)
}

/// How far a timestamp is ahead of the expected one.
fn ahead(before: &Played, rtp_time: u32) -> i64 {
    i64::from(rtp_time.wrapping_sub(before.next_rtp).cast_signed())
}

/// Position at which a packet is played: given by its timestamp relative to the previous packet, or
/// by its own arrival and hold (`due`).
fn place(before: &Played, rtp_time: u32, due: i64, anchored: bool) -> i64 {
    let follows = before.end + ahead(before, rtp_time);
    let off = due - follows;
    match anchored || before.pause || !(-EARLY..=LATE).contains(&off) {
        true => due,
        false => follows,
    }
}

/// Writes the concealment of the packets lost before `packet`, which is played at `start`.
fn conceal(
    out: &mut [i16],
    decoder: &mut FrameDecoder,
    before: &Played,
    packet: &super::Packet<'_>,
    start: i64,
) {
    let lost = packet.sequence.saturating_sub(before.sequence + 1);
    let lost = i64::try_from(lost).unwrap_or(0).min(CONCEALED);
    let missing = (lost * before.samples).min(ahead(before, packet.rtp_time));
    let mut left = missing.min(CONCEALED);
    let mut at = start - missing;
    while left > 0 {
        let made = decoder.conceal(left as usize).unwrap_or(&[]);
        if made.is_empty() {
            return;
        }
        put(out, at, made);
        at += made.len() as i64;
        left -= made.len() as i64;
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
