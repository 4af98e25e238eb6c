//! One peer connection: its socket, and the two paths of its packets.
//!
//! In: datagrams, session descriptions, candidates, time, packets to send. Out: received packets,
//! datagrams sent, events. Invariants: str0m's pending datagrams are sent after every change;
//! RTP is authenticated before it is passed to str0m.

mod describe;
mod pair;

use super::NetError;
use super::clock::{Stamp, since_held_up};
use super::endpoint::Outgoing;
use super::health::HealthCounters;
use super::impair::{HeldDatagram, Network};
use super::meter::UpstreamMeter;
use super::path::{DirectPath, MediaPath as _, Received, Str0mPath, TransportEvent};
use super::socket::{UdpPort, is_rtp, is_rtp_or_rtcp};
use super::stun::Checks;
use crate::os::Datagram;
use crate::vocab::{CandidatePair, Packet, Spread};
use pair::Ends;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use str0m::change::SdpPendingOffer;
use str0m::media::Mid;

/// The kind of a connection, which decides what its first offer contains besides our microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One connection with an SFU for both directions: a spare section to receive on, and
    /// LiveKit's two data channels.
    Single,
    /// The sending connection of a pair with an SFU: LiveKit's two data channels.
    Publisher,
    /// A direct connection to the other party: one section, both ways.
    Direct,
}

/// A peer connection with its own socket.
pub struct Transport {
    pub(super) port: UdpPort,
    pub(super) str0m: Str0mPath,
    /// The path that takes over streams from str0m. Absent until the handshake is over, and if the
    /// path does not support the SRTP profile.
    pub(super) direct: Option<DirectPath>,
    /// The section of a track that has been offered and not answered yet.
    next_track: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    /// Sections that we only receive on.
    receiving: Vec<Mid>,
    /// The kernel's drop count when it was last read.
    drops: u32,
    /// Fingerprints of the other side's candidates, and of the streams that it announced.
    candidates: HashSet<u64>,
    announced: HashSet<u64>,
    /// The simulated network between the socket and everything above it, if there is one.
    network: Option<Box<Network>>,
    /// The checks of ICE that have not been answered, and the round trips of the others.
    checks: Checks,
    pub(super) ice: Spread,
    ends: Ends,
    pub(super) up: UpstreamMeter,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, str0m, .. } = self;
        write!(f, "Transport({}, {})", port.local(), str0m.connected)
    }
}

impl Transport {
    /// A transport to a host that answers at `remote`.
    ///
    /// # Errors
    /// No socket can be opened.
    pub(super) fn new(remote: IpAddr, now: Instant) -> Result<Self, NetError> {
        let port = UdpPort::towards(remote)?;
        Ok(Self {
            str0m: Str0mPath::new(port.local(), now)?,
            port,
            direct: None,
            next_track: None,
            pending: None,
            receiving: Vec::new(),
            drops: 0,
            candidates: HashSet::new(),
            announced: HashSet::new(),
            network: None,
            checks: Checks::default(),
            ice: Spread::default(),
            ends: Ends::default(),
            up: UpstreamMeter::default(),
        })
    }

