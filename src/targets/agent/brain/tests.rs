//! The agent's endpoint of a call in virtual time: what audio a caller receives, and when.

mod behaving;
mod faulty;

use super::super::clip::Clip;
use super::super::crowd::Crowd;
use super::super::told::TruthLine;
use super::*;
use crate::audio::{Codec, Ear, FRAME, Heard, opus, tone};
use crate::vocab::{AgentDelay, Behaviour};
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;

const D: Duration = Duration::from_millis(400);
/// Tolerance: the end of speech is located to a window of 2 ms, both before and after the codec.
const WINDOWS: Duration = Duration::from_millis(3);

const STREAM: RtpStream = RtpStream {
    track: 0,
    ssrc: 1,
    restarts: 0,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A caller's packet: arrival, sequence number, audio.
type Sent = (Instant, u64, Arc<[u8]>);

/// The caller's packets for `length` ms: tones with these starts and ends, in ms, with silence
/// around them. Media starts at `zero`: frame k arrives at zero + (k+1)·20 ms.
fn says(zero: Instant, length: u64, tones: &[(u64, u64)]) -> VecDeque<Sent> {
    let mut pcm = vec![0i16; 48 * length as usize];
    for &(from, to) in tones {
        let loud = tone(ms(to - from));
        pcm[48 * from as usize..][..loud.len()].copy_from_slice(&loud);
    }
    let frames = opus::encode(&pcm).expect("encoded");
    let numbered = (0u64..).zip(frames);
    numbered
        .map(|(k, f)| (zero + FRAME_TIME * (k as u32 + 1), k, Arc::from(f)))
        .collect()
}

/// The audio that the caller received.
#[derive(Debug, Default)]
struct Heards {
    onsets: Vec<Instant>,
    ends: Vec<Instant>,
    /// When each packet left, and the packet's RTP time.
    packets: Vec<(Instant, u32)>,
    /// The sequence number of each packet.
    sequences: Vec<u64>,
}

struct Table {
    zero: Instant,
    agent: AgentEnd,
    truth: Receiver<TruthLine>,
}

impl Table {
    /// An agent whose packets leave `phase` after the caller's slots.
    fn new(phase: Duration, delay: Duration, reply: u64, greeting: bool) -> Self {
        let clip = |length| Clip::tone(ms(length), Codec::Opus).expect("tone");
        let greeting = greeting.then(|| clip(500));
        let voice = Voice::new(clip(reply), greeting).expect("voice");
        Self::of(phase, delay, voice)
    }

    /// An agent with this voice.
    fn of(phase: Duration, delay: Duration, voice: Voice) -> Self {
        let voice = Arc::new(voice);
        let (sender, truth) = TruthSender::to_test();
        let zero = Instant::now();
        let delays = DelayStream::new(AgentDelay::Fixed(delay), 0, 0);
        let mut agent = AgentEnd::new(
            "room",
            voice,
            Chances {
                delays,
                dice: Dice::new(0, 0),
                seat: Crowd::default().sit(),
            },
            EndDetection::Level,
            Some(sender),
        );
        agent.connected(zero + phase);
        Self { zero, agent, truth }
    }

    /// Passes the caller's packets to the agent and the agent's packets to an ear, until `end`.
    fn play(&mut self, mut caller: VecDeque<Sent>, end: Duration) -> Heards {
        let mut ear = Ear::new().expect("ear");
        let mut heard = Heards::default();
        let mut sequence = 0;
        let end = self.zero + end;
        loop {
            let arrival = caller.front().map(|p| p.0);
            let send = self.agent.poll_send();
            let timer = self.agent.poll_timeout();
            let all = [arrival, send, timer];
            let Some(now) = all.into_iter().flatten().min().filter(|t| *t < end) else {
                break;
            };
            // In the engine's order: sends, then arrivals, then timers.
            if send == Some(now) {
                if let Some(out) = self.agent.send(now) {
                    sequence += 1 + self.agent.left_out();
                    ear.packet(&Packet {
                        arrival: now,
                        kernel_stamp: true,
                        rtp_time: out.rtp_time,
                        sequence,
                        level: None,
                        payload: &out.payload,
                    });
                    heard.packets.push((now, out.rtp_time));
                    heard.sequences.push(sequence);
                    self.agent.sent(now, now, 0);
                }
                ear.advance(now);
            } else if arrival == Some(now) {
                let (arrival, sequence, payload) = caller.pop_front().expect("a packet");
                let packet = Packet {
                    arrival,
                    kernel_stamp: true,
                    rtp_time: (sequence as u32).wrapping_mul(FRAME as u32),
                    sequence,
                    level: None,
                    payload: &payload,
                };
                self.agent.audio(now, STREAM, packet);
            } else {
                self.agent.timeout(now);
            }
            while let Some(h) = ear.poll_heard() {
                match h {
                    Heard::Onset(o) => heard.onsets.push(o.at.wire()),
                    Heard::Ended { last_audible, .. } => heard.ends.push(last_audible.wire()),
                    Heard::Triggered { .. } | Heard::Paused { .. } | Heard::Dismissed => {}
                }
            }
        }
        heard
    }
}

#[track_caller]
fn assert_near(got: Instant, want: Instant, tolerance: Duration, what: &str) {
    let off = got.max(want) - got.min(want);
    assert!(off <= tolerance, "{what}: off by {off:?}");
}

#[test]
fn the_reply_is_audible_exactly_the_delay_after_the_last_speech_sample() {
    // Utterances that end at various places in a frame; various phases of the agent's grid.
    for (delay, end) in [(400, 1_000), (400, 1_007), (250, 1_013), (1_333, 994)] {
        let mut firsts = Vec::new();
        for phase in [0, 1, 7, 13, 19] {
            let mut table = Table::new(ms(phase), ms(delay), 300, false);
            let caller = says(table.zero, 4_000, &[(400, end)]);
            let heard = table.play(caller, ms(4_000));
            assert_eq!(heard.onsets.len(), 1, "phase {phase}");
            let want = table.zero + ms(end) + ms(delay);
            let what = format!("delay {delay}, end {end}, phase {phase}");
            assert_near(heard.onsets[0], want, WINDOWS, &what);
            firsts.push(heard.onsets[0] - table.zero);
        }
        let spread = firsts
            .iter()
            .max()
            .expect("an onset")
            .abs_diff(*firsts.iter().min().expect("an onset"));
        assert!(spread < ms(1), "the onset depends on the phase: {spread:?}");
    }
}

#[test]
fn rtp_time_follows_the_clock_when_a_reply_is_off_the_grid() {
    let mut table = Table::new(ms(7), D, 300, false);
    let caller = says(table.zero, 4_000, &[(400, 1_000)]);
    let heard = table.play(caller, ms(4_000));
    let off_grid = heard
        .packets
        .windows(2)
        .filter(|p| p[1].0 - p[0].0 != FRAME_TIME);
    assert_eq!(off_grid.count(), 1, "one step, where the reply begins");
    for pair in heard.packets.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!(step >= FRAME_TIME && step < FRAME_TIME * 2, "{step:?}");
        let samples = f64::from(pair[1].1 - pair[0].1);
        assert!((samples - step.as_secs_f64() * 48_000.0).abs() <= 1.0);
    }
}

