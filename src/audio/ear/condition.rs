//! Watches the condition of a stream's audio: stalls, underruns, bursts, cuts, clipping, level jumps.
//!
//! In: packets as they arrive, gaps of the timeline, the energies of its 5 ms hops. Out: findings,
//! each at its instant. Invariants: memory is bounded; samples are examined only where a sound
//! begins or ends, or may be clipped; a hole counts only between audible sounds.

mod channels;
mod cut;
mod edge;
mod envelope;
mod pace;
mod playhead;
mod steps;
#[cfg(test)]
mod tests;
mod weights;

use super::burst::HOP;
use super::track::Track;
use crate::audio::condition::{Defect, Findings, ReplyWindow, StallKind};
use crate::audio::stereo::ChannelEnergy;
use crate::audio::{Packet, samples_in, time_of};
use crate::vocab::ReplyCondition;
use channels::Channels;
use envelope::{Envelope, Heard};
use pace::Pace;
use playhead::Playhead;
use std::time::{Duration, Instant};
use steps::Steps;

/// Holes from this length on are stalls: 60 ms, less 5 ms by which the packets around a hole may
/// themselves be early or late.
const STALL: Duration = Duration::from_millis(55);
/// After a hole the sound must go on within this time of audio.
const GOES_ON: Duration = Duration::from_millis(700);
/// A hole longer than this ends the reply.
const LONGEST: Duration = Duration::from_millis(2_000);
/// The sound goes on with this many loud hops: 20 ms.
const LOUD: u32 = 4;
/// Number of holes whose continuation is awaited.
const PENDING: usize = 8;

/// A hole before which there was sound.
#[derive(Debug, Clone, Copy)]
struct Hole {
    defect: Defect,
    at: Instant,
    /// Where the audio behind the hole begins.
    behind: u64,
    loud: u32,
}

/// The condition of one stream.
#[derive(Debug)]
pub(super) struct Condition {
    pace: Pace,
    playhead: Playhead,
    envelope: Envelope,
    steps: Steps,
    channels: Channels,
    holes: Vec<Hole>,
    findings: Findings,
}

impl Condition {
    pub(super) fn new() -> Self {
        Self {
            pace: Pace::default(),
            playhead: Playhead::default(),
            envelope: Envelope::new(),
            steps: Steps::default(),
            channels: Channels::default(),
            holes: Vec::with_capacity(PENDING),
            findings: Findings::default(),
        }
    }

    /// Takes a packet as it arrives, before it is put in order. `hold`: the time for which the
    /// modelled jitter buffer holds it back; `end`: the end of the track.
    pub(super) fn arrived(&mut self, packet: &Packet<'_>, hold: Duration, end: u64) {
        if packet.payload.is_empty() {
            return;
        }
        let sounding = self.envelope.sounding(end);
        let Some(step) = self.pace.packet(packet, sounding) else {
            return;
        };
        let missing = self.playhead.packet(step.transit, packet, hold);
        if let Some(length) = missing.filter(|_| sounding) {
            self.pending(Defect::Underrun(length), step.last_end, end);
        }
        if let Some(length) = step
            .late
            .filter(|late| sounding && (STALL..LONGEST).contains(late))
        {
            self.pending(Defect::Stall(StallKind::Sender, length), step.last_end, end);
        }
        if let Some((lead, grows)) = step.burst {
            match self.findings.last() {
                Some(last) if grows && matches!(last.defect, Defect::Burst(_)) => {
                    last.defect = Defect::Burst(lead);
                }
                _ => self.findings.add(packet.arrival, Defect::Burst(lead)),
            }
        }
    }

