//! Tests of what an ear says about the condition of a reply.

use super::Condition;
use crate::audio::ear::burst::HOP;
use crate::audio::ear::track::Track;
use crate::audio::test_signals::{FIXTURES, sine};
use crate::audio::{Ear, Packet, ReplyWindow, opus};
use crate::vocab::ReplyCondition;
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);

/// A packet on its way: its number, the frame in it, and when it arrives after the start.
type Sent = (u64, u64, Duration);

/// The packet with frame number `frame` of a stream.
fn packet(arrival: Instant, sequence: u64, frame: u64, payload: &[u8]) -> Packet<'_> {
    Packet {
        arrival,
        kernel_stamp: true,
        rtp_time: frame as u32 * 960,
        sequence,
        level: None,
        payload,
    }
}

/// Passes a packet to an ear; `hold`: what the jitter buffer holds.
fn hear(ear: &mut Ear, packet: Packet<'_>, hold: Duration) {
    ear.arrived(&packet, hold);
    ear.packet(&packet);
    while ear.poll_heard().is_some() {}
}

/// Everything that was heard since `from`.
fn window_from(from: Instant) -> ReplyWindow {
    ReplyWindow {
        from,
        speech_end: from,
        until: None,
    }
}

/// What an ear says about these packets of a spoken reply; `hold`: what the jitter buffer holds.
fn heard(sent: &[Sent], hold: Duration) -> ReplyCondition {
    let frames = opus::encode(&FIXTURES[0].pcm()).expect("libopus");
    let silence = opus::silence_frame().expect("libopus");
    let mut ear = Ear::new().expect("libopus");
    let zero = Instant::now();
    let mut last = zero;
    for &(sequence, frame, arrival) in sent {
        last = zero + arrival;
        // The reply begins after half a second of silence.
        let of_reply = frame.checked_sub(25).and_then(|k| frames.get(k as usize));
        let payload = of_reply.unwrap_or(&silence);
        hear(&mut ear, packet(last, sequence, frame, payload), hold);
    }
    let window = window_from(zero);
    let end = last + Duration::from_secs(5);
    ear.advance(end);
    while ear.poll_heard().is_some() {}
    ear.reply(&window, end).expect("a reply")
}

/// Frames that arrive when they are due.
fn on_time(frames: std::ops::Range<u64>) -> impl Iterator<Item = Sent> {
    frames.map(|k| (k, k, FRAME * k as u32))
}

/// A frame in the middle of a word of the reply.
fn inside() -> u64 {
    let pcm = FIXTURES[0].pcm();
    let energy = |k: usize| -> i64 {
        let frame = pcm.get(k * 960..(k + 1) * 960).unwrap_or_default();
        frame.iter().map(|&x| i64::from(x) * i64::from(x)).sum()
    };
    let loudest = (20..40).max_by_key(|&k| energy(k - 1).min(energy(k)).min(energy(k + 1)));
    25 + loudest.expect("not empty") as u64
}

const HELD: Duration = Duration::from_millis(40);

#[test]
fn a_reply_on_time_has_no_stall_burst_or_underrun() {
    let reply = heard(&on_time(0..150).collect::<Vec<_>>(), HELD);
    assert_eq!(reply.sender_stalls.count + reply.network_stalls.count, 0);
    assert_eq!(reply.underruns.count + reply.bursts.count, 0);
    assert!(reply.level_dbfs.is_some_and(|level| level < 0.0));
    assert_eq!(reply.stereo, None);
}

#[test]
fn late_packets_in_an_unbroken_sequence_are_the_senders_stall() {
    let at = inside();
    let late = Duration::from_millis(200);
    let shifted = |(n, frame, arrival): Sent| match frame >= at {
        true => (n, frame, arrival + late),
        false => (n, frame, arrival),
    };
    let reply = heard(&on_time(0..150).map(shifted).collect::<Vec<_>>(), HELD);
    assert_eq!(
        (reply.sender_stalls.count, reply.sender_stalls.longest),
        (1, late)
    );
    assert_eq!(reply.network_stalls.count, 0);
}

#[test]
fn missing_packets_are_the_networks_stall() {
    let at = inside();
    let kept = on_time(0..150).filter(|(_, frame, _)| !(at..at + 5).contains(frame));
    let reply = heard(&kept.collect::<Vec<_>>(), HELD);
    assert_eq!(reply.network_stalls.count, 1);
    assert_eq!(reply.network_stalls.total, 5 * FRAME);
    assert_eq!(reply.sender_stalls.count, 0);
}

#[test]
fn audio_ahead_of_time_is_a_burst_and_no_stall() {
    let at = inside();
    let early = |(n, frame, arrival): Sent| match (at..at + 10).contains(&frame) {
        true => (n, frame, FRAME * at as u32),
        false => (n, frame, arrival),
    };
    let reply = heard(&on_time(0..150).map(early).collect::<Vec<_>>(), HELD);
    assert_eq!(reply.bursts.count, 1);
    assert_eq!(reply.bursts.longest, 9 * FRAME);
    assert_eq!(
        reply.sender_stalls.count, 0,
        "the sender waits because it is ahead"
    );
}

