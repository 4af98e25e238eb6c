//! Detects the caller's speech for the reference agent, and locates its end to the sample.
//!
//! In: received packets, time. Out: speech started, ended, resumed. Invariant: the time of the last
//! speech sample is the arrival of its packet, less the time from that sample to the packet's end,
//! less the codec's look-ahead. Over a network without delay, this is the sample's capture time on
//! the caller's own clock.

use super::chirps::Chirps;
use crate::audio::{
    AudioError, Codec, EndOfSpeech, FRAME, FRAME_TIME, FrameDecoder, Packet, SpeechEvent, time_of,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Silence after which speech provisionally counts as ended. It is shorter than any useful delay;
/// speech that resumes later cancels the end.
const HANGOVER: Duration = Duration::from_millis(120);
/// Number of packets whose arrivals are kept, enough to cover any detected end of speech.
const KEPT: usize = 64;
/// A caller that sends nothing for this long counts as silent (DTX).
const DTX_GAP: Duration = Duration::from_millis(60);

/// How the agent locates the last sample of its caller's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum EndDetection {
    /// By level, as for any speech.
    #[default]
    Level,
    /// By correlation with the calibration chirp; the agent does not reply to other sounds.
    Chirp,
}

/// A change in the caller's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// The caller began to speak.
    Started {
        /// Capture time of the first speech sample, as far as the level is known by then.
        speech_start: Option<Instant>,
    },
    /// The caller stopped speaking.
    Ended {
        /// Capture time of the last speech sample.
        speech_end: Instant,
        /// Arrival of the packet that contained this sample.
        packet: Instant,
    },
    /// The caller had only paused and speaks again.
    Resumed {
        /// Capture time of the first speech sample after the pause.
        speech_start: Option<Instant>,
    },
}

/// Detects speech on the caller's track.
pub(super) struct Inbound {
    decoder: FrameDecoder,
    /// Number of samples by which decoded audio lags behind the captured audio.
    lookahead: u64,
    end: EndOfSpeech,
    chirps: Option<Chirps>,
    /// Position after the last received sample, and the RTP timestamp at that position.
    next: Option<(u64, u32)>,
    arrivals: VecDeque<(u64, Instant)>,
    last_arrival: Option<Instant>,
    /// Sequence number of the last packet that was used.
    sequence: Option<u64>,
    speaking: bool,
}

impl Inbound {
    pub(super) fn new(hearing: EndDetection, codec: Codec) -> Result<Self, AudioError> {
        Ok(Self {
            decoder: FrameDecoder::new(codec)?,
            lookahead: codec.lookahead() as u64,
            end: EndOfSpeech::new(HANGOVER),
            chirps: (hearing == EndDetection::Chirp).then(Chirps::new),
            next: None,
            arrivals: VecDeque::with_capacity(KEPT + 1),
            last_arrival: None,
            sequence: None,
            speaking: false,
        })
    }

    /// Handles one packet of the caller's track.
    pub(super) fn packet(&mut self, p: &Packet<'_>, tell: &mut dyn FnMut(Caller)) {
        if p.payload.is_empty() {
            return;
        }
        let position = match self.next {
            None => 0,
            Some((next, rtp)) => {
                let ahead = p.rtp_time.wrapping_sub(rtp).cast_signed();
                // A packet whose absence has already counted as silence is placed at `next`, not at
                // its own position. Only its arrival is reported, so the position is irrelevant.
                next + u64::try_from(ahead).unwrap_or(0)
            }
        };
        // A duplicate, or a packet that a later one overtook.
        if self.sequence.is_some_and(|last| p.sequence <= last) {
            return;
        }
        self.sequence = Some(p.sequence);
        let Ok(pcm) = self.decoder.decode(p.payload) else {
            return; // not encoded with this codec
        };
        let n = pcm.len();
        if let Some(chirps) = &mut self.chirps {
            chirps.hear(position, pcm);
        }
        let event = self.end.push(position, pcm);
        self.arrivals.push_back((position, p.arrival));
        if self.arrivals.len() > KEPT {
            self.arrivals.pop_front();
        }
        self.last_arrival = Some(p.arrival);
        self.next = Some((position + n as u64, p.rtp_time.wrapping_add(n as u32)));
        self.tell(event, tell);
    }

    /// When to check for silence if no packet arrives.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.speaking.then_some(self.last_arrival? + DTX_GAP)
    }

    /// Treats the absence of packets until [`Inbound::poll_timeout`] as silence.
    pub(super) fn timeout(&mut self, now: Instant, tell: &mut dyn FnMut(Caller)) {
        if self.poll_timeout().is_none_or(|t| t > now) {
            return;
        }
        if let Some((position, rtp)) = self.next {
            let (position, rtp) = (position + FRAME as u64, rtp.wrapping_add(FRAME as u32));
            self.next = Some((position, rtp));
            self.last_arrival = self.last_arrival.map(|t| t + FRAME_TIME);
            let event = self.end.advance(position);
            self.tell(event, tell);
        }
    }

    /// The agent has taken the turn, so any later speech of the caller is a new utterance.
    pub(super) fn turn_taken(&mut self) {
        self.end.next_utterance();
    }

    /// Capture time of the first sample of the utterance in progress, by its level so far.
    pub(super) fn speech_start(&self) -> Option<Instant> {
        self.captured(self.end.began()?)
    }

    /// Capture time of the decoded sample at `position`.
    fn captured(&self, position: u64) -> Option<Instant> {
        Some(self.capture_time(position + 1)?.0)
    }

    fn tell(&mut self, first: Option<SpeechEvent>, tell: &mut dyn FnMut(Caller)) {
        let mut event = first;
        while let Some(e) = event {
            self.speaking = !matches!(e, SpeechEvent::Ended { .. });
            match e {
                SpeechEvent::Started { position } => tell(Caller::Started {
                    speech_start: self.captured(self.end.without_pre_echo(position)),
                }),
                SpeechEvent::Resumed { position } => tell(Caller::Resumed {
                    speech_start: self.captured(self.end.without_pre_echo(position)),
                }),
                SpeechEvent::Ended { position } => {
                    let end = match &self.chirps {
                        None => Some(position),
                        Some(chirps) => chirps.end_near(position),
                    };
                    let captured = end.and_then(|end| self.capture_time(end));
                    if let Some((speech_end, packet)) = captured {
                        tell(Caller::Ended { speech_end, packet });
                    }
                }
            }
            event = self.end.poll();
        }
    }

    /// Capture time of the decoded sample before `position`, and the arrival of its packet.
    fn capture_time(&self, position: u64) -> Option<(Instant, Instant)> {
        let mut newest_first = self.arrivals.iter().rev();
        let (start, arrival) = newest_first.find(|(start, _)| *start < position)?;
        // Sample n of a packet is captured (960 − n) samples before the packet leaves.
        let into = position - start;
        let after = time_of(FRAME as u64 + self.lookahead);
        let at = (*arrival + time_of(into)).checked_sub(after)?;
        Some((at, *arrival))
    }
}
