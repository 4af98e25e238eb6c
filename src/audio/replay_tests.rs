//! Sounds at known positions, sent as packets, must be reconstructed at those positions.

use super::*;
use crate::audio::packets::{PacketRing, Packets};
use crate::audio::test_signals::noise;
use crate::audio::{FRAME_TIME, Packet, opus, samples_in, time_of, tone};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn window(start: Instant, length: Duration) -> Window {
    Window {
        start,
        length: samples_in(length) as usize,
    }
}

/// The first sample louder than −30 dBFS, in milliseconds.
fn onset(pcm: &[i16]) -> f64 {
    let at = pcm.iter().position(|x| x.unsigned_abs() > 1_000);
    at.expect("a sound") as f64 / 48.0
}

/// Plays a track with a tone at `from`: packet k arrives at `arrives(k)` after the start and is
/// held for `hold(k)`; the `lost` packets do not arrive.
fn played(
    from: Duration,
    arrives: impl Fn(u32) -> Duration,
    hold: impl Fn(u32) -> Duration,
    lost: &[u32],
    anchor: Option<u32>,
) -> Pcm {
    let mut track = vec![0i16; samples_in(from) as usize];
    track.extend(tone(ms(500)));
    let start = Instant::now();
    let mut ring = PacketRing::new(Codec::Opus);
    for (k, payload) in (0u32..).zip(opus::encode(&track).expect("libopus")) {
        if lost.contains(&k) {
            continue;
        }
        ring.push(&HeldPacket {
            packet: Packet {
                arrival: start + arrives(k),
                kernel_stamp: true,
                rtp_time: k.wrapping_mul(FRAME as u32),
                sequence: u64::from(k),
                level: None,
                payload: &payload,
            },
            hold: hold(k),
            stream: 0,
        });
    }
    let anchor = anchor.map(|k| start + arrives(k));
    let copied = ring.copied();
    let window = window(start, ms(2_000));
    let mut played = Loudspeaker::new(copied.iter(), window, Codec::Opus, anchor);
    played.part(window.length).expect("libopus")
}

/// The codec's look-ahead.
const CODEC_MS: f64 = 6.5;

fn near(name: &str, found: f64, expected: f64) {
    let off = found - CODEC_MS - expected;
    assert!(off.abs() < 2.0, "{name}: {found:.2} for {expected:.2} ms");
}

#[test]
fn a_sound_is_played_at_its_arrival_plus_its_hold() {
    let steady = |k: u32| FRAME_TIME * k;
    let at = ms(610); // inside packet 30
    near(
        "on time",
        onset(&played(at, steady, |_| ms(0), &[], None)),
        610.0,
    );
    near(
        "held",
        onset(&played(at, steady, |_| ms(40), &[], None)),
        650.0,
    );
    // The buffer's target rose in the pause before the sound.
    let learned = |k| ms(if k < 20 { 20 } else { 60 });
    near(
        "target rose",
        onset(&played(at, steady, learned, &[], None)),
        670.0,
    );
    let sank = |k| ms(if k < 20 { 80 } else { 20 });
    near(
        "target fell",
        onset(&played(at, steady, sank, &[], None)),
        630.0,
    );
    // Jitter that the hold compensates is inaudible.
    let jitter = |k: u32| FRAME_TIME * k + ms(u64::from(k % 3) * 5);
    let evened = |k: u32| ms(40 - u64::from(k % 3) * 5);
    let even = played(at, jitter, evened, &[], None);
    let smooth = played(at, steady, |_| ms(40), &[], None);
    assert_eq!(even, smooth);
    // The reply begins with a packet that arrived late.
    let stalled = |k: u32| FRAME_TIME * k + ms(if k >= 30 { 200 } else { 0 });
    near(
        "late",
        onset(&played(at, stalled, |_| ms(0), &[], Some(30))),
        810.0,
    );
}

