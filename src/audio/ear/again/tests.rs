//! Tests of how a reply is said to be resumed, as an ear hears it.

use super::{Resumed, Resumption};
use crate::audio::test_signals::{FIXTURES, sine};
use crate::audio::{Ear, Heard, Packet, opus};
use std::time::{Duration, Instant};

/// The samples of so many milliseconds.
const MS: usize = 48;

/// What an ear says about a reply that stops, and is resumed with `rest` after a pause.
fn resumed(reply: &[i16], rest: &[i16]) -> Option<Resumed> {
    let silence = |ms: usize| vec![0; ms * MS];
    let parts = [&silence(500), reply, &silence(900), rest, &silence(300)];
    let mut ear = Ear::new().expect("libopus");
    ear.keep_prints();
    let zero = Instant::now();
    let mut onsets = Vec::new();
    for (k, payload) in (0u32..).zip(opus::encode(&parts.concat()).expect("libopus")) {
        ear.packet(&Packet {
            arrival: zero + Duration::from_millis(20) * k,
            kernel_stamp: true,
            rtp_time: k * 960,
            sequence: u64::from(k),
            level: None,
            payload: &payload,
        });
        while let Some(heard) = ear.poll_heard() {
            if let Heard::Onset(onset) = heard {
                onsets.push(onset.at.wire());
            }
        }
    }
    let behind = zero + Duration::from_millis(500 + 700) + time(reply.len());
    let at = onsets.into_iter().find(|at| *at > behind)?;
    ear.resumed(&Resumption {
        from: Some(zero),
        at,
    })
}

fn time(samples: usize) -> Duration {
    Duration::from_millis((samples / MS) as u64)
}

#[test]
fn a_reply_goes_on_where_it_was_or_from_an_earlier_place_or_from_its_beginning() {
    let story = FIXTURES.iter().find(|f| f.name == "long-story");
    let pcm = story.expect("a fixture").pcm();
    let start = crate::audio::speech_span(&pcm).expect("speech").start;
    for stop in [1_200, 1_730, 2_400] {
        let stop = start + stop * MS;
        let said = &pcm[start..stop];
        let rest = |from: usize| resumed(said, &pcm[from..from + 1_500 * MS]);
        assert_eq!(rest(stop), Some(Resumed::WentOn), "{stop}");
        assert_eq!(rest(start), Some(Resumed::BeganAnew), "{stop}");
        assert_eq!(rest(stop - 700 * MS), Some(Resumed::WentBack), "{stop}");
    }
}

#[test]
fn steady_and_short_sounds_do_not_tell() {
    let tone = sine(1_000.0, -20.0, 2_000 * MS);
    assert_eq!(resumed(&tone, &tone), Some(Resumed::Unknown));
    let pcm = FIXTURES[0].pcm();
    let start = crate::audio::speech_span(&pcm).expect("speech").start;
    let said = &pcm[start..start + 1_500 * MS];
    let short = resumed(said, &said[..250 * MS]);
    assert_eq!(short, Some(Resumed::Unknown), "too short to be compared");
    let early = resumed(&said[..300 * MS], said);
    assert_eq!(early, Some(Resumed::Unknown), "too little was said before");
}