#[test]
fn a_pause_shorter_than_the_delay_is_not_the_end_of_speech() {
    // The pause is longer than the hangover and shorter than the delay, so the reply is cancelled.
    let mut table = Table::new(ms(3), D, 300, false);
    let caller = says(table.zero, 4_000, &[(400, 900), (1_150, 1_700)]);
    let heard = table.play(caller, ms(4_000));
    assert_eq!(heard.onsets.len(), 1);
    let want = table.zero + ms(1_700) + D;
    assert_near(heard.onsets[0], want, WINDOWS, "after the pause");
}

#[test]
fn an_interrupted_agent_stops_speaking_and_replies_again() {
    let mut table = Table::new(ms(11), D, 3_000, false);
    // The reply starts at 1,400 ms. The caller speaks again at 2,000 ms, for long enough to
    // separate the two replies.
    let caller = says(table.zero, 9_000, &[(400, 1_000), (2_000, 4_000)]);
    let heard = table.play(caller, ms(9_000));
    assert_eq!(heard.onsets.len(), 2);
    assert_near(
        heard.onsets[0],
        table.zero + ms(1_400),
        WINDOWS,
        "first reply",
    );
    assert_near(
        heard.onsets[1],
        table.zero + ms(4_400),
        WINDOWS,
        "second reply",
    );
    let stop = heard.ends[0] - (table.zero + ms(2_000));
    assert!(stop < ms(200), "silent {stop:?} after the interruption");
}

