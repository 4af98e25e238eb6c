//! A caller's ears: one for each audio stream that may carry the agent's voice.
//!
//! In: the subscribed tracks, packets with their track and SSRC. Out: detections, by stream.
//! Invariants: a track that is published again is a new stream with its own ear; a stream that
//! carries no voice is held back only while there is another track; at most [`EARS`] ears are kept.

use super::opinions::Excerpt;
use crate::audio::{AudioError, Codec, Ear, Heard, Packet, ReplyWindow, Resumption};
use crate::call::{StreamId, TurnResult};
use crate::net::RtpStream;
use crate::vocab::{ReplyCondition, Resumed};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of streams that have an ear, including streams that ended recently.
const EARS: usize = 4;
/// Maximum number of reports held back for one stream; the oldest is dropped first.
const HELD: usize = 64;
/// A stream that was not judged at its onset is judged after this much continuous sound.
const SPOKEN: Duration = Duration::from_millis(600);
/// Sound that continues for this long without a pause is not a voice: people pause to breathe, and
/// synthetic voices imitate that.
const BREATH: Duration = Duration::from_secs(8);
/// Number of streams whose track name is remembered.
const NAMES: usize = 16;

/// The kind of sound that a stream carries, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    /// Not judged yet; treated as the agent's voice.
    Unknown,
    Voice,
    /// Music or noise; held back while there is another track.
    Other,
}

/// One stream and its ear.
#[derive(Debug)]
struct Voice {
    stream: StreamId,
    source: RtpStream,
    /// Arrival of the stream's last packet.
    last: Instant,
    ear: Ear,
    sound: Sound,
    /// A judgement of whether the stream carries a voice has been requested.
    asked: bool,
    /// Start of the current uninterrupted sound.
    since: Option<Instant>,
    held: VecDeque<Heard>,
}

/// A track that may carry the agent's voice.
#[derive(Debug)]
struct Track {
    number: u32,
    name: Arc<str>,
}

/// A detection by one ear, and whether the detection counts.
#[derive(Debug)]
pub(super) struct Detection {
    pub stream: StreamId,
    pub heard: Heard,
    /// The detection is new, so the audio around an onset is still available.
    pub fresh: bool,
    /// The stream is held back, because it was judged to carry no voice.
    pub held_back: bool,
}

/// All ears of a caller.
#[derive(Debug)]
pub(super) struct Hearing {
    codec: Codec,
    /// Whether the ears recognise what they heard before.
    recognises: bool,
    /// An ear allocated in advance, so that the first stream is not delayed by the allocation.
    spare: Option<Ear>,
    voices: Vec<Voice>,
    tracks: Vec<Track>,
    streams_so_far: StreamId,
    names: VecDeque<(StreamId, Arc<str>)>,
}

impl Voice {
    /// Marks the stream as not a voice. Reports held back so far are never delivered.
    fn hold_back(&mut self) {
        self.sound = Sound::Other;
        self.held.clear();
    }
}

impl Hearing {
    pub(super) fn new(codec: Codec) -> Result<Self, AudioError> {
        Ok(Self {
            codec,
            recognises: false,
            spare: Some(Ear::of(codec)?),
            voices: Vec::new(),
            tracks: Vec::new(),
            streams_so_far: 0,
            names: VecDeque::new(),
        })
    }

    /// From now on, keeps what is needed to tell how replies are resumed.
    pub(super) fn recognise(&mut self) {
        self.recognises = true;
        self.spare.iter_mut().for_each(Ear::keep_prints);
    }

    /// Adds a track. `number`: the number by which its packets refer to it; `name`: its name in the
    /// records.
    pub(super) fn track(&mut self, number: u32, name: Arc<str>) {
        self.track_gone(number);
        self.tracks.push(Track { number, name });
    }

    /// Removes a track that has ended. Pending reports of its streams are still delivered.
    pub(super) fn track_gone(&mut self, number: u32) {
        self.tracks.retain(|track| track.number != number);
    }

    /// The streams received on track `number`.
    pub(super) fn streams_of(&self, number: u32) -> Vec<StreamId> {
        let voices = self.voices.iter().filter(|v| v.source.track == number);
        voices.map(|v| v.stream).collect()
    }

