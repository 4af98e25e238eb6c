//! Interoperability with str0m: each side receives the packets and reports that the other sends.
//!
//! Invariants: in virtual time, no socket; the keys come from a handshake.

use super::super::tests::{FRAME, Met, address, outgoing, payload, receive};
use super::*;
use str0m::media::Mid;

/// The direct path of one of the two sides.
fn path(keys: Option<&Keys>) -> DirectPath {
    DirectPath::new(keys.expect("keys")).expect("a GCM profile")
}

fn negotiated(mid: Mid, payload_types: &[u8]) -> Negotiated {
    Negotiated {
        mid,
        payload_types: payload_types.to_vec(),
        level: None,
    }
}

/// Restarts and sequence number of a received packet.
fn number(received: Received<'_>) -> Option<(u32, u64)> {
    match received {
        Received::Packet {
            restarts, packet, ..
        } => Some((restarts, packet.sequence)),
        _ => None,
    }
}

#[test]
fn str0m_receives_a_stream_and_its_reports_sent_by_the_direct_path() {
    let mut met = Met::new();
    let mut ours = path(met.a.keys.as_ref());
    let mut room = [0; 2_048];
    assert!(!ours.sends());
    assert_eq!(ours.packetize(1, &outgoing(1), &mut room), None);
    // The 16-bit sequence number wraps during the test.
    let (first, last) = (65_500, 65_600);
    for sequence in first..first + 3 {
        let datagram = met.by_str0m(sequence);
        met.b.take(1_001, &datagram, met.now);
        met.b.drain();
        ours.continue_sending(&datagram, address(1_002), (sequence - first + 1) as u32);
    }
    assert!(ours.sends());
    for sequence in first + 3..=last {
        met.now += FRAME;
        let mut packet = outgoing(sequence);
        packet.marker = sequence == 65_550;
        let made = ours.packetize(sequence, &packet, &mut room);
        let (n, to) = made.expect("a packet");
        assert_eq!(to, address(1_002));
        met.b.take(1_001, &room[..n], met.now);
        met.b.drain();
        if let Some((n, _)) = ours.report(met.now, packet.rtp_time, &mut room) {
            met.b.take(1_001, &room[..n], met.now);
            met.b.drain();
        }
    }
    let got: Vec<u64> = met.b.packets.iter().map(|p| *p.seq_no).collect();
    assert_eq!(got, (first..=last).collect::<Vec<_>>());
    for p in &met.b.packets {
        let sequence = *p.seq_no;
        assert_eq!(p.payload[..], payload(sequence), "{sequence}");
        assert_eq!(p.header.timestamp, (sequence * 960) as u32);
        assert_eq!(p.header.marker, sequence == 65_550);
        assert_eq!(p.header.ext_vals.mid, Some(met.mid), "as str0m's own");
    }
    let one_a_second_in = 3 + 51;
    assert_eq!(met.b.reports.len(), 1, "{:?}", met.b.reports);
    assert_eq!(met.b.reports[0].0, one_a_second_in);
}

