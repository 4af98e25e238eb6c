//! The ear on synthetic signals: tables whose onsets are known by construction, and streams with
//! gaps, losses, reordering and resets.

mod accuracy;
mod segments;
mod streams;

use super::*;
use crate::audio::test_signals::{mix, noise, sine};
use crate::audio::{Confidence, Onset, RATE, SPURT_GAP, opus};

/// A packet as sent on the wire.
#[derive(Debug, Clone)]
struct Sent {
    at: Duration,
    rtp: u32,
    sequence: u64,
    payload: Vec<u8>,
}

/// First RTP timestamp of the streams in these tests: close to the wrap-around.
const RTP_START: u32 = u32::MAX - 100_000;

/// Encodes a stream without DTX, a packet every 20 ms; packet k arrives at (k + 1) · 20 ms.
fn stream(pcm: &[i16]) -> Vec<Sent> {
    let frames = opus::encode(pcm).expect("libopus");
    let packet = |(k, payload): (usize, Box<[u8]>)| Sent {
        at: Duration::from_millis(20) * (k as u32 + 1),
        rtp: RTP_START.wrapping_add((k * FRAME) as u32),
        sequence: 70 + k as u64,
        payload: payload.into_vec(),
    };
    frames.into_iter().enumerate().map(packet).collect()
}

/// A reported event, with instants as durations since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Triggered(Duration),
    Onset(Onset, Duration),
    Paused(Duration, bool),
    Ended(Duration),
    BrokeOff(Duration),
}

/// Plays packets in order, with a tick every 10 ms between them and three seconds without packets
/// after the last. Returns the reported events, each with the time of its report.
fn hear(packets: &[Sent]) -> Vec<(Duration, Told)> {
    let start = Instant::now();
    let mut ear = Ear::new().expect("libopus");
    let mut told = Vec::new();
    let mut now = Duration::ZERO;
    let mut drain = |ear: &mut Ear, now: Duration| {
        while let Some(heard) = ear.poll_heard() {
            told.push((
                now,
                match heard {
                    Heard::Triggered { at } => Told::Triggered(at.wire() - start),
                    Heard::Onset(onset) => Told::Onset(onset, onset.at.wire() - start),
                    Heard::Paused { last_audible, hard } => {
                        Told::Paused(last_audible.wire() - start, hard)
                    }
                    Heard::Dismissed => unreachable!("no test dismisses a spurt"),
                    Heard::Ended {
                        last_audible,
                        broke_off: false,
                    } => Told::Ended(last_audible.wire() - start),
                    Heard::Ended { last_audible, .. } => {
                        Told::BrokeOff(last_audible.wire() - start)
                    }
                },
            ));
        }
    };
    for sent in packets {
        while now + Duration::from_millis(10) < sent.at {
            now += Duration::from_millis(10);
            ear.advance(start + now);
            drain(&mut ear, now);
        }
        now = now.max(sent.at);
        let Sent {
            at,
            rtp,
            sequence,
            ref payload,
        } = *sent;
        ear.packet(&Packet {
            arrival: start + at,
            kernel_stamp: true,
            rtp_time: rtp,
            sequence,
            level: None,
            payload,
        });
        drain(&mut ear, now);
    }
    for _ in 0..300 {
        now += Duration::from_millis(10);
        ear.advance(start + now);
        drain(&mut ear, now);
    }
    told
}

/// Onsets of spurts, in milliseconds of the input (without arrival delay and look-ahead).
fn onsets(told: &[(Duration, Told)]) -> Vec<f64> {
    onsets_where(told, |onset| onset.after.is_none())
}

/// Onsets after pauses inside spurts, in milliseconds of the input.
fn resumptions(told: &[(Duration, Told)]) -> Vec<f64> {
    onsets_where(told, |onset| onset.after.is_some())
}

fn onsets_where(told: &[(Duration, Told)], wanted: impl Fn(&Onset) -> bool) -> Vec<f64> {
    let at = |told: &(Duration, Told)| match told.1 {
        Told::Onset(onset, wire) if wanted(&onset) => Some(input_ms(wire)),
        _ => None,
    };
    told.iter().filter_map(at).collect()
}

fn ends(told: &[(Duration, Told)]) -> Vec<f64> {
    let at = |told: &(Duration, Told)| match told.1 {
        Told::Ended(wire) | Told::BrokeOff(wire) => Some(input_ms(wire)),
        _ => None,
    };
    told.iter().filter_map(at).collect()
}

/// Position in the input, in milliseconds, of a sample received at `wire`.
fn input_ms(wire: Duration) -> f64 {
    wire.as_secs_f64() * 1000.0 - 20.0 - 6.5
}

/// Each spurt is reported in order: triggered, onset, paused, (triggered, onset, paused)…, ended.
fn check_order(name: &str, told: &[(Duration, Told)]) {
    let mut before = 'e';
    for (_, told) in told {
        let (step, after) = match told {
            Told::Triggered(_) => ('t', "ep"),
            Told::Onset(..) => ('o', "t"),
            // A pause is reported again if a short sound follows it.
            Told::Paused(..) => ('p', "op"),
            Told::Ended(_) | Told::BrokeOff(_) => ('e', "p"),
        };
        assert!(after.contains(before), "{name}: {told:?} out of order");
        before = step;
    }
    assert_eq!(before, 'e', "{name}: a spurt was not finished");
}

fn ms(samples_ms: usize) -> usize {
    samples_ms * RATE as usize / 1000
}

fn silence(length_ms: usize) -> Vec<i16> {
    vec![0; ms(length_ms)]
}
