//! Streams as they arrive over a network: gaps, DTX, losses, reordering, duplicates, resets, noise.

use super::*;
use crate::audio::decode::decode;
use crate::audio::test_signals::FIXTURES;
use crate::audio::{speech_span, tone};
use proptest::prelude::*;

/// Silence, a tone from 1000 ms (the start of a frame) to 1600 ms, silence.
fn reply() -> Vec<Sent> {
    let body = tone(Duration::from_millis(600));
    stream(&[silence(1000), body, silence(1500)].concat())
}

fn only_onset(name: &str, told: &[(Duration, Told)]) -> (Onset, f64) {
    check_order(name, told);
    let mut found = told.iter().filter_map(|(_, told)| match told {
        Told::Onset(onset, wire) => Some((*onset, input_ms(*wire))),
        _ => None,
    });
    let first = found
        .next()
        .unwrap_or_else(|| panic!("{name}: no onset in {told:?}"));
    assert_eq!(found.next(), None, "{name}: one spurt");
    first
}

#[test]
fn reply_events_are_ordered_and_timely() {
    let told = hear(&reply());
    let (onset, at) = only_onset("plain", &told);
    assert!((at - 1000.0).abs() <= 1.0, "onset at {at}");
    assert!((ends(&told)[0] - 1600.0).abs() <= 5.0, "{told:?}");
    assert_eq!(
        (onset.earlier_by_loss, onset.confidence),
        (None, Confidence::High)
    );
    assert!(
        onset.at.offset < Duration::from_millis(20),
        "inside its packet: {onset:?}"
    );
    let when = |n: usize| told[n].0.as_secs_f64() * 1000.0;
    assert!(when(0) <= 1000.0 + 130.0, "triggered at {}", when(0));
    assert!(when(1) <= 1000.0 + 590.0, "sure at {}", when(1));
    assert!(when(2) <= 1600.0 + 700.0 + 80.0, "ended at {}", when(2));
}

#[test]
fn the_first_packet_may_be_speech() {
    let told = hear(&stream(
        &[tone(Duration::from_millis(600)), silence(1000)].concat(),
    ));
    let (_, at) = only_onset("at once", &told);
    // Without silence before the tone, up to 3 ms of the codec's pre-echo are audible.
    assert!((-3.0..=0.2).contains(&at), "onset at {at}");
}

#[test]
fn with_dtx_the_timeline_follows_rtp_time() {
    // 200 ms of silence, no packets for a while, then the reply, then no more packets.
    for gap in [20_001u32, 48_000, 960 * 77 + 13, 5_000_003] {
        let mut packets = reply();
        packets.truncate(95);
        let later = Duration::from_nanos(u64::from(gap) * 1_000_000_000 / 48_000);
        for sent in &mut packets[10..] {
            sent.rtp = sent.rtp.wrapping_add(gap);
            sent.at += later;
        }
        // A comfort noise update and padding before the gap.
        packets[5].payload.truncate(1);
        packets[8].payload.clear();
        let told = hear(&packets);
        let (onset, at) = only_onset("dtx", &told);
        let expected = 1000.0 + f64::from(gap) / 48.0;
        assert!(
            (at - expected).abs() <= 1.0,
            "gap {gap}: onset at {at}, not {expected}"
        );
        assert_eq!(onset.earlier_by_loss, None, "nothing was lost");
        assert!((ends(&told)[0] - expected - 600.0).abs() <= 5.0, "{told:?}");
        let ended = told[2].0.as_secs_f64() * 1000.0;
        assert!(
            ended <= expected + 600.0 + 700.0 + 120.0,
            "reported by `advance` at {ended}"
        );
    }
}

#[test]
fn a_reply_cut_off_by_dtx_still_has_its_onset_and_end() {
    let mut packets = reply();
    packets.truncate(56);
    let told = hear(&packets);
    let (_, at) = only_onset("cut", &told);
    assert!((at - 1000.0).abs() <= 1.0, "onset at {at}");
    assert!(
        (ends(&told)[0] - (56.0 * 20.0 - 6.5)).abs() <= 1.0,
        "{told:?}"
    );
}

