//! One call of the reference agent: listens, waits for its delay, and replies with sample accuracy.
//!
//! In: the caller's packets, time. Out: packets on schedule, states, truth lines. Invariants:
//! silence is sent every 20 ms. A reply's first packet is sent independently of that grid, so that
//! its first audible sample is exactly on time. RTP time follows the clock throughout.

use super::clip::{Clip, Voice};
use super::crowd::Seat;
use super::delay::DelayStream;
use super::inbound::{Caller, EndDetection, Inbound};
use super::moment::{Happening, Moment};
use super::truth::{TruthLine, TruthSender};
use crate::audio::{FRAME_TIME, Packet, RATE};
use crate::call::AgentState;
use crate::net::{Endpoint, Outgoing, RtpStream, monotonic_ns};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Pause between the caller's arrival and the greeting.
const GREETING_PAUSE: Duration = Duration::from_millis(300);

/// Why the agent speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Why {
    Greeting,
    Reply {
        turn: u32,
        speech_end: Instant,
        packet: Instant,
        delay: Duration,
    },
}

/// A clip that is playing, or that waits for the time of its first packet.
#[derive(Debug, Clone, Copy)]
struct Saying {
    why: Why,
    first: Instant,
    frame: usize,
}

/// The agent's endpoint of one call.
pub(crate) struct AgentEnd {
    room: String,
    voice: Arc<Voice>,
    delays: DelayStream,
    seat: Seat,
    inbound: Option<Inbound>,
    saying: Option<Saying>,
    turn: u32,
    /// Start of the stream, where RTP time is 0; `next` is the due time of its next packet.
    start: Option<Instant>,
    next: Option<Instant>,
    /// Due time of the packet that carries the onset of a reply or greeting.
    onset_due: Option<(Instant, Why)>,
    truth: Option<TruthSender>,
    states: Option<mpsc::Sender<AgentState>>,
    moments: Option<mpsc::Sender<Moment>>,
}

impl AgentEnd {
    pub(super) fn new(
        room: &str,
        voice: Arc<Voice>,
        (delays, seat): (DelayStream, Seat),
        hearing: EndDetection,
        truth: Option<TruthSender>,
    ) -> Self {
        let codec = voice.reply.codec;
        Self {
            room: room.to_owned(),
            voice,
            delays,
            seat,
            // Creation fails only if a decoder cannot be allocated; the agent then detects no
            // speech.
            inbound: Inbound::new(hearing, codec).ok(),
            saying: None,
            turn: 0,
            start: None,
            next: None,
            onset_due: None,
            truth,
            states: None,
            moments: None,
        }
    }

    /// Sets the channel for state changes; changes are dropped while it is full.
    pub(in crate::targets) fn tell_states(&mut self, states: mpsc::Sender<AgentState>) {
        self.states = Some(states);
    }

    /// Sets the channel for the events of the call; events are dropped while it is full.
    pub(super) fn tell_moments(&mut self, moments: mpsc::Sender<Moment>) {
        self.moments = Some(moments);
    }

    /// Media is flowing: sends silence from `slot` on.
    pub(in crate::targets) fn connected(&mut self, slot: Instant) {
        self.start = Some(slot);
        self.next = Some(slot);
    }

    /// Schedules the greeting, if there is one. Called when the caller's audio begins to arrive.
    pub(in crate::targets) fn caller_here(&mut self, now: Instant) {
        if self.voice.greeting.is_some() {
            self.say(Why::Greeting, now + GREETING_PAUSE);
        }
    }

    fn state(&self, at: Instant, state: AgentState) {
        if let Some(s) = &self.states {
            let _ = s.try_send(state);
        }
        self.moment(at, Happening::State(state));
    }

    fn moment(&self, at: Instant, what: Happening) {
        if let Some(moments) = &self.moments {
            let _ = moments.try_send(Moment { at, what });
        }
    }

    /// Schedules a clip. Its first packet leaves at `first`, or when the next packet is due if that
    /// is later.
    fn say(&mut self, why: Why, first: Instant) {
        let first = self.next.map_or(first, |next| first.max(next));
        self.saying = Some(Saying {
            why,
            first,
            frame: 0,
        });
    }

    fn clip(&self, why: &Why) -> Option<&Clip> {
        match why {
            Why::Greeting => self.voice.greeting.as_ref(),
            Why::Reply { .. } => Some(&self.voice.reply),
        }
    }

