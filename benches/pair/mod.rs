//! Two connected str0m instances in one process, and packets between them.
//!
//! In: nothing. Out: a sender and a receiver with keys, in virtual time. Invariants: there is no
//! socket; only str0m is timed or counted; its configuration is that of the media engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// A sender, a receiver and the state of the stream between them.
pub(crate) struct Pair {
    a: Rtc,
    b: Rtc,
    now: Instant,
    ssrc: Ssrc,
    pt: Pt,
    sequence: u64,
    payload: Arc<[u8]>,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn rtc(port: u16, now: Instant) -> Rtc {
    let mut rtc = Rtc::builder()
        .clear_codecs()
        .enable_opus(true, false)
        .set_rtp_mode(true)
        .clear_extension_map()
        .set_extension(1, Extension::AudioLevel)
        .set_extension(4, Extension::RtpMid)
        .set_stats_interval(None)
        .set_send_buffer_audio(2)
        .build(now);
    let host = Candidate::host(address(port), "udp").expect("an address");
    rtc.add_local_candidate(host);
    rtc
}

/// Delivers all pending output of `from` to `to`. Returns the number of RTP packets that `from` has
/// received, and whether `from` has connected.
fn carry(from: &mut Rtc, port: u16, to: &mut Rtc, now: Instant) -> (usize, bool) {
    let (mut packets, mut connected) = (0, false);
    loop {
        match from.poll_output().expect("alive") {
            Output::Timeout(_) => return (packets, connected),
            Output::Transmit(t) => {
                let source = address(port);
                if let Ok(r) = Receive::new(Protocol::Udp, source, t.destination, &t.contents) {
                    to.handle_input(Input::Receive(now, r)).expect("alive");
                }
            }
            Output::Event(Event::RtpPacket(_)) => packets += 1,
            Output::Event(Event::Connected) => connected = true,
            Output::Event(_) => {}
        }
    }
}

impl Pair {
    /// Two connected instances; every packet carries `payload`.
    pub(crate) fn connected(payload: &[u8]) -> Self {
        let mut now = Instant::now();
        let (mut a, mut b) = (rtc(1_001, now), rtc(1_002, now));
        let mut api = a.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let answer = b.sdp_api().accept_offer(offer).expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).expect("an answer");
        a.sdp_api().accept_answer(pending, answer).expect("valid");
        let (mut here, mut there) = (false, false);
        for _ in 0..10_000 {
            here |= carry(&mut a, 1_001, &mut b, now).1;
            there |= carry(&mut b, 1_002, &mut a, now).1;
            if here && there {
                break;
            }
            now += Duration::from_millis(5);
            a.handle_input(Input::Timeout(now)).expect("alive");
            b.handle_input(Input::Timeout(now)).expect("alive");
        }
        assert!(here && there, "both peers connect");
        let pt = a.media(mid).and_then(|m| m.remote_pts().first().copied());
        let ssrc = a
            .direct_api()
            .stream_tx_by_mid(mid, None)
            .expect("a stream")
            .ssrc();
        Self {
            a,
            b,
            now,
            ssrc,
            pt: pt.expect("a payload type"),
            sequence: 1,
            payload: Arc::from(payload),
        }
    }

    /// Protects one packet and returns the datagram.
    pub(crate) fn protect(&mut self) -> Vec<u8> {
        self.now += Duration::from_millis(20);
        let time = (self.sequence * 960) as u32;
        let write = RtpWrite::new(
            self.pt,
            self.sequence.into(),
            time,
            self.now,
            self.payload.clone(),
        );
        let mut api = self.a.direct_api();
        api.stream_tx(&self.ssrc)
            .expect("a stream")
            .write_rtp(write);
        self.sequence += 1;
        self.a
            .handle_input(Input::Timeout(self.now))
            .expect("alive");
        let mut datagram = Vec::new();
        loop {
            match self.a.poll_output().expect("alive") {
                Output::Timeout(_) => return datagram,
                Output::Transmit(t) if is_rtp(&t.contents) => datagram = t.contents.to_vec(),
                _ => {}
            }
        }
    }

    /// Unprotects one datagram and returns the number of RTP packets in it.
    pub(crate) fn unprotect(&mut self, datagram: &[u8]) -> usize {
        let r = Receive::new(Protocol::Udp, address(1_001), address(1_002), datagram);
        let input = Input::Receive(self.now, r.expect("a datagram"));
        self.b.handle_input(input).expect("alive");
        let mut packets = 0;
        loop {
            match self.b.poll_output().expect("alive") {
                Output::Timeout(_) => return packets,
                Output::Event(Event::RtpPacket(_)) => packets += 1,
                _ => {}
            }
        }
    }
}

fn is_rtp(bytes: &[u8]) -> bool {
    matches!(bytes, [128..=191, kind, ..] if !(192..=223).contains(kind))
}
