//! Interoperability with str0m: we receive what it sends, and it receives what we send.
//!
//! Invariants: two instances in virtual time, no socket; the keys come from their handshake.

use super::super::keys;
use super::*;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

const FRAME: Duration = Duration::from_millis(20);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

struct End {
    rtc: Rtc,
    port: u16,
    keys: Option<Keys>,
    connected: bool,
    packets: Vec<RtpPacket>,
    /// Packets and octets of each sender report received.
    reports: Vec<(u32, u32)>,
}

impl End {
    fn new(port: u16, now: Instant) -> Self {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(keys::provider())
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            .build(now);
        let host = Candidate::host(address(port), "udp").expect("an address");
        rtc.add_local_candidate(host);
        Self {
            rtc,
            port,
            keys: None,
            connected: false,
            packets: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// All datagrams that it has to send.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        loop {
            let output = self.rtc.poll_output().expect("alive");
            self.keys = keys::take().or(self.keys.take());
            match output {
                Output::Timeout(_) => return datagrams,
                Output::Transmit(t) => datagrams.push(t.contents.to_vec()),
                Output::Event(Event::RtpPacket(p)) => self.packets.push(p),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::SenderFeedback(f)) => {
                    let info = f.sender_info;
                    self.reports
                        .push((info.sender_packet_count, info.sender_octet_count));
                }
                Output::Event(_) => {}
            }
        }
    }

    fn take(&mut self, from: u16, datagram: &[u8], now: Instant) {
        let r = Receive::new(Protocol::Udp, address(from), address(self.port), datagram);
        let input = Input::Receive(now, r.expect("a datagram"));
        self.rtc.handle_input(input).expect("alive");
    }
}

struct Met {
    a: End,
    b: End,
    mid: Mid,
    now: Instant,
}

impl Met {
    fn new() -> Self {
        let mut now = Instant::now();
        let (mut a, mut b) = (End::new(1_001, now), End::new(1_002, now));
        let mut api = a.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let answer = b.rtc.sdp_api().accept_offer(offer).expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).expect("an answer");
        let taken = a.rtc.sdp_api().accept_answer(pending, answer);
        taken.expect("taken");
        while !(a.connected && b.connected) {
            a.drain().iter().for_each(|d| b.take(1_001, d, now));
            b.drain().iter().for_each(|d| a.take(1_002, d, now));
            now += Duration::from_millis(5);
            a.rtc.handle_input(Input::Timeout(now)).expect("alive");
            b.rtc.handle_input(Input::Timeout(now)).expect("alive");
        }
        Self { a, b, mid, now }
    }

    /// The datagram of a packet that str0m sends from `a`.
    fn by_str0m(&mut self, sequence: u64) -> Vec<u8> {
        self.now += FRAME;
        let media = self.a.rtc.media(self.mid).expect("a section");
        let pt = *media.remote_pts().first().expect("a payload type");
        let mut api = self.a.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).expect("a stream");
        let (time, payload) = ((sequence * 960) as u32, payload(sequence));
        let write = RtpWrite::new(pt, sequence.into(), time, self.now, payload);
        stream.write_rtp(write);
        let tick = Input::Timeout(self.now);
        self.a.rtc.handle_input(tick).expect("alive");
        let sent = self.a.drain();
        let of_rtp = |d: &Vec<u8>| matches!(d[..], [128..=191, 0..192 | 224.., ..]);
        sent.into_iter().find(of_rtp).expect("a packet")
    }
}

fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 40 + (sequence % 30) as usize]
}