#[test]
fn a_frame_that_comes_after_its_playout_is_an_underrun() {
    let at = inside();
    let late = |(n, frame, arrival): Sent| match frame == at {
        true => (n, frame, arrival + Duration::from_millis(15)),
        false => (n, frame, arrival),
    };
    let sent: Vec<Sent> = on_time(0..150).map(late).collect();
    let reply = heard(&sent, Duration::ZERO);
    assert_eq!(reply.underruns.count, 1);
    assert_eq!(reply.underruns.total, Duration::from_millis(15));
    assert_eq!(heard(&sent, HELD).underruns.count, 0, "held back");
}

#[test]
fn a_tone_is_neither_a_cut_head_nor_a_cut_tail() {
    let frequencies = [300.0, 440.0, 600.0, 800.0, 1_000.0, 1_500.0];
    let tones = frequencies
        .iter()
        .flat_map(|hz| [100, 300, 1_000].map(|ms| (*hz, ms)));
    for (hz, ms) in tones {
        let mut pcm = vec![0; 48_000];
        pcm.extend(sine(hz, -20.0, 48 * ms));
        pcm.extend([0; 96_000]);
        let mut ear = Ear::new().expect("libopus");
        let zero = Instant::now();
        for (k, payload) in (0u64..).zip(opus::encode(&pcm).expect("libopus")) {
            hear(
                &mut ear,
                packet(zero + FRAME * k as u32, k, k, &payload),
                HELD,
            );
        }
        let reply = ear.reply(&window_from(zero), zero + Duration::from_secs(9));
        let reply = reply.expect("a reply");
        let cut = reply.truncated_head || reply.truncated_tail;
        assert!(!cut, "{hz} Hz for {ms} ms");
    }
}

#[test]
fn streams_of_any_timing_and_order_are_judged_without_panic() {
    let frames = opus::encode(&FIXTURES[0].pcm()).expect("libopus");
    for seed in 1..=60u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = |bound: u64| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
        };
        let mut ear = Ear::new().expect("libopus");
        let zero = Instant::now();
        let (mut now, mut rtp_time, mut sequence) = (zero, 0u32, 0u64);
        for k in 0..200usize {
            let (step, passed) = match draw(12) {
                0 => (draw(1 << 32) as u32, draw(30_000)),
                1 => (draw(5_000) as u32, draw(3_000)),
                2 => (960 + draw(900) as u32, 20),
                _ => (960, 20),
            };
            now += Duration::from_millis(passed);
            rtp_time = rtp_time.wrapping_add(step);
            sequence = match draw(20) {
                0 => draw(u64::MAX >> 33),
                1 => sequence + draw(30),
                _ => sequence + 1,
            };
            let packet = Packet {
                rtp_time,
                ..packet(now, sequence, 0, &frames[k % frames.len()])
            };
            hear(&mut ear, packet, Duration::from_millis(draw(200)));
            if draw(10) == 0 {
                let window = ReplyWindow {
                    until: Some(now),
                    ..window_from(zero)
                };
                // The settled end of a talk spurt need not be at the end of a hop.
                let _ = ear.reply(&window, now + Duration::from_secs(draw(3)));
            }
        }
    }
}

/// What the condition costs, as a share of everything that an ear does for a packet.
#[test]
#[ignore = "depends on the machine: cargo test --lib -- --ignored condition_costs"]
fn the_condition_costs_a_small_part_of_an_ear() {
    let frames: Vec<_> = FIXTURES
        .iter()
        .flat_map(|fixture| opus::encode(&fixture.pcm()).expect("libopus"))
        .collect();
    let zero = Instant::now();
    let packet = |k: usize| {
        let payload = &frames[k % frames.len()];
        packet(zero + FRAME * k as u32, k as u64, k as u64, payload)
    };
    let count = 10 * frames.len();
    let mut ear = Ear::new().expect("libopus");
    let begun = Instant::now();
    for k in 0..count {
        ear.arrived(&packet(k), HELD);
        ear.packet(&packet(k));
        while ear.poll_heard().is_some() {}
    }
    let whole = begun.elapsed();
    let mut decoder = opus::Decoder::new().expect("libopus");
    let (mut track, mut condition) = (Track::new(), Condition::new());
    let mut spent = Duration::ZERO;
    for k in 0..count {
        let pcm = decoder.decode(packet(k).payload).expect("own packet");
        let end = track.end();
        track.push(pcm, Some(packet(k).arrival));
        let begun = Instant::now();
        condition.arrived(&packet(k), HELD, end);
        for hop in (end..track.end()).step_by(HOP as usize) {
            condition.hop(&track, hop + HOP, track.energy(hop, hop + HOP));
        }
        spent += begun.elapsed();
    }
    let share = spent.as_secs_f64() / whole.as_secs_f64();
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    assert!(
        share < 0.3,
        "{count} packets: ear {:.2} µs, condition {:.2} µs a packet",
        micros(whole),
        micros(spent)
    );
}