    /// Handles a datagram that was read at `now` and arrived at `stamp`; a packet's payload is
    /// written into `room`.
    ///
    /// RTP is accepted if our keys open it, STUN if it has our password. DTLS and RTCP, which
    /// str0m authenticates itself, must come from an address that has passed ICE.
    pub(super) fn receive<'r>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        stamp: Stamp,
        room: &'r mut [u8],
    ) -> Received<'r> {
        let bytes = datagram.bytes;
        if let Some(direct) = self.direct.as_mut().filter(|direct| direct.carries(bytes)) {
            return direct.receive(now, datagram, stamp, room);
        }
        let is_audio = is_rtp(bytes);
        if !self.is_authentic(now, datagram, room) {
            return Received::Unauthenticated;
        }
        if is_audio && self.direct.is_some() {
            self.port.meets(datagram.from);
            self.ends.media(datagram.from);
        }
        self.checked(datagram, stamp);
        let received = self.str0m.receive(now, datagram, stamp, room);
        self.flush();
        match received {
            // Without the direct path's keys, the packet has not been authenticated.
            Received::Unplaced if self.direct.is_none() => Received::Other,
            received => received,
        }
    }

    /// Measures the round trip of a check that the datagram answers. Those before the connection is
    /// up go to all candidates, so they do not count.
    fn checked(&mut self, datagram: &Datagram<'_>, stamp: Stamp) {
        if let Some(round_trip) = self.checks.answered(datagram.bytes, stamp.at)
            && self.str0m.connected
            && self.ends.uses(datagram.from)
        {
            self.ice.add(round_trip);
            self.ends.answered(datagram.bytes);
        }
    }

    /// The candidates in use, once media flow.
    pub(super) fn pair(&self) -> Option<CandidatePair> {
        self.ends.pair(self.port.local())
    }

    /// Whether the other side sent a datagram.
    fn is_authentic(&mut self, now: Instant, datagram: &Datagram<'_>, room: &mut [u8]) -> bool {
        let is_audio = is_rtp(datagram.bytes);
        match self.direct.as_mut().filter(|_| is_audio) {
            Some(direct) => direct.authenticates(datagram.bytes, room),
            // Nobody can have sealed RTP before the handshake. With a profile that the direct path
            // does not support, only str0m has the keys.
            None => (self.str0m.connected || !is_audio) && self.str0m.accepts(now, datagram),
        }
    }

    /// Puts a simulated network between the socket and everything above it.
    pub(super) fn impair(&mut self, network: Network) {
        self.network = Some(Box::new(network));
    }

    /// Passes a datagram that was read at `now` to the simulated network; `None` if there is no
    /// such network, otherwise whether the other side sent the datagram. Others do not enter it.
    pub(super) fn enters(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        stamp: Stamp,
        room: &mut [u8],
    ) -> Option<bool> {
        self.network.as_ref()?;
        let is_authentic = self.is_authentic(now, datagram, room);
        if let Some(network) = self.network.as_mut().filter(|_| is_authentic) {
            network.comes(stamp, datagram.from, datagram.bytes);
        }
        Some(is_authentic)
    }

    /// The next datagram that the simulated network has let through by `now`.
    pub(super) fn come(&mut self, now: Instant) -> Option<HeldDatagram> {
        self.network.as_mut()?.come(now)
    }

    /// Sends what the simulated network has let through by `now`.
    pub(super) fn release(&mut self, now: Instant) {
        while let Some(held) = self.network.as_mut().and_then(|n| n.leave(now)) {
            // A datagram that the kernel refuses is lost, as in any other network.
            let _ = self.port.send(&held.bytes, held.address);
        }
    }

    /// When the simulated network lets the next datagram through.
    pub(super) fn network_due(&self) -> Option<Instant> {
        self.network.as_ref()?.due()
    }

    /// Called for each packet of a stream that the peer listens to: once the connection is steady,
    /// the direct path receives the rest of the stream.
    pub(super) fn take_over(&mut self, section: Mid, ssrc: u32, packet: &Packet<'_>) {
        let steady = self.port.is_connected();
        // Until we send, the reports come from str0m and cover only the packets that it receives.
        let ready = |direct: &&mut DirectPath| steady && direct.sends() && !direct.receives(ssrc);
        if let Some(direct) = self.direct.as_mut().filter(ready)
            && let Some(negotiated) = self.str0m.negotiated(section)
        {
            direct.continue_receiving(ssrc, negotiated, packet.sequence, packet.arrival);
        }
    }

    /// Whether packets can be sent: our stream is negotiated, and the connection is up.
    pub(super) fn publishes(&mut self) -> bool {
        self.str0m.publishes()
    }

    /// Sends the next packet of our stream, and a report if one is due; returns when the packet
    /// was handed to the kernel, if one was.
    pub(super) fn send(
        &mut self,
        sequence: u64,
        packet: &Outgoing,
        health: &HealthCounters,
        room: &mut [u8],
    ) -> Option<Instant> {
        let direct = self.direct.as_mut().filter(|direct| direct.sends());
        let by_str0m = direct.is_none();
        let made = match direct {
            Some(direct) => direct.packetize(sequence, packet, room),
            None => self.str0m.packetize(sequence, packet, room),
        };
        let left = made.map(|(length, to)| {
            // Audio goes to the address that ICE has chosen.
            self.port.meets(to);
            self.ends.media(to);
            let before = Instant::now();
            let sent = dispatch(&self.port, &mut self.network, before, &room[..length], to);
            let left = since_held_up(before);
            match sent {
                Ok(()) => self.up.packet(length),
                Err(_) => health.send_error(),
            }
            left
        });
        if by_str0m {
            let steady = made.filter(|_| self.port.is_connected());
            if let (Some((length, to)), Some(direct)) = (steady, self.direct.as_mut()) {
                direct.continue_sending(&room[..length], to, self.str0m.sent);
            }
            self.flush();
        } else {
            self.report(left?, packet.rtp_time, room);
        }
        left
    }

    /// Sends a report if one is due. `rtp_time`: the current RTP time of our stream.
    fn report(&mut self, now: Instant, rtp_time: u32, room: &mut [u8]) {
        let direct = self.direct.as_mut();
        if let Some((length, to)) = direct.and_then(|d| d.report(now, rtp_time, room)) {
            // The next report makes up for a lost one.
            let _ = dispatch(&self.port, &mut self.network, now, &room[..length], to);
        }
    }

    /// Sends str0m's pending datagrams, and takes the keys of a handshake that has ended.
    fn flush(&mut self) {
        if let Some(keys) = self.str0m.take_keys() {
            self.direct = DirectPath::new(&keys);
        }
        let sends_directly = self.direct.as_ref().is_some_and(DirectPath::sends);
        for datagram in self.str0m.take_outbox() {
            // str0m's reports do not count packets that bypass it, so they are suppressed.
            if sends_directly && is_rtp_or_rtcp(&datagram.contents) {
                continue;
            }
            // Connectivity checks go to every candidate; some may be refused.
            let bytes = &datagram.contents;
            let (now, to) = (Instant::now(), datagram.destination);
            self.checks.sent(bytes, now);
            let _ = dispatch(&self.port, &mut self.network, now, bytes, to);
        }
    }

    /// Advances str0m's clock; due timers fire.
    pub(super) fn tick(&mut self, now: Instant) {
        self.str0m.tick(now);
        self.flush();
    }

    /// When [`Transport::tick`] should next be called.
    pub(super) fn timeout(&self) -> Instant {
        self.str0m.timeout
    }

    /// The events since the last call.
    pub(super) fn take_events(&mut self) -> Vec<TransportEvent> {
        self.str0m.take_events()
    }

    /// Drops in our socket since the last call, from the kernel's running count.
    pub(super) fn drops(&mut self, count: u32) -> u32 {
        let new = count.wrapping_sub(self.drops);
        self.drops = count;
        new
    }
}

/// Sends a datagram at `now`, through the simulated network if there is one.
///
/// # Errors
/// The operating system's; a datagram that the network drops or delays is no error.
fn dispatch(
    port: &UdpPort,
    network: &mut Option<Box<Network>>,
    now: Instant,
    bytes: &[u8],
    to: SocketAddr,
) -> io::Result<()> {
    let times = network.as_mut().map_or(1, |n| n.goes(now, to, bytes));
    (0..times).try_for_each(|_| port.send(bytes, to).map(drop))
}

/// Longest time for which str0m may be left unattended.
pub(super) const IDLE: Duration = Duration::from_secs(1);