#[test]
fn every_packet_of_a_continued_stream_is_received_once() {
    let mut met = Met::new();
    let mut path = path(met.b.keys.as_ref());
    let mut room = [0; 2_048];
    let before = met.by_str0m(65_529);
    let first = met.by_str0m(65_530);
    let t = met.now;
    assert!(!path.carries(&first), "not known");
    let ssrc = word(&first, 8);
    let pt = first[1] & 0x7f;
    path.continue_receiving(ssrc, negotiated(met.mid, &[pt]), 65_530, t);
    for (what, datagram) in [("again", &first), ("by str0m", &before)] {
        let received = receive(&mut path, datagram, t, &mut room);
        assert_eq!(received, Received::Repeated, "{what}");
    }
    let all: Vec<(u64, Vec<u8>)> = (65_531..65_700).map(|n| (n, met.by_str0m(n))).collect();
    let mut order: Vec<usize> = (0..100).collect();
    // Out of order, across the wrap of the 16-bit sequence number; then 50 lost packets.
    order.swap(4, 8);
    order.extend(150..all.len());
    for k in order {
        let (sequence, datagram) = &all[k];
        let mut forged = datagram.clone();
        forged[20] ^= 1;
        let received = receive(&mut path, &forged, t, &mut room);
        assert_eq!(received, Received::Unauthenticated);
        let expected = Received::Packet {
            section: Some(met.mid),
            ssrc,
            restarts: 0,
            packet: Packet {
                arrival: t,
                kernel_stamp: true,
                rtp_time: (sequence * 960) as u32,
                sequence: *sequence,
                level: None,
                payload: &payload(*sequence),
            },
        };
        assert_eq!(receive(&mut path, datagram, t, &mut room), expected);
        let received = receive(&mut path, datagram, t, &mut room);
        assert_eq!(received, Received::Repeated);
        let received = receive(&mut path, &forged, t, &mut room);
        assert_eq!(received, Received::Unauthenticated, "with a known number");
    }
    let received = receive(&mut path, &all[1].1, t, &mut room);
    assert_eq!(received, Received::Behind, "old");
    let mut forged = all[1].1.clone();
    forged[20] ^= 1;
    let received = receive(&mut path, &forged, t, &mut room);
    assert_eq!(received, Received::Unauthenticated, "old and forged");
    for (what, bytes) in [
        ("nothing", &[][..]),
        ("STUN", &[0; 20]),
        ("a truncated header", &[0x80, 111, 0, 1]),
        ("another SSRC", &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("a report before ours", &[0x80, 200, 0, 1, 0, 0, 0, 1]),
    ] {
        assert!(!path.carries(bytes), "{what}");
    }
    for (what, first) in [("a missing extension", 0x90), ("missing CSRCs", 0x8f)] {
        let head = [&[first, 111, 0, 1, 0, 0, 0, 0][..], &ssrc.to_be_bytes()].concat();
        assert!(path.carries(&head));
        let received = receive(&mut path, &head, t, &mut room);
        assert_eq!(received, Received::Unauthenticated, "{what}");
    }
}

/// Restarts and numbers of the packets of a stream whose sequence numbers restart at `again`;
/// `None` for a packet that is behind.
fn restarted(again: u64) -> Vec<Option<(u32, u64)>> {
    let mut met = Met::new();
    let mut path = path(met.b.keys.as_ref());
    let mut room = [0; 2_048];
    let first = met.by_str0m(30_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    path.continue_receiving(ssrc, negotiated(met.mid, &[pt]), 30_000, met.now);
    let numbers = (30_001..30_101).chain(again..again + 100);
    let datagrams: Vec<_> = numbers.map(|n| met.by_str0m(n)).collect();
    let received = datagrams.iter().map(|d| {
        let received = receive(&mut path, d, met.now, &mut room);
        let number = number(received);
        assert!(number.is_some() || received == Received::Behind);
        number
    });
    received.skip(100).collect()
}

#[test]
fn a_stream_restarted_under_its_ssrc_is_a_new_stream() {
    let in_order = |from: u64, to: u64| (from..to).map(|n| Some((1, n))).collect::<Vec<_>>();
    // Far ahead, even by more than half the 16-bit range: recognised at the first packet.
    for again in [40_000, 70_000, 95_000] {
        assert_eq!(restarted(again), in_order(again, again + 100), "{again}");
    }
    // Behind: recognised at the fifth packet in a row.
    for again in [1, 20_000, 29_900] {
        let received = restarted(again);
        assert_eq!(received[..4], [None; 4], "{again}");
        assert_eq!(received[4..], in_order(again + 4, again + 100));
    }
}

#[test]
fn delayed_packets_do_not_count_as_a_restarted_stream() {
    let mut met = Met::new();
    let mut path = path(met.b.keys.as_ref());
    let mut room = [0; 2_048];
    let first = met.by_str0m(70_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    path.continue_receiving(ssrc, negotiated(met.mid, &[pt]), 70_000, met.now);
    let late: Vec<_> = (70_001..70_009).map(|n| met.by_str0m(n)).collect();
    for n in 70_009..70_200 {
        let live = met.by_str0m(n);
        let received = receive(&mut path, &live, met.now, &mut room);
        assert_eq!(number(received), Some((0, n)));
        // Four in a row, then another four, with current packets in between.
        for held in late.iter().skip(4 * ((n % 2) as usize)).take(4) {
            if n > 70_100 {
                let received = receive(&mut path, held, met.now, &mut room);
                assert_eq!(received, Received::Behind);
            }
        }
    }
    // The sender restarts and resets its rollover counter; with the old counter, the packets would
    // have sequence numbers that have not been received yet.
    let again: Vec<_> = (20_000..20_020).map(|n| met.by_str0m(n)).collect();
    for (n, datagram) in again.iter().enumerate() {
        let received = receive(&mut path, datagram, met.now, &mut room);
        match n {
            0..4 => assert_eq!(received, Received::Behind),
            _ => assert_eq!(number(received), Some((1, 20_000 + n as u64))),
        }
    }
}

#[test]
fn a_new_ssrc_is_received_and_unnegotiated_payload_types_are_not() {
    let mut met = Met::new();
    let mut path = path(met.b.keys.as_ref());
    let mut room = [0; 2_048];
    let first = met.by_str0m(30_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    let (mid, t) = (met.mid, met.now);
    let mut strict = self::path(met.b.keys.as_ref());
    strict.continue_receiving(ssrc, negotiated(mid, &[pt + 1]), 29_999, t);
    let received = receive(&mut strict, &first, t, &mut room);
    assert_eq!(received, Received::Unplaced);
    let mut forged = first.clone();
    forged[20] ^= 1;
    let received = receive(&mut strict, &forged, t, &mut room);
    assert_eq!(received, Received::Unauthenticated);
    path.continue_receiving(ssrc, negotiated(mid, &[pt + 1, pt]), 29_999, t);
    let received = receive(&mut path, &first, t, &mut room);
    assert_eq!(number(received), Some((0, 30_000)));
    // The track is published again, with another SSRC in the same section.
    let mut api = met.a.rtc.direct_api();
    api.remove_stream_tx(ssrc.into());
    api.declare_stream_tx(77.into(), None, mid, None);
    let second = met.by_str0m(5);
    assert_eq!(word(&second, 8), 77);
    assert!(!path.carries(&second), "str0m's");
    for datagram in [&first, &second] {
        met.b.take(1_001, datagram, t);
        met.b.drain();
    }
    let by_str0m: Vec<_> = met.b.packets.iter().map(|p| *p.seq_no).collect();
    assert_eq!(by_str0m, [30_000, 5]);
    path.continue_receiving(77, negotiated(mid, &[pt]), 5, t);
    let third = met.by_str0m(6);
    let received = receive(&mut path, &third, t, &mut room);
    assert!(matches!(received, Received::Packet { ssrc: 77, .. }));
    assert_eq!(number(received), Some((0, 6)));
}

#[test]
fn upstream_losses_are_reported_once_with_their_sequence_numbers() {
    let mut met = Met::new();
    let mut ours = path(met.a.keys.as_ref());
    let mut theirs = path(met.b.keys.as_ref());
    let mut room = [0; 2_048];
    let datagram = met.by_str0m(1);
    let (ssrc, pt) = (word(&datagram, 8), datagram[1] & 0x7f);
    ours.continue_sending(&datagram, address(1_002), 1);
    theirs.continue_receiving(ssrc, negotiated(met.mid, &[pt]), 1, met.now);
    // A side reports only if it sends as well; any stream is enough.
    theirs.continue_sending(&datagram, address(1_001), 1);
    let (mut losses, packet) = (Vec::new(), outgoing(1));
    // 23 minutes: the 16-bit numbers wrap after 22.
    for sequence in 2..70_000_u64 {
        met.now += FRAME;
        let made = ours.packetize(sequence, &packet, &mut room);
        let (n, _) = made.expect("a packet");
        let datagram = room[..n].to_vec();
        if ![100, 101, 66_000].contains(&sequence) {
            let received = receive(&mut theirs, &datagram, met.now, &mut room);
            assert_eq!(number(received), Some((0, sequence)), "{received:?}");
        }
        if let Some((n, _)) = theirs.report(met.now, 0, &mut room) {
            let report = room[..n].to_vec();
            match receive(&mut ours, &report, met.now, &mut room) {
                Received::Report(report) => losses.extend(report.and_then(|r| r.loss)),
                other => panic!("{other:?}"),
            }
        }
    }
    let [first, second] = losses[..] else {
        panic!("{losses:?}")
    };
    assert_eq!((first.count, second.count), (2, 1));
    assert!((first.among.0..=first.among.1).contains(&100), "{first:?}");
    assert!((second.among.0..=second.among.1).contains(&66_000));
    // A report every five seconds.
    assert!(first.among.1 - first.among.0 <= 250, "{first:?}");
}

#[test]
fn rtp_padding_is_removed() {
    for (first, payload, length) in [
        (0x80, &[1, 2, 3][..], Some(3)),
        (0x80, &[], Some(0)),
        (0xa0, &[1, 2, 3, 2], Some(2)),
        (0xa0, &[0, 0, 3], Some(0)),
        (0xa0, &[1, 4], None),
        (0xa0, &[1, 0], None),
        (0xa0, &[], None),
    ] {
        assert_eq!(unpadded(&[first], payload), length, "{first} {payload:?}");
    }
}

#[test]
fn the_audio_level_extension_is_read() {
    for (what, rest, found) in [
        ("none", &[][..], None),
        ("alone", &[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0], Some(127)),
        (
            "after another",
            &[0xbe, 0xde, 0, 2, 0x41, b'0', b'1', 0, 0x10, 30, 0, 0],
            Some(30),
        ),
        ("another id", &[0xbe, 0xde, 0, 1, 0x20, 0xff, 0, 0], None),
        ("truncated", &[0xbe, 0xde, 0, 1, 0x4f, 0, 0, 0], None),
        ("reserved", &[0xbe, 0xde, 0, 1, 0xf0, 1, 0x10, 1], None),
        ("two-byte form", &[0x10, 0, 0, 1, 1, 1, 30, 0], None),
    ] {
        assert_eq!(level(rest, 1), found, "{what}");
    }
}

#[test]
fn the_header_extension_is_read_after_the_csrc_list() {
    // Version, CSRC count and extension bit; marker and type; sequence; time; SSRC.
    let fixed = |first: u8| [&[first, 111][..], &[0; 10]].concat();
    let extension_of_level = [0xbe, 0xde, 0, 1, 0x10, 30, 0, 0];
    let csrc = [9, 9, 9, 9];
    for (what, header, found) in [
        (
            "alone",
            [&fixed(0x90)[..], &extension_of_level].concat(),
            Some(30),
        ),
        (
            "after a CSRC",
            [&fixed(0x91)[..], &csrc, &extension_of_level].concat(),
            Some(30),
        ),
        // Two CSRCs whose values look like an extension.
        (
            "none",
            [&fixed(0x82)[..], &extension_of_level].concat(),
            None,
        ),
    ] {
        let read = extension(&header).and_then(|rest| level(rest, 1));
        assert_eq!(read, found, "{what}");
    }
}

#[test]
fn a_report_of_the_next_expected_packet_is_accepted() {
    let mut out = SendStream {
        header: Vec::new(),
        ssrc: 1,
        to: ([127, 0, 0, 1], 1).into(),
        packets: 0,
        octets: 0,
        newest: 102,
        reported: (0, 0),
    };
    let block = |lost, highest| rtcp::ReportBlock {
        lost,
        highest,
        jitter: 480,
        last_report: 0,
        since_report: 0,
    };
    let reported = |expected, lost: u64, among, count| {
        let loss = ReportedLoss { among, count };
        Some(StreamReport {
            ssrc: 1,
            expected,
            lost,
            loss: (count > 0).then_some(loss),
            jitter: Duration::from_millis(10),
            round_trip: None,
        })
    };
    // Report blocks as livekit-server 1.13.5 sends them.
    let first = out.reported(block(15, 103));
    assert_eq!(first, reported(102, 15, (1, 102), 15));
    out.newest = 153;
    let second = out.reported(block(21, 154));
    assert_eq!(second, reported(153, 21, (103, 153), 6));
    // Report blocks as RFC 3550 specifies them.
    let old = out.reported(block(22, 150));
    assert_eq!(old, None, "older than the last report");
    out.newest = 65_535;
    let third = out.reported(block(23, 0x1_0000));
    assert_eq!(third, reported(65_535, 23, (154, 65_535), 2));
    out.newest = 65_540;
    let fourth = out.reported(block(24, 0x1_0003));
    assert_eq!(fourth, reported(65_539, 24, (65_536, 65_539), 1));
    // A packet that was late is no longer lost, and no new loss.
    let fifth = out.reported(block(23, 0x1_0003));
    assert_eq!(fifth, reported(65_539, 23, (0, 0), 0));
}

#[test]
fn the_round_trip_of_a_report_is_measured_once() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let block = |last_report, held_ms: u32| rtcp::ReportBlock {
        lost: 0,
        highest: 1,
        jitter: 0,
        last_report,
        since_report: held_ms * 65_536 / 1_000,
    };
    let mut round_trips = RoundTrips::default();
    assert_eq!(
        round_trips.answered(&block(0, 0), at(0)),
        None,
        "none was sent"
    );
    round_trips.sent(7, at(100));
    let about = |got: Option<Duration>| got.map(|time| time.as_millis());
    let first = round_trips.answered(&block(7, 500), at(680));
    assert_eq!(about(first), Some(80));
    let again = round_trips.answered(&block(7, 1_500), at(1_700));
    assert_eq!(again, None, "another report about the same one");
    assert_eq!(round_trips.answered(&block(8, 0), at(1_700)), None);
    // The other side's time is rounded, and may exceed what passed here.
    round_trips.sent(9, at(2_000));
    let short = round_trips.answered(&block(9, 100), at(2_099));
    assert_eq!(short, Some(Duration::ZERO));
    // Only the latest reports are remembered.
    for k in 0..=REMEMBERED_REPORTS as u32 {
        round_trips.sent(20 + k, at(3_000));
    }
    assert_eq!(round_trips.answered(&block(20, 0), at(3_050)), None);
    let second = round_trips.answered(&block(21, 0), at(3_050));
    assert_eq!(about(second), Some(50));
}
