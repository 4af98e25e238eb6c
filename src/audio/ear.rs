//! Hears the agent's track: from RTP packets to onsets and ends of talk spurts.
//!
//! In: packets with their arrival, and the time when none come. Out: [`Heard`], in order.
//! Holds: the timeline is RTP time (never a count of packets); each instant told is the arrival
//! of the packet that really holds the sample, plus the sample's offset in it; memory is bounded
//! and, after the first packets, nothing is allocated.

mod background;
mod burst;
mod floor;
mod levels;
mod losses;
mod refine;
mod reorder;
mod spurt;
mod talk;
mod track;

use super::opus::MAX_PACKET;
use super::sparing::Sparing;
use super::{AudioError, FRAME, Heard, Onset, RATE, Segment, samples_in, time_of};
use losses::Losses;
use reorder::{Order, Reorder};
use spurt::Spurts;
use std::time::{Duration, Instant};
use track::{KEPT, Track};

/// One RTP packet of the agent's audio.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// When it arrived, on the caller's clock.
    pub arrival: Instant,
    /// RTP timestamp (48 kHz).
    pub rtp_time: u32,
    /// Extended sequence number: it never wraps around.
    pub sequence: u64,
    /// The Opus packet; empty for padding.
    pub payload: &'a [u8],
}

/// Packets this late are jitter, not an end of the stream.
const LATENESS: Duration = Duration::from_millis(40);
/// Timestamps that run ahead of the arrivals by more are a new timeline: 2 s.
const AHEAD: u64 = 2 * RATE as u64;
/// Timestamps that step back by more are a new timeline, less is a sender's rounding.
const BACK: u64 = MAX_PACKET as u64;
/// The codec makes up at most this much of a loss: 100 ms.
const CONCEALED: u64 = 5 * FRAME as u64;
/// What is longer is not remembered as one loss.
const LONGEST_LOSS: u64 = KEPT as u64 / 2;
/// Timestamps that leave out more than this tell of a pause in sending: 60 ms.
const PAUSE: u64 = 3 * FRAME as u64;
/// So does a pause in the arrivals, where the sender's timestamps stop with its audio. A shorter
/// one may be the network's.
const STALL: u64 = RATE as u64 / 2;
/// Silence is looked at in pieces of this size.
const SILENCE_STEP: u64 = FRAME as u64;

/// The ear of one caller.
#[derive(Debug)]
pub struct Ear {
    decoder: Sparing,
    reorder: Reorder,
    track: Track,
    spurts: Spurts,
    last: Option<Last>,
    losses: Losses,
    /// Losses before packets that held no audio.
    lost: u64,
}

/// The last packet with audio.
#[derive(Debug, Clone, Copy)]
struct Last {
    arrival: Instant,
    samples: u64,
    /// The timestamp that follows it.
    next_rtp: u32,
}

impl Ear {
    /// An ear that has heard nothing.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus refuses.
    pub fn new() -> Result<Self, AudioError> {
        Ok(Self {
            decoder: Sparing::new()?,
            reorder: Reorder::new(),
            track: Track::new(),
            spurts: Spurts::new(),
            last: None,
            losses: Losses::new(),
            lost: 0,
        })
    }

