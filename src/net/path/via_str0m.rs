//! The path through str0m, for a stream's first packets and everything else in a connection.
//!
//! In: accepted datagrams, packets to send, time. Out: received packets, datagrams to send, events,
//! the keys of a handshake. Invariants: after every change str0m's outputs are drained until it
//! returns its next timeout; the outputs are kept here until the transport takes them.

use super::{MediaPath, Negotiated, Received};
use crate::net::NetError;
use crate::net::clock::Stamp;
use crate::net::endpoint::Outgoing;
use crate::net::keys::{self, Keys};
use crate::net::socket::{is_rtp, is_rtp_or_rtcp};
use crate::os::Datagram;
use crate::vocab::Packet;
use std::net::SocketAddr;
use std::time::Instant;
use str0m::channel::ChannelId;
use str0m::media::{Mid, Pt};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{Extension, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

/// Opus payload type used while the other side's is not known.
const OPUS_PT: u8 = 111;
/// Number of packets that str0m keeps after sending them; it needs to keep some.
const SEND_BUFFER: usize = 2;
/// Ids of the header extensions that we offer.
const AUDIO_LEVEL: u8 = 1;
const MID: u8 = 4;
/// Label of LiveKit's data channel for messages that must arrive.
pub(in crate::net) const RELIABLE: &str = "_reliable";
/// Longest message of a data channel that is passed on, in bytes; LiveKit's own take up to 16 KiB.
const LONGEST_MESSAGE: usize = 20 * 1024;

/// A change of the connection.
#[derive(Debug)]
pub(in crate::net) enum TransportEvent {
    Connected,
    Disconnected,
    /// A message came over a data channel; its last packet arrived at this instant.
    Message(Instant, Vec<u8>),
    /// The connection cannot continue.
    Failed(NetError),
}

/// SSRC and payload type of our outgoing stream.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct Publication {
    ssrc: Ssrc,
    pt: Pt,
}

/// A connection's str0m instance.
pub(in crate::net) struct Str0mPath {
    pub(in crate::net) rtc: Rtc,
    /// The address of our socket.
    local: SocketAddr,
    /// The section that we send on.
    pub(in crate::net) publish: Option<Mid>,
    publication: Option<Publication>,
    pub(in crate::net) connected: bool,
    /// When str0m's clock must next be advanced.
    pub(in crate::net) timeout: Instant,
    /// Audio packets made so far.
    pub(in crate::net) sent: u32,
    outbox: Vec<Transmit>,
    events: Vec<TransportEvent>,
    keys: Option<Keys>,
    /// The channel for messages that must arrive, once it is open.
    reliable: Option<ChannelId>,
    /// When the latest datagram arrived.
    arrival: Instant,
}

impl Str0mPath {
    /// A connection without session descriptions yet, over a socket with the address `local`.
    ///
    /// # Errors
    /// The address cannot be announced.
    pub(in crate::net) fn new(local: SocketAddr, now: Instant) -> Result<Self, NetError> {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(keys::provider())
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            // Transport-wide sequence numbers are left out: their feedback, sent twenty times a
            // second each way, is for the bandwidth control of video, and its history grows by
            // 85 KiB per caller.
            .clear_extension_map()
            .set_extension(AUDIO_LEVEL, Extension::AudioLevel)
            .set_extension(MID, Extension::RtpMid)
            .set_stats_interval(None)
            // Audio has no retransmission stream, so nothing is ever resent.
            .set_send_buffer_audio(SEND_BUFFER)
            .build(now);
        let host = Candidate::host(local, "udp").map_err(NetError::description)?;
        rtc.add_local_candidate(host);
        Ok(Self {
            rtc,
            local,
            publish: None,
            publication: None,
            connected: false,
            timeout: now,
            sent: 0,
            outbox: Vec::new(),
            events: Vec::new(),
            keys: None,
            reliable: None,
            arrival: now,
        })
    }

    /// Sends on another section, as a new stream.
    pub(in crate::net) fn publish_anew(&mut self, mid: Mid) {
        self.publish = Some(mid);
        self.publication = None;
        self.sent = 0;
    }

    /// Whether our stream is negotiated and the connection is up.
    pub(in crate::net) fn publishes(&mut self) -> bool {
        if self.publication.is_none() && self.connected {
            self.publication = self.publication();
        }
        self.publication.is_some()
    }

    /// Our outgoing stream, once it is negotiated.
    pub(in crate::net) fn publication(&mut self) -> Option<Publication> {
        let mid = self.publish?;
        let pt = self.rtc.media(mid)?.remote_pts().first().copied();
        let pt = pt.unwrap_or_else(|| OPUS_PT.into());
        let mut api = self.rtc.direct_api();
        let ssrc = api.stream_tx_by_mid(mid, None)?.ssrc();
        Some(Publication { ssrc, pt })
    }

    /// The negotiated parameters of a section's audio; `None` before the negotiation.
    pub(in crate::net) fn negotiated(&self, mid: Mid) -> Option<Negotiated> {
        let media = self.rtc.media(mid)?;
        // Once there are payload types, str0m never changes them.
        let payload_types: Vec<u8> = media.remote_pts().iter().map(|pt| **pt).collect();
        let level = media.remote_extmap().id_of(Extension::AudioLevel);
        (!payload_types.is_empty()).then_some(Negotiated {
            mid,
            payload_types,
            level,
        })
    }

    /// Whether str0m would take a datagram: STUN with our password, or anything from an address
    /// that has passed ICE.
    pub(in crate::net) fn accepts(&self, now: Instant, datagram: &Datagram<'_>) -> bool {
        let input = self.input(now, datagram);
        input.is_some_and(|input| self.rtc.accepts(&input))
    }