#[test]
fn only_losses_next_to_the_onset_make_it_uncertain() {
    // The onset is 6.5 ms (the look-ahead) into packet 50.
    type Case<'a> = (&'a str, &'a [usize], Option<u64>, f64);
    let cases: [Case<'_>; 5] = [
        ("long before the onset", &[20, 21], None, 1.0),
        // This loss cannot be distinguished from a loss of the onset itself.
        ("the packet before the onset", &[49], Some(20), 15.0),
        ("the packet of the onset", &[50], Some(20), 40.0),
        ("the onset and two before", &[48, 49, 50], Some(60), 40.0),
        ("in the middle of the reply", &[60, 61], None, 1.0),
    ];
    for (name, lost, earlier_ms, within) in cases {
        let mut packets = reply();
        packets.retain(|sent| !lost.contains(&((sent.sequence - 70) as usize)));
        let (onset, at) = only_onset(name, &hear(&packets));
        let in_ms = |by: Option<Duration>| by.map(|by| by.as_secs_f64() * 1000.0);
        let (earlier, later) = (in_ms(onset.earlier_by_loss), in_ms(onset.later_by_loss));
        assert_eq!(
            earlier.is_some(),
            earlier_ms.is_some(),
            "{name}: at {at} {onset:?}"
        );
        assert!((at - 1000.0).abs() <= within, "{name}: onset at {at}");
        if let (Some(earlier), Some(later), Some(lost)) = (earlier, later, earlier_ms) {
            let bound = earlier + later;
            assert!(
                bound >= lost as f64 && bound <= lost as f64 + 40.0,
                "{name}: {bound}"
            );
            assert!(
                at - earlier <= 1001.0 && at + later >= 999.0,
                "{name}: the true onset lies in the interval"
            );
        }
    }
}

#[test]
fn reordered_and_duplicate_packets_do_not_move_the_onset() {
    let plain = only_onset("plain", &hear(&reply())).1;
    let mut packets = reply();
    for k in (1..packets.len() - 2).step_by(7) {
        // Packets k + 1 and k + 2 arrive on time, packet k after them.
        packets[k].at = packets[k + 2].at;
        packets.swap(k, k + 1);
        packets.swap(k + 1, k + 2);
    }
    let mut twice = packets.clone();
    twice.extend(packets.iter().step_by(3).cloned());
    twice.sort_by_key(|sent| sent.at);
    for (name, packets) in [("reordered", packets), ("reordered and duplicated", twice)] {
        let (onset, at) = only_onset(name, &hear(&packets));
        // The onset's packet may itself be late, and the onset is measured by its arrival.
        assert!(
            at >= plain - 0.1 && at <= plain + 40.1,
            "{name}: {at} for {plain}"
        );
        assert_eq!(onset.earlier_by_loss, None, "{name}");
    }
}

#[test]
fn jumps_of_the_rtp_timeline_do_not_move_the_onset() {
    for (name, sequence, rtp) in [
        ("another source", 5_000_000u64, 12_345u32),
        ("a forward jump of 1 hour", 0, 48_000 * 3600),
        ("a backward jump of 10 s", 0, 0u32.wrapping_sub(480_000)),
    ] {
        let mut packets = reply();
        for sent in &mut packets[30..] {
            sent.sequence += sequence;
            sent.rtp = sent.rtp.wrapping_add(rtp);
        }
        let (onset, at) = only_onset(name, &hear(&packets));
        assert!((at - 1000.0).abs() <= 1.0, "{name}: onset at {at}");
        assert_eq!(onset.earlier_by_loss, None, "{name}");
    }
}

#[test]
fn noise_and_clicks_are_not_reported() {
    let click =
        |length: usize| [silence(500), sine(700.0, -20.0, ms(length)), silence(1500)].concat();
    let steady = |dbfs| noise(dbfs, ms(6000), 11);
    let rising = [noise(-70.0, ms(2000), 1), noise(-42.0, ms(4000), 2)].concat();
    for (name, pcm) in [
        ("digital silence", silence(3000)),
        (
            "one bit of noise",
            (0..ms(3000)).map(|n| i16::from(n % 3 == 0)).collect(),
        ),
        ("a click of 1 ms", click(1)),
        ("a click of 20 ms", click(20)),
        ("noise at -62 dBFS", steady(-62.0)),
        ("noise at -50 dBFS", steady(-50.0)),
        ("noise at -40 dBFS from the first packet", steady(-40.0)),
        ("noise that starts suddenly", rising),
        ("typing in silence", clicks(ms(6000))),
    ] {
        assert_eq!(hear(&stream(&pcm)), [], "{name}");
    }
}

/// Six clicks of 12 ms a second, each followed by a softer one 60 ms later.
fn clicks(samples: usize) -> Vec<i16> {
    let click = noise(-25.0, ms(12), 3);
    let mut pcm = vec![0; samples];
    for at in (ms(50)..samples - ms(100)).step_by(ms(166)) {
        for (n, x) in click.iter().enumerate() {
            pcm[at + n] = *x;
            pcm[at + ms(60) + n] = *x / 3;
        }
    }
    pcm
}

