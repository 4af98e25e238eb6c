//! A caller whose own voice comes back on the agent's track.

use super::*;
use crate::audio::echo::Spoken;
use crate::audio::{RATE, Utterance, opus, samples_in, time_of, tone};
use crate::call::{Anchor, Expect, GreetingPolicy, Outcome, TurnScript};
use std::time::Duration;

const FIXTURE: &[u8] = include_bytes!("../../../fixtures/order-status.wav");

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn script(said: &Said, turns: usize) -> CallScript {
    let turn = TurnScript {
        anchor: Anchor::CallStart,
        delay: ms(500),
        expect: Expect::Respond,
        timeout: ms(5000),
        frames: said.frames.len(),
        speech_start: said.speech_start,
        speech_end: said.speech_end,
    };
    CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: ms(1000),
        turns: vec![turn; turns],
    }
}

/// What the agent's track holds: the echo of what is said from `said_at` on, and a tone.
fn track(pcm: &[i16], said_at: Duration, echo_db: Option<f64>, reply_at: Duration) -> Vec<i16> {
    let mut track = vec![0i16; samples_in(reply_at) as usize + 2 * RATE as usize];
    if let Some(db) = echo_db {
        let gain = 10f64.powf(db / 20.0);
        let from = samples_in(said_at + ms(140)) as usize;
        for (out, x) in track[from..].iter_mut().zip(pcm) {
            *out = (f64::from(*x) * gain).round() as i16;
        }
    }
    let from = samples_in(reply_at) as usize;
    for (out, x) in track[from..].iter_mut().zip(tone(ms(1000))) {
        *out = out.saturating_add(x);
    }
    track
}

/// Plays the call in virtual time; gives its result and the questions asked.
fn play(echo_db: Option<f64>, reply_after: Duration) -> (CallResult, usize) {
    let utterance = Utterance::new("order-status", FIXTURE, Some("wav"), None).expect("speech");
    let said = Said {
        frames: utterance.frames.iter().map(|f| Arc::from(&**f)).collect(),
        spoken: Spoken::new(&utterance.pcm),
        speech_start: utterance.speech_start,
        speech_end: utterance.speech_end,
    };
    let start = Instant::now();
    let silence = Arc::from(opus::silence_frame().expect("libopus"));
    let (mut end, mut events) =
        CallerEnd::new(script(&said, 1), start, vec![said.clone()], silence).expect("libopus");
    end.joined(start, start + FRAME_TIME);
    end.agent_subscribed(start);
    // The first frame is the one whose capture begins 500 ms after both were connected.
    let said_at = ms(500);
    let reply_at = said_at + said.speech_end + reply_after;
    let heard = track(&utterance.pcm, said_at, echo_db, reply_at);
    for (k, payload) in opus::encode(&heard).expect("libopus").iter().enumerate() {
        let now = start + FRAME_TIME * (k as u32 + 1);
        end.send(now);
        end.sent(now, now);
        let packet = AudioPacket {
            // As if captured without a delay: the packet's first sample has the codec's
            // look-ahead in it.
            arrival: now.checked_sub(FRAME_TIME).expect("later"),
            rtp_time: (k as u32).wrapping_mul(FRAME as u32),
            sequence: k as u64,
            payload,
            kernel_stamp: true,
        };
        end.audio(now, packet);
        end.timeout(now);
    }
    let mut asked = 0;
    while let Ok(event) = events.try_recv() {
        asked += usize::from(matches!(event, EndEvent::Onset(..)));
    }
    let now = start + time_of(heard.len() as u64);
    (end.finish(now).expect("a result"), asked)
}

#[test]
fn the_own_voice_is_no_early_reply() {
    for db in [-20.0, -30.0] {
        for reply_after in [400, 900] {
            let (result, asked) = play(Some(db), ms(reply_after));
            let turn = &result.turns[0];
            assert_eq!(turn.outcome, Outcome::Replied, "{db} dB, {reply_after} ms");
            assert!(result.echoes > 0, "{db} dB: no echo was there to be told");
            let wire = turn.ttfa_wire.expect("a latency");
            let off = wire.abs_diff(ms(reply_after));
            assert!(off < ms(12), "{db} dB: {wire:?} for {reply_after} ms");
            assert_eq!(asked, 1, "only the reply is asked about");
        }
    }
}

#[test]
fn without_echo_nothing_is_dismissed() {
    let (result, asked) = play(None, ms(600));
    assert_eq!((result.echoes, asked), (0, 1));
    assert_eq!(result.turns[0].outcome, Outcome::Replied);
}
