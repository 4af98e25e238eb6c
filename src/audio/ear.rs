//! Finds the onsets and ends of talk spurts in the RTP packets of the agent's track.
//!
//! In: packets with their arrival, or the current time if no packet arrives. Out: [`Heard`], in
//! order. Invariants: the timeline is RTP time (never a count of packets); each reported instant
//! is the arrival of the packet that actually holds the sample, plus the sample's offset in that
//! packet; memory is bounded and, after the first packets, nothing is allocated.

mod again;
mod background;
mod burst;
mod condition;
mod floor;
mod levels;
mod losses;
mod prints;
mod refine;
mod reorder;
mod spurt;
mod talk;
mod track;

use super::codec::Codec;
use super::condition::ReplyWindow;
use super::sparing::Sparing;
use super::{
    AudioError, FRAME, Heard, MAX_PACKET, Onset, Packet, RATE, SPURT_GAP, Segment, samples_in,
    time_of,
};
use crate::vocab::{ReplyCondition, Resumed};
pub use again::Resumption;
use condition::Condition;
use losses::Losses;
use prints::Prints;
use reorder::{Order, Reorder};
use spurt::Spurts;
use std::time::{Duration, Instant};
use track::{KEPT, Track};

/// Until a packet is late by more than this, its absence counts as jitter, not as silence.
const LATENESS: Duration = Duration::from_millis(40);
/// Timestamps that run ahead of the arrivals by more than this start a new timeline: 2 s.
const AHEAD: u64 = 2 * RATE as u64;
/// Timestamps that step back by more than this start a new timeline; a smaller step is the
/// sender's rounding.
const BACK: u64 = MAX_PACKET as u64;
/// The codec conceals at most this much of a loss: 100 ms.
const CONCEALED: u64 = 5 * FRAME as u64;
/// At most this much of a gap counts as lost audio; the rest counts as silence.
const LONGEST_LOSS: u64 = KEPT as u64 / 2;
/// A gap in the timestamps longer than this is a pause in sending: 60 ms.
const PAUSE: u64 = 3 * FRAME as u64;
/// A gap in the arrivals longer than this is a pause in sending too: 500 ms. The timestamps of some
/// senders stop together with their audio. A shorter gap may be caused by the network.
const STALL: u64 = RATE as u64 / 2;
/// Silence is processed in steps of this size.
const SILENCE_STEP: u64 = FRAME as u64;

/// The onset detector of one caller, for the agent's track.
#[derive(Debug)]
pub struct Ear {
    decoder: Sparing,
    reorder: Reorder,
    track: Track,
    spurts: Spurts,
    last: Option<Last>,
    losses: Losses,
    condition: Condition,
    /// Prints of what was heard, if resumed replies are to be judged.
    prints: Option<Prints>,
    /// Number of packets lost before padding; they count as lost before the next packet with audio.
    lost: u64,
}

/// The last packet with audio.
#[derive(Debug, Clone, Copy)]
struct Last {
    arrival: Instant,
    samples: u64,
    /// RTP timestamp at which the next packet is expected.
    next_rtp: u32,
}

