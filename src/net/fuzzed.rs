//! The parts of the media engine that the fuzz targets exercise.
//!
//! In: bytes as they would come from the network or a server. Out: the engine's results.
//! Invariant: nothing is sent, whatever address an input contains.

pub(crate) use super::path::Received;

use super::clock::Stamp;
use super::keys::Keys;
use super::path::{DirectPath, MediaPath as _, Negotiated};
use super::rtcp;
use super::srtp::{self, Context};
use super::stun;
use super::{NetError, Topology, Transport};
use crate::os::Datagram;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use str0m::Output;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::crypto::dtls::SrtpProfile;

/// Size of a buffer that holds any datagram, in bytes.
const ROOM: usize = 2_048;
/// SSRC of our own stream.
const OWN: u32 = 0x0102_0304;
/// Maximum number of str0m's outputs after one change; more would be an endless loop.
const MOST_OUTPUTS: usize = 10_000;

fn keys(client: bool, long: bool) -> Keys {
    let length: u8 = if long { 32 } else { 16 };
    Keys {
        profile: match long {
            true => SrtpProfile::AEAD_AES_256_GCM,
            false => SrtpProfile::AEAD_AES_128_GCM,
        },
        material: (0..2 * length + 24).collect(),
        client,
    }
}

/// The sealing and the opening context of one side; `client`: the side is the DTLS client.
pub(crate) fn contexts(client: bool, long: bool) -> (Context, Context) {
    srtp::contexts(&keys(client, long)).expect("a supported profile with enough material")
}

pub(crate) fn seal_rtcp(context: &mut Context, index: u32, packet: &[u8]) -> Option<Vec<u8>> {
    let mut room = packet.to_vec();
    room.resize(packet.len() + ROOM, 0);
    let length = context.seal_rtcp(index, packet.len(), &mut room)?;
    room.truncate(length);
    Some(room)
}

pub(crate) fn open_rtcp(context: &mut Context, datagram: &[u8]) -> Option<Vec<u8>> {
    let mut room = vec![0; datagram.len()];
    let length = context.open_rtcp(datagram, &mut room)?;
    room.truncate(length);
    Some(room)
}

/// A connection that receives and reports without str0m, and its other side.
pub(crate) struct DirectReceiver {
    path: DirectPath,
    /// The other side's contexts.
    pub(crate) seals: Context,
    opens: Context,
    start: Instant,
    room: Box<[u8]>,
}

impl DirectReceiver {
    pub(crate) fn new() -> Self {
        let mut path = DirectPath::new(&keys(false, true)).expect("a supported profile");
        let (seals, opens) = contexts(true, true);
        // A packet of our stream as str0m would have made it: a header, and a sealed payload.
        let mut first = [0; 12 + 32];
        (first[0], first[1]) = (0x80, 111);
        first[8..12].copy_from_slice(&OWN.to_be_bytes());
        path.continue_sending(&first, SocketAddr::from(([127, 0, 0, 1], 9)), 1);
        Self {
            path,
            seals,
            opens,
            start: Instant::now(),
            room: vec![0; ROOM].into(),
        }
    }

    /// Takes over a stream of the other side after its packet `sequence`.
    pub(crate) fn hear(&mut self, ssrc: u32, level: Option<u8>, sequence: u64) {
        let negotiated = Negotiated {
            mid: "0".into(),
            // Any payload type that a packet may have.
            payload_types: (0..128).collect(),
            level,
        };
        self.path
            .continue_receiving(ssrc, negotiated, sequence, self.start);
    }

    /// The instant `at` after the start, as the stamp of a datagram.
    pub(crate) fn stamp(&self, at: Duration) -> Stamp {
        Stamp {
            at: self.start + at,
            kernel: true,
        }
    }