#[test]
fn a_reply_among_clicks_has_its_onset_and_its_end() {
    let clean = [silence(2150), sine(440.0, -20.0, ms(600)), silence(2500)].concat();
    let told = hear(&stream(&mix(&clean, &clicks(clean.len()))));
    let (_, at) = only_onset("clicks", &told);
    assert!((at - 2150.0).abs() <= 3.0, "onset at {at}");
    // A click shortly after the reply may count as part of the reply.
    let end = ends(&told)[0];
    assert!((2745.0..=3010.0).contains(&end), "end at {end}");
}

#[test]
fn a_short_first_word_belongs_to_the_reply() {
    // 50 ms of sound, a pause of 80 ms, then more sound, over noise that fills the pause.
    let word = [
        sine(440.0, -20.0, ms(50)),
        silence(80),
        sine(440.0, -20.0, ms(500)),
    ]
    .concat();
    let clean = [silence(2003), word, silence(2500)].concat();
    let told = hear(&stream(&mix(&clean, &noise(-40.0, clean.len(), 5))));
    let (_, at) = only_onset("a short word", &told);
    assert!((at - 2003.0).abs() <= 5.0, "onset at {at}");
}

#[test]
fn speech_over_noise_that_began_earlier_is_detected() {
    let clean = [silence(2003), sine(440.0, -20.0, ms(600)), silence(2500)].concat();
    let told = hear(&stream(&mix(&clean, &noise(-45.0, clean.len(), 5))));
    let (_, at) = only_onset("over noise", &told);
    assert!((at - 2003.0).abs() <= 3.0, "onset at {at}");
    assert!((ends(&told)[0] - 2603.0).abs() <= 10.0, "{told:?}");
}

#[test]
fn noise_that_outlasts_a_reply_does_not_prolong_it() {
    // A noise gate opens with the reply and stays open afterwards.
    let body = [sine(440.0, -30.0, ms(600)), silence(5000)].concat();
    let gated = mix(&body, &noise(-44.0, body.len(), 5));
    let told = hear(&stream(&[silence(1000), gated].concat()));
    only_onset("gate", &told);
    assert!((ends(&told)[0] - 1600.0).abs() <= 30.0, "{told:?}");
    assert!(
        told[2].0 < Duration::from_millis(1600 + 1300),
        "reported soon: {told:?}"
    );
}

#[test]
fn a_tone_of_minutes_is_one_spurt() {
    let told = hear(&stream(
        &[silence(500), tone(Duration::from_secs(150)), silence(1500)].concat(),
    ));
    let (_, at) = only_onset("long", &told);
    assert!((at - 500.0).abs() <= 1.0, "onset at {at}");
    assert!((ends(&told)[0] - 150_500.0).abs() <= 5.0, "{told:?}");
}

#[test]
fn packet_loss_inside_a_spurt_is_not_a_pause() {
    let said = [
        silence(500),
        tone(Duration::from_millis(1500)),
        silence(1500),
    ]
    .concat();
    // Losses of 60 to 400 ms inside the tone, which begins in packet 25.
    for lost in [3, 7, 10, 20] {
        let mut packets = stream(&said);
        packets.drain(40..40 + lost);
        let told = hear(&packets);
        check_order("lost", &told);
        assert!(resumptions(&told).is_empty(), "{lost} lost: {told:?}");
        let paused = |t: &&(Duration, Told)| matches!(t.1, Told::Paused(..));
        assert_eq!(
            told.iter().filter(paused).count(),
            1,
            "{lost} lost: {told:?}"
        );
    }
    // If the same packets were never sent, the sequence numbers have no gap.
    let mut packets = stream(&said);
    packets.drain(40..50);
    packets[40..]
        .iter_mut()
        .for_each(|sent| sent.sequence -= 10);
    assert_eq!(resumptions(&hear(&packets)).len(), 1, "a pause in sending");
}

fn broke_off(packets: &[Sent]) -> bool {
    let told = hear(packets);
    told.iter().any(|t| matches!(t.1, Told::BrokeOff(_)))
}

#[test]
fn stopping_mid_word_is_distinguished_from_end_of_speech() {
    let (mut cut, mut tried) = (0, 0);
    for fixture in FIXTURES.iter() {
        let pcm = decode(fixture.wav, None).expect(fixture.name);
        let span = speech_span(&pcm).expect(fixture.name);
        let packets = stream(&[pcm, silence(1_000)].concat());
        assert!(
            !broke_off(&packets),
            "{}: the utterance was complete",
            fixture.name
        );
        // Cut every 140 ms of the speech; some of these cuts lie between two words.
        let (first, last) = (span.start / FRAME + 20, span.end / FRAME - 5);
        for at in (first..last).step_by(7) {
            tried += 1;
            cut += usize::from(broke_off(&packets[..at]));
        }
    }
    // At least 60 % of the cuts are detected: those inside a word.
    assert!(tried >= 40 && cut * 10 >= tried * 6, "{cut} of {tried}");
}

