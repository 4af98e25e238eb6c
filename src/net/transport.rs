//! One peer connection: a str0m instance and its socket.
//!
//! In: datagrams, session descriptions, candidates, time. Out: datagrams sent, events.
//! Invariant: after every change the outputs are drained until str0m names its next timeout.

mod describe;

use super::NetError;
use super::batch::Datagram;
use super::clock::since_held_up;
use super::health::Health;
use super::keys;
use super::media::{Media, Taken};
use super::socket::{UdpPort, is_rtp, is_rtp_or_rtcp};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use str0m::change::SdpPendingOffer;
use str0m::media::{Mid, Pt};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{Extension, RtpPacket, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

/// Opus payload type used while the other side's is not known.
const OPUS_PT: u8 = 111;

/// Packets that str0m keeps after sending them; it needs to keep some.
const SEND_BUFFER: usize = 2;
/// Ids of the header extensions that we offer.
const AUDIO_LEVEL: u8 = 1;
const MID: u8 = 4;

/// What a transport reports to its peer while it is drained.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "passed on at once, never kept; a box would allocate for each packet"
)]
pub(super) enum Happened {
    Connected,
    Disconnected,
    Packet(RtpPacket),
    ChannelOpen(String),
    Data,
}

/// What a first offer contains besides our microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One connection with an SFU for both directions: a spare section to receive on, and
    /// LiveKit's two data channels.
    Single,
    /// The sending one of two connections with an SFU: LiveKit's two data channels.
    Publisher,
    /// A direct connection to the other party: one section, both ways.
    Direct,
}

/// SSRC and payload type of our outgoing stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publication {
    pub ssrc: Ssrc,
    pub pt: Pt,
}

/// A peer connection with its own socket.
pub struct Transport {
    pub(super) rtc: Rtc,
    pub(super) port: UdpPort,
    pending: Option<SdpPendingOffer>,
    pub(super) timeout: Instant,
    pub(super) connected: bool,
    publish: Option<Mid>,
    /// Sections that we only receive on.
    receiving: Vec<Mid>,
    /// Handles the media after the handshake; takes over the streams that str0m has started.
    pub(super) media: Option<Media>,
    /// Audio packets that str0m has sent.
    sent: u32,
    /// The address of the latest authenticated packets from us and to us, and how many in a row
    /// had it.
    steady: Option<(SocketAddr, u32)>,
    /// The kernel's drop count when it was last read.
    drops: u32,
    /// Fingerprints of the other side's candidates, and of the streams that it announced.
    candidates: HashSet<u64>,
    announced: HashSet<u64>,
}

/// Packets in a row from and to one address before the socket is connected to it: a second.
const STEADY: u32 = 100;

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({}, {})", self.port.local(), self.connected)
    }
}

fn description(e: impl std::fmt::Display) -> NetError {
    NetError::Description(e.to_string())
}

impl Transport {
    /// A transport to a host that answers at `remote`.
    ///
    /// # Errors
    /// No socket can be opened.
    pub(super) fn new(remote: IpAddr, now: Instant) -> Result<Self, NetError> {
        let port = UdpPort::towards(remote)?;
        let mut rtc = Rtc::builder()
            .set_crypto_provider(keys::provider())
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            // No transport-wide sequence numbers: their feedback, twenty times a second each way,
            // controls the bandwidth of video, and its history grows by 85 KiB per caller.
            .clear_extension_map()
            .set_extension(AUDIO_LEVEL, Extension::AudioLevel)
            .set_extension(MID, Extension::RtpMid)
            .set_stats_interval(None)
            // Audio has no retransmission stream, so nothing is ever resent.
            .set_send_buffer_audio(SEND_BUFFER)
            .build(now);
        let host = Candidate::host(port.local(), "udp").map_err(description)?;
        rtc.add_local_candidate(host);
        Ok(Self {
            rtc,
            port,
            pending: None,
            timeout: now,
            connected: false,
            publish: None,
            receiving: Vec::new(),
            media: None,
            sent: 0,
            steady: None,
            drops: 0,
            candidates: HashSet::new(),
            announced: HashSet::new(),
        })
    }