#[test]
fn a_configured_greeting_follows_the_callers_arrival_after_a_pause() {
    for greets in [true, false] {
        let mut table = Table::new(ms(5), D, 300, greets);
        table.agent.caller_here(table.zero + ms(1_700));
        let heard = table.play(VecDeque::new(), ms(5_000));
        assert_eq!(heard.onsets.len(), usize::from(greets));
        for onset in heard.onsets {
            let first = table.zero + ms(1_700) + GREETING_PAUSE;
            assert!(onset >= first && onset < first + ms(40));
        }
    }
}

#[test]
fn speech_during_the_greeting_gets_a_reply() {
    let mut table = Table::new(ms(5), D, 300, true);
    table.agent.caller_here(table.zero + ms(1_700));
    let caller = says(table.zero, 6_000, &[(2_100, 3_300)]);
    let heard = table.play(caller, ms(6_000));
    let last = *heard.onsets.last().expect("an answer");
    assert_near(last, table.zero + ms(3_300) + D, WINDOWS, "the answer");
}

#[test]
fn a_reply_to_a_caller_with_dtx_is_equally_exact() {
    for phase in [0, 9, 17] {
        let mut table = Table::new(ms(phase), D, 300, false);
        let mut caller = says(table.zero, 4_000, &[(400, 1_007)]);
        // Only speech is sent, up to the packet that contains the tail of the last speech sample.
        caller.retain(|(_, k, _)| (20..=51).contains(k));
        let heard = table.play(caller, ms(4_000));
        assert_eq!(heard.onsets.len(), 1);
        let want = table.zero + ms(1_007) + D;
        assert_near(heard.onsets[0], want, WINDOWS, "the answer");
    }
}

#[test]
fn the_delay_counts_from_the_arrival_of_late_speech() {
    let mut table = Table::new(ms(0), D, 300, false);
    let mut caller = says(table.zero, 4_000, &[(400, 1_000)]);
    // The last five frames of speech and everything after them arrive up to 220 ms late, in one
    // burst. By then the agent has counted the missing frames as silence.
    let burst = table.zero + ms(900 + 20 + 220);
    for packet in caller.iter_mut().filter(|p| p.1 >= 45) {
        packet.0 = packet.0.max(burst);
    }
    let heard = table.play(caller, ms(4_000));
    assert_eq!(heard.onsets.len(), 1);
    // The delay counts from the arrival of the last speech packet, which arrives with the burst.
    let want = burst + D;
    assert_near(heard.onsets[0], want, FRAME_TIME + WINDOWS, "the answer");
}

#[test]
fn hostile_packets_do_not_stall_the_agent() {
    let mut table = Table::new(ms(0), D, 300, false);
    let zero = table.zero;
    let mut now = zero;
    let mut sequence = 0;
    let silence = opus::silence_frame().expect("silence");
    let hostile: [(&[u8], u32, u64); 7] = [
        (&[], 0, 1),
        (&[0xff; 3], 960, 1),
        (&silence, u32::MAX / 2, 1),
        (&silence, u32::MAX, 1),
        (&silence, 0, 0),
        (&silence, 5, u64::MAX / 2),
        (&[0x03; 1_400], 7, 1),
    ];
    for (payload, rtp_time, step) in hostile.into_iter().cycle().take(200) {
        sequence += step;
        sequence %= u64::MAX / 4;
        now += ms(3);
        let packet = Packet {
            arrival: now,
            kernel_stamp: true,
            rtp_time,
            sequence,
            level: None,
            payload,
        };
        table.agent.audio(now, STREAM, packet);
        table.agent.timeout(now);
    }
    // The agent may reply to noise, but it must not stall.
    let heard = table.play(VecDeque::new(), now - zero + ms(1_000));
    assert!(heard.packets.len() > 40, "{}", heard.packets.len());
    for pair in heard.packets.windows(2) {
        assert!(pair[1].0 - pair[0].0 < FRAME_TIME * 2);
    }
}
