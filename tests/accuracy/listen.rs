//! An ear in virtual time: PCM → Opus → packets → onsets.
//!
//! In: PCM. Out: onsets in samples of the input. Invariants: the codec is the caller's own, at
//! 24 kbit/s; only the codec's look-ahead is subtracted.

use loadgen::audio::{Confidence, Ear, FRAME, Heard, OPUS_LOOKAHEAD, Packet, opus};
use std::time::{Duration, Instant};

/// A packet of the encoded input: its frame number and its bytes.
pub type Sent = (u64, Vec<u8>);

/// An onset that the ear detected.
#[derive(Debug, Clone)]
pub struct Found {
    /// Position in the input, in samples.
    pub at: f64,
    /// Time from the arrival of the first packet after a pause to the onset, in samples, minus the
    /// look-ahead.
    pub lead_in: Option<f64>,
    /// Whether the ear's confidence is low.
    pub low: bool,
    /// The audio around the onset, if requested.
    pub audio: Vec<i16>,
    /// Number of samples of `audio` before the onset.
    pub before: usize,
}

/// Encodes without DTX: a packet every 20 ms.
pub fn coded(pcm: &[i16]) -> Vec<Sent> {
    let frames = opus::encode(pcm).expect("libopus");
    (0..).zip(frames.into_iter().map(Vec::from)).collect()
}

/// Encodes with DTX as WebRTC does: a packet of one or two bytes is not sent.
pub fn coded_with_dtx(pcm: &[i16]) -> Vec<Sent> {
    let mut encoder =
        ::opus::Encoder::new(48_000, ::opus::Channels::Mono, ::opus::Application::Voip)
            .expect("libopus");
    encoder
        .set_bitrate(::opus::Bitrate::Bits(opus::BITRATE))
        .expect("libopus");
    encoder.set_dtx(true).expect("libopus");
    let frames = pcm.chunks_exact(FRAME);
    let coded = frames.map(|frame| encoder.encode_vec(frame, 1276).expect("libopus"));
    (0..)
        .zip(coded)
        .filter(|(_, bytes)| bytes.len() > 2)
        .collect()
}

/// The onsets that an ear detects in a stream; packet k (frame k of the input) arrives at
/// (k + 1) · 20 ms. `ask`: the number of samples before each onset to return, together with the
/// audio after it.
pub fn hear(packets: &[Sent], ask: Option<usize>) -> Vec<Found> {
    let start = Instant::now();
    let step = Duration::from_millis(20);
    let mut ear = Ear::new().expect("libopus");
    let mut found = Vec::new();
    let mut drain = |ear: &mut Ear| {
        while let Some(heard) = ear.poll_heard() {
            let Heard::Onset(onset) = heard else { continue };
            if onset.after.is_some() {
                continue; // The talk spurt continues after a pause.
            }
            let samples = |time: Duration| time.as_secs_f64() * 48_000.0;
            let wire = samples(onset.at.wire() - start);
            let first = onset.segment.first_packet;
            let lead_in = first.map(|first| samples(onset.at.wire() - first));
            let mut audio = Vec::new();
            let before = ask.and_then(|before| ear.around_onset(before, &mut audio));
            found.push(Found {
                at: wire - (FRAME + OPUS_LOOKAHEAD) as f64,
                lead_in: lead_in.map(|lead_in| lead_in - OPUS_LOOKAHEAD as f64),
                low: onset.confidence == Confidence::Low,
                audio,
                before: before.unwrap_or(0),
            });
        }
    };
    let last = packets.last().map_or(0, |(k, _)| *k);
    // Frames that DTX does not send consume no sequence numbers.
    let mut next = (0..).zip(packets).peekable();
    // Continue for 1.5 s after the last packet.
    for k in 0..last + 75 {
        let arrival = start + step * (k as u32 + 1);
        match next.next_if(|(_, (number, _))| *number == k) {
            Some((sequence, (_, payload))) => ear.packet(&Packet {
                arrival,
                kernel_stamp: true,
                rtp_time: 1_000_000 + (k * FRAME as u64) as u32,
                sequence,
                level: None,
                payload,
            }),
            None => ear.advance(arrival),
        }
        drain(&mut ear);
    }
    found
}
