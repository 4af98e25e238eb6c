//! A caller's end of a call: what the media engine drives.
//!
//! In: the agent's packets, send slots. Out: Opus frames on time, the call's events.
//! Holds: the script decides, the ear hears, neither knows the network.

use super::evidence::Capture;
use super::hearing::{Hearing, Report};
use super::opinions::Excerpt;
use super::sounds::Said;
use crate::audio::{AudioError, FRAME, FRAME_TIME, Heard, Onset, Packet, echo};
use crate::call::{
    AgentState, Call, CallEvent, CallResult, CallScript, Failure, Input, PacketArrival, Say,
    StreamId,
};
use crate::net::{AudioPacket, Endpoint, Outgoing};
use crate::vocab::Decode;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Opus frames of an utterance, shared by all callers that say it.
pub(super) type Frames = Arc<[Arc<[u8]>]>;

/// What comes of a caller's end.
pub(super) enum EndEvent {
    /// From the call's state machine.
    Call(Box<CallEvent>),
    /// A reply began here, to be judged by the second opinion.
    Onset(Instant, Excerpt),
    /// There are several tracks: is the sound of this stream a voice? [`CallerEnd::judged`]
    /// takes the answer.
    Sound(StreamId, Excerpt),
}

/// Utterances of which the echo may still come back.
const SAID: usize = 3;
/// How long the agent's packets wait in the socket when nothing depends on it: the decoder, the
/// ear and the script are fetched from memory once for five of them.
const UNHURRIED: Duration = Duration::from_millis(100);
/// Events a call can make for each of its turns, with room to spare: phases and the end.
const EVENTS_PER_TURN: usize = 16;

/// The caller's end.
pub(super) struct CallerEnd {
    call: Option<Call>,
    hearing: Hearing,
    /// What each turn says.
    says: Vec<Said>,
    /// Turns that spoke last, with the capture time of their first sample.
    said: VecDeque<(Instant, usize)>,
    silence: Arc<[u8]>,
    next: Option<Instant>,
    rtp_time: u32,
    was_speaking: bool,
    /// What is kept as evidence, where that was asked for.
    evidence: Option<Box<Capture>>,
    decode: Decode,
    /// Packets of any caller said how loud they are.
    levels: Arc<AtomicBool>,
    events: mpsc::Sender<EndEvent>,
}

impl CallerEnd {
    /// A caller with its script, and the frames of each turn's utterance. The receiver
    /// holds every event the call can make, so that none is lost.
    pub(super) fn new(
        script: CallScript,
        start: Instant,
        says: Vec<Said>,
        silence: Arc<[u8]>,
    ) -> Result<(Self, mpsc::Receiver<EndEvent>), AudioError> {
        debug_assert_eq!(script.turns.len(), says.len());
        let (events, inbox) = mpsc::channel((says.len() + 2) * EVENTS_PER_TURN);
        let end = Self {
            call: Some(Call::new(script, start)),
            hearing: Hearing::new()?,
            says,
            said: VecDeque::with_capacity(SAID),
            silence,
            next: None,
            rtp_time: 0,
            was_speaking: false,
            evidence: None,
            decode: Decode::default(),
            levels: Arc::default(),
            events,
        };
        Ok((end, inbox))
    }

    /// Keeps what is said and heard from now on.
    pub(super) fn keep(&mut self, evidence: Option<Capture>) {
        self.evidence = evidence.map(Box::new);
    }

    /// What of the agent's audio is decoded; `levels` becomes true where its packets say how
    /// loud they are.
    pub(super) fn decoding(mut self, decode: Decode, levels: Arc<AtomicBool>) -> Self {
        (self.decode, self.levels) = (decode, levels);
        self
    }

    /// Whether anything is to come of what the agent says.
    fn listens(&self) -> bool {
        self.decode == Decode::Always || self.call.as_ref().is_some_and(|c| !c.is_done())
    }

    fn input(&mut self, now: Instant, input: Input) {
        if let Some(call) = self.call.as_mut() {
            call.handle(now, input);
        }
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        while let Some(mut event) = self.call.as_mut().and_then(Call::poll_event) {
            if let CallEvent::TurnEnded(turn) | CallEvent::TurnAmended(turn) = &mut event {
                self.hearing.name_track(turn);
            }
            if let (Some(evidence), CallEvent::TurnEnded(turn)) = (&mut self.evidence, &event) {
                evidence.ended(turn, now);
            }
            // The inbox has room for all; it is closed when the runner has hung up.
            let _ = self.events.try_send(EndEvent::Call(Box::new(event)));
        }
    }