#[test]
fn only_the_onset_packet_is_repositioned_in_mid_spurt() {
    // The target changes during the tone, but the audio stays contiguous.
    let steady = |k: u32| FRAME_TIME * k;
    let changes = |k: u32| ms(if k < 40 { 40 } else { 20 });
    let torn = played(ms(610), steady, changes, &[], None);
    assert_eq!(torn, played(ms(610), steady, |_| ms(40), &[], None));
    // In contrast, the packet of the onset is placed by its own hold.
    let own = played(ms(610), steady, changes, &[], Some(40));
    assert_ne!(own, torn);
}

#[test]
fn losses_are_concealed_by_the_codec() {
    let steady = |k: u32| FRAME_TIME * k;
    let whole = played(ms(610), steady, |_| ms(20), &[], None);
    let lost = played(ms(610), steady, |_| ms(20), &[40, 41], None);
    let energy = |pcm: &[i16]| pcm.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let gap = 41 * FRAME..43 * FRAME;
    assert!(
        energy(&lost[gap.clone()]) > 0.1 * energy(&whole[gap]),
        "concealed"
    );
    // Concealment of a long loss becomes silent after a tenth of a second.
    let many: Vec<u32> = (40..52).collect();
    let lost = played(ms(610), steady, |_| ms(20), &many, None);
    assert_eq!(energy(&lost[49 * FRAME..50 * FRAME]), 0.0);
    assert!(
        energy(&lost[54 * FRAME..55 * FRAME]) > 0.0,
        "the tone resumes after the loss"
    );
}

fn sent<'a>(frames: impl Iterator<Item = SaidFrame<'a>>, window: Window) -> Pcm {
    let mut microphone = Microphone::new(frames, window, Codec::Opus).expect("libopus");
    microphone.part(window.length).expect("libopus")
}

#[test]
fn the_callers_frames_are_placed_at_their_capture_time() {
    let start = Instant::now();
    let sound = tone(ms(300));
    let frames = opus::encode(&sound).expect("libopus");
    let first = start + ms(250);
    let said = |turn: usize, first: Instant| {
        let frames = frames.iter().enumerate();
        frames.map(move |(k, payload)| SaidFrame {
            turn,
            captured: first + FRAME_TIME * k as u32,
            payload,
        })
    };
    let both = said(0, first).chain(said(1, start + ms(1_000)));
    let pcm = sent(both, window(start, ms(2_000)));
    assert_eq!(pcm.len(), 96_000);
    assert!((onset(&pcm) - 250.0).abs() < 2.0, "{}", onset(&pcm));
    let second = &pcm[samples_in(ms(800)) as usize..];
    assert!((onset(second) - 200.0).abs() < 2.0, "{}", onset(second));
    let ends = pcm[..38_400].iter().rposition(|x| x.unsigned_abs() > 1_000);
    let ends = time_of(ends.expect("a sound") as u64);
    assert!(ends.abs_diff(ms(550)) < ms(3), "{ends:?}");
}

#[test]
fn frames_outside_the_window_are_clipped() {
    let start = Instant::now();
    let frame = opus::encode(&tone(ms(20))).expect("libopus").remove(0);
    for offset in [-5_000i64, -30, -10, 0, 10, 30, 5_000] {
        let captured = match u64::try_from(offset) {
            Ok(after) => start + ms(10_000) + ms(after),
            Err(_) => start + ms(10_000) - ms(offset.unsigned_abs()),
        };
        let said = SaidFrame {
            turn: 0,
            captured,
            payload: &frame,
        };
        let window = window(start + ms(10_000), ms(25));
        let pcm = sent([said].into_iter(), window);
        assert_eq!(pcm.len(), 1_200, "{offset}");
    }
}

