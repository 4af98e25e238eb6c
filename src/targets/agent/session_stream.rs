//! Describes a call of the reference agent to the room, in the way a stock LiveKit agent does.
//!
//! In: events of the call, requests, time. Out: data packets. Invariants: every figure comes from
//! the call itself. The order and the rate of the packets are those of a Python agent
//! (livekit-agents 1.8.9). The queue of unsent packets is bounded.

mod messages;

use super::moment::{Happening, Moment};
use crate::call::AgentState;
use crate::targets::livekit::packets::{
    FINAL, SESSION, TRANSCRIPTION, TextStream, byte_stream, packet,
};
use messages::{Said, Usage, WallTime};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Interval between reports of the session's usage. Each report is sent twice, as by the Python
/// agent.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// Interval between two words of a transcript of the agent's speech.
const WORD_EVERY: Duration = Duration::from_millis(250);
/// Maximum number of words of a transcript.
const WORDS: u32 = 1_000;
/// Maximum number of packets that may be queued for the data channel.
const WAITING: usize = 256;

/// A participant whose speech is transcribed.
#[derive(Debug, Clone, Default)]
struct Speaker {
    identity: String,
    /// Id of the participant's track; empty while the id is unknown. Until it is known, speech is
    /// not transcribed, because clients in Rust and Python crash on a transcript without a track.
    track: String,
}

/// Caller speech to which the agent has not replied yet.
#[derive(Debug)]
struct Heard {
    began: Instant,
    /// When the speech ended, and when the agent detected its end; `None` while the caller speaks.
    ended: Option<(Instant, Instant)>,
    /// Ids of the speech's transcript: in text streams, and in the packets that older clients read.
    segments: [String; 2],
}

impl Heard {
    fn length(&self) -> Duration {
        let length = |(ended, _): (Instant, Instant)| ended.saturating_duration_since(self.began);
        self.ended.map(length).unwrap_or_default()
    }

    /// Placeholder for the caller's words, because the agent does not recognise speech.
    fn text(&self) -> String {
        format!("[{:.1} s of speech]", self.length().as_secs_f64())
    }
}

/// The reply or greeting that the agent is speaking.
#[derive(Debug)]
struct Saying {
    began: Instant,
    /// End of the speech that the reply answers; `None` for a greeting.
    answers: Option<Instant>,
    ends: Instant,
    /// Ids of the utterance's transcript: in the text stream, and in the packets that older clients
    /// read.
    segments: [String; 2],
    stream: Option<TextStream>,
    text: String,
    words: u32,
}

impl Saying {
    /// When the next word is due; `None` if that would be after the end of the utterance.
    fn next_word(&self) -> Option<Instant> {
        let due = self.began + WORD_EVERY * (self.words + 1);
        (due < self.ends && self.words < WORDS).then_some(due)
    }
}

/// Generates ids that are unique in the room.
#[derive(Debug)]
struct Ids {
    prefix: String,
    made: u64,
}

impl Ids {
    fn next(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}_{}_{}", self.prefix, self.made)
    }

    /// The ids of a transcript: in text streams, and in the packets that older clients read.
    fn segments(&mut self) -> [String; 2] {
        [self.next("SG"), self.next("SG")]
    }
}

/// The description of one call in progress.
#[derive(Debug)]
pub(super) struct SessionStream {
    /// One instant, on the monotonic clock and on the wall clock.
    epoch: (Instant, WallTime),
    ids: Ids,
    own: Speaker,
    caller: Speaker,
    /// Placeholder for the agent's words in transcripts.
    label: String,
    state: AgentState,
    heard: Option<Heard>,
    saying: Option<Saying>,
    usage: Usage,
    /// When the next usage report is due; `None` before the call has begun.
    next_usage: Option<Instant>,
    packets: VecDeque<Vec<u8>>,
}

