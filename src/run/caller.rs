//! A caller's endpoint, which the media engine drives.
//!
//! In: the agent's packets, send slots. Out: frames on schedule, the call's events. Invariant: the
//! call script makes the decisions and the ears detect speech; neither depends on the network.

use super::background::Background;
use super::connection_log::ConnectionLog;
use super::evidence::Capture;
use super::hearing::{Detection, Hearing};
use super::opinions::Excerpt;
use super::reply_audio::ReplyAudio;
use super::sounds::EncodedUtterance;
use crate::audio::{AudioError, Codec, FRAME, FRAME_TIME, Heard, Onset, Packet, echo};
use crate::call::{
    AgentState, Call, CallEvent, CallResult, CallScript, Failure, Input, ReplyMatches, ReplyText,
    Say, StreamId, TurnResult,
};
use crate::net::{Endpoint, Outgoing, RtpStream};
use crate::vocab::{
    ConnectionFigures, ConnectionMeasured, ConnectionQuality, Decode, Expect, Flag,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events of a caller's endpoint.
pub(super) enum EndEvent {
    /// An event of the call's state machine.
    Call(Box<CallEvent>),
    /// The instant of a reply's onset, with the audio around it, for a second opinion.
    Onset(Instant, Excerpt),
    /// The text of this turn is to be sent now.
    Text(usize),
    /// The caller presses this key now.
    Key(char),
    /// There are several tracks: does this stream carry a voice? The answer goes to
    /// [`CallerEnd::judged`].
    Sound(StreamId, Excerpt),
}

/// Number of recent utterances whose echo is still recognised.
const SAID: usize = 3;
/// How long the agent's packets may wait in the socket while no decision depends on them. The
/// decoder, the ear and the script are then loaded into the cache once per five packets.
const UNHURRIED: Duration = Duration::from_millis(100);
/// Upper bound of the events that a call can emit per turn (phases and the end).
const EVENTS_PER_TURN: usize = 16;

/// A caller's endpoint: its call script, its ears and the audio it sends.
pub(crate) struct CallerEnd {
    call: Option<Call>,
    hearing: Hearing,
    /// The utterance of each turn; an empty one for a turn that sends a text.
    says: Vec<EncodedUtterance>,
    /// The most recently spoken turns, each with the capture time of its first sample.
    said: VecDeque<(Instant, usize)>,
    /// What the caller sends while it does not speak.
    background: Background,
    next: Option<Instant>,
    rtp_time: u32,
    was_speaking: bool,
    /// The turn to whose utterance the latest packet belongs.
    saying: Option<usize>,
    /// First and last sequence number of the part of each turn's utterance that has been sent.
    sent_as: Vec<Option<(u64, u64)>>,
    /// Captures this call's evidence, if the run keeps evidence.
    evidence: Option<Box<Capture>>,
    decode: Decode,
    /// Set once any caller receives a packet with an audio level (only with `decode: level`).
    levels: Arc<AtomicBool>,
    /// The condition of the replies.
    audio: ReplyAudio,
    /// What is measured of the connection.
    connection: ConnectionLog,
    /// Which of the turns that have ended had a poor network.
    poor: Vec<bool>,
    codec: Codec,
    events: mpsc::Sender<EndEvent>,
}

impl CallerEnd {
    /// Creates a caller from its script and the utterance of each turn. The returned channel has
    /// capacity for every event that the call can emit, so that no event is lost.
    pub(super) fn new(
        script: CallScript,
        start: Instant,
        says: Vec<EncodedUtterance>,
        (silence, codec): (Arc<[u8]>, Codec),
    ) -> Result<(Self, mpsc::Receiver<EndEvent>), AudioError> {
        debug_assert_eq!(script.turns.len(), says.len());
        let keys: usize = says.iter().map(|said| said.presses.len()).sum();
        let (events, inbox) = mpsc::channel((says.len() + 2) * EVENTS_PER_TURN + keys);
        let mut hearing = Hearing::new(codec)?;
        if script
            .turns
            .iter()
            .any(|turn| turn.expect == Expect::Ignore)
        {
            hearing.recognise();
        }
        let end = Self {
            call: Some(Call::new(script, start)),
            hearing,
            saying: None,
            sent_as: vec![None; says.len()],
            poor: vec![false; says.len()],
            says,
            said: VecDeque::with_capacity(SAID),
            background: Background::silent(silence),
            next: None,
            rtp_time: 0,
            was_speaking: false,
            evidence: None,
            decode: Decode::default(),
            levels: Arc::default(),
            audio: ReplyAudio::default(),
            connection: ConnectionLog::new(),
            codec,
            events,
        };
        Ok((end, inbox))
    }

    /// Captures sent and received audio from now on, if `evidence` is given.
    pub(super) fn keep(&mut self, evidence: Option<Capture>) {
        self.evidence = evidence.map(Box::new);
    }

    /// Sets what the caller sends while it does not speak.
    pub(super) fn amid(&mut self, background: Background) {
        self.background = background;
    }

    /// Sets how much of the agent's audio is decoded. `levels` is set once a packet carries an
    /// audio level.
    pub(super) fn decodes(&mut self, decode: Decode, levels: Arc<AtomicBool>) {
        (self.decode, self.levels) = (decode, levels);
    }

    /// Whether the agent's audio still has to be analysed.
    fn listens(&self) -> bool {
        self.decode == Decode::Always || self.call.as_ref().is_some_and(|c| !c.is_done())
    }

    fn input(&mut self, now: Instant, input: Input<'_>) {
        if let Some(call) = self.call.as_mut() {
            call.handle(now, input);
        }
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        while let Some(mut event) = self.call.as_mut().and_then(Call::poll_event) {
            if let CallEvent::TurnEnded(turn) = &event
                && let Some(poor) = self.poor.get_mut(turn.turn)
            {
                *poor = self.connection.is_poor();
            }
            if let CallEvent::TurnEnded(turn) | CallEvent::TurnAmended(turn) = &mut event {
                flag_network(&self.poor, turn);
                self.hearing.name_track(turn);
                self.audio.ended(&mut self.hearing, turn, now);
            }
            if let (Some(evidence), CallEvent::TurnEnded(turn)) = (&mut self.evidence, &event) {
                evidence.ended(turn, now);
            }
            // The channel has capacity for all events; it is closed once the call's task has ended.
            let _ = self.events.try_send(EndEvent::Call(Box::new(event)));
        }
    }

    /// Passes everything that the ears have detected to the call script.
    fn listen(&mut self, now: Instant) {
        while let Some(report) = self.hearing.poll() {
            match report.heard {
                Heard::Onset(onset) => self.onset(now, &report, onset),
                _ if report.held_back => {}
                heard => self.input(now, Input::Heard(report.stream, heard)),
            }
        }
    }

    /// Dismisses an onset that is the caller's own echo and passes any other onset to the call. A
    /// second opinion is requested on an onset that starts a talk spurt, and on an onset within a
    /// spurt if a turn's result depends on it.
    fn onset(&mut self, now: Instant, report: &Detection, onset: Onset) {
        let Detection {
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
            // Sent before the end of the turn, so that the turn's result is known to have a pending
            // opinion.
            let _ = self.events.try_send(EndEvent::Onset(at, excerpt));
        }
        self.tell(now);
    }

    /// Processes the judgement of whether `stream` carries a voice; `None` if the judge was too
    /// busy. Returns the name of the stream's track if detections on the stream are discarded.
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

    /// Records when an utterance began.
    fn note_said(&mut self, due: Instant, turn: usize, frame: usize) {
        if self.said.back().is_some_and(|&(_, last)| last == turn) {
            return;
        }
        let length = FRAME_TIME * u32::try_from(frame + 1).unwrap_or(u32::MAX);
        if self.said.len() == SAID {
            self.said.pop_front();
        }
        let start = due.checked_sub(length).unwrap_or(due);
        self.turn_begins(start);
        self.said.push_back((start, turn));
    }

    /// The next turn begins: what the agent says from here on belongs to it, and the condition of
    /// the last reply is complete.
    fn turn_begins(&mut self, start: Instant) {
        self.connection.turn_begins();
        if let Some(turn) = self.audio.turn_begins(&mut self.hearing, start) {
            let amended = CallEvent::TurnAmended(turn);
            let _ = self.events.try_send(EndEvent::Call(Box::new(amended)));
        }
    }

    /// Handles the completed join: media flows, and packets are sent from `slot` on.
    pub(super) fn joined(&mut self, now: Instant, slot: Instant) {
        self.next = Some(slot);
        self.input(now, Input::Joined);
    }

    /// Handles an agent that has joined the room.
    pub(super) fn agent_present(&mut self, now: Instant) {
        self.input(now, Input::AgentPresent);
    }

    /// Handles a newly subscribed track that may carry the agent's voice. `track`: the number by
    /// which its packets refer to it; `name`: its name in the records.
    pub(super) fn agent_track(&mut self, now: Instant, track: u32, name: Arc<str>) {
        self.hearing.track(track, name);
        self.input(now, Input::AgentAudible);
        // While there was only one track, its sound counted as the agent's voice even if it was
        // music or noise.
        for stream in self.hearing.held_back() {
            self.input(now, Input::NotAgent(stream));
        }
    }

    /// Handles the end of a track.
    pub(super) fn agent_track_gone(&mut self, now: Instant, track: u32) {
        self.hearing.track_gone(track);
        self.taken_away(now, track);
    }

    /// Handles the muting of a track.
    pub(super) fn agent_track_muted(&mut self, now: Instant, track: u32) {
        self.taken_away(now, track);
    }

    fn taken_away(&mut self, now: Instant, track: u32) {
        for stream in self.hearing.streams_of(track) {
            self.input(now, Input::TakenAway(stream));
        }
    }

    /// Handles a state that the agent reported.
    pub(super) fn agent_state(&mut self, now: Instant, state: AgentState) {
        self.input(now, Input::AgentState(state));
    }

    /// The text of turn `turn` was sent at `at`.
    pub(super) fn text_sent(&mut self, now: Instant, turn: usize, at: Instant) {
        self.input(now, Input::TextSent { turn, at });
    }

    /// More is known of the transcript of a reply.
    pub(super) fn reply_matches(&mut self, now: Instant, known: ReplyMatches) {
        self.input(now, Input::ReplyMatches(known));
    }

    /// Part of the agent's text arrived.
    pub(super) fn reply_text(&mut self, now: Instant, text: ReplyText) {
        self.input(now, Input::ReplyText(text));
    }

    /// The last agent left.
    pub(super) fn agent_left(&mut self, now: Instant) {
        self.input(now, Input::AgentLeft);
    }

    /// Ends the call with a failure.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        if failure == Failure::Stopped {
            // A stop of the run is not the agent's fault, so the turns that it ends are not kept as
            // evidence.
            if let Some(evidence) = &mut self.evidence {
                evidence.stopped();
            }
        }
        self.input(now, Input::Failed(failure));
    }

    /// The server rated the caller's connection.
    pub(super) fn rated(&mut self, rating: ConnectionQuality) {
        self.connection.rated(rating);
    }

    /// Takes what was measured of the call's connection; `None` if its audio did not go over RTP.
    pub(super) fn take_connection(&mut self) -> Option<ConnectionMeasured> {
        self.connection.take()
    }

    /// The first byte of an Opus packet, which names its mode, bandwidth and length.
    fn toc(&self, payload: &[u8]) -> Option<u8> {
        payload
            .first()
            .copied()
            .filter(|_| self.codec == Codec::Opus)
    }

    /// Takes the call's result; `None` if the result was taken before.
    pub(super) fn finish(&mut self, now: Instant) -> Option<CallResult> {
        self.next = None;
        let mut result = self.call.take()?.finish(now);
        for turn in &mut result.turns {
            flag_network(&self.poor, turn);
            self.hearing.name_track(turn);
            self.audio.ended(&mut self.hearing, turn, now);
        }
        if let Some(evidence) = self.evidence.take() {
            evidence.finished(&result, now);
        }
        Some(result)
    }
}