    /// Everything the ears have noticed goes to the script.
    fn listen(&mut self, now: Instant) {
        while let Some(report) = self.hearing.poll() {
            match report.heard {
                Heard::Onset(onset) => self.onset(now, &report, onset),
                _ if report.held_back => {}
                heard => self.input(now, Input::Heard(report.stream, heard)),
            }
        }
    }

    /// Is it the agent, or the caller's own voice? The second opinion gets the audio of where a
    /// spurt begins, and of where one goes on if a turn is judged by that.
    fn onset(&mut self, now: Instant, report: &Report, onset: Onset) {
        let Report {
            stream,
            fresh,
            held_back,
            ..
        } = *report;
        let at = onset.at.wire();
        let excerpt = match fresh {
            true => self.hearing.around_onset(stream),
            false => None,
        };
        if let Some(excerpt) = excerpt.as_ref().filter(|_| !held_back) {
            let said = self.said.iter();
            let said = said.map(|&(start, turn)| (start, &self.says[turn].spoken));
            if echo::compare(said, at, &excerpt.audio[excerpt.before..]).is_echo() {
                self.hearing.dismiss(stream);
                return self.input(now, Input::Heard(stream, Heard::Dismissed));
            }
        }
        if let Some(excerpt) = excerpt.as_ref().filter(|_| self.hearing.asks(stream)) {
            let sound = EndEvent::Sound(stream, excerpt.clone());
            let _ = self.events.try_send(sound);
        }
        let Some(call) = self.call.as_mut().filter(|_| !held_back) else {
            return;
        };
        call.handle(now, Input::Heard(stream, Heard::Onset(onset)));
        if let Some(excerpt) = excerpt
            && (onset.after.is_none() || call.was_judged_by(&onset))
        {
            // Before the turn's end is told, which waits for the answer.
            let _ = self.events.try_send(EndEvent::Onset(at, excerpt));
        }
        self.tell(now);
    }

    /// The sound of a stream was judged; `None`: there was no time for it. Gives the name of
    /// its track where what was heard of it is forgotten.
    pub(super) fn judged(
        &mut self,
        now: Instant,
        stream: StreamId,
        is_voice: Option<bool>,
    ) -> Option<Arc<str>> {
        let forgets = self.hearing.judged(stream, is_voice);
        if forgets {
            self.input(now, Input::NotAgent(stream));
        }
        self.listen(now);
        self.hearing.name(stream).filter(|_| forgets)
    }

    /// Remembers when an utterance began.
    fn note_said(&mut self, due: Instant, turn: usize, frame: usize) {
        if self.said.back().is_some_and(|&(_, last)| last == turn) {
            return;
        }
        let length = FRAME_TIME * u32::try_from(frame + 1).unwrap_or(u32::MAX);
        if self.said.len() == SAID {
            self.said.pop_front();
        }
        let start = due.checked_sub(length).unwrap_or(due);
        self.said.push_back((start, turn));
    }

    /// Joined, media flowing; packets go out from `slot` on.
    pub(super) fn joined(&mut self, now: Instant, slot: Instant) {
        self.next = Some(slot);
        self.input(now, Input::Joined);
    }

    /// An agent is in the room.
    pub(super) fn agent_present(&mut self, now: Instant) {
        self.input(now, Input::AgentPresent);
    }

    /// An audio track that may be the agent's voice reaches us; gives the number that its
    /// packets are to bear. `name`: whose it is and what it is called.
    pub(super) fn agent_track(&mut self, now: Instant, sid: &str, name: Arc<str>) -> u32 {
        let number = self.hearing.track(sid, name);
        self.input(now, Input::AgentAudible);
        number
    }

    /// A track has ended; gives its number.
    pub(super) fn agent_track_gone(&mut self, now: Instant, sid: &str) -> Option<u32> {
        let number = self.hearing.track_gone(sid)?;
        self.taken_away(now, number);
        Some(number)
    }

    /// A track was muted.
    pub(super) fn agent_track_muted(&mut self, now: Instant, sid: &str) {
        if let Some(number) = self.hearing.number_of(sid) {
            self.taken_away(now, number);
        }
    }

    fn taken_away(&mut self, now: Instant, track: u32) {
        for stream in self.hearing.streams_of(track) {
            self.input(now, Input::TakenAway(stream));
        }
    }