impl SessionStream {
    /// The description of a call that has not begun yet. `identity`: the agent's own identity;
    /// `label`: placeholder for the agent's words in transcripts.
    pub(super) fn new(now: Instant, identity: String, label: String) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = WallTime(wall.unwrap_or_default().as_nanos() as i64);
        Self {
            epoch: (now, wall),
            ids: Ids {
                prefix: identity.clone(),
                made: 0,
            },
            own: Speaker {
                identity,
                track: String::new(),
            },
            caller: Speaker::default(),
            label,
            state: AgentState::Initializing,
            heard: None,
            saying: None,
            usage: Usage::default(),
            next_usage: None,
            packets: VecDeque::new(),
        }
    }

    /// Begins the description at the start of the call.
    pub(super) fn begin(&mut self, now: Instant) {
        let id = self.ids.next("item");
        let at = self.wall(now);
        self.tell(messages::handoff(at, id));
        self.state(now, AgentState::Listening);
        self.next_usage = Some(now + USAGE_EVERY);
    }

    /// Sets the id of the agent's own track, once the track is published.
    pub(super) fn published(&mut self, track: String) {
        self.own.track = track;
    }

    /// Sets the caller's identity and the id of the caller's track.
    pub(super) fn met(&mut self, identity: String, track: String) {
        self.caller = Speaker { identity, track };
    }

    /// Handles an event of the call.
    pub(super) fn happened(&mut self, moment: Moment) {
        let Moment { at, what } = moment;
        match what {
            Happening::CallerSpeaks => self.caller_speaks(at),
            Happening::CallerStopped { speech_end } => self.caller_stopped(at, speech_end),
            Happening::State(state) => self.state(at, state),
            Happening::Audible {
                at: began,
                answers,
                length,
            } => {
                let segments = self.ids.segments();
                self.saying = Some(Saying {
                    began,
                    answers,
                    ends: began + length,
                    segments,
                    stream: None,
                    text: String::new(),
                    words: 0,
                });
            }
            Happening::Silent { interrupted } => self.silent(at, interrupted),
        }
    }

    /// Answers a request for the session's usage.
    pub(super) fn asked(&mut self, now: Instant, request: String) {
        let at = self.wall(now);
        self.tell(messages::usage_response(at, self.usage, request));
    }

    /// When [`SessionStream::timeout`] must next be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let word = self.saying.as_ref().and_then(Saying::next_word);
        word.into_iter().chain(self.next_usage).min()
    }

    /// Queues the packets that are due by `now`.
    pub(super) fn timeout(&mut self, now: Instant) {
        if let Some(due) = self.next_usage.filter(|due| *due <= now) {
            self.tell_usage(now);
            self.tell_usage(now);
            // Reports that were missed are not sent later.
            self.next_usage = Some(now.max(due + USAGE_EVERY));
        }
        while let Some(mut saying) = self
            .saying
            .take_if(|s| s.next_word().is_some_and(|w| w <= now))
        {
            self.word(now, &mut saying);
            self.saying = Some(saying);
        }
    }

    /// Takes the packets that are due to be sent.
    pub(super) fn take_packets(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.packets)
    }

    /// Puts back packets that could not be sent yet.
    pub(super) fn keep(&mut self, unsent: VecDeque<Vec<u8>>) {
        let newer = std::mem::replace(&mut self.packets, unsent);
        self.packets.extend(newer);
        let excess = self.packets.len().saturating_sub(WAITING);
        self.packets.drain(..excess);
    }

    fn caller_speaks(&mut self, at: Instant) {
        match &mut self.heard {
            Some(heard) => heard.ended = None,
            None => {
                self.heard = Some(Heard {
                    began: at,
                    ended: None,
                    segments: self.ids.segments(),
                });
            }
        }
        let at = self.wall(at);
        self.tell(messages::user_state(at, true));
    }

    fn caller_stopped(&mut self, at: Instant, speech_end: Instant) {
        let Some(mut heard) = self.heard.take() else {
            return;
        };
        heard.ended = Some((speech_end, at));
        let ended = self.wall(speech_end);
        self.tell(messages::user_state(ended, false));
        self.transcribe(at, &heard, false);
        self.heard = Some(heard);
    }

    fn state(&mut self, at: Instant, new: AgentState) {
        // The caller's turn is over when the agent begins to speak; until then, the caller may
        // resume.
        if new == AgentState::Speaking
            && let Some(heard) = self.heard.take()
        {
            self.turn_over(at, &heard);
        }
        let old = std::mem::replace(&mut self.state, new);
        let wall = self.wall(at);
        self.tell(messages::agent_state(wall, old, new));
        if matches!(new, AgentState::Thinking | AgentState::Speaking) {
            self.tell_usage(at);
        }
    }

    /// Reports the caller's turn, which is over.
    fn turn_over(&mut self, at: Instant, heard: &Heard) {
        let Some((ended, noticed)) = heard.ended else {
            return;
        };
        self.usage.heard += heard.length();
        self.tell_usage(at);
        let now = self.wall(at);
        self.tell(messages::transcribed(now, heard.text()));
        let said = Said {
            id: self.ids.next("item"),
            text: heard.text(),
            began: self.wall(heard.began),
            stopped: self.wall(ended),
        };
        let delay = noticed.saturating_duration_since(ended);
        self.tell(messages::user_turn(now, said, delay));
        self.transcribe(at, heard, true);
    }

    /// Queues a transcript of the caller's speech so far.
    fn transcribe(&mut self, at: Instant, heard: &Heard, is_final: bool) {
        let text = heard.text();
        let [segment, legacy] = &heard.segments;
        let Speaker { identity, track } = &self.caller;
        if track.is_empty() {
            return;
        }
        let legacy = messages::transcription(identity, track, legacy, &text, is_final);
        self.packets.push_back(packet("", &[], legacy));
        let attributes = attributes(track, segment, is_final);
        let id = self.ids.next("TS");
        let opened = self.wall(at).milliseconds();
        let (mut stream, header) =
            TextStream::open(id, identity, TRANSCRIPTION, attributes.clone(), opened);
        let chunk = stream.chunk(&text);
        self.packets
            .extend([header, chunk, stream.close(attributes)]);
    }

    /// Transcribes the next word of the agent's speech. The first word is the label; each later
    /// word is the length of the speech so far.
    fn word(&mut self, now: Instant, saying: &mut Saying) {
        saying.words += 1;
        let said = WORD_EVERY * saying.words;
        let word = match saying.words {
            1 => self.label.clone(),
            _ => format!(" {:.2}s", said.as_secs_f64()),
        };
        saying.text += &word;
        let [segment, legacy] = &saying.segments;
        let Speaker { identity, track } = &self.own;
        if track.is_empty() {
            return;
        }
        let legacy = messages::transcription(identity, track, legacy, &saying.text, false);
        self.packets.push_back(packet("", &[], legacy));
        let opened = self.wall(now).milliseconds();
        let stream = saying.stream.get_or_insert_with(|| {
            let id = self.ids.next("TS");
            let attributes = attributes(track, segment, false);
            let (stream, header) = TextStream::open(id, "", TRANSCRIPTION, attributes, opened);
            self.packets.push_back(header);
            stream
        });
        let chunk = stream.chunk(&word);
        self.packets.push_back(chunk);
    }

    /// Closes the transcript of the agent's speech and reports the agent's turn.
    fn silent(&mut self, at: Instant, interrupted: bool) {
        let Some(saying) = self.saying.take() else {
            return;
        };
        let Saying {
            began,
            answers,
            segments: [segment, legacy],
            stream,
            text,
            ..
        } = saying;
        let Speaker { identity, track } = &self.own;
        if let Some(stream) = stream {
            let legacy = messages::transcription(identity, track, &legacy, &text, true);
            self.packets.push_back(packet("", &[], legacy));
            let attributes = attributes(track, &segment, true);
            self.packets.push_back(stream.close(attributes));
        }
        self.usage.said += at.saturating_duration_since(began);
        self.tell_usage(at);
        let said = Said {
            id: self.ids.next("item"),
            text,
            began: self.wall(began),
            stopped: self.wall(at),
        };
        let delay = answers.map(|end| began.saturating_duration_since(end));
        let now = self.wall(at);
        self.tell(messages::reply(now, said, delay, interrupted));
    }

    fn tell_usage(&mut self, at: Instant) {
        let at = self.wall(at);
        self.tell(messages::usage(at, self.usage));
    }

    /// Queues a message of the session stream.
    fn tell(&mut self, message: Vec<u8>) {
        let id = self.ids.next("AS");
        self.packets.extend(byte_stream(&id, SESSION, message, &[]));
    }

    /// The instant as wall-clock time, unaffected by adjustments of the system's clock during the
    /// call.
    fn wall(&self, at: Instant) -> WallTime {
        let (epoch, WallTime(wall)) = self.epoch;
        let ns = |d: Duration| d.as_nanos() as i64;
        WallTime(match at.checked_duration_since(epoch) {
            Some(after) => wall + ns(after),
            None => wall - ns(epoch.duration_since(at)),
        })
    }
}

/// The attributes of a transcript.
fn attributes(track: &str, segment: &str, is_final: bool) -> HashMap<String, String> {
    HashMap::from([
        ("lk.transcribed_track_id".to_owned(), track.to_owned()),
        ("lk.segment_id".to_owned(), segment.to_owned()),
        (FINAL.to_owned(), is_final.to_string()),
    ])
}

#[cfg(test)]
mod tests;
