//! Reconstructs the audio at the caller's microphone and loudspeaker, on the caller's clock.
//!
//! In: frames of one codec with their instants, a window of time. Out: PCM of exactly that window,
//! at once or part after part. Invariants: the onset's packet, and any packet after a pause, is
//! placed by its own arrival and hold; lost packets are concealed by the codec at first, then by
//! silence; where two packets of a stream overlap, the later one is kept; the parts of a window are
//! the same samples, however long each part is, unless packets arrive [`AHEAD`] out of order.

use super::codec::{Codec, FrameDecoder};
use super::packets::HeldPacket;
use super::{AudioError, FRAME, Pcm, RATE};
use std::collections::BTreeSet;
use std::iter::Peekable;
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
}

/// Most samples that are kept for parts that are still to come: a minute.
const AHEAD: usize = 60 * RATE as usize;

/// The samples of one source, from which parts are taken one after another.
#[derive(Debug, Default)]
struct Track {
    /// Position of the part that is being filled.
    from: i64,
    part: Pcm,
    /// Sounds that reach beyond the part, with their positions, in the order in which they were
    /// put.
    later: Vec<(i64, Pcm)>,
}

impl Track {
    /// Begins a part of `length` samples, and puts into it what was kept for it.
    fn begin(&mut self, from: i64, length: usize) {
        self.from = from;
        self.part = vec![0; length];
        for (at, pcm) in std::mem::take(&mut self.later) {
            self.put(at, &pcm);
        }
    }

    /// Position after the last sample of the part.
    fn end(&self) -> i64 {
        self.from + self.part.len() as i64
    }

    /// Whether no more samples are to be kept for later parts.
    fn is_full(&self) -> bool {
        self.later.iter().map(|(_, pcm)| pcm.len()).sum::<usize>() > AHEAD
    }

    /// Places `pcm` at `at`: into this part, and into the following ones.
    fn put(&mut self, at: i64, pcm: &[i16]) {
        if at + pcm.len() as i64 > self.end() && !pcm.is_empty() {
            self.later.push((at, pcm.to_vec()));
        }
        let at = at - self.from;
        let skipped = usize::try_from(-at).unwrap_or(0).min(pcm.len());
        let Ok(from) = usize::try_from(at.max(0)) else {
            return;
        };
        let Some(room) = self.part.get_mut(from..) else {
            return;
        };
        let pcm = &pcm[skipped..];
        let count = pcm.len().min(room.len());
        room[..count].copy_from_slice(&pcm[..count]);
    }
}

/// The caller's microphone, without the codec's delay.
pub(crate) struct Microphone<'a, Frames: Iterator<Item = SaidFrame<'a>>> {
    frames: Peekable<Frames>,
    window: Window,
    codec: Codec,
    decoder: FrameDecoder,
    turn: Option<usize>,
    track: Track,
    taken: usize,
}

impl<'a, Frames: Iterator<Item = SaidFrame<'a>>> Microphone<'a, Frames> {
    /// `frames`: in the order of their capture.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn new(frames: Frames, window: Window, codec: Codec) -> Result<Self, AudioError> {
        Ok(Self {
            frames: frames.peekable(),
            window,
            codec,
            decoder: FrameDecoder::new(codec)?,
            turn: None,
            track: Track::default(),
            taken: 0,
        })
    }

    /// The next `length` samples, fewer at the end of the window.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn part(&mut self, length: usize) -> Result<Pcm, AudioError> {
        let length = length.min(self.window.length - self.taken);
        self.track.begin(self.taken as i64, length);
        self.taken += length;
        let (window, delay) = (self.window, self.codec.lookahead() as i64);
        let at = |frame: &SaidFrame<'_>| window.position(frame.captured) - delay;
        let end = self.track.end();
        while let Some(frame) = self.frames.next_if(|frame| at(frame) < end) {
            if self.turn.replace(frame.turn) != Some(frame.turn) {
                self.decoder.reset()?;
            }
            self.track
                .put(at(&frame), self.decoder.decode(frame.payload)?);
        }
        Ok(std::mem::take(&mut self.track.part))
    }
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

/// The agent's audio at the caller's loudspeaker, with all its streams mixed.
///
/// Consecutive packets of speech are played without gaps, like the output of a jitter buffer. The
/// packets that follow a pause, and those that arrived at an onset, are placed by their own arrival
/// and hold.
pub(crate) struct Loudspeaker<'a> {
    streams: Vec<Stream<'a>>,
    window: Window,
    taken: usize,
    /// Arrivals of the packets that hold the onsets of replies.
    onsets: BTreeSet<Instant>,
}

impl<'a> Loudspeaker<'a> {
    /// `packets`: in any order; `onsets`: arrivals of the packets that hold onsets.
    pub(crate) fn new(
        packets: impl Iterator<Item = HeldPacket<'a>>,
        window: Window,
        codec: Codec,
        onsets: impl IntoIterator<Item = Instant>,
    ) -> Self {
        let mut ordered: Vec<HeldPacket<'_>> = packets.collect();
        ordered.sort_by_key(|held| (held.stream, held.packet.sequence));
        ordered.dedup_by_key(|held| (held.stream, held.packet.sequence));
        let streams = ordered.chunk_by(|a, b| a.stream == b.stream);
        Self {
            streams: streams
                .map(|packets| Stream::new(packets.to_vec(), window, codec))
                .collect(),
            window,
            taken: 0,
            onsets: onsets.into_iter().collect(),
        }
    }