#[test]
fn str0m_hears_a_stream_that_was_taken_over_and_its_reports() {
    let mut met = Met::new();
    let mut media = Media::new(met.a.keys.as_ref().expect("keys")).expect("GCM");
    let mut room = [0; 2_048];
    assert!(!media.sends());
    assert_eq!(media.packet(1, 0, false, &[1], &mut room), None);
    // The 16-bit sequence number wraps on the way.
    let (first, last) = (65_500, 65_600);
    for sequence in first..first + 3 {
        let datagram = met.by_str0m(sequence);
        met.b.take(1_001, &datagram, met.now);
        met.b.drain();
        media.take_over(&datagram, address(1_002), (sequence - first + 1) as u32);
    }
    assert!(media.sends());
    for sequence in first + 3..=last {
        met.now += FRAME;
        let (time, marker) = ((sequence * 960) as u32, sequence == 65_550);
        let (n, to) = media
            .packet(sequence, time, marker, &payload(sequence), &mut room)
            .expect("a packet");
        assert_eq!(to, address(1_002));
        met.b.take(1_001, &room[..n], met.now);
        met.b.drain();
        if let Some((n, _)) = media.report(met.now, time, &mut room) {
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
fn a_stream_of_str0ms_is_heard_once_and_whole() {
    let mut met = Met::new();
    let mut media = Media::new(met.b.keys.as_ref().expect("keys")).expect("GCM");
    let mut room = [0; 2_048];
    let before = met.by_str0m(65_529);
    let first = met.by_str0m(65_530);
    let t = met.now;
    assert_eq!(media.receive(&first, t, &mut room), Taken::No, "not known");
    let ssrc = word(&first, 8);
    let pt = first[1] & 0x7f;
    media.hear((ssrc, pt), met.mid, None, 65_530, t);
    for (what, datagram) in [("again", &first), ("by str0m", &before)] {
        let taken = media.receive(datagram, t, &mut room);
        assert_eq!(taken, Taken::Repeated, "{what}");
    }
    let all: Vec<(u64, Vec<u8>)> = (65_531..65_700).map(|n| (n, met.by_str0m(n))).collect();
    let mut order: Vec<usize> = (0..100).collect();
    // Out of order, across the wrap of the 16-bit sequence number; then 50 that are lost.
    order.swap(4, 8);
    order.extend(150..all.len());
    for k in order {
        let (sequence, datagram) = &all[k];
        let heard = Heard {
            mid: met.mid,
            ssrc,
            restarts: 0,
            rtp_time: (sequence * 960) as u32,
            sequence: *sequence,
            level: None,
            length: payload(*sequence).len(),
        };
        let mut forged = datagram.clone();
        forged[20] ^= 1;
        let taken = media.receive(&forged, t, &mut room);
        assert_eq!(taken, Taken::Unauthenticated);
        let taken = media.receive(datagram, t, &mut room);
        assert_eq!(taken, Taken::Packet(heard));
        assert_eq!(room[..heard.length], payload(*sequence));
        assert_eq!(media.receive(datagram, t, &mut room), Taken::Repeated);
        let taken = media.receive(&forged, t, &mut room);
        assert_eq!(taken, Taken::Unauthenticated, "with a known number");
    }
    assert_eq!(media.receive(&all[1].1, t, &mut room), Taken::Behind, "old");
    let mut forged = all[1].1.clone();
    forged[20] ^= 1;
    let taken = media.receive(&forged, t, &mut room);
    assert_eq!(taken, Taken::Unauthenticated, "old and forged");
    for (what, bytes) in [
        ("nothing", &[][..]),
        ("STUN", &[0; 20]),
        ("a head", &[0x80, 111, 0, 1]),
        (
            "no room for its extension",
            &[0x90, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde],
        ),
        ("sources", &[0x8f, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("a report before ours", &[0x80, 200, 0, 1, 0, 0, 0, 1]),
    ] {
        assert_eq!(media.receive(bytes, t, &mut room), Taken::No, "{what}");
    }
}

/// Packets of a stream whose sequence numbers start anew at `again`, and what becomes of each.
fn restarted(again: u64) -> Vec<Taken> {
    let mut met = Met::new();
    let mut media = Media::new(met.b.keys.as_ref().expect("keys")).expect("GCM");
    let mut room = [0; 2_048];
    let first = met.by_str0m(30_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    media.hear((ssrc, pt), met.mid, None, 30_000, met.now);
    let numbers = (30_001..30_101).chain(again..again + 100);
    let datagrams: Vec<_> = numbers.map(|n| met.by_str0m(n)).collect();
    let taken = datagrams
        .iter()
        .map(|d| media.receive(d, met.now, &mut room));
    taken.skip(100).collect()
}

#[test]
fn a_stream_that_starts_anew_under_its_ssrc_is_heard_as_another() {
    let numbers = |taken: &[Taken]| -> Vec<(u32, u64)> {
        let heard = taken.iter().map(|taken| match taken {
            Taken::Packet(heard) => (heard.restarts, heard.sequence),
            other => panic!("{other:?}"),
        });
        heard.collect()
    };
    let in_order = |from: u64, to: u64| (from..to).map(|n| (1, n)).collect::<Vec<_>>();
    // Far ahead, also by more than half of the numbers there are: from the first packet on.
    for again in [40_000, 70_000, 95_000] {
        let taken = restarted(again);
        assert_eq!(numbers(&taken), in_order(again, again + 100), "{again}");
    }
    // Behind: the fifth packet in a row proves it.
    for again in [1, 20_000, 29_900] {
        let taken = restarted(again);
        assert_eq!(taken[..4], [Taken::Behind; 4], "{again}");
        assert_eq!(numbers(&taken[4..]), in_order(again + 4, again + 100));
    }
}

#[test]
fn packets_that_were_held_up_start_nothing_anew() {
    let mut met = Met::new();
    let mut media = Media::new(met.b.keys.as_ref().expect("keys")).expect("GCM");
    let mut room = [0; 2_048];
    let first = met.by_str0m(70_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    media.hear((ssrc, pt), met.mid, None, 70_000, met.now);
    let late: Vec<_> = (70_001..70_009).map(|n| met.by_str0m(n)).collect();
    for n in 70_009..70_200 {
        let live = met.by_str0m(n);
        let taken = media.receive(&live, met.now, &mut room);
        assert!(matches!(taken, Taken::Packet(h) if h.restarts == 0), "{n}");
        // Four in a row, then another four, with live ones between.
        for held in late.iter().skip(4 * ((n % 2) as usize)).take(4) {
            if n > 70_100 {
                let taken = media.receive(held, met.now, &mut room);
                assert_eq!(taken, Taken::Behind);
            }
        }
    }
    // The sender begins anew, also its count of rollovers, where the nearest number would be new.
    let again: Vec<_> = (20_000..20_020).map(|n| met.by_str0m(n)).collect();
    let taken: Vec<_> = again
        .iter()
        .map(|d| media.receive(d, met.now, &mut room))
        .collect();
    assert_eq!(taken[..4], [Taken::Behind; 4]);
    assert!(matches!(taken[4], Taken::Packet(h) if (h.restarts, h.sequence) == (1, 20_004)));
}

#[test]
fn another_ssrc_numbered_below_is_heard_and_another_payload_type_once_it_is_negotiated() {
    let mut met = Met::new();
    let mut media = Media::new(met.b.keys.as_ref().expect("keys")).expect("GCM");
    let mut room = [0; 2_048];
    let first = met.by_str0m(30_000);
    let (ssrc, pt) = (word(&first, 8), first[1] & 0x7f);
    media.hear((ssrc, pt + 1), met.mid, None, 29_999, met.now);
    let (mid, t) = (met.mid, met.now);
    let taken = media.receive(&first, t, &mut room);
    assert_eq!(taken, Taken::PayloadType { mid, ssrc, pt });
    media.allow(ssrc, pt);
    let taken = media.receive(&first, t, &mut room);
    assert!(matches!(taken, Taken::Packet(h) if h.sequence == 30_000));
    // The track is published again, with another SSRC in the same section.
    let mut api = met.a.rtc.direct_api();
    api.remove_stream_tx(ssrc.into());
    api.declare_stream_tx(77.into(), None, mid, None);
    let second = met.by_str0m(5);
    assert_eq!(word(&second, 8), 77);
    assert_eq!(media.receive(&second, t, &mut room), Taken::No, "str0m's");
    for datagram in [&first, &second] {
        met.b.take(1_001, datagram, t);
        met.b.drain();
    }
    let by_str0m: Vec<_> = met.b.packets.iter().map(|p| *p.seq_no).collect();
    assert_eq!(by_str0m, [30_000, 5]);
    media.hear((77, pt), mid, None, 5, t);
    let third = met.by_str0m(6);
    let taken = media.receive(&third, t, &mut room);
    assert!(matches!(taken, Taken::Packet(h) if (h.ssrc, h.sequence) == (77, 6)));
}

#[test]
fn what_the_other_side_lost_of_our_stream_is_reported_once_with_its_numbers() {
    let mut met = Met::new();
    let keys = |end: &End| Media::new(end.keys.as_ref().expect("keys")).expect("GCM");
    let (mut ours, mut theirs) = (keys(&met.a), keys(&met.b));
    let mut room = [0; 2_048];
    let datagram = met.by_str0m(1);
    let (ssrc, pt) = (word(&datagram, 8), datagram[1] & 0x7f);
    ours.take_over(&datagram, address(1_002), 1);
    theirs.hear((ssrc, pt), met.mid, None, 1, met.now);
    // They report only if they send as well: any stream of theirs will do.
    theirs.take_over(&datagram, address(1_001), 1);
    let mut losses = Vec::new();
    // Ten minutes: the 16-bit numbers do not wrap in less.
    for sequence in 2..70_000_u64 {
        met.now += FRAME;
        let made = ours.packet(sequence, 0, false, &[1, 2, 3], &mut room);
        let (n, _) = made.expect("a packet");
        let datagram = room[..n].to_vec();
        if ![100, 101, 66_000].contains(&sequence) {
            let taken = theirs.receive(&datagram, met.now, &mut room);
            assert!(matches!(taken, Taken::Packet(_)), "{sequence}: {taken:?}");
        }
        if let Some((n, _)) = theirs.report(met.now, 0, &mut room) {
            let report = room[..n].to_vec();
            match ours.receive(&report, met.now, &mut room) {
                Taken::Report(loss) => losses.extend(loss),
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
fn padding_is_taken_off() {
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
fn the_level_is_found_among_the_extensions() {
    for (what, rest, found) in [
        ("none", &[][..], None),
        ("alone", &[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0], Some(127)),
        (
            "after another",
            &[0xbe, 0xde, 0, 2, 0x41, b'0', b'1', 0, 0x10, 30, 0, 0],
            Some(30),
        ),
        ("another's", &[0xbe, 0xde, 0, 1, 0x20, 0xff, 0, 0], None),
        ("cut", &[0xbe, 0xde, 0, 1, 0x4f, 0, 0, 0], None),
        ("reserved", &[0xbe, 0xde, 0, 1, 0xf0, 1, 0x10, 1], None),
        ("two-byte form", &[0x10, 0, 0, 1, 1, 1, 30, 0], None),
    ] {
        assert_eq!(level(rest, 1), found, "{what}");
    }
}

#[test]
fn the_extension_stands_behind_the_csrc_list() {
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
            "behind a CSRC",
            [&fixed(0x91)[..], &csrc, &extension_of_level].concat(),
            Some(30),
        ),
        // Two sources whose numbers look like an extension.
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
fn a_report_may_name_the_packet_that_is_expected_next() {
    let mut out = Out {
        header: Vec::new(),
        ssrc: 1,
        to: ([127, 0, 0, 1], 1).into(),
        packets: 0,
        octets: 0,
        newest: 102,
        reported: (0, 0),
    };
    let block = |lost, highest| rtcp::Block { lost, highest };
    let loss = |among, count| Some(Loss { among, count });
    // As livekit-server 1.13.5 sends them.
    assert_eq!(out.reported(block(15, 103)), loss((1, 102), 15));
    out.newest = 153;
    assert_eq!(out.reported(block(21, 154)), loss((103, 153), 6));
    // As the standard has it.
    assert_eq!(
        out.reported(block(22, 150)),
        None,
        "older than the last one"
    );
    out.newest = 65_535;
    assert_eq!(out.reported(block(23, 0x1_0000)), loss((154, 65_535), 2));
    out.newest = 65_540;
    assert_eq!(out.reported(block(24, 0x1_0003)), loss((65_536, 65_539), 1));
}