/// Packets of two streams of a minute, with losses, reordering, pauses, stalls and a changing
/// playout delay, all of them drawn by `seed`.
fn troubled(start: Instant, seed: u64) -> Packets {
    let mut state = seed;
    let mut draw = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let sound = opus::encode(&noise(-26.0, 48_000, seed)).expect("libopus");
    let silence = opus::silence_frame().expect("libopus");
    let mut ring = PacketRing::new(Codec::Opus);
    let mut packets = Vec::new();
    for stream in 0..2u32 {
        let (mut late, mut pause) = (ms(0), 0);
        for k in 0..1_500u32 {
            // One packet in ten is lost, and some dozens in a row.
            if draw(10) == 0 || draw(200) == 0 {
                continue;
            }
            pause = match draw(40) {
                0 => draw(60),
                _ => u64::saturating_sub(pause, 1),
            };
            late = match draw(300) {
                0 => ms(draw(8_000)),
                _ => late.saturating_sub(ms(40)),
            };
            let jitter = ms(draw(70));
            let held = HeldPacket {
                packet: Packet {
                    arrival: start + ms(700) * stream + FRAME_TIME * k + late + jitter,
                    kernel_stamp: true,
                    rtp_time: (7 + k).wrapping_mul(FRAME as u32),
                    sequence: u64::from(k),
                    level: None,
                    payload: match pause {
                        0 => &sound[k as usize % sound.len()],
                        _ => &silence,
                    },
                },
                hold: ms(20 * draw(5)),
                stream,
            };
            packets.push(held);
        }
    }
    packets.sort_by_key(|held| held.packet.arrival);
    packets.iter().for_each(|held| ring.push(held));
    assert_eq!(ring.refused(), 0);
    ring.copied()
}

#[test]
fn a_replay_in_parts_equals_the_whole_bit_for_bit() {
    let start = Instant::now();
    for seed in 1..6 {
        let packets = troubled(start, seed);
        let window = window(start + ms(100), ms(34_000));
        let onsets: Vec<Instant> = packets
            .iter()
            .map(|h| h.packet.arrival)
            .step_by(90)
            .collect();
        let replay = || Loudspeaker::new(packets.iter(), window, Codec::Opus, onsets.clone());
        let whole = replay().part(window.length).expect("libopus");
        assert_eq!(whole.len(), window.length);
        assert!(whole.iter().any(|x| x.unsigned_abs() > 1_000));
        for length in [960, 4_801, 480_000] {
            let (mut replay, mut parts) = (replay(), Vec::new());
            while parts.len() < window.length {
                parts.extend(replay.part(length).expect("libopus"));
            }
            assert!(parts == whole, "seed {seed}, parts of {length}");
            assert!(replay.part(length).expect("libopus").is_empty());
        }
        // What the caller sent.
        let sound = packets.iter().filter(|held| held.stream == 0);
        let payloads: Vec<&[u8]> = sound.map(|held| held.packet.payload).collect();
        let frames = || {
            payloads.iter().enumerate().map(|(k, payload)| SaidFrame {
                turn: k / 300,
                captured: start + FRAME_TIME * k as u32,
                payload,
            })
        };
        let whole = sent(frames(), window);
        let mut microphone = Microphone::new(frames(), window, Codec::Opus).expect("libopus");
        let mut parts = Vec::new();
        while parts.len() < window.length {
            parts.extend(microphone.part(3_333).expect("libopus"));
        }
        assert!(parts == whole, "seed {seed}: the microphone");
    }
}

#[test]
fn packets_in_absurd_order_take_bounded_memory() {
    let start = Instant::now();
    let frame = opus::encode(&tone(ms(20))).expect("libopus").remove(0);
    // The last packet of each stream arrives first, and the first one last.
    let mut packets = Packets::default();
    for stream in 0..3 {
        for k in 0..6_000u32 {
            let arrival = match k {
                0 => start + ms(130_000),
                5_999 => start,
                _ => start + FRAME_TIME * k,
            };
            packets.push(&HeldPacket {
                packet: Packet {
                    arrival,
                    kernel_stamp: true,
                    rtp_time: k.wrapping_mul(FRAME as u32),
                    sequence: u64::from(k),
                    level: None,
                    payload: &frame,
                },
                hold: ms(20),
                stream,
            });
        }
    }
    let window = window(start, ms(120_000));
    let mut replay = Loudspeaker::new(packets.iter(), window, Codec::Opus, None);
    let mut taken = 0;
    while taken < window.length {
        let part = replay.part(480_000).expect("libopus");
        assert!(part.iter().any(|x| *x != 0), "silent at {taken}");
        taken += part.len();
        for stream in &replay.streams {
            let later: usize = stream.track.later.iter().map(|(_, pcm)| pcm.len()).sum();
            assert!(later <= AHEAD + 2 * FRAME, "{later}");
        }
    }
}