    fn caller(&mut self, now: Instant, event: Caller) {
        match event {
            // While the caller speaks, the agent listens: it stops the clip that is playing and
            // cancels the clip that is waiting.
            Caller::Started | Caller::Resumed => {
                self.moment(now, Happening::CallerSpeaks);
                if let Some(saying) = self.saying.take() {
                    if saying.frame > 0 {
                        self.moment(now, Happening::Silent { interrupted: true });
                    }
                    self.state(now, AgentState::Listening);
                }
            }
            Caller::Ended { speech_end, packet } => {
                self.moment(now, Happening::CallerStopped { speech_end });
                let delay = self.delays.draw() * self.seat.factor();
                let why = Why::Reply {
                    turn: self.turn,
                    speech_end,
                    packet,
                    delay,
                };
                let first = (speech_end + delay)
                    .checked_sub(self.voice.reply.onset())
                    .unwrap_or(speech_end);
                self.say(why, first);
                self.state(now, AgentState::Thinking);
            }
        }
    }

    fn rtp_time(&self, due: Instant) -> u32 {
        let since = self
            .start
            .map_or(Duration::ZERO, |s| due.saturating_duration_since(s));
        let samples = (since.as_nanos() * u128::from(RATE) + 500_000_000) / 1_000_000_000;
        samples as u32
    }

    /// The frame of the clip that is due now, if there is one.
    fn speak(&mut self, due: Instant) -> Option<Outgoing> {
        let mut saying = self.saying.filter(|s| s.frame > 0 || due >= s.first)?;
        let rtp_time = self.rtp_time(due);
        let clip = self.clip(&saying.why)?;
        let payload = clip.frames.get(saying.frame).cloned();
        let onset = saying.frame == clip.onset_frame;
        let marker = saying.frame == 0;
        let Some(payload) = payload else {
            self.saying = None;
            self.moment(due, Happening::Silent { interrupted: false });
            self.state(due, AgentState::Listening);
            return None;
        };
        if marker {
            self.state(due, AgentState::Speaking);
            if saying.why != Why::Greeting {
                self.turn += 1;
                if let Some(inbound) = self.inbound.as_mut() {
                    inbound.turn_taken();
                }
            }
        }
        if onset {
            self.onset_due = Some((due, saying.why));
        }
        saying.frame += 1;
        self.saying = Some(saying);
        Some(Outgoing {
            payload,
            rtp_time,
            marker,
        })
    }

    /// Reports the reply or greeting whose packet with the onset left at `actual`.
    fn tell_audible(&self, why: Why, actual: Instant) {
        let Some(clip) = self.clip(&why) else { return };
        let answers = match why {
            Why::Greeting => None,
            Why::Reply { speech_end, .. } => Some(speech_end),
        };
        let length = FRAME_TIME * clip.frames.len() as u32;
        let audible = Happening::Audible {
            at: actual + clip.onset_offset,
            answers,
            length: length.saturating_sub(clip.onset()),
        };
        self.moment(actual, audible);
    }

    fn tell_truth(&mut self, why: Why, actual: Instant) {
        let (
            Some(truth),
            Why::Reply {
                turn,
                speech_end,
                packet,
                delay,
            },
        ) = (&self.truth, why)
        else {
            return;
        };
        truth.send(TruthLine {
            room: self.room.clone(),
            turn,
            last_speech_packet_ns: monotonic_ns(packet),
            speech_end_ns: monotonic_ns(speech_end),
            reply_packet_ns: monotonic_ns(actual),
            onset_offset_ms: self.voice.reply.onset_offset.as_secs_f64() * 1e3,
            delay_ms: delay.as_secs_f64() * 1e3,
        });
    }
}

impl Endpoint for AgentEnd {
    fn audio(&mut self, now: Instant, _stream: RtpStream, packet: Packet<'_>) {
        let Some(mut inbound) = self.inbound.take() else {
            return;
        };
        inbound.packet(&packet, &mut |event| self.caller(now, event));
        self.inbound = Some(inbound);
    }

    fn timeout(&mut self, now: Instant) {
        let Some(mut inbound) = self.inbound.take() else {
            return;
        };
        inbound.timeout(now, &mut |event| self.caller(now, event));
        self.inbound = Some(inbound);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inbound.as_ref()?.poll_timeout()
    }

    fn poll_send(&self) -> Option<Instant> {
        let next = self.next?;
        // Skip a frame of silence that would overlap the start of the clip.
        let waiting = self
            .saying
            .filter(|s| s.frame == 0 && s.first < next + FRAME_TIME);
        Some(waiting.map_or(next, |s| s.first.max(next)))
    }

    fn send(&mut self, due: Instant) -> Option<Outgoing> {
        self.next = Some(due + FRAME_TIME);
        Some(self.speak(due).unwrap_or_else(|| Outgoing {
            payload: self.voice.silence.clone(),
            rtp_time: self.rtp_time(due),
            marker: false,
        }))
    }

    fn sent(&mut self, due: Instant, actual: Instant, _sequence: u64) {
        if let Some((_, why)) = self.onset_due.take_if(|(onset, _)| *onset == due) {
            self.tell_audible(why, actual);
            self.tell_truth(why, actual);
        }
    }
}

#[cfg(test)]
mod tests;
