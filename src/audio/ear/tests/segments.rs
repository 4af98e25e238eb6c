//! The packets that an onset is traced back to: the first after a pause in sending, and the first
//! with audio.

use super::*;
use crate::audio::tone;

/// Silence up to 1000 ms (packet 50 holds the onset), a tone of 600 ms, silence.
fn reply() -> Vec<Sent> {
    let body = tone(Duration::from_millis(600));
    stream(&[silence(1000), body, silence(1500)].concat())
}

/// Delays the packets from `k` on, by `wait_ms` on the clock and `rtp_ms` in their timestamps.
fn later(packets: &mut [Sent], k: usize, wait_ms: u64, rtp_ms: u64) {
    for sent in &mut packets[k..] {
        sent.at += Duration::from_millis(wait_ms);
        sent.rtp = sent.rtp.wrapping_add(rtp_ms as u32 * 48);
    }
}

/// Shortens packets to DTX packets, which contain no audio.
fn dtx(packets: &mut [Sent]) {
    packets.iter_mut().for_each(|sent| sent.payload.truncate(1));
}

#[test]
fn an_onset_reports_the_first_packets_of_its_segment() {
    type Case = (&'static str, fn(&mut Vec<Sent>), usize, Option<usize>);
    let cases: [Case; 10] = [
        ("sent continuously", |_| (), 0, Some(0)),
        ("after a pause", |p| later(p, 40, 3000, 3000), 40, Some(40)),
        ("60 ms is not a pause", |p| later(p, 40, 60, 60), 0, Some(0)),
        (
            "a pause in which timestamps stop",
            |p| later(p, 40, 3000, 0),
            40,
            Some(40),
        ),
        ("network delay", |p| later(p, 40, 300, 0), 0, Some(0)),
        (
            "DTX packets before the audio",
            |p| {
                later(p, 30, 2000, 2000);
                dtx(&mut p[30..45]);
            },
            30,
            Some(45),
        ),
        (
            "comfort noise before DTX",
            |p| dtx(&mut p[38..44]),
            0,
            Some(44),
        ),
        ("loss is not a pause", |p| _ = p.drain(30..36), 0, Some(0)),
        (
            "the first packet of the segment is lost",
            |p| {
                later(p, 40, 3000, 3000);
                p.remove(40);
            },
            41,
            Some(41),
        ),
        (
            "a pause inside the reply",
            |p| later(p, 58, 200, 200),
            0,
            Some(0),
        ),
    ];
    for (name, change, first_packet, first_non_dtx) in cases {
        let mut packets = reply();
        change(&mut packets);
        let arrival = |k: usize| {
            let sequence = 70 + k as u64;
            packets
                .iter()
                .find(|sent| sent.sequence == sequence)
                .map(|sent| sent.at)
        };
        let expected = (arrival(first_packet), first_non_dtx.and_then(arrival));
        let told = hear(&packets);
        let segment = told.iter().find_map(|(_, told)| match told {
            // Arrivals, as durations since the start.
            Told::Onset(onset, wire) => {
                let since = |at: Instant| *wire - (onset.at.wire() - at);
                let Segment {
                    first_packet,
                    first_non_dtx,
                } = onset.segment;
                Some((first_packet.map(since), first_non_dtx.map(since)))
            }
            _ => None,
        });
        assert_eq!(segment, Some(expected), "{name}");
    }
}

#[test]
fn a_new_stream_is_a_new_segment() {
    let mut packets = reply();
    for sent in &mut packets[30..] {
        sent.sequence += 5_000_000;
        sent.rtp = 12_345 + (sent.sequence as u32 - 5_000_100) * 960;
    }
    let told = hear(&packets);
    let lead_in = told.iter().find_map(|(_, told)| match told {
        Told::Onset(onset, _) => onset.segment.first_packet.map(|at| onset.at.wire() - at),
        _ => None,
    });
    // From packet 30 to the onset, which is 6.5 ms into packet 50.
    let lead_in = lead_in.expect("an onset").as_secs_f64() * 1000.0;
    assert!((lead_in - 406.5).abs() <= 1.0, "{lead_in} ms");
}

#[test]
fn a_dtx_packet_resets_the_first_non_dtx_packet() {
    let start = Instant::now();
    let at = |k: u64| start + Duration::from_millis(20 * k);
    let mut segment = Segment::default();
    for (k, bytes, first_non_dtx) in [
        (0, 1, None),
        (1, 2, None),
        (2, 3, Some(2)),
        (3, 60, Some(2)),
        (4, 2, None),
        (5, 60, Some(5)),
    ] {
        segment.packet(at(k), bytes);
        assert_eq!(segment.first_packet, Some(at(0)));
        assert_eq!(segment.first_non_dtx, first_non_dtx.map(at), "{k}");
    }
}