    /// The next `length` samples, fewer at the end of the window.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus cannot create a decoder.
    pub(crate) fn part(&mut self, length: usize) -> Result<Pcm, AudioError> {
        let length = length.min(self.window.length - self.taken);
        let from = self.taken as i64;
        self.taken += length;
        let mut out = vec![0i16; length];
        for stream in &mut self.streams {
            let Some(part) = stream.part(from, length, &self.onsets)? else {
                continue;
            };
            for (sum, sample) in out.iter_mut().zip(part) {
                *sum = sum.saturating_add(sample);
            }
        }
        Ok(out)
    }
}

/// One stream of the agent's, part after part.
struct Stream<'a> {
    /// By sequence number.
    packets: Vec<HeldPacket<'a>>,
    /// For each packet, the earliest position at which it or a later one can be played.
    earliest: Vec<i64>,
    next: usize,
    window: Window,
    codec: Codec,
    /// Exists from the stream's first packet to its last.
    decoder: Option<FrameDecoder>,
    played: Option<Played>,
    track: Track,
}

impl<'a> Stream<'a> {
    fn new(packets: Vec<HeldPacket<'a>>, window: Window, codec: Codec) -> Self {
        let due = |held: &HeldPacket<'_>| window.position(held.packet.arrival + held.hold) - LATE;
        let mut earliest: Vec<i64> = packets.iter().map(due).collect();
        for nth in (1..earliest.len()).rev() {
            earliest[nth - 1] = earliest[nth - 1].min(earliest[nth]);
        }
        Self {
            packets,
            earliest,
            next: 0,
            window,
            codec,
            decoder: None,
            played: None,
            track: Track::default(),
        }
    }

    /// Whether none of the remaining packets can change what comes before `end`.
    fn is_settled(&self, end: i64) -> bool {
        let earliest = self.earliest.get(self.next);
        // The concealment of a loss begins where the packet before it ended.
        let ended = self.played.as_ref().is_none_or(|played| played.end >= end);
        earliest.is_none_or(|at| *at >= end && ended) || self.track.is_full()
    }

    /// The `length` samples from position `from` on; `None` if the stream is silent there.
    fn part(
        &mut self,
        from: i64,
        length: usize,
        onsets: &BTreeSet<Instant>,
    ) -> Result<Option<Pcm>, AudioError> {
        let end = from + length as i64;
        if self.track.later.is_empty() && self.is_settled(end) {
            return Ok(None);
        }
        self.track.begin(from, length);
        while !self.is_settled(end) {
            let held = self.packets[self.next];
            self.next += 1;
            self.play(&held, onsets)?;
        }
        if self.next == self.packets.len() {
            self.decoder = None;
        }
        Ok(Some(std::mem::take(&mut self.track.part)))
    }

    /// Plays a packet, and conceals those lost before it.
    fn play(
        &mut self,
        held: &HeldPacket<'_>,
        onsets: &BTreeSet<Instant>,
    ) -> Result<(), AudioError> {
        let packet = &held.packet;
        if packet.payload.is_empty() {
            // Padding has a sequence number but no audio.
            if let Some(played) = &mut self.played {
                played.sequence = packet.sequence;
            }
            return Ok(());
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(FrameDecoder::new(self.codec)?),
        };
        let due = self.window.position(packet.arrival + held.hold);
        let start = match &self.played {
            None => due,
            Some(before) => {
                let anchored = onsets.contains(&packet.arrival);
                let start = place(before, packet.rtp_time, due, anchored);
                conceal(&mut self.track, decoder, before, packet, start);
                start
            }
        };
        let pcm = match decoder.decode(packet.payload) {
            Ok(pcm) => pcm,
            // The packet is not of this codec: play silence of the usual length.
            Err(_) => &[0; FRAME],
        };
        self.track.put(start, pcm);
        self.played = Some(Played {
            sequence: packet.sequence,
            next_rtp: packet.rtp_time.wrapping_add(pcm.len() as u32),
            end: start + pcm.len() as i64,
            samples: pcm.len() as i64,
            pause: pcm.iter().all(|x| x.unsigned_abs() <= PAUSE),
        });
        Ok(())
    }
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

/// Writes the concealment of the packets lost before `packet`, which is played at `start`. What has
/// been played is not concealed.
fn conceal(
    track: &mut Track,
    decoder: &mut FrameDecoder,
    before: &Played,
    packet: &super::Packet<'_>,
    start: i64,
) {
    let lost = packet.sequence.saturating_sub(before.sequence + 1);
    let lost = i64::try_from(lost).unwrap_or(0).min(CONCEALED);
    let missing = (lost * before.samples)
        .min(ahead(before, packet.rtp_time))
        .min(start - before.end);
    let mut left = missing.min(CONCEALED);
    let mut at = start - missing;
    while left > 0 {
        let made = decoder.conceal(left as usize).unwrap_or(&[]);
        if made.is_empty() {
            return;
        }
        track.put(at, made);
        at += made.len() as i64;
        left -= made.len() as i64;
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
