//! One call of the reference agent: listens, waits for its delay, and replies with sample accuracy.
//!
//! In: the caller's packets, time. Out: packets on schedule, states, truth lines. Invariants:
//! silence is sent every 20 ms, or hardly at all with DTX. A reply's first packet is sent
//! independently of that grid, so that its first audible sample is exactly on time. RTP time
//! follows the clock, except where a fault delays packets.

mod caller;
mod saying;
mod stopping;
mod telling;

use super::crowd::Seat;
use super::delay::DelayStream;
use super::dice::Dice;
use super::inbound::{EndDetection, Inbound};
use super::moment::{Happening, Moment};
use super::script::Mark;
use super::told::Told;
use super::truth::TruthSender;
use super::voice::Voice;
use crate::audio::{FRAME_TIME, Packet, RATE};
use crate::call::AgentState;
use crate::net::{Endpoint, Outgoing, RtpStream, monotonic_ns};
use crate::vocab::Between;
use saying::{Interrupted, Pardon, Part, Saying};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Pause between the caller's arrival and the greeting, unless the behaviour has another.
const GREETING_PAUSE: Duration = Duration::from_millis(300);
/// With DTX, a packet of silence is sent in one of this many slots, as libopus does: every 400 ms.
const DTX_SLOTS: u32 = 20;

/// What is drawn or counted for a call.
pub(super) struct Chances {
    pub delays: DelayStream,
    pub dice: Dice,
    pub seat: Seat,
}

/// What the session has to do for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Leave the call.
    HangUp,
    /// Publish the track again.
    Republish,
}

/// A packet of a script that is on its way to the kernel.
struct InFlight {
    due: Instant,
    frame: usize,
    saying: Saying,
    marks: Vec<(Duration, Mark)>,
}

/// The agent's endpoint of one call.
pub(crate) struct AgentEnd {
    room: String,
    voice: Arc<Voice>,
    chances: Chances,
    inbound: Option<Inbound>,
    /// The script in progress.
    saying: Option<Saying>,
    /// The next script.
    waiting: Option<Saying>,
    /// Whether the agent ignores what the caller is saying.
    ignoring: bool,
    /// What the caller has interrupted, until the end of the interruption.
    interrupted: Option<Interrupted>,
    /// The interruption has ended, and the agent will speak again once it has stopped.
    pardon: Option<Pardon>,
    turn: u32,
    /// Start of the stream, where RTP time is 0; `next` is the due time of its next packet.
    start: Option<Instant>,
    next: Option<Instant>,
    in_flight: Option<InFlight>,
    /// The last packet of a script that was sent: its frame, and when it left.
    last_sent: Option<(usize, Instant)>,
    /// Instant of the last audible sample of the script in progress.
    last_audible: Option<Instant>,
    /// Sequence numbers missing before the packet being sent.
    left_out: u64,
    /// Slots without a packet so far.
    quiet_slots: u32,
    hung_up: bool,
    /// Whether a packet has been sent.
    published: bool,
    truth: Option<TruthSender>,
    states: Option<mpsc::Sender<AgentState>>,
    moments: Option<mpsc::Sender<Moment>>,
    acts: Option<mpsc::Sender<Act>>,
}

