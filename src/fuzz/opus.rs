//! An agent's audio, as Opus or PCM, with arbitrary timing, order and losses.
//!
//! In: a codec, then packets: steps of sequence number, timestamp and arrival, a level, a payload.
//! Properties: a decoded packet is exactly as long as it states; the events reported are in order
//! and not in the future; the recording fills its window.

use super::input::Input;
use super::planted::planted;
use crate::audio::packets::{HeldPacket, PacketRing};
use crate::audio::replay::{Loudspeaker, Window};
use crate::audio::{Codec, Ear, FrameDecoder, Heard, MAX_PACKET, Packet, opus, samples_in, tone};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Maximum number of packets in one input.
const PACKETS: usize = 200;
/// Time simulated after the last packet.
const AFTER: Duration = Duration::from_secs(3);
/// Longest span of a recording.
const WINDOW: Duration = Duration::from_secs(2);
/// The replay is also taken in parts of this many samples.
const PART: usize = 7_001;

/// Packets of silence and of a tone, to which an input can refer.
static KNOWN: LazyLock<Vec<Box<[u8]>>> = LazyLock::new(|| {
    let mut pcm = vec![0; 9_600];
    pcm.extend(tone(Duration::from_millis(400)));
    opus::encode(&pcm).expect("libopus")
});

/// The listeners of one input.
struct Listeners {
    ear: Ear,
    decoder: FrameDecoder,
    codec: Codec,
    kept: PacketRing,
    start: Instant,
    now: Instant,
    heard: Vec<Heard>,
}

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let codec = match input.byte() % 4 {
        0 => Codec::Pcm,
        _ => Codec::Opus,
    };
    let start = Instant::now();
    let mut listeners = Listeners {
        ear: Ear::of(codec).expect("libopus"),
        decoder: FrameDecoder::new(codec).expect("libopus"),
        codec,
        kept: PacketRing::new(codec),
        start,
        now: start,
        heard: Vec::new(),
    };
    let (mut sequence, mut rtp_time) = (u64::from(input.u16()), input.u32());
    for _ in 0..PACKETS {
        if input.is_empty() {
            break;
        }
        let flags = input.byte();
        let (step, time) = match flags & 3 {
            0 => (input.byte().cast_signed().into(), input.u32()),
            1 => (2, 1_920),
            _ => (1, 960),
        };
        sequence = sequence.saturating_add_signed(step);
        rtp_time = rtp_time.wrapping_add(time);
        listeners.now += match flags & 12 {
            0 => Duration::from_millis(input.u16().into()),
            4 => Duration::ZERO,
            _ => Duration::from_millis(20),
        };
        let level = (flags & 16 != 0).then(|| input.byte() & 0x7f);
        let payload = match flags & 32 {
            0 => &KNOWN[usize::from(input.byte()) % KNOWN.len()],
            _ => input.long(),
        };
        listeners.packet(sequence, rtp_time, level, payload);
    }
    listeners.end();
}

impl Listeners {
    fn packet(&mut self, sequence: u64, rtp_time: u32, level: Option<u8>, payload: &[u8]) {
        let packet = Packet {
            arrival: self.now,
            kernel_stamp: true,
            rtp_time,
            sequence,
            level,
            payload,
        };
        self.kept.push(&HeldPacket {
            packet,
            hold: Duration::from_millis(20),
            stream: 0,
        });
        let length = self.length(payload);
        if let Ok(samples) = self.decoder.decode(payload) {
            assert!(samples.len() <= MAX_PACKET, "{} samples", samples.len());
            assert!(length.is_none_or(|length| length == samples.len()));
        }
        self.ear.packet(&packet);
        self.drain();
        self.ear.advance(self.now);
        self.drain();
    }

    /// The length that a packet states; `None` for PCM packets, which state no length.
    fn length(&self, payload: &[u8]) -> Option<usize> {
        match &self.decoder {
            FrameDecoder::Opus(decoder) => decoder.length(payload).ok(),
            FrameDecoder::Pcm(_) => None,
        }
    }

    fn drain(&mut self) {
        while let Some(heard) = self.ear.poll_heard() {
            let at = match heard {
                Heard::Triggered { at } => Some(at),
                Heard::Onset(onset) => Some(onset.at),
                Heard::Paused { last_audible, .. } | Heard::Ended { last_audible, .. } => {
                    Some(last_audible)
                }
                Heard::Dismissed => panic!("nothing was dismissed"),
            };
            if let Some(at) = at {
                assert!(at.arrival <= self.now, "detected before it arrived");
            }
            self.heard.push(heard);
        }
    }

    fn end(mut self) {
        let last = self.now;
        while self.now < last + AFTER {
            self.now += Duration::from_millis(10);
            self.ear.advance(self.now);
            self.drain();
        }
        in_order(&self.heard);
        let audible = self.ear.is_audible();
        assert!(
            !audible || self.ear.poll_timeout().is_some(),
            "a spurt without an end"
        );
        let length = WINDOW.min(last - self.start + Duration::from_millis(200));
        let window = Window {
            start: self.start,
            length: samples_in(length) as usize,
        };
        let copied = self.kept.copied();
        let play = || Loudspeaker::new(copied.iter(), window, self.codec, None);
        let played = play().part(window.length).expect("a decoder");
        assert_eq!(played.len(), window.length);
        let (mut again, mut parts) = (play(), Vec::new());
        while parts.len() < played.len() {
            parts.extend(again.part(PART).expect("a decoder"));
        }
        assert!(parts == played, "the parts differ from the whole");
        let onsets = self.heard.iter().filter(|h| matches!(h, Heard::Onset(_)));
        let (onsets, length) = (onsets.count(), self.heard.len());
        planted([onsets > 0, onsets > 1, length > 7]);
    }
}

/// Checks that every spurt is triggered, has one onset, and then ends.
fn in_order(heard: &[Heard]) {
    let mut triggered = false;
    let mut onsets = 0;
    for event in heard {
        match event {
            Heard::Triggered { .. } => triggered = true,
            Heard::Onset(_) => {
                assert!(triggered, "an onset without a trigger: {heard:?}");
                triggered = false;
                onsets += 1;
            }
            Heard::Paused { .. } => assert!(onsets > 0, "a pause without an onset: {heard:?}"),
            Heard::Ended { .. } => {
                assert!(onsets > 0, "an end without an onset: {heard:?}");
                onsets = 0;
            }
            Heard::Dismissed => {}
        }
    }
}