    /// Our outgoing stream, once it is negotiated.
    pub(super) fn publication(&mut self) -> Option<Publication> {
        let mid = self.publish?;
        let pt = self.rtc.media(mid)?.remote_pts().first().copied();
        let pt = pt.unwrap_or_else(|| OPUS_PT.into());
        let mut api = self.rtc.direct_api();
        let ssrc = api.stream_tx_by_mid(mid, None)?.ssrc();
        Some(Publication { ssrc, pt })
    }

    /// The media section that a received packet belongs to.
    pub(super) fn mid_of(&mut self, packet: &RtpPacket) -> Option<Mid> {
        packet.header.ext_vals.mid.or_else(|| {
            self.rtc
                .direct_api()
                .stream_rx(&packet.header.ssrc)
                .map(|s| s.mid())
        })
    }

    /// Feeds a datagram to str0m if the other side sent it; returns whether it did. It did if our
    /// keys open its RTP, or our password its STUN. DTLS and RTCP, which str0m authenticates
    /// itself, have to come from an address that has passed ICE. `lost` is asked about each RTP
    /// packet of the other side's: one that counts as lost is dropped, as if it had not arrived.
    pub(super) fn receive(
        &mut self,
        at: Instant,
        d: &Datagram<'_>,
        room: &mut [u8],
        lost: &mut dyn FnMut() -> bool,
    ) -> bool {
        let Ok(r) = Receive::new(Protocol::Udp, d.from, self.port.local(), d.bytes) else {
            return false;
        };
        let input = Input::Receive(at, r);
        let is_audio = is_rtp(d.bytes);
        let known = match self.media.as_mut().filter(|_| is_audio) {
            Some(media) => media.authenticates(d.bytes, room),
            // RTP before the handshake is nobody's. With a profile that is not supported here,
            // only str0m has the keys.
            None => (self.connected || !is_audio) && self.rtc.accepts(&input),
        };
        if !known {
            return false;
        }
        if is_audio {
            if lost() {
                return true;
            }
            if self.media.is_some() {
                self.meets(d.from);
            }
        }
        // An error here means a bad datagram, which is no reason to fail.
        let _ = self.rtc.handle_input(input);
        true
    }

    /// Whether a packet that our keys open belongs to no negotiated section.
    pub(super) fn is_unplaced(&mut self, bytes: &[u8]) -> bool {
        let ssrc = bytes.get(8..12).and_then(|b| b.try_into().ok());
        let ssrc = ssrc.map(u32::from_be_bytes).unwrap_or_default();
        self.media.is_some() && self.rtc.direct_api().stream_rx(&ssrc.into()).is_none()
    }

    /// Handles a packet that came through str0m. Once the connection is steady, the rest of its
    /// stream is received without str0m.
    pub(super) fn hears(&mut self, packet: &RtpPacket, mid: Mid, arrival: Instant) {
        let section = self.rtc.media(mid);
        let level = section.and_then(|m| m.remote_extmap().id_of(Extension::AudioLevel));
        let steady = self.port.is_connected();
        // While nothing is sent, str0m goes on reporting, but only about the packets it sees.
        if let Some(media) = self.media.as_mut().filter(|m| steady && m.sends()) {
            let stream = (*packet.header.ssrc, *packet.header.payload_type);
            media.hear(stream, mid, level, *packet.seq_no, arrival);
        }
    }

    /// Handles an RTP or RTCP datagram without str0m, if its stream has been taken over.
    pub(super) fn receive_media(
        &mut self,
        bytes: &[u8],
        arrival: Instant,
        room: &mut [u8],
    ) -> Taken {
        let Some(media) = self.media.as_mut() else {
            return Taken::No;
        };
        match media.receive(bytes, arrival, room) {
            Taken::PayloadType { mid, ssrc, pt } if self.negotiated(mid, pt) => {
                // Checked again: `negotiated` needs the whole transport.
                let Some(media) = self.media.as_mut() else {
                    return Taken::No;
                };
                media.allow(ssrc, pt);
                media.receive(bytes, arrival, room)
            }
            taken => taken,
        }
    }