    /// Takes a gap of the timeline that begins at `at`: samples that were lost, and samples for
    /// which nothing was sent. `arrival`: of the packet behind the gap; `from`: the end of the
    /// packet before it.
    pub(super) fn gap(
        &mut self,
        (at, from): (u64, Instant),
        lost: u64,
        unsent: u64,
        arrival: Instant,
    ) {
        let sounding = self.envelope.sounding(at);
        if lost > 0 {
            let from = at.saturating_add(unsent);
            self.envelope.lost(from, from.saturating_add(lost));
        }
        if !sounding {
            return;
        }
        if (STALL..LONGEST).contains(&time_of(unsent)) {
            // The silence that fills the hole is not one that the sender inserted.
            self.envelope.lost(at, at.saturating_add(unsent));
        }
        let late = self.pace.late_at(arrival);
        // A single lost packet beside a hole of the sender does not make it the network's.
        let (kind, length) = match time_of(lost) >= STALL {
            true => (StallKind::Network, time_of(lost).saturating_add(late)),
            false => (StallKind::Sender, time_of(unsent).saturating_add(late)),
        };
        if (STALL..LONGEST).contains(&length) {
            let behind = at.saturating_add(lost).saturating_add(unsent);
            self.pending(Defect::Stall(kind, length), from, behind);
        }
    }

    /// Takes the energies of the channels in a packet of a stereo stream.
    pub(super) fn channels(&mut self, energy: ChannelEnergy) {
        self.channels.packet(energy);
    }

    /// A talk spurt begins at this instant.
    pub(super) fn onset(&mut self, at: Instant) {
        self.findings.onset(at);
    }

    /// Takes the hop that ends at `end`; `energy` is its sum of squares.
    pub(super) fn hop(&mut self, track: &Track, end: u64, energy: i64) {
        let heard = self.envelope.hop(track, end, energy);
        if heard.loud {
            self.go_on(end);
            if let Some((at, db)) = self.steps.hop(end, energy) {
                self.tell(track, at, Defect::LevelJump(db));
            }
        }
        self.take(track, &heard);
    }

    fn take(&mut self, track: &Track, heard: &Heard) {
        if let Some(at) = heard.head {
            self.tell(track, at, Defect::TruncatedHead);
        }
        if let Some(hole) = heard.silence
            && let Some(at) = track.heard_by(hole.silent)
        {
            self.findings.withdraw_tail(at.wire());
            let length = time_of(hole.to.saturating_sub(hole.from));
            if (STALL..LONGEST).contains(&length) {
                let defect = Defect::Stall(StallKind::Sender, length);
                self.findings.add(at.wire(), defect);
            }
        }
        if let Some(from) = heard.tail
            && let Some(at) = track.heard_by(from)
        {
            self.findings.add(at.wire(), Defect::TruncatedTail);
        }
        if let Some((at, level)) = heard.ended {
            self.steps.clear();
            if let Some(defect) = self.channels.ended() {
                self.tell(track, at, Defect::Stereo(defect));
            }
            self.tell(track, at, level);
        }
    }

    fn tell(&mut self, track: &Track, position: u64, defect: Defect) {
        if let Some(at) = track.heard_by(position) {
            self.findings.add(at.wire(), defect);
        }
    }

    fn pending(&mut self, defect: Defect, at: Instant, behind: u64) {
        if self.holes.len() == PENDING {
            // Packets that stay late can cause many underruns, and must not displace a stall.
            let underrun = |hole: &Hole| matches!(hole.defect, Defect::Underrun(_));
            let first = self.holes.iter().position(underrun).unwrap_or(0);
            self.holes.remove(first);
        }
        self.holes.push(Hole {
            defect,
            at,
            behind,
            loud: 0,
        });
    }

    /// Counts a loud hop behind each hole; a hole behind which the sound goes on is a finding.
    fn go_on(&mut self, end: u64) {
        let findings = &mut self.findings;
        self.holes.retain_mut(|hole| {
            if end <= hole.behind.saturating_add(HOP) {
                return true;
            }
            if end > hole.behind.saturating_add(samples_in(GOES_ON)) {
                return false;
            }
            hole.loud += 1;
            if hole.loud < LOUD {
                return true;
            }
            findings.add(hole.at, hole.defect);
            false
        });
    }

    /// Settles what is open once nothing has been heard for some time.
    pub(super) fn settle(&mut self, track: &Track) {
        let heard = self.envelope.settle(track);
        self.take(track, &heard);
    }

    /// The condition of the talk spurts that began inside the window.
    pub(super) fn reply(&self, window: &ReplyWindow) -> Option<ReplyCondition> {
        self.findings.reply(window)
    }
}