/// Flags a turn that ended while the network was poor.
fn flag_network(poor: &[bool], turn: &mut TurnResult) {
    if poor.get(turn.turn) == Some(&true) && !turn.flags.contains(&Flag::PoorNetwork) {
        turn.flags.push(Flag::PoorNetwork);
    }
}

impl Endpoint for CallerEnd {
    fn audio(&mut self, now: Instant, stream: RtpStream, packet: Packet<'_>) {
        let stream = match self.hearing.stream(stream, packet.arrival) {
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
        self.input(now, Input::Packet(stream, packet));
        let hold = self.call.as_ref().and_then(|call| call.hold(stream));
        self.connection.arrived(hold, self.toc(packet.payload));
        if let Some(evidence) = &mut self.evidence {
            evidence.heard(stream, packet, hold.unwrap_or_default());
        }
        if !self.listens() {
            return;
        }
        let level = packet.level.filter(|_| self.decode == Decode::Level);
        if level.is_some() {
            self.levels.store(true, Relaxed);
        }
        self.hearing
            .arrived(stream, &packet, hold.unwrap_or_default());
        self.hearing.packet(stream, &Packet { level, ..packet });
        self.listen(now);
        if let Some(excerpt) = self.hearing.asks_late(stream, packet.arrival) {
            let _ = self.events.try_send(EndEvent::Sound(stream, excerpt));
        }
        if self.hearing.never_breathes(stream, packet.arrival) {
            self.input(now, Input::NotAgent(stream));
        }
    }

    fn timeout(&mut self, now: Instant) {
        // Silence is detected by elapsed time, because a silent agent with DTX sends no packets.
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
                self.background.follow(said.background, frame);
                for &(_, key) in said.presses.iter().filter(|press| press.0 == frame) {
                    // The channel has capacity for every key.
                    let _ = self.events.try_send(EndEvent::Key(key));
                }
                if let Some(evidence) = &mut self.evidence {
                    let captured = due.checked_sub(FRAME_TIME).unwrap_or(due);
                    evidence.said((turn, frame), captured, said.speech_end, payload);
                }
                (payload.clone(), true)
            }
            Say::Text { turn } => {
                self.turn_begins(due);
                if self.events.try_send(EndEvent::Text(turn)).is_err() {
                    // The turn would wait forever for its text to be sent.
                    let detail = "the call is too busy to send a text".into();
                    self.failed(due, Failure::Generator { detail });
                }
                (self.background.frame(), false)
            }
            Say::Silence => (self.background.frame(), false),
        };
        self.saying = match say {
            Say::Utterance { turn, .. } => Some(turn),
            Say::Text { .. } | Say::Silence => None,
        };
        self.connection.sent(self.toc(&payload));
        let rtp_time = self.rtp_time;
        self.rtp_time = rtp_time.wrapping_add(FRAME as u32);
        if let Some(evidence) = &mut self.evidence {
            evidence.sent(due.checked_sub(FRAME_TIME).unwrap_or(due), &payload);
        }
        let marker = speaking && !self.was_speaking;
        self.was_speaking = speaking;
        Some(Outgoing {
            payload,
            rtp_time,
            marker,
        })
    }

    /// Received audio affects the script after 700 ms at the earliest, when a talk spurt has ended.
    /// Packets may therefore wait unless the script is waiting for the start of speech.
    fn patience(&self, now: Instant) -> Duration {
        let soon = |at: Instant| at < now + 2 * UNHURRIED;
        let hurried = self.call.as_ref().is_some_and(Call::awaits_speech_start)
            || self.poll_timeout().is_some_and(soon);
        if hurried { FRAME_TIME } else { UNHURRIED }
    }

    fn sent(&mut self, due: Instant, actual: Instant, sequence: u64) {
        if let Some(call) = self.call.as_mut() {
            call.sent(due, actual);
        }
        if let Some(turn) = self.saying {
            let (_, last) = self.sent_as[turn].get_or_insert((sequence, sequence));
            *last = sequence;
        }
    }

    fn measured(&mut self, now: Instant, figures: &ConnectionFigures) {
        self.connection.measured(now, figures);
    }

    fn lost(&mut self, now: Instant, (first, last): (u64, u64)) {
        for turn in 0..self.sent_as.len() {
            let touched = self.sent_as[turn].is_some_and(|(from, to)| from <= last && first <= to);
            if touched {
                self.input(now, Input::UtteranceLost(turn));
            }
        }
    }
}

#[cfg(test)]
mod tests;