    /// Whether `pt` is a payload type of the audio in section `mid`.
    fn negotiated(&self, mid: Mid, pt: u8) -> bool {
        let section = self.rtc.media(mid);
        section.is_some_and(|m| m.remote_pts().iter().any(|known| **known == pt))
    }

    /// Connects the socket once media have gone to and come from one address alone.
    fn meets(&mut self, address: SocketAddr) {
        if self.port.is_connected() {
            return;
        }
        self.steady = match self.steady {
            Some((known, n)) if known == address && n >= STEADY => {
                self.port.connect(address);
                None
            }
            Some((known, n)) if known == address => Some((known, n + 1)),
            _ => Some((address, 1)),
        };
    }

    /// Drops in our socket since the last call, from the kernel's running count.
    pub(super) fn drops(&mut self, count: u32) -> u32 {
        let new = count.wrapping_sub(self.drops);
        self.drops = count;
        new
    }

    /// Sends what str0m has to send and passes every event to `tell`. Returns when the last RTP
    /// packet (payload type `pt`) was handed to the kernel, if one was.
    ///
    /// # Errors
    /// The transport is dead.
    pub(super) fn drain(
        &mut self,
        health: &Health,
        pt: Option<Pt>,
        tell: &mut dyn FnMut(&mut Self, Happened),
    ) -> Result<Option<Instant>, NetError> {
        let mut left = None;
        loop {
            let output = self.rtc.poll_output();
            if let Some(keys) = keys::take() {
                self.media = Media::new(&keys);
            }
            match output {
                Ok(Output::Timeout(t)) => {
                    self.timeout = t;
                    return Ok(left);
                }
                Ok(Output::Transmit(t)) => left = self.transmit(&t, pt, health).or(left),
                Ok(Output::Event(e)) => {
                    if let Some(h) = self.translate(e) {
                        tell(self, h);
                    }
                }
                Err(e) => return Err(NetError::Transport(e.to_string())),
            }
        }
    }

    /// Sends a datagram from str0m; returns when it left, if it is audio.
    fn transmit(&mut self, t: &Transmit, pt: Option<Pt>, health: &Health) -> Option<Instant> {
        // str0m's reports do not count what is sent without it, so they are suppressed.
        if is_rtp_or_rtcp(&t.contents) && self.media.as_ref().is_some_and(Media::sends) {
            return None;
        }
        let is_audio = pt.is_some_and(|pt| t.contents.get(1).is_some_and(|b| b & 0x7f == *pt));
        let before = is_audio.then(Instant::now);
        // Audio goes to the address that ICE has chosen. Checks go to any candidate: they may be
        // refused, so only errors of audio count.
        if is_audio {
            self.meets(t.destination);
        }
        let sent = self.port.send(&t.contents, t.destination);
        let left = before.map(since_held_up);
        if is_audio {
            if sent.is_err() {
                health.send_error();
            }
            self.sent += 1;
            if let Some(media) = self.media.as_mut().filter(|_| self.port.is_connected()) {
                media.take_over(&t.contents, t.destination, self.sent);
            }
        }
        left
    }

    fn translate(&mut self, event: Event) -> Option<Happened> {
        match event {
            Event::Connected => {
                self.connected = true;
                Some(Happened::Connected)
            }
            // Before the first connection this only means that no candidate works so far.
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) if self.connected => {
                Some(Happened::Disconnected)
            }
            Event::RtpPacket(p) => Some(Happened::Packet(p)),
            Event::ChannelOpen(_, label) => Some(Happened::ChannelOpen(label)),
            Event::ChannelData(_) => Some(Happened::Data),
            _ => None,
        }
    }

    /// Advances str0m's clock; due timers fire.
    pub(super) fn tick(&mut self, now: Instant) {
        // Fails only for a dead instance, which the next drain reports.
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }
}

/// Longest time for which str0m may be left unattended.
pub(super) const IDLE: Duration = Duration::from_secs(1);