    /// The agent says what it is doing.
    pub(super) fn agent_state(&mut self, now: Instant, state: AgentState) {
        self.input(now, Input::AgentState(state));
    }

    /// The last agent left.
    pub(super) fn agent_left(&mut self, now: Instant) {
        self.input(now, Input::AgentLeft);
    }

    /// The call failed.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        if failure == Failure::Stopped {
            // Nothing that the agent did.
            self.evidence = None;
        }
        self.input(now, Input::Failed(failure));
    }

    /// The call's result; the first call takes it.
    pub(super) fn finish(&mut self, now: Instant) -> Option<CallResult> {
        self.next = None;
        let mut result = self.call.take()?.finish(now);
        for turn in &mut result.turns {
            self.hearing.name_track(turn);
        }
        Some(result)
    }
}

impl Endpoint for CallerEnd {
    fn audio(&mut self, now: Instant, packet: AudioPacket<'_>) {
        let stream = match self.hearing.stream(&packet) {
            Ok((stream, forgotten)) => {
                if let Some(forgotten) = forgotten {
                    self.input(now, Input::Abandoned(forgotten));
                }
                stream
            }
            Err(e) => {
                let detail = e.to_string();
                return self.failed(now, Failure::Generator { detail });
            }
        };
        let arrival = PacketArrival {
            arrival: packet.arrival,
            rtp_time: packet.rtp_time,
            kernel_stamp: packet.kernel_stamp,
        };
        self.input(now, Input::Packet(stream, arrival));
        let heard = Packet {
            arrival: packet.arrival,
            rtp_time: packet.rtp_time,
            sequence: packet.sequence,
            payload: packet.payload,
        };
        if let Some(evidence) = &mut self.evidence {
            let hold = self.call.as_ref().and_then(|call| call.hold(stream));
            evidence.heard(stream, heard, hold.unwrap_or_default());
        }
        if !self.listens() {
            return;
        }
        let level = packet.level.filter(|_| self.decode == Decode::Level);
        if level.is_some() {
            self.levels.store(true, Relaxed);
        }
        self.hearing.packet(stream, &heard, level);
        self.listen(now);
        if let Some(excerpt) = self.hearing.asks_late(stream, packet.arrival) {
            let _ = self.events.try_send(EndEvent::Sound(stream, excerpt));
        }
        if self.hearing.never_breathes(stream, packet.arrival) {
            self.judged(now, stream, Some(false));
        }
    }

    fn timeout(&mut self, now: Instant) {
        // Silence by the clock: an agent with DTX sends nothing when it has nothing to say.
        self.hearing.advance(now);
        self.listen(now);
        self.input(now, Input::Timeout);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let call = self.call.as_ref()?.poll_timeout();
        [call, self.hearing.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_send(&self) -> Option<Instant> {
        self.next
    }

    fn send(&mut self, due: Instant) -> Option<Outgoing> {
        self.next = Some(due + FRAME_TIME);
        let say = self.call.as_mut()?.tick(due);
        self.tell(due);
        let (payload, speaking) = match say {
            Say::Utterance { turn, frame } => {
                self.note_said(due, turn, frame);
                let said = &self.says[turn];
                let payload = &said.frames[frame];
                if let Some(evidence) = &mut self.evidence {
                    let captured = due.checked_sub(FRAME_TIME).unwrap_or(due);
                    evidence.said((turn, frame), captured, said.speech_end, payload);
                }
                (payload.clone(), true)
            }
            Say::Silence => (self.silence.clone(), false),
        };
        let rtp_time = self.rtp_time;
        self.rtp_time = rtp_time.wrapping_add(FRAME as u32);
        let marker = speaking && !self.was_speaking;
        self.was_speaking = speaking;
        Some(Outgoing {
            payload,
            rtp_time,
            marker,
        })
    }

    /// What is heard takes effect in 700 ms at the soonest, when a spurt has ended, unless the
    /// script waits for its beginning.
    fn patience(&self, now: Instant) -> Duration {
        let soon = |at: Instant| at < now + 2 * UNHURRIED;
        let hurried = self.call.as_ref().is_some_and(Call::awaits_speech_start)
            || self.poll_timeout().is_some_and(soon);
        if hurried { FRAME_TIME } else { UNHURRIED }
    }

    fn sent(&mut self, due: Instant, actual: Instant) {
        if let Some(call) = self.call.as_mut() {
            call.sent(due, actual);
        }
    }
}

#[cfg(test)]
mod tests;