impl AgentEnd {
    pub(super) fn new(
        room: &str,
        voice: Arc<Voice>,
        chances: Chances,
        hearing: EndDetection,
        truth: Option<TruthSender>,
    ) -> Self {
        let codec = voice.reply.clip.codec;
        Self {
            room: room.to_owned(),
            voice,
            chances,
            // Creation fails only if a decoder cannot be allocated; the agent then detects no
            // speech.
            inbound: Inbound::new(hearing, codec).ok(),
            saying: None,
            waiting: None,
            ignoring: false,
            interrupted: None,
            pardon: None,
            turn: 0,
            start: None,
            next: None,
            in_flight: None,
            last_sent: None,
            last_audible: None,
            left_out: 0,
            quiet_slots: 0,
            hung_up: false,
            published: false,
            truth,
            states: None,
            moments: None,
            acts: None,
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

    /// Sets the channel for what the session has to do.
    pub(super) fn tell_acts(&mut self, acts: mpsc::Sender<Act>) {
        self.acts = Some(acts);
    }

    /// Media is flowing: sends silence from `slot` on.
    pub(in crate::targets) fn connected(&mut self, slot: Instant) {
        self.start = Some(slot);
        // A server publishes a track once its first packet arrives.
        self.next = Some(slot + self.voice.behaviour.publish_after.unwrap_or_default());
    }

    /// Schedules the greeting, if there is one. Called when the caller's audio begins to arrive.
    pub(in crate::targets) fn caller_here(&mut self, now: Instant) {
        if let Some(greeting) = self.voice.greeting.clone() {
            let pause = self.voice.behaviour.greeting_delay;
            let first = now + pause.unwrap_or(GREETING_PAUSE);
            self.say(Saying::new(Part::Greeting, None, greeting, first));
        }
    }

    /// Schedules a script. Its first packet leaves when it is due, or when the next packet is due
    /// if that is later.
    fn say(&mut self, mut saying: Saying) {
        saying.first = self
            .next
            .map_or(saying.first, |next| saying.first.max(next));
        self.waiting = Some(saying);
    }

    fn rtp_time(&self, due: Instant) -> u32 {
        let since = self
            .start
            .map_or(Duration::ZERO, |s| due.saturating_duration_since(s));
        let samples = (since.as_nanos() * u128::from(RATE) + 500_000_000) / 1_000_000_000;
        samples as u32
    }

    /// The packet of a script that is due now, if there is one.
    fn speak(&mut self, due: Instant) -> Option<Outgoing> {
        self.prepare_stop(due);
        if let Some(saying) = self.saying.take_if(|s| s.next_due().is_none()) {
            self.finish(due, saying);
        }
        if self.saying.is_none()
            && let Some(saying) = self.waiting.take_if(|s| s.first <= due)
        {
            self.begin(due, saying);
        }
        if self.hangs_up_within(due) {
            self.hang_up(due);
        }
        let saying = self.saying.as_mut()?;
        let item = saying.script.items.get(saying.item)?;
        let (payload, frame, media) = (item.payload.clone(), item.frame, item.media);
        self.left_out = item.left_out;
        let marks: Vec<_> = saying.script.due(saying.mark, saying.item).collect();
        saying.mark += marks.len();
        // With DTX, every stretch of sound begins with a marked packet.
        let before = saying.item.checked_sub(1);
        let before = before.and_then(|before| saying.script.items.get(before));
        let marker = before.is_none_or(|b| saying.script.clip.dtx && b.frame + 1 < frame);
        saying.item += 1;
        let rtp_at = saying.first + media;
        self.in_flight = Some(InFlight {
            due,
            frame,
            saying: saying.clone(),
            marks,
        });
        Some(Outgoing {
            payload,
            rtp_time: self.rtp_time(rtp_at),
            marker,
        })
    }

    /// Begins a script with the packet that is due now.
    fn begin(&mut self, due: Instant, mut saying: Saying) {
        saying.first = due;
        let begins_reply = match saying.part {
            Part::Reply | Part::Filler => true,
            Part::Silence => {
                self.stay_silent(due, &saying);
                return;
            }
            Part::Greeting | Part::Answer(_) | Part::Again(_) => false,
        };
        self.state(due, AgentState::Speaking);
        if begins_reply {
            self.turn += 1;
            match (saying.over, saying.answers) {
                (Some(speech), Some(answered)) => self.told(Told::Early {
                    turn: answered.turn,
                    pause_start_ns: monotonic_ns(answered.speech_end),
                    pause_end_ns: monotonic_ns(speech),
                }),
                _ => self.turn_taken(),
            }
        }
        if let Some(answer) = self.answer_behind(&saying) {
            // The answer may come before the silent end of the filler's recording.
            let mut script = (*saying.script).clone();
            let room = answer.first.saturating_duration_since(saying.first);
            script.items.retain(|item| item.at + FRAME_TIME <= room);
            saying.script = Arc::new(script);
            self.waiting = Some(answer);
        }
        self.last_audible = None;
        self.saying = Some(saying);
    }

    /// The answer that follows a filler.
    fn answer_behind(&self, filler: &Saying) -> Option<Saying> {
        let script = filler.then.clone()?;
        let gap = self.voice.behaviour.filler.as_ref()?.gap;
        let audible = filler.first + filler.script.end() + gap;
        let first = audible.checked_sub(script.onset()).unwrap_or(audible);
        Some(Saying::new(
            Part::Answer(gap),
            filler.answers,
            script,
            first,
        ))
    }

    /// Does not answer a turn.
    fn stay_silent(&mut self, due: Instant, saying: &Saying) {
        self.turn_taken();
        if let Some(answered) = saying.answers {
            self.told(Told::Silent {
                turn: answered.turn,
                speech_end_ns: monotonic_ns(answered.speech_end),
            });
        }
        self.state(due, AgentState::Listening);
    }

    /// Ends a script whose packets have all been sent.
    fn finish(&mut self, due: Instant, saying: Saying) {
        let interrupted = saying.is_cut();
        let at = self.last_audible.filter(|_| interrupted).unwrap_or(due);
        self.moment(at, Happening::Silent { interrupted });
        if interrupted {
            self.state(due, AgentState::Listening);
            self.stopped(saying);
            return;
        }
        let then = match (&saying.then, &self.voice.behaviour.filler) {
            (Some(_), Some(filler)) if filler.state == Between::Thinking => AgentState::Thinking,
            _ => AgentState::Listening,
        };
        self.state(due, then);
        let hang_up = self.voice.behaviour.hang_up;
        if saying.then.is_none()
            && saying.answers.is_some()
            && hang_up.is_some_and(|h| h.into_reply.is_none() && h.turn <= self.turn)
        {
            self.hang_up(due);
        }
    }

    /// Whether it is time to leave in the middle of a reply.
    fn hangs_up_within(&self, due: Instant) -> bool {
        let (Some(hang_up), Some(saying)) = (self.voice.behaviour.hang_up, &self.saying) else {
            return false;
        };
        let (Some(into), Some(_)) = (hang_up.into_reply, saying.answers) else {
            return false;
        };
        hang_up.turn <= self.turn && due >= saying.first + saying.script.onset() + into
    }

    fn hang_up(&mut self, due: Instant) {
        self.hung_up = true;
        (self.saying, self.waiting) = (None, None);
        self.told(Told::HungUp {
            turn: self.turn.saturating_sub(1),
            at_ns: monotonic_ns(due),
        });
        self.act(Act::HangUp);
    }

    fn act(&self, act: Act) {
        if let Some(acts) = &self.acts {
            let _ = acts.try_send(act);
        }
    }

    /// The caller's turn is over: any later speech is a new utterance.
    fn turn_taken(&mut self) {
        if let Some(inbound) = self.inbound.as_mut() {
            inbound.turn_taken();
        }
    }

    /// Whether no packet of silence is sent in this slot.
    fn leaves_silence_out(&mut self) -> bool {
        if !self.voice.behaviour.dtx {
            return false;
        }
        self.quiet_slots += 1;
        self.quiet_slots % DTX_SLOTS != 1
    }
}

impl Endpoint for AgentEnd {
    fn audio(&mut self, now: Instant, _stream: RtpStream, packet: Packet<'_>) {
        let Some(inbound) = self.inbound.as_mut() else {
            return;
        };
        let mut events = Vec::new();
        inbound.packet(&packet, &mut |event| events.push(event));
        for event in events {
            self.caller(now, event);
        }
    }

    fn timeout(&mut self, now: Instant) {
        let Some(inbound) = self.inbound.as_mut() else {
            return;
        };
        let mut events = Vec::new();
        inbound.timeout(now, &mut |event| events.push(event));
        for event in events {
            self.caller(now, event);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inbound.as_ref()?.poll_timeout()
    }

    fn poll_send(&self) -> Option<Instant> {
        let next = self.next.filter(|_| !self.hung_up)?;
        if let Some(due) = self.saying.as_ref().and_then(Saying::next_due) {
            return Some(due);
        }
        // Skip a frame of silence that would overlap the start of the script.
        let waiting = self
            .waiting
            .as_ref()
            .filter(|s| s.first < next + FRAME_TIME);
        Some(waiting.map_or(next, |s| s.first.max(next)))
    }

    fn send(&mut self, due: Instant) -> Option<Outgoing> {
        self.next = Some(due + FRAME_TIME);
        self.left_out = 0;
        self.in_flight = None;
        if let Some(packet) = self.speak(due) {
            self.quiet_slots = 0;
            return Some(packet);
        }
        if self.hung_up || self.leaves_silence_out() {
            return None;
        }
        Some(Outgoing {
            payload: self.voice.silence.clone(),
            rtp_time: self.rtp_time(due),
            marker: false,
        })
    }

    fn left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    fn sent(&mut self, due: Instant, actual: Instant, _sequence: u64) {
        if !std::mem::replace(&mut self.published, true)
            && self.voice.behaviour.publish_after.is_some()
        {
            self.told(Told::Published {
                at_ns: monotonic_ns(actual),
            });
        }
        if let Some(packet) = self.in_flight.take_if(|packet| packet.due == due) {
            self.last_sent = Some((packet.frame, actual));
            for (offset, mark) in packet.marks {
                self.tell_mark(&packet.saying, mark, actual + offset, (actual, offset));
            }
        }
    }
}

#[cfg(test)]
mod tests;