#[test]
fn packets_that_stop_in_mid_word_are_reported_as_broken_off() {
    let (mut cut, mut tried) = (0, 0);
    for fixture in FIXTURES.iter() {
        let pcm = decode(fixture.wav, None).expect(fixture.name);
        let span = speech_span(&pcm).expect(fixture.name);
        // Trimmed after the last speech sample, then the shortest silence that an encoder sends.
        let said = [&silence(1_000)[..], &pcm[..span.end]].concat();
        let ends = stream(&[&said[..], &silence(200)[..]].concat());
        assert!(!broke_off(&ends), "{}: complete", fixture.name);
        let packets = stream(&said);
        for at in ((span.start + 48_000) / FRAME + 20..packets.len()).step_by(7) {
            tried += 1;
            cut += usize::from(broke_off(&packets[..at]));
        }
    }
    // All cuts are detected except those in a pause of more than 150 ms.
    assert!(tried >= 40 && cut * 10 >= tried * 9, "{cut} of {tried}");
}

#[test]
fn pauses_shorter_than_the_gap_belong_to_the_spurt() {
    let gap = SPURT_GAP.as_millis() as usize;
    let say = |pause| {
        [
            silence(500),
            tone(Duration::from_millis(300)),
            silence(pause),
        ]
        .concat()
    };
    let joined = hear(&stream(&[say(gap - 600), say(1500)].concat()));
    assert_eq!(onsets(&joined).len(), 1, "{joined:?}");
    check_order("joined", &joined);
    // 300 ms of tone, then the pause and the silence before the next tone.
    let resumed = resumptions(&joined);
    let expected = (500 + 300 + gap - 600 + 500) as f64;
    assert_eq!(resumed.len(), 1, "{joined:?}");
    assert!((resumed[0] - expected).abs() <= 2.5, "{resumed:?}");
    let apart = hear(&stream(&[say(gap), say(1500)].concat()));
    check_order("apart", &apart);
    assert_eq!(onsets(&apart).len(), 2, "{apart:?}");
}

#[test]
fn the_spurt_ends_by_timeout_when_packets_stop() {
    let start = Instant::now();
    let mut ear = Ear::new().expect("libopus");
    assert_eq!(ear.poll_timeout(), None);
    let packets = reply();
    for Sent {
        at,
        rtp,
        sequence,
        payload,
    } in &packets[..70]
    {
        ear.packet(&Packet {
            arrival: start + *at,
            kernel_stamp: true,
            rtp_time: *rtp,
            sequence: *sequence,
            level: None,
            payload,
        });
    }
    assert!(ear.is_audible());
    let mut told = Vec::new();
    while let Some(at) = ear.poll_timeout() {
        ear.advance(at);
        told.extend(std::iter::from_fn(|| ear.poll_heard()));
        assert!(told.len() <= 4, "the spurt ends");
    }
    assert!(
        matches!(
            told[..],
            [
                Heard::Triggered { .. },
                Heard::Onset(_),
                Heard::Paused { .. },
                Heard::Ended { .. }
            ]
        ),
        "{told:?}"
    );
    assert!(!ear.is_audible());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn events_of_arbitrary_packets_are_ordered_and_within_their_audio(
        packets in prop::collection::vec(
            (0u64..60, any::<u32>(), 0u64..200, prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..120),
    ) {
        let speech = stream(&tone(Duration::from_millis(300)));
        let mut at = Duration::ZERO;
        let mut sent = Vec::new();
        for (wait, rtp, sequence, payload, good) in packets {
            at += Duration::from_millis(wait);
            let rtp = if good { RTP_START.wrapping_add(sequence as u32 * 960) } else { rtp };
            let payload = if good { speech[sequence as usize % 15].payload.clone() } else { payload };
            sent.push(Sent { at, rtp, sequence, payload });
        }
        let told = hear(&sent);
        check_order("any", &told);
        for (when, told) in told {
            let (Told::Triggered(wire)
            | Told::Onset(_, wire)
            | Told::Paused(wire, _)
            | Told::Ended(wire)
            | Told::BrokeOff(wire)) = told;
            // The decoded audio of a packet lasts at most 120 ms.
            prop_assert!(wire <= when + Duration::from_millis(120), "{told:?} at {when:?}");
        }
    }
}