    /// Returns the id of the RTP stream `source`, which received a packet at `arrival`, and the
    /// stream that was dropped to make room, if one was.
    pub(super) fn stream(
        &mut self,
        source: RtpStream,
        arrival: Instant,
    ) -> Result<(StreamId, Option<StreamId>), AudioError> {
        if let Some(voice) = self.voices.iter_mut().find(|v| v.source == source) {
            voice.last = arrival;
            return Ok((voice.stream, None));
        }
        let mut ear = match self.spare.take() {
            Some(ear) => ear,
            None => Ear::of(self.codec)?,
        };
        if self.recognises {
            ear.keep_prints();
        }
        let forgotten = self.make_room();
        let stream = self.streams_so_far;
        self.streams_so_far += 1;
        self.voices.push(Voice {
            stream,
            source,
            last: arrival,
            ear,
            sound: Sound::Unknown,
            asked: false,
            since: None,
            held: VecDeque::new(),
        });
        if let Some(track) = self.tracks.iter().find(|t| t.number == source.track) {
            if self.names.len() == NAMES {
                self.names.pop_front();
            }
            self.names.push_back((stream, track.name.clone()));
        }
        Ok((stream, forgotten))
    }

    /// Drops the stream whose last packet is the oldest, if there are already [`EARS`] streams.
    fn make_room(&mut self) -> Option<StreamId> {
        if self.voices.len() < EARS {
            return None;
        }
        let voices = self.voices.iter().enumerate();
        let (oldest, _) = voices.min_by_key(|(_, voice)| voice.last)?;
        Some(self.voices.remove(oldest).stream)
    }

    /// Notes the arrival of a packet of `stream`; `hold`: the time for which a jitter buffer would
    /// hold it back. Call this before [`Hearing::packet`].
    pub(super) fn arrived(&mut self, stream: StreamId, packet: &Packet<'_>, hold: Duration) {
        if let Some(voice) = self.of(stream) {
            voice.ear.arrived(packet, hold);
        }
    }

    /// The condition of the reply on the stream that the turn was judged by, or on the stream that
    /// was received last.
    pub(super) fn reply(
        &mut self,
        stream: Option<StreamId>,
        window: &ReplyWindow,
        now: Instant,
    ) -> Option<ReplyCondition> {
        self.ear_of_reply(stream)?.reply(window, now)
    }

    /// How the agent resumed its reply on that stream; `None` if nobody recognises it.
    pub(super) fn resumed(
        &mut self,
        stream: Option<StreamId>,
        resumption: &Resumption,
    ) -> Option<Resumed> {
        self.ear_of_reply(stream)?.resumed(resumption)
    }

    /// The ear of the stream that a turn was judged by, or of the one that was received last.
    fn ear_of_reply(&mut self, stream: Option<StreamId>) -> Option<&mut Ear> {
        let latest = self.voices.iter().max_by_key(|v| v.last);
        let stream = stream.or(latest.map(|v| v.stream))?;
        Some(&mut self.of(stream)?.ear)
    }

    /// Passes a packet of `stream` to its ear.
    pub(super) fn packet(&mut self, stream: StreamId, packet: &Packet<'_>) {
        if let Some(voice) = self.of(stream) {
            voice.ear.packet(packet);
        }
    }

