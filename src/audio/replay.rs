//! What the caller's microphone took in and what the caller's loudspeaker played, as samples on
//! the caller's clock.
//!
//! In: Opus packets with their instants, a window of time. Out: PCM of exactly that window.
//! Holds: a sample stands where its own packet's arrival and hold put it; lost packets are what
//! the codec makes of them, then silence; where two packets overlap the later one is heard.

use super::opus::Decoder;
use super::packets::{HeldPacket, Packets};
use super::{AudioError, FRAME, OPUS_LOOKAHEAD, Pcm, RATE};
use std::time::Instant;

/// A stretch of the caller's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first sample.
    pub start: Instant,
    /// Its length in samples.
    pub length: usize,
}

/// A frame that the caller said.
#[derive(Debug, Clone, Copy)]
pub struct SaidFrame<'a> {
    /// Which utterance of the call.
    pub turn: usize,
    /// When its first sample was captured.
    pub captured: Instant,
    /// As it was sent.
    pub payload: &'a [u8],
}

/// Decoded audio of at most this magnitude (−60 dBFS) is a pause, in which a jitter buffer
/// moves to where it wants to be.
const PAUSE: u16 = 33;
/// A packet that would play so much later than it follows came too late for the buffer.
const LATE: i64 = 30 * RATE as i64 / 1_000;
/// One so much earlier belongs to another timeline.
const EARLY: i64 = 100 * RATE as i64 / 1_000;
/// The codec makes up at most this much of a loss, as in the ear.
const CONCEALED: i64 = 5 * FRAME as i64;

impl Window {
    /// Where an instant lies, in samples from the start.
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

/// Writes the part of `pcm` that lies inside.
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

/// What the caller said, at the microphone: the codec's delay is taken out.
///
/// # Errors
/// [`AudioError::Codec`] when libopus refuses.
pub fn microphone<'a>(
    frames: impl Iterator<Item = SaidFrame<'a>>,
    window: Window,
) -> Result<Pcm, AudioError> {
    let mut out = window.silence();
    let mut decoder = Decoder::new()?;
    let mut turn = None;
    for frame in frames {
        if turn.replace(frame.turn) != Some(frame.turn) {
            decoder.reset()?;
        }
        let at = window.position(frame.captured) - OPUS_LOOKAHEAD as i64;
        put(&mut out, at, decoder.decode(frame.payload)?);
    }
    Ok(out)
}

/// The stream so far, as it is played.
struct Played {
    sequence: u64,
    /// The timestamp and the position that follow it.
    next_rtp: u32,
    end: i64,
    /// Length of its last packet.
    samples: i64,
    pause: bool,
}

/// What the agent said, at the caller's loudspeaker: all its streams together. Packets that
/// follow each other in speech stay together, as a jitter buffer keeps them; in a pause each is
/// where its hold puts it, and so is in any case the packet that arrived at `onset`.
///
/// # Errors
/// [`AudioError::Codec`] when libopus refuses to begin.
pub fn loudspeaker(
    packets: &Packets,
    window: Window,
    onset: Option<Instant>,
) -> Result<Pcm, AudioError> {
    let mut ordered: Vec<HeldPacket<'_>> = packets.iter().collect();
    ordered.sort_by_key(|held| (held.stream, held.packet.sequence));
    ordered.dedup_by_key(|held| (held.stream, held.packet.sequence));
    let mut streams = ordered.chunk_by(|a, b| a.stream == b.stream);
    let mut out = match streams.next() {
        None => window.silence(),
        Some(first) => stream(first, window, onset)?,
    };
    for other in streams {
        for (sum, sample) in out.iter_mut().zip(stream(other, window, onset)?) {
            *sum = sum.saturating_add(sample);
        }
    }
    Ok(out)
}

/// One stream's part of it.
fn stream(
    ordered: &[HeldPacket<'_>],
    window: Window,
    onset: Option<Instant>,
) -> Result<Pcm, AudioError> {
    let mut out = window.silence();
    let mut decoder = Decoder::new()?;
    let mut played: Option<Played> = None;
    for held in ordered {
        let packet = &held.packet;
        if packet.payload.is_empty() {
            // Padding holds its place in the sequence.
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
            // Not Opus: silence of the usual length.
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

/// By how much a timestamp is ahead of the one that was expected.
fn ahead(before: &Played, rtp_time: u32) -> i64 {
    i64::from(rtp_time.wrapping_sub(before.next_rtp).cast_signed())
}

/// Where a packet is played: behind the one before it, or where its own hold puts it.
fn place(before: &Played, rtp_time: u32, due: i64, anchored: bool) -> i64 {
    let follows = before.end + ahead(before, rtp_time);
    let off = due - follows;
    match anchored || before.pause || !(-EARLY..=LATE).contains(&off) {
        true => due,
        false => follows,
    }
}

/// What the codec makes of the packets lost before one that is played at `start`.
fn conceal(
    out: &mut [i16],
    decoder: &mut Decoder,
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