    fn input<'d>(&self, now: Instant, datagram: &Datagram<'d>) -> Option<Input<'d>> {
        let received = Receive::new(Protocol::Udp, datagram.from, self.local, datagram.bytes);
        Some(Input::Receive(now, received.ok()?))
    }

    /// Advances str0m's clock; due timers fire.
    pub(in crate::net) fn tick(&mut self, now: Instant) {
        // Fails only if the instance is dead, which `drain` reports.
        let _ = self.rtc.handle_input(Input::Timeout(now));
        // Only a datagram can yield a packet.
        let _ = self.drain();
    }

    /// The datagrams to send.
    pub(in crate::net) fn take_outbox(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.outbox)
    }

    /// The events since the last call.
    pub(in crate::net) fn take_events(&mut self) -> Vec<TransportEvent> {
        std::mem::take(&mut self.events)
    }

    /// The keys of a handshake that has ended since the last call.
    pub(in crate::net) fn take_keys(&mut self) -> Option<Keys> {
        self.keys.take()
    }

    /// Takes str0m's outputs until it returns its next timeout. Returns the packet among them; a
    /// datagram holds one packet at most.
    fn drain(&mut self) -> Option<RtpPacket> {
        let mut packet = None;
        loop {
            let output = self.rtc.poll_output();
            if let Some(keys) = keys::take() {
                self.keys = Some(keys);
            }
            match output {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return packet;
                }
                Ok(Output::Transmit(datagram)) => self.outbox.push(datagram),
                Ok(Output::Event(Event::RtpPacket(received))) => packet = Some(received),
                Ok(Output::Event(event)) => self.note(event),
                Err(e) => {
                    let why = NetError::Transport(e.to_string());
                    self.events.push(TransportEvent::Failed(why));
                    return packet;
                }
            }
        }
    }

    /// Queues a message on the reliable channel; false if the channel is not open or its
    /// buffer is full.
    pub(in crate::net) fn write(&mut self, message: &[u8]) -> bool {
        let channel = self.reliable.and_then(|id| self.rtc.channel(id));
        channel.is_some_and(|mut channel| channel.write(true, message).unwrap_or(false))
    }

    /// Keeps an event for the session.
    fn note(&mut self, event: Event) {
        let event = match event {
            Event::Connected => {
                self.connected = true;
                TransportEvent::Connected
            }
            // Before the first connection this only means that no candidate works so far.
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) if self.connected => {
                TransportEvent::Disconnected
            }
            Event::ChannelOpen(id, label) => {
                if label == RELIABLE {
                    self.reliable = Some(id);
                }
                return;
            }
            Event::ChannelData(message) if message.data.len() <= LONGEST_MESSAGE => {
                TransportEvent::Message(self.arrival, message.data)
            }
            _ => return,
        };
        self.events.push(event);
    }

    /// Whether a packet's stream has a negotiated section.
    fn has_section(&mut self, ssrc: Ssrc) -> bool {
        self.rtc.direct_api().stream_rx(&ssrc).is_some()
    }

    fn received<'r>(&mut self, p: &RtpPacket, stamp: Stamp, room: &'r mut [u8]) -> Received<'r> {
        let ssrc = p.header.ssrc;
        let section = p.header.ext_vals.mid.or_else(|| {
            let mut api = self.rtc.direct_api();
            api.stream_rx(&ssrc).map(|stream| stream.mid())
        });
        let Some(payload) = room.get_mut(..p.payload.len()) else {
            return Received::Other; // longer than any datagram
        };
        payload.copy_from_slice(&p.payload);
        Received::Packet {
            section,
            ssrc: *ssrc,
            restarts: 0,
            packet: Packet {
                arrival: stamp.at,
                kernel_stamp: stamp.kernel,
                rtp_time: p.header.timestamp,
                sequence: *p.seq_no,
                level: p.header.ext_vals.audio_level.map(i8::unsigned_abs),
                payload,
            },
        }
    }
}

impl MediaPath for Str0mPath {
    fn receive<'r>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        stamp: Stamp,
        room: &'r mut [u8],
    ) -> Received<'r> {
        let Some(input) = self.input(now, datagram) else {
            return Received::Unauthenticated;
        };
        self.arrival = stamp.at;
        // An error here means a bad datagram, which is no reason to fail.
        let _ = self.rtc.handle_input(input);
        if let Some(packet) = self.drain() {
            return self.received(&packet, stamp, room);
        }
        let ssrc = datagram.bytes.get(8..12).and_then(|b| b.try_into().ok());
        let ssrc = ssrc.map(u32::from_be_bytes).unwrap_or_default();
        match is_rtp(datagram.bytes) && !self.has_section(ssrc.into()) {
            true => Received::Unplaced,
            false => Received::Other,
        }
    }

    fn packetize(
        &mut self,
        sequence: u64,
        packet: &Outgoing,
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let Publication { ssrc, pt } = self.publication?;
        let now = Instant::now();
        if let Some(stream) = self.rtc.direct_api().stream_tx(&ssrc) {
            let payload = packet.payload.clone();
            let write = RtpWrite::new(pt, sequence.into(), packet.rtp_time, now, payload);
            stream.write_rtp(write.marker(packet.marker));
        }
        // When its clock advances, str0m sends the packet that was written.
        self.tick(now);
        let is_audio = |sent: &Transmit| {
            let bytes = &sent.contents;
            is_rtp_or_rtcp(bytes) && bytes.get(1).is_some_and(|b| b & 0x7f == *pt)
        };
        let made = self.outbox.iter().position(is_audio)?;
        let made = self.outbox.remove(made);
        self.sent += 1;
        let length = made.contents.len();
        room.get_mut(..length)?.copy_from_slice(&made.contents);
        Some((length, made.destination))
    }
}
