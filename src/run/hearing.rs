//! A caller's ears: one for each stream of audio that may be the agent's voice.
//!
//! In: which tracks there are, packets with their track and SSRC. Out: what is heard, by stream.
//! Invariants: a track that is published anew is a new stream with an ear of its own; what is no
//! voice is held back only while there is another track; at most [`EARS`] are kept.

use super::opinions::Excerpt;
use crate::audio::{AudioError, Ear, Heard, Packet};
use crate::call::{StreamId, TurnResult};
use crate::net::AudioPacket;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Streams heard at once, and just before.
const EARS: usize = 4;
/// Reports of one stream that are held back; the oldest is forgotten first.
const HELD: usize = 64;
/// A voice that has spoken for so long is asked about, where nobody asked when it began.
const SPOKEN: Duration = Duration::from_millis(600);
/// What sounds for so long without a pause is no voice: people and their imitations breathe.
const BREATH: Duration = Duration::from_secs(8);
/// Streams whose track's name is remembered.
const NAMES: usize = 16;

/// What is known of the sound of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    /// Not judged: heard as the agent's.
    Unknown,
    /// A voice.
    Voice,
    /// Music, noise: held back.
    Other,
}

/// One stream and its ear.
#[derive(Debug)]
struct Voice {
    stream: StreamId,
    track: u32,
    ssrc: u32,
    /// Arrival of its last packet.
    last: Instant,
    ear: Ear,
    sound: Sound,
    /// A question about its sound is open.
    asked: bool,
    /// It has been sounding since then without a pause.
    since: Option<Instant>,
    held: VecDeque<Heard>,
}

/// A track that may be the agent's voice.
#[derive(Debug)]
struct Track {
    number: u32,
    sid: String,
    name: Arc<str>,
}

/// What an ear has noticed, and whether it counts.
#[derive(Debug)]
pub(super) struct Report {
    pub stream: StreamId,
    pub heard: Heard,
    /// The ear has only just said so: the audio around an onset can be had.
    pub fresh: bool,
    /// The stream is held back: only a voice would change that.
    pub held_back: bool,
}

/// The ears of a caller.
#[derive(Debug)]
pub(super) struct Hearing {
    /// The ear for the first stream, which must not wait for memory.
    spare: Option<Ear>,
    voices: Vec<Voice>,
    tracks: Vec<Track>,
    tracks_so_far: u32,
    streams_so_far: StreamId,
    names: VecDeque<(StreamId, Arc<str>)>,
}

impl Hearing {
    /// Hears nothing yet.
    pub(super) fn new() -> Result<Self, AudioError> {
        Ok(Self {
            spare: Some(Ear::new()?),
            voices: Vec::new(),
            tracks: Vec::new(),
            tracks_so_far: 0,
            streams_so_far: 0,
            names: VecDeque::new(),
        })
    }

    /// A track begins to reach us; gives the number that its packets are to bear. `name`: whose
    /// it is and what it is called.
    pub(super) fn track(&mut self, sid: &str, name: Arc<str>) -> u32 {
        self.track_gone(sid);
        let number = self.tracks_so_far;
        self.tracks_so_far += 1;
        let sid = sid.to_owned();
        self.tracks.push(Track { number, sid, name });
        number
    }

    /// A track has ended; gives its number. What was heard of it last is still told.
    pub(super) fn track_gone(&mut self, sid: &str) -> Option<u32> {
        let at = self.tracks.iter().position(|t| t.sid == sid)?;
        Some(self.tracks.remove(at).number)
    }

    /// The number of a track.
    pub(super) fn number_of(&self, sid: &str) -> Option<u32> {
        let track = self.tracks.iter().find(|t| t.sid == sid)?;
        Some(track.number)
    }

    /// The streams that came in track `number`.
    pub(super) fn streams_of(&self, number: u32) -> Vec<StreamId> {
        let voices = self.voices.iter().filter(|v| v.track == number);
        voices.map(|v| v.stream).collect()
    }

    /// The stream that a packet belongs to, and one that is forgotten for it.
    pub(super) fn stream(
        &mut self,
        packet: &AudioPacket<'_>,
    ) -> Result<(StreamId, Option<StreamId>), AudioError> {
        let own = |v: &&mut Voice| v.track == packet.track && v.ssrc == packet.ssrc;
        if let Some(voice) = self.voices.iter_mut().find(own) {
            voice.last = packet.arrival;
            return Ok((voice.stream, None));
        }
        let ear = match self.spare.take() {
            Some(ear) => ear,
            None => Ear::new()?,
        };
        let forgotten = self.make_room();
        let stream = self.streams_so_far;
        self.streams_so_far += 1;
        self.voices.push(Voice {
            stream,
            track: packet.track,
            ssrc: packet.ssrc,
            last: packet.arrival,
            ear,
            sound: Sound::Unknown,
            asked: false,
            since: None,
            held: VecDeque::new(),
        });
        if let Some(track) = self.tracks.iter().find(|t| t.number == packet.track) {
            if self.names.len() == NAMES {
                self.names.pop_front();
            }
            self.names.push_back((stream, track.name.clone()));
        }
        Ok((stream, forgotten))
    }

