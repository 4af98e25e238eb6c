//! Tests both paths of a packet against str0m.
//!
//! Invariants: two instances in virtual time, no socket; the keys come from their handshake.

use super::*;
use crate::net::keys::{self, Keys};
use std::sync::Arc;
use std::time::Duration;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

pub(super) const FRAME: Duration = Duration::from_millis(20);

pub(super) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A str0m instance, and the packets and reports that it has received.
pub(super) struct End {
    pub(super) rtc: Rtc,
    port: u16,
    pub(super) keys: Option<Keys>,
    connected: bool,
    pub(super) packets: Vec<RtpPacket>,
    /// Packets and octets of each sender report received.
    pub(super) reports: Vec<(u32, u32)>,
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

    /// Takes all datagrams that str0m has to send.
    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
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

    pub(super) fn take(&mut self, from: u16, datagram: &[u8], now: Instant) {
        let r = Receive::new(Protocol::Udp, address(from), address(self.port), datagram);
        let input = Input::Receive(now, r.expect("a datagram"));
        self.rtc.handle_input(input).expect("alive");
    }
}

/// Two connected instances; `a` has a section to send on, `mid`.
pub(super) struct Met {
    pub(super) a: End,
    pub(super) b: End,
    pub(super) mid: Mid,
    pub(super) now: Instant,
}

impl Met {
    pub(super) fn new() -> Self {
        let mut now = Instant::now();
        let (mut a, mut b) = (End::new(1_001, now), End::new(1_002, now));
        let mut api = a.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let answer = b.rtc.sdp_api().accept_offer(offer).expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).expect("an answer");
        let taken = a.rtc.sdp_api().accept_answer(pending, answer);
        taken.expect("an accepted answer");
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
    pub(super) fn by_str0m(&mut self, sequence: u64) -> Vec<u8> {
        self.now += FRAME;
        let media = self.a.rtc.media(self.mid).expect("a section");
        let pt = *media.remote_pts().first().expect("a payload type");
        let mut api = self.a.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).expect("a stream");
        let (time, payload) = ((sequence * 960) as u32, payload(sequence));
        let write = RtpWrite::new(pt, sequence.into(), time, self.now, payload);
        let values = ExtensionValues {
            audio_level: Some(-((sequence % 128) as i8)),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        stream.write_rtp(write.ext_vals(values));
        let tick = Input::Timeout(self.now);
        self.a.rtc.handle_input(tick).expect("alive");
        let sent = self.a.drain();
        let of_rtp = |d: &Vec<u8>| matches!(d[..], [128..=191, 0..192 | 224.., ..]);
        sent.into_iter().find(of_rtp).expect("a packet")
    }
}

pub(super) fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 40 + (sequence % 30) as usize]
}

pub(super) fn outgoing(sequence: u64) -> Outgoing {
    Outgoing {
        payload: Arc::from(payload(sequence)),
        rtp_time: (sequence * 960) as u32,
        marker: false,
    }
}

/// How a path handles a datagram from `a` that arrives at `at`.
pub(super) fn receive<'r>(
    path: &mut impl MediaPath,
    bytes: &[u8],
    at: Instant,
    room: &'r mut [u8],
) -> Received<'r> {
    let datagram = Datagram {
        bytes,
        from: address(1_001),
        wall_ns: None,
        dropped: 0,
    };
    let stamp = Stamp { at, kernel: true };
    path.receive(at, &datagram, stamp, room)
}

/// Both paths of `b`, and the SSRC of `a`'s stream, whose packet `first` went through str0m.
fn paths(met: &mut Met, first: u64) -> (Str0mPath, DirectPath, u32) {
    let direct = DirectPath::new(met.b.keys.as_ref().expect("keys"));
    let mut by_str0m = Str0mPath::new(address(1_002), met.now).expect("an address");
    std::mem::swap(&mut by_str0m.rtc, &mut met.b.rtc);
    let datagram = met.by_str0m(first);
    let mut room = [0; 2_048];
    let received = receive(&mut by_str0m, &datagram, met.now, &mut room);
    let Received::Packet { ssrc, .. } = received else {
        panic!("{received:?}");
    };
    (by_str0m, direct.expect("a GCM profile"), ssrc)
}

#[test]
fn both_paths_deliver_the_same_packet() {
    let mut met = Met::new();
    let (mut by_str0m, mut direct, ssrc) = paths(&mut met, 65_500);
    let negotiated = by_str0m.negotiated(met.mid).expect("a described section");
    direct.continue_receiving(ssrc, negotiated, 65_500, met.now);
    // The 16-bit sequence number wraps during the test, and every seventh packet is lost.
    for sequence in (65_501..65_700).filter(|n| n % 7 != 0) {
        let datagram = met.by_str0m(sequence);
        let (mut room, mut other_room) = ([0; 2_048], [0; 2_048]);
        let past = receive(&mut direct, &datagram, met.now, &mut room);
        let through = receive(&mut by_str0m, &datagram, met.now, &mut other_room);
        assert_eq!(past, through);
        let expected = Packet {
            arrival: met.now,
            kernel_stamp: true,
            rtp_time: (sequence * 960) as u32,
            sequence,
            level: Some((sequence % 128) as u8),
            payload: &payload(sequence),
        };
        assert!(matches!(past, Received::Packet { packet, .. } if packet == expected));
    }
}

#[test]
fn an_authenticated_packet_without_a_section_is_unplaced() {
    let mut met = Met::new();
    let (mut by_str0m, mut direct, _) = paths(&mut met, 1);
    let mut theirs = DirectPath::new(met.a.keys.as_ref().expect("keys")).expect("a GCM profile");
    // A stream whose packets carry no section id.
    let mut like = [0; 12 + 32];
    (like[0], like[1], like[11]) = (0x80, 111, 99);
    theirs.continue_sending(&like, address(1_002), 1);
    let mut room = [0; 2_048];
    let made = theirs.packetize(2, &outgoing(2), &mut room);
    let datagram = room[..made.expect("a packet").0].to_vec();
    assert!(!direct.carries(&datagram));
    assert!(direct.authenticates(&datagram, &mut room));
    let received = receive(&mut by_str0m, &datagram, met.now, &mut room);
    assert_eq!(received, Received::Unplaced);
    let mut forged = datagram;
    forged[20] ^= 1;
    assert!(!direct.authenticates(&forged, &mut room));
}