    /// Handles a datagram; `None` if str0m would have to handle it.
    pub(crate) fn receive(&mut self, bytes: &[u8], at: Duration) -> Option<Received<'_>> {
        let datagram = Datagram {
            bytes,
            from: SocketAddr::from(([127, 0, 0, 1], 9)),
            wall_ns: None,
            dropped: 0,
        };
        let stamp = self.stamp(at);
        if !self.path.carries(bytes) {
            return None;
        }
        let received = self
            .path
            .receive(stamp.at, &datagram, stamp, &mut self.room);
        assert_ne!(received, Received::Unplaced, "every type is negotiated");
        Some(received)
    }

    /// Our next report if one is due, decrypted by the other side.
    pub(crate) fn report(&mut self, at: Duration) -> Option<Vec<u8>> {
        let mut room = [0; ROOM];
        let (length, _) = self.path.report(self.start + at, 0, &mut room)?;
        let opened = open_rtcp(&mut self.opens, &room[..length]);
        Some(opened.expect("the other side opens our reports"))
    }
}

/// The sender's SSRC and time in a plain RTCP packet.
pub(crate) fn sender_report(packet: &[u8]) -> Option<(u32, u32)> {
    rtcp::sender_report(packet)
}

/// The round trip that a report gives, if it is about our stream.
pub(crate) fn round_trip(received: &Received<'_>) -> Option<Duration> {
    match received {
        Received::Report(report) => report.as_ref()?.round_trip,
        _ => None,
    }
}

/// Whether a datagram answers a check with the address that the other side saw.
pub(crate) fn maps_address(datagram: &[u8]) -> bool {
    let mut checks = stun::Checks::default();
    let now = Instant::now();
    checks.sent(datagram, now);
    assert_eq!(checks.answered(datagram, now), None, "its own answer");
    stun::mapped_address(datagram).is_some()
}

/// A transport whose datagrams are never sent.
pub(crate) struct Described(Transport);

impl Described {
    pub(crate) fn new() -> Self {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let transport = Transport::new(here, Instant::now());
        Self(transport.expect("a socket on the loopback interface"))
    }

    pub(crate) fn offer(&mut self, topology: Topology) -> String {
        self.0
            .offer("mic", topology)
            .expect("a new transport can offer")
    }

    pub(crate) fn reoffer(&mut self, sections: u32) -> Result<Option<String>, NetError> {
        self.0.reoffer(sections)
    }

    pub(crate) fn answer(&mut self, sdp: &str) -> Result<(), NetError> {
        self.0.answer(sdp)
    }

    pub(crate) fn accept(&mut self, sdp: &str) -> Result<String, NetError> {
        self.0.accept(sdp)
    }

    pub(crate) fn candidate(&mut self, line: &str) -> bool {
        self.0.candidate(line)
    }

    pub(crate) fn publish_on(&mut self, mid: &str) -> bool {
        self.0.publish_on(mid.into());
        self.0.str0m.publication().is_some()
    }

    /// A datagram from the network.
    pub(crate) fn receive(&mut self, datagram: &[u8]) {
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        let to = self.0.port.local();
        if let Ok(read) = str0m::net::Receive::new(str0m::net::Protocol::Udp, from, to, datagram) {
            let now = Instant::now();
            // As in `Str0mPath::receive`, an error means a bad datagram.
            let _ = self
                .0
                .str0m
                .rtc
                .handle_input(str0m::Input::Receive(now, read));
        }
    }

    /// Advances str0m's clock by `by` and takes its outputs; false if the transport is dead.
    pub(crate) fn drain(&mut self, by: Duration) -> bool {
        self.0.tick(Instant::now() + by);
        for _ in 0..MOST_OUTPUTS {
            match self.0.str0m.rtc.poll_output() {
                Ok(Output::Timeout(_)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        panic!("str0m's outputs do not end");
    }
}

/// Whether a description of ours can be parsed as an offer or an answer.
pub(crate) fn is_description(sdp: &str) -> bool {
    SdpOffer::from_sdp_string(sdp).is_ok() || SdpAnswer::from_sdp_string(sdp).is_ok()
}