    /// Informs the ears that no other packet arrived before `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        for voice in &mut self.voices {
            voice.ear.advance(now);
        }
    }

    /// When [`Hearing::advance`] must next be called if no packet arrives.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ears = self.voices.iter();
        ears.filter_map(|voice| voice.ear.poll_timeout()).min()
    }

    /// Takes the next report; the reports of one stream are returned oldest first.
    pub(super) fn poll(&mut self) -> Option<Detection> {
        let several = self.several();
        for voice in &mut self.voices {
            let held_back = voice.sound == Sound::Other && several;
            let stream = voice.stream;
            if !held_back && let Some(heard) = voice.held.pop_front() {
                return Some(Detection {
                    stream,
                    heard,
                    fresh: false,
                    held_back,
                });
            }
            if let Some(heard) = voice.ear.poll_heard() {
                match heard {
                    Heard::Onset(onset) => voice.since = Some(onset.at.wire()),
                    Heard::Ended { .. } | Heard::Dismissed | Heard::Paused { .. } => {
                        voice.since = None;
                    }
                    Heard::Triggered { .. } => {}
                }
                if held_back {
                    if voice.held.len() == HELD {
                        voice.held.pop_front();
                    }
                    voice.held.push_back(heard);
                }
                return Some(Detection {
                    stream,
                    heard,
                    fresh: true,
                    held_back,
                });
            }
        }
        None
    }

    /// The audio around the last reported onset of `stream`, if enough of it is available.
    pub(super) fn around_onset(&self, stream: StreamId) -> Option<Excerpt> {
        let voice = self.voices.iter().find(|v| v.stream == stream)?;
        let mut audio = Vec::new();
        let before = voice.ear.around_onset(Excerpt::BEFORE, &mut audio)?;
        Some(Excerpt { audio, before })
    }

    /// Marks the last reported onset of `stream` as not the agent's.
    pub(super) fn dismiss(&mut self, stream: StreamId) {
        if let Some(voice) = self.of(stream) {
            voice.ear.dismiss();
        }
    }

    /// Whether `stream` must be judged: there are several tracks, the stream is not known to carry
    /// a voice, and no judgement is pending. The judgement is passed to [`Hearing::judged`].
    pub(super) fn asks(&mut self, stream: StreamId) -> bool {
        let several = self.several();
        self.of(stream).is_some_and(|voice| {
            let asks = several && !voice.asked && voice.sound != Sound::Voice;
            voice.asked |= asks;
            asks
        })
    }

    /// The latest audio of `stream` if it must be judged without a new onset, because another track
    /// appeared after the sound had started. Otherwise as [`Hearing::asks`].
    pub(super) fn asks_late(&mut self, stream: StreamId, now: Instant) -> Option<Excerpt> {
        let several = self.several();
        let voice = self.of(stream).filter(|_| several)?;
        let since = voice.since.filter(|since| now >= *since + SPOKEN);
        let asks = since.is_some() && !voice.asked && voice.sound == Sound::Unknown;
        let mut audio = Vec::new();
        if !asks || !voice.ear.latest(Excerpt::LENGTH, &mut audio) {
            return None;
        }
        voice.asked = true;
        let before = Excerpt::BEFORE;
        Some(Excerpt { audio, before })
    }

    /// Holds `stream` back if there is another track and the stream has sounded without a pause for
    /// longer than a voice can. Returns whether this call changed the stream to held back.
    pub(super) fn never_breathes(&mut self, stream: StreamId, now: Instant) -> bool {
        let several = self.several();
        let voice = self.of(stream).filter(|_| several);
        let breathless = |voice: &&mut Voice| {
            let long = voice.since.is_some_and(|since| now >= since + BREATH);
            long && voice.sound != Sound::Other
        };
        let Some(voice) = voice.filter(breathless) else {
            return false;
        };
        voice.hold_back();
        true
    }

    /// The streams that are known to carry no voice.
    pub(super) fn held_back(&self) -> Vec<StreamId> {
        let voices = self.voices.iter().filter(|v| v.sound == Sound::Other);
        voices.map(|v| v.stream).collect()
    }

    /// Processes the judgement of whether `stream` carries a voice; `None` if the judge was too
    /// busy. Returns whether earlier reports for the stream must be discarded.
    pub(super) fn judged(&mut self, stream: StreamId, is_voice: Option<bool>) -> bool {
        let several = self.several();
        let Some(voice) = self.of(stream) else {
            return false;
        };
        voice.asked = false;
        match is_voice {
            Some(true) => {
                voice.sound = Sound::Voice;
                false
            }
            // A stream judged to be a voice stays one, even if an earlier excerpt is judged
            // otherwise afterwards.
            Some(false) if voice.sound == Sound::Voice => false,
            Some(false) if several => {
                voice.hold_back();
                true
            }
            Some(false) => {
                voice.held.clear();
                false
            }
            None => false,
        }
    }

    /// `identity/name` of the track that `stream` belongs to.
    pub(super) fn name(&self, stream: StreamId) -> Option<Arc<str>> {
        let mut names = self.names.iter();
        let found = names.find(|(of, _)| *of == stream);
        found.map(|(_, name)| name.clone())
    }

    /// Adds the name of the track on which a turn's reply was detected.
    pub(super) fn name_track(&self, turn: &mut TurnResult) {
        turn.track = turn.stream.and_then(|stream| self.name(stream));
    }

    /// Whether more than one track may carry the agent's voice.
    fn several(&self) -> bool {
        self.tracks.len() > 1
    }

    fn of(&mut self, stream: StreamId) -> Option<&mut Voice> {
        self.voices.iter_mut().find(|v| v.stream == stream)
    }
}