    /// Forgets the stream that has been silent for longest, where there are too many.
    fn make_room(&mut self) -> Option<StreamId> {
        if self.voices.len() < EARS {
            return None;
        }
        let voices = self.voices.iter().enumerate();
        let (oldest, _) = voices.min_by_key(|(_, voice)| voice.last)?;
        Some(self.voices.remove(oldest).stream)
    }

    /// Hears a packet of `stream`.
    pub(super) fn packet(&mut self, stream: StreamId, packet: &Packet<'_>, level: Option<u8>) {
        if let Some(voice) = self.of(stream) {
            voice.ear.packet_of_level(packet, level);
        }
    }

    /// Nothing else arrived until `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        for voice in &mut self.voices {
            voice.ear.advance(now);
        }
    }

    /// When [`Hearing::advance`] will have something to do if no packet comes.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ears = self.voices.iter();
        ears.filter_map(|voice| voice.ear.poll_timeout()).min()
    }

    /// The oldest report of a stream that was not told.
    pub(super) fn poll(&mut self) -> Option<Report> {
        let several = self.tracks.len() > 1;
        for voice in &mut self.voices {
            let held_back = voice.sound == Sound::Other && several;
            let stream = voice.stream;
            if !held_back && let Some(heard) = voice.held.pop_front() {
                return Some(Report {
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
                return Some(Report {
                    stream,
                    heard,
                    fresh: true,
                    held_back,
                });
            }
        }
        None
    }

    /// The audio around the onset told last of `stream`, where there is enough of it.
    pub(super) fn around_onset(&self, stream: StreamId) -> Option<Excerpt> {
        let voice = self.voices.iter().find(|v| v.stream == stream)?;
        let mut audio = Vec::new();
        let before = voice.ear.around_onset(Excerpt::BEFORE, &mut audio)?;
        Some(Excerpt { audio, before })
    }

    /// The onset told last of `stream` is not the agent's.
    pub(super) fn dismiss(&mut self, stream: StreamId) {
        if let Some(voice) = self.of(stream) {
            voice.ear.dismiss();
        }
    }

    /// Whether somebody must say what the sound of `stream` is: there are several tracks, and it
    /// is not known to be a voice. The answer goes to [`Hearing::judged`].
    pub(super) fn asks(&mut self, stream: StreamId) -> bool {
        let several = self.tracks.len() > 1;
        self.of(stream).is_some_and(|voice| {
            let asks = several && !voice.asked && voice.sound != Sound::Voice;
            voice.asked |= asks;
            asks
        })
    }

    /// A part of what sounds in `stream` now, where somebody must say what it is although it is
    /// no beginning: another track came after it had begun. As [`Hearing::asks`] otherwise.
    pub(super) fn asks_late(&mut self, stream: StreamId, now: Instant) -> Option<Excerpt> {
        let several = self.tracks.len() > 1;
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

    /// Whether `stream` has sounded for longer than a voice can, and there is another track.
    pub(super) fn never_breathes(&mut self, stream: StreamId, now: Instant) -> bool {
        let several = self.tracks.len() > 1;
        several
            && self.of(stream).is_some_and(|voice| {
                let long = voice.since.is_some_and(|since| now >= since + BREATH);
                long && voice.sound != Sound::Other
            })
    }

    /// The sound of `stream` was judged; `None`: nobody had time for it. Gives whether what was
    /// told of the stream is to be forgotten.
    pub(super) fn judged(&mut self, stream: StreamId, is_voice: Option<bool>) -> bool {
        let several = self.tracks.len() > 1;
        let Some(voice) = self.of(stream) else {
            return false;
        };
        voice.asked = false;
        match is_voice {
            Some(true) => {
                voice.sound = Sound::Voice;
                false
            }
            Some(false) => {
                let forgets = several && voice.sound != Sound::Other;
                if forgets {
                    voice.sound = Sound::Other;
                }
                // What was held back before this onset stays unsaid.
                voice.held.clear();
                forgets
            }
            None => false,
        }
    }

    /// Whose track `stream` is, and its name.
    pub(super) fn name(&self, stream: StreamId) -> Option<Arc<str>> {
        let mut names = self.names.iter();
        let found = names.find(|(of, _)| *of == stream);
        found.map(|(_, name)| name.clone())
    }

    /// Names the track that a turn's reply was heard on.
    pub(super) fn name_track(&self, turn: &mut TurnResult) {
        turn.track = turn.stream.and_then(|stream| self.name(stream));
    }

    fn of(&mut self, stream: StreamId) -> Option<&mut Voice> {
        self.voices.iter_mut().find(|v| v.stream == stream)
    }
}