impl Ear {
    /// Creates a detector for a stream of Opus packets.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub fn new() -> Result<Self, AudioError> {
        Self::of(Codec::Opus)
    }

    /// Creates a detector for a stream of this codec.
    ///
    /// # Errors
    /// [`AudioError::Codec`] when libopus fails.
    pub(crate) fn of(codec: Codec) -> Result<Self, AudioError> {
        Ok(Self {
            decoder: Sparing::new(codec)?,
            reorder: Reorder::new(),
            track: Track::new(),
            spurts: Spurts::new(),
            last: None,
            losses: Losses::new(codec),
            condition: Condition::new(),
            prints: None,
            lost: 0,
        })
    }

    /// Takes note of a packet's arrival, for the condition of the audio. Call this before
    /// [`Ear::packet`]; `hold`: the time for which a jitter buffer would hold the packet back.
    pub fn arrived(&mut self, packet: &Packet<'_>, hold: Duration) {
        self.condition.arrived(packet, hold, self.track.end());
    }

    /// The condition of the talk spurts that began inside the window; `None` if there are none.
    /// `now`: if the agent has been silent for [`SPURT_GAP`] by then, the ends of its talk spurts
    /// are judged.
    pub fn reply(&mut self, window: &ReplyWindow, now: Instant) -> Option<ReplyCondition> {
        let silent = self.last.is_none_or(|last| now >= last.arrival + SPURT_GAP);
        if silent {
            self.condition.settle(&self.track);
        }
        self.condition.reply(window)
    }

    /// Keeps prints of what is heard from now on, for [`Ear::resumed`]: 21 kB, allocated here.
    pub fn keep_prints(&mut self) {
        self.prints.get_or_insert_with(Prints::new);
    }

    /// How a reply was resumed; `None` without [`Ear::keep_prints`].
    pub fn resumed(&self, resumption: &Resumption) -> Option<Resumed> {
        let prints = self.prints.as_ref()?;
        Some(again::resumed(prints, resumption))
    }

    /// Takes a packet. Packets may arrive twice, late or in the wrong order; a missing packet
    /// counts as lost once three later ones have arrived, or 60 ms after the first of them. Long
    /// silence is not decoded if the packets specify their level.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let Packet {
            arrival,
            rtp_time,
            sequence,
            level,
            payload,
            ..
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

    /// Advances to `now` if nothing else has arrived: counts overdue packets as lost, and ends a
    /// spurt whose packets have stopped (DTX).
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

    /// When [`Ear::advance`] must be called if no packet arrives; `None` if no call is needed
    /// before the next packet.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let spurt = self.spurts.deadline().zip(self.last).map(|(at, last)| {
            let silent = time_of(at.saturating_sub(self.track.end()) + 1);
            last.arrival + time_of(last.samples) + LATENESS + silent
        });
        [spurt, self.reorder.deadline()].into_iter().flatten().min()
    }

    /// Returns the oldest event not yet reported.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        match self.spurts.poll()? {
            Heard::Onset(onset) => {
                if onset.after.is_none() {
                    self.condition.onset(onset.at.wire());
                }
                let onset = self.weighed(onset);
                if let (Some(prints), Some(position)) = (&mut self.prints, self.spurts.onset()) {
                    prints.onset(onset.at.wire(), position, onset.after.is_none());
                }
                Some(Heard::Onset(onset))
            }
            heard => Some(heard),
        }
    }

    /// Whether a talk spurt is in progress: between its `Triggered` and its `Ended`.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_audible(&self) -> bool {
        self.spurts.is_audible()
    }

    /// Discards the spurt whose onset was reported last, because it is not the agent's speech. The
    /// spurt is over, and a new one can begin only after the sound pauses. Call this before taking
    /// another packet or polling another event.
    pub(crate) fn dismiss(&mut self) {
        self.spurts.dismiss();
    }

    /// Copies the last `length` samples, oldest first, into `audio`; returns `false` if fewer are
    /// kept.
    pub(crate) fn latest(&self, length: usize, audio: &mut Vec<i16>) -> bool {
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

    /// Copies the audio around the last reported onset into `audio`, oldest first: up to `before`
    /// samples before it, and all audio received since.
    ///
    /// Returns how many samples precede the onset; `None` if there is no onset, or if it is older
    /// than the audio kept. Call this when the onset is reported: half a second of audio then
    /// follows it, or less if the packets stopped.
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

    /// Moves an onset next to a loss to its most likely position.
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

    /// Puts a packet on the timeline; `lost` packets are missing before it.
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
                let samples = pcm.len() as u64;
                if let Some(energy) = self.decoder.channels() {
                    self.condition.channels(energy);
                }
                samples
            }
            Err(_) => {
                // The packet is not of this codec: treat it as lost.
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
        self.spurts.run(&self.track, &mut self.condition);
        if let Some(prints) = &mut self.prints {
            prints.hop(&self.track, self.track.end());
        }
    }

    /// Fills the gap between the last packet and this one with silence or concealed losses.
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
            let before = (self.track.end(), last.arrival + time_of(last.samples));
            self.condition.gap(before, missing, gap - missing, arrival);
            self.silence(gap - missing);
            self.conceal(missing);
        }
    }

    /// Starts a new timeline after timestamps or sequence numbers have jumped. The time that has
    /// passed is then known only from the arrivals.
    fn new_timeline(&mut self, arrival: Instant) {
        self.lost = 0;
        self.track.segment = Segment::default();
        let silent = self.since_last(arrival);
        self.silence(silent);
        self.last = None;
        // Ignoring the result is safe: libopus never fails to reset, and a stale state would only
        // colour the first samples.
        let _ = self.decoder.reset();
    }

    /// Time between the end of the last packet and an arrival, in samples.
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
            self.spurts.run(&self.track, &mut self.condition);
            left -= step;
        }
        if left > 0 {
            self.track.silence(left);
            self.spurts.jump(&self.track);
        }
    }

    /// Fills lost audio with the codec's concealment, then with silence.
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
            self.spurts.run(&self.track, &mut self.condition);
        }
    }
}

#[cfg(test)]
mod tests;