    /// Hears a packet. Packets may come twice, late or in the wrong order; after a gap of up to
    /// three packets the missing ones count as lost.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.packet_of_level(packet, None);
    }

    /// The same for a packet that says how loud it is, in -dBov (RFC 6464): long silence is not
    /// decoded.
    pub fn packet_of_level(&mut self, packet: &Packet<'_>, level: Option<u8>) {
        let Packet {
            arrival,
            rtp_time,
            sequence,
            payload,
        } = *packet;
        match self.reorder.offer(sequence, rtp_time, arrival, payload) {
            Order::Now { lost } => self.play((rtp_time, arrival), payload, level, lost),
            Order::NewStream => {
                self.new_timeline(arrival);
                self.play((rtp_time, arrival), payload, level, 0);
            }
            Order::Kept => {}
            Order::Drop => return,
        }
        self.play_kept(arrival);
    }

    /// Nothing else arrived until `now`: gives up missing packets, and ends a spurt whose packets
    /// have stopped (DTX).
    pub fn advance(&mut self, now: Instant) {
        self.play_kept(now);
        let Some(last) = self.last.filter(|_| self.spurts.deadline().is_some()) else {
            return;
        };
        let due = last.arrival + time_of(last.samples) + LATENESS;
        let silent = samples_in(now.saturating_duration_since(due));
        self.spurts
            .silent_until(&self.track, self.track.end() + silent);
    }

    /// When [`Ear::advance`] will have something to do if no packet comes; `None`: not before one.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let spurt = self.spurts.deadline().zip(self.last).map(|(at, last)| {
            let silent = time_of(at.saturating_sub(self.track.end()) + 1);
            last.arrival + time_of(last.samples) + LATENESS + silent
        });
        [spurt, self.reorder.deadline()].into_iter().flatten().min()
    }

    /// The oldest thing heard and not yet told.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        match self.spurts.poll()? {
            Heard::Onset(onset) => Some(Heard::Onset(self.weighed(onset))),
            heard => Some(heard),
        }
    }

    /// Whether a talk spurt is under way: between its `Triggered` and its `Ended`.
    pub fn is_audible(&self) -> bool {
        self.spurts.is_audible()
    }

    /// The spurt whose onset was told last is not the agent's: it is over, and what begins after
    /// its next pause is a new one. Call it before anything else is heard or told.
    pub fn dismiss(&mut self) {
        self.spurts.dismiss();
    }

    /// The last `length` samples heard, oldest first, into `audio`; `false` where there are not as
    /// many.
    pub fn latest(&self, length: usize, audio: &mut Vec<i16>) -> bool {
        let end = self.track.end();
        let Some(from) = end.checked_sub(length as u64) else {
            return false;
        };
        if from < self.track.start() {
            return false;
        }
        audio.clear();
        audio.extend((from..end).map(|at| self.track.at(at)));
        true
    }

    /// The audio around the onset told last: up to `before` samples ahead of it and what has been
    /// heard since, oldest first, into `audio`. Returns how many samples come before the onset;
    /// `None` where there is none, or it is older than what is kept. Ask when it is told:
    /// then half a second follows it, or as much as there was.
    pub fn around_onset(&self, before: usize, audio: &mut Vec<i16>) -> Option<usize> {
        let onset = self.spurts.onset()?;
        let from = onset.saturating_sub(before as u64);
        if from.max(1) < self.track.start() {
            return None;
        }
        audio.clear();
        audio.extend((from..self.track.end()).map(|at| self.track.at(at)));
        Some((onset - from) as usize)
    }

    /// An onset that a loss touches is moved to where it most likely was.
    fn weighed(&self, mut onset: Onset) -> Onset {
        let (Some(earlier), Some(heard)) = (onset.earlier_by_loss, self.spurts.onset()) else {
            return onset;
        };
        let from = heard.saturating_sub(samples_in(earlier));
        let back = time_of(heard - self.losses.place(heard, from));
        onset.at = onset.at.before(back);
        onset.earlier_by_loss = Some(earlier.saturating_sub(back));
        onset.later_by_loss = Some(back);
        onset
    }

    fn play_kept(&mut self, now: Instant) {
        while let Some((slot, lost)) = self.reorder.take(now) {
            self.play((slot.rtp_time, slot.arrival), &slot.payload, None, lost);
            self.reorder.give_back(slot);
        }
    }

    /// Puts a packet on the timeline, `lost` packets after the one before it.
    fn play(
        &mut self,
        (rtp_time, arrival): (u32, Instant),
        payload: &[u8],
        level: Option<u8>,
        lost: u64,
    ) {
        if payload.is_empty() {
            self.lost += lost;
            return;
        }
        let lost = lost + std::mem::take(&mut self.lost);
        self.place(rtp_time, arrival, lost);
        self.losses.packet(self.track.end(), payload.len());
        self.track.segment.packet(arrival, payload.len());
        let decoded = self.decoder.decode(payload, level);
        let samples = match decoded {
            Ok(pcm) => {
                self.track.push(pcm, Some(arrival));
                pcm.len() as u64
            }
            Err(_) => {
                // Not Opus: as if it had been lost.
                let samples = self.last.map_or(FRAME as u64, |last| last.samples);
                self.conceal(samples);
                samples
            }
        };
        let next_rtp = rtp_time.wrapping_add(samples as u32);
        self.last = Some(Last {
            arrival,
            samples,
            next_rtp,
        });
        self.spurts.run(&self.track);
    }

    /// Fills what lies between the last packet and this one: silence, or losses.
    fn place(&mut self, rtp_time: u32, arrival: Instant, lost: u64) {
        let Some(last) = self.last else { return };
        let ahead = rtp_time.wrapping_sub(last.next_rtp).cast_signed();
        let gap = u64::from(ahead.unsigned_abs());
        let waited = self.since_last(arrival);
        let limit = waited + AHEAD;
        if waited > STALL {
            self.track.segment = Segment::default();
        }
        if ahead < 0 && gap > BACK || ahead > 0 && gap > limit {
            self.new_timeline(arrival);
        } else if ahead > 0 {
            let missing = gap.min(lost.saturating_mul(last.samples)).min(LONGEST_LOSS);
            if gap - missing > PAUSE {
                self.track.segment = Segment::default();
            }
            self.silence(gap - missing);
            self.conceal(missing);
        }
    }

    /// Timestamps or sequence numbers start anew: only arrivals tell how long it took.
    fn new_timeline(&mut self, arrival: Instant) {
        self.lost = 0;
        self.track.segment = Segment::default();
        let silent = self.since_last(arrival);
        self.silence(silent);
        self.last = None;
        // An old state would only colour the first samples; libopus refuses no reset.
        let _ = self.decoder.reset();
    }

    /// Samples between the end of the last packet and an arrival.
    fn since_last(&self, arrival: Instant) -> u64 {
        self.last.map_or(0, |last| {
            samples_in(arrival.saturating_duration_since(last.arrival + time_of(last.samples)))
        })
    }

    fn silence(&mut self, samples: u64) {
        self.spurts.hole_until(self.track.end() + samples);
        let mut left = samples;
        let watched = left.min(KEPT as u64);
        while samples - left < watched {
            let step = left.min(SILENCE_STEP);
            self.track.silence(step);
            self.spurts.run(&self.track);
            left -= step;
        }
        if left > 0 {
            self.track.silence(left);
            self.spurts.jump(&self.track);
        }
    }

    /// Lost audio: what the codec makes of it, then silence.
    fn conceal(&mut self, samples: u64) {
        self.spurts.hole_until(self.track.end() + samples);
        let mut left = samples;
        while left > 0 {
            let by_codec = left.min(CONCEALED.saturating_sub(samples - left)) as usize;
            let made = self.decoder.conceal(by_codec).unwrap_or(&[]);
            let silence = [0; FRAME];
            let pcm = if made.is_empty() {
                &silence[..left.min(FRAME as u64) as usize]
            } else {
                made
            };
            self.track.push(pcm, None);
            left -= pcm.len() as u64;
            self.spurts.run(&self.track);
        }
    }
}

#[cfg(test)]
mod tests;
