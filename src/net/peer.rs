//! One party on a media thread: its endpoint, its transports, its outgoing stream.
//!
//! In: time, datagrams, requests from the session. Out: packets on time, events to the session.
//! Invariants: after every entry point, all outputs have been drained and the next wake-up is
//! known; a datagram that the other side did not send is counted, and changes nothing else.

use super::claims::{Claims, Fate};
use super::clock::{Stamp, Stamper};
use super::endpoint::{Endpoint, MEASURE_EVERY, RtpStream};
use super::error::NetError;
use super::grid::{Grid, PERIOD};
use super::health::HealthCounters;
use super::impair::Impairment;
use super::messages::{Mailbox, Message, Messages};
use super::meter::DownstreamMeter;
use super::path::{Received, TransportEvent};
use super::transport::{IDLE, Transport};
use crate::os::{BATCH, Batch, Datagram};
use crate::vocab::ConnectionFigures;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The transport that our stream is sent on.
const PUBLISHER: usize = 0;
/// Batches of datagrams read from one socket before timers are checked.
const READS_PER_TURN: usize = 4;
/// Maximum number of read turns per socket before an endpoint's timer fires regardless: 10 s of
/// audio.
const LONGEST_BACKLOG: usize = 16;

/// Places in the queue to the session that are kept free for events other than messages.
const RESERVED: usize = 16;

/// Events from a peer's media to its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// ICE and DTLS are up on this transport.
    Connected(usize),
    /// ICE lost the other side on this transport.
    Disconnected(usize),
    /// Messages came over the data channels. They are dropped, and count as a lost event, if the
    /// session is too busy.
    Messages(Vec<Message>),
    /// The media transport failed.
    Dead(String),
    /// The generator itself cannot continue with this peer: a limit of this machine, or a bug.
    Broken(String),
}

/// A party on a media thread. Accessed through [`super::PeerHandle::with`].
#[derive(Debug)]
pub struct Peer<E> {
    /// The party that listens and speaks.
    pub endpoint: E,
    remote: IpAddr,
    /// Boxed, because most peers have only one transport.
    transports: [Option<Box<Transport>>; 2],
    claims: Claims,
    sequence: u64,
    events: mpsc::Sender<PeerEvent>,
    grid: Grid,
    /// Transports opened since [`Peer::take_fresh`] was last called.
    fresh: [bool; 2],
    /// The send slot in which the peer's sockets are read next, if they are read in slots.
    read_next: Option<Instant>,
    /// The other side's last datagram had a kernel timestamp, so reading the next one later does
    /// not change its arrival.
    stamped: bool,
    /// The simulated network, if there is one, and the number of connections that have it.
    impairment: Option<(Impairment, u16)>,
    mailbox: Mailbox,
    heard: DownstreamMeter,
    /// When the endpoint is next told what has been measured; `None` before the first time.
    measured_next: Option<Instant>,
    dead: bool,
}

/// The resources that all peers of a thread share while they are served.
pub(super) struct Tools<'a> {
    pub stamper: &'a mut Stamper,
    pub health: &'a HealthCounters,
    pub batch: &'a mut Batch,
    /// Buffer for one datagram.
    pub room: &'a mut [u8],
    /// Sockets are read in send slots.
    pub paced: bool,
}

impl<E: Endpoint> Peer<E> {
    pub(super) fn new(
        endpoint: E,
        remote: IpAddr,
        grid: Grid,
        events: mpsc::Sender<PeerEvent>,
    ) -> Self {
        Self {
            endpoint,
            remote,
            transports: [None, None],
            claims: Claims::default(),
            sequence: 1,
            events,
            grid,
            fresh: [false; 2],
            read_next: None,
            stamped: false,
            impairment: None,
            mailbox: Mailbox::default(),
            heard: DownstreamMeter::new(),
            measured_next: None,
            dead: false,
        }
    }

    /// Returns transport `index` (0 or 1), opened on first use.
    ///
    /// # Errors
    /// No socket can be opened, or the peer is dead.
    pub fn transport(&mut self, index: usize, now: Instant) -> Result<&mut Transport, NetError> {
        if self.dead {
            return Err(NetError::Gone);
        }
        let slot = &mut self.transports[index];
        if slot.is_none() {
            let mut transport = Transport::new(self.remote, now)?;
            if let Some((impairment, connections)) = &mut self.impairment {
                transport.impair(impairment.network(*connections));
                *connections += 1;
            }
            *slot = Some(Box::new(transport));
            self.fresh[index] = true;
        }
        slot.as_deref_mut().ok_or(NetError::Gone)
    }

    /// Applies the answer to the last offer of the transport that publishes.
    ///
    /// # Errors
    /// As for [`Transport::answer`].
    pub(crate) fn answered(&mut self, now: Instant, sdp: &str) -> Result<(), NetError> {
        let transport = self.transport(PUBLISHER, now)?;
        transport.answer(sdp)?;
        if transport.switch_track() {
            self.sequence = 1;
        }
        Ok(())
    }

    /// Closes a transport so that it can be opened again.
    pub(crate) fn close(&mut self, index: usize) {
        self.transports[index] = None;
    }

    /// Sends a message on the reliable data channel; false if the channel is not open or
    /// its buffer is full.
    pub(crate) fn send_message(&mut self, message: &[u8]) -> bool {
        let transport = self.transports[PUBLISHER].as_mut();
        transport.is_some_and(|transport| transport.str0m.write(message))
    }

    /// The address with which our stream's transport exchanges media, once it does.
    pub(crate) fn media_address(&self) -> Option<SocketAddr> {
        self.transports[PUBLISHER].as_ref()?.port.media_address()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Closes every socket.
    pub(super) fn close_all(&mut self) {
        self.transports = [None, None];
    }

    /// Sets what happens to the messages of the data channels.
    pub(crate) fn set_messages(&mut self, policy: Messages) {
        self.mailbox.policy = policy;
    }

    /// Puts a simulated network between every socket and what is above it.
    pub(crate) fn impair(&mut self, impairment: Impairment) {
        let mut connections = 0;
        for transport in self.transports.iter_mut().flatten() {
            transport.impair(impairment.network(connections));
            connections += 1;
        }
        self.impairment = Some((impairment, connections));
    }

    /// The first send slot of this peer at or after `now`. Slots are 20 ms apart.
    pub(crate) fn slot_from(&self, now: Instant) -> Instant {
        self.grid.slot_from(now)
    }

    /// File descriptor of transport `index`.
    pub(super) fn descriptor(&self, index: usize) -> Option<BorrowedFd<'_>> {
        Some(self.transports[index].as_ref()?.port.descriptor())
    }

    /// File descriptor of transport `index` if it was opened since the last call.
    pub(super) fn take_fresh(&mut self, index: usize) -> Option<BorrowedFd<'_>> {
        let fresh = std::mem::take(&mut self.fresh[index]);
        let transport = self.transports[index].as_ref().filter(|_| fresh)?;
        Some(transport.port.descriptor())
    }

    /// Ends this peer's media and reports the reason to its session.
    pub(super) fn fail(&mut self, why: PeerEvent, health: &HealthCounters) {
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        pass_on(&self.events, why, health);
    }

    /// Handles everything due by `now`: sends first, then timers.
    pub(super) fn serve(&mut self, now: Instant, tools: &mut Tools<'_>) {
        if self.dead {
            return;
        }
        while let Some(due) = self.endpoint.poll_send().filter(|due| *due <= now) {
            if tools.paced && self.read_next.is_none_or(|at| at <= due) {
                self.catch_up(tools);
                let patience = match self.stamped {
                    true => self.endpoint.patience(due),
                    false => Duration::ZERO,
                };
                self.read_next = Some(due + patience);
            }
            self.send(due, tools);
        }
        for index in 0..2 {
            if let Some(t) = self.transports[index].as_mut()
                && t.timeout() <= now
            {
                t.tick(now);
                self.pass_on_events(index, tools.health);
            }
            self.let_through(index, now, tools);
        }
        self.timeout(now, tools);
        self.pass_on_messages(now, tools.health);
        if self.measured_next.is_none_or(|at| at <= now) {
            self.measured_next = Some(now + MEASURE_EVERY);
            self.tell_figures(now);
        }
    }

    /// Tells the endpoint what has been measured of the connection.
    pub(super) fn tell_figures(&mut self, now: Instant) {
        let mut figures = ConnectionFigures {
            down: self.heard.figures(),
            ..ConnectionFigures::default()
        };
        for transport in self.transports.iter().flatten() {
            figures.ice = figures.ice.and(transport.ice);
        }
        if let Some(publisher) = &self.transports[PUBLISHER] {
            figures.up = publisher.up.figures();
            figures.rtcp = publisher.up.rtcp;
            figures.pair = publisher.pair();
        }
        self.endpoint.measured(now, &figures);
    }

    /// Fires the endpoint's timer, after reading the datagrams already received: a late thread
    /// must not mistake unread packets for silence.
    fn timeout(&mut self, now: Instant, tools: &mut Tools<'_>) {
        let due = |peer: &Self| peer.endpoint.poll_timeout().is_some_and(|t| t <= now);
        if !due(self) {
            return;
        }
        tools.stamper.begin_batch();
        self.catch_up(tools);
        if due(self) && !self.dead {
            self.endpoint.timeout(now);
        }
    }

    /// Whether the peer's sockets need not be read before its next send slot.
    pub(super) fn reads_in_slots(&self, now: Instant) -> bool {
        let sends = self.endpoint.poll_send();
        self.stamped && sends.is_some_and(|due| due <= now + PERIOD)
    }

    /// Reads everything that has arrived, up to [`LONGEST_BACKLOG`] turns per socket.
    fn catch_up(&mut self, tools: &mut Tools<'_>) {
        for index in 0..2 {
            for _ in 0..LONGEST_BACKLOG {
                if !self.readable(index, tools) {
                    break;
                }
            }
            self.let_through(index, Instant::now(), tools);
        }
    }

    /// Handles the datagrams that the simulated network has let through by `now`, both ways.
    fn let_through(&mut self, index: usize, now: Instant, tools: &mut Tools<'_>) {
        while let Some(transport) = self.transports[index].as_mut().filter(|_| !self.dead) {
            transport.release(now);
            let Some(held) = transport.come(now) else {
                return;
            };
            let datagram = Datagram {
                bytes: &held.bytes,
                from: held.address,
                wall_ns: None,
                dropped: 0,
            };
            let stamp = Stamp {
                at: held.due,
                kernel: held.kernel,
            };
            self.arrive(index, (now, stamp), &datagram, tools.room, tools.health);
        }
    }

    /// Reads the datagrams waiting in a socket; returns whether more may be waiting.
    pub(super) fn readable(&mut self, index: usize, tools: &mut Tools<'_>) -> bool {
        for _ in 0..READS_PER_TURN {
            let Some(t) = self.transports[index].as_ref().filter(|_| !self.dead) else {
                return false;
            };
            let Ok(count) = t.port.recv(tools.batch) else {
                return false;
            };
            for k in 0..count {
                self.datagram(index, k, tools);
            }
            if count < BATCH {
                return false;
            }
        }
        true
    }

    /// Handles datagram `k` of the batch.
    fn datagram(&mut self, index: usize, k: usize, tools: &mut Tools<'_>) {
        // An earlier packet may have closed the transport.
        let Some(t) = self.transports[index].as_mut().filter(|_| !self.dead) else {
            return;
        };
        let Some(d) = tools.batch.get(k) else { return };
        let now = Instant::now();
        let stamp = tools.stamper.arrival(d.wall_ns, now);
        tools.health.dropped(t.drops(d.dropped));
        match t.enters(now, &d, stamp, tools.room) {
            None => self.arrive(index, (now, stamp), &d, tools.room, tools.health),
            Some(false) => tools.health.unauthenticated(),
            Some(true) => {
                self.stamped = stamp.kernel;
                self.let_through(index, now, tools);
            }
        }
    }

    /// Handles a datagram that was read at a time and arrived at a stamp.
    fn arrive(
        &mut self,
        index: usize,
        (now, stamp): (Instant, Stamp),
        datagram: &Datagram<'_>,
        room: &mut [u8],
        health: &HealthCounters,
    ) {
        let Some(t) = self.transports[index].as_mut() else {
            return;
        };
        match t.receive(now, datagram, stamp, room) {
            Received::Packet {
                section,
                ssrc,
                restarts,
                packet,
            } => {
                self.stamped = stamp.kernel;
                let waited = now.saturating_duration_since(stamp.at);
                health.received(waited, stamp.kernel);
                let fate = self.claims.fate(index, section, stamp.at);
                health.fate(fate);
                if let (Fate::Heard(track), Some(section)) = (fate, section) {
                    t.take_over(section, ssrc, &packet);
                    let stream = RtpStream {
                        track,
                        ssrc,
                        restarts,
                    };
                    self.heard.packet(stream, &packet, datagram.bytes.len());
                    self.endpoint.audio(now, stream, packet);
                }
            }
            Received::Unplaced => {
                self.stamped = stamp.kernel;
                health.fate(self.claims.fate(index, None, stamp.at));
            }
            Received::Other => self.stamped = stamp.kernel,
            Received::Report(None) => {}
            Received::Report(Some(report)) => {
                t.up.reported(&report);
                if let Some(loss) = report.loss {
                    health.lost_upstream(loss.count);
                    self.endpoint.lost(now, loss.among);
                }
            }
            Received::Repeated => {
                self.heard.repeated();
                health.repeated();
            }
            Received::Behind => health.behind(),
            Received::Unauthenticated => health.unauthenticated(),
        }
        self.pass_on_events(index, health);
    }

    /// Sends the packet due at `due`, if there is one, and reports the send time to the endpoint.
    fn send(&mut self, due: Instant, tools: &mut Tools<'_>) {
        let Some(packet) = self.endpoint.send(due) else {
            return;
        };
        self.sequence += self.endpoint.left_out();
        let Some(t) = self.transports[PUBLISHER].as_mut() else {
            return;
        };
        if !t.publishes() {
            return;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        let left = t.send(sequence, &packet, tools.health, tools.room);
        self.pass_on_events(PUBLISHER, tools.health);
        if let Some(actual) = left {
            tools.health.sent(actual.saturating_duration_since(due));
            self.endpoint.sent(due, actual, sequence);
        }
    }

    /// Passes the events of a transport on to the session.
    fn pass_on_events(&mut self, index: usize, health: &HealthCounters) {
        let Some(t) = self.transports[index].as_mut() else {
            return;
        };
        for event in t.take_events() {
            let event = match event {
                TransportEvent::Connected => PeerEvent::Connected(index),
                TransportEvent::Disconnected => PeerEvent::Disconnected(index),
                TransportEvent::Message(arrival, bytes) => {
                    self.mailbox.put((arrival, bytes));
                    continue;
                }
                TransportEvent::Failed(e) => {
                    self.fail(PeerEvent::Dead(e.to_string()), health);
                    continue;
                }
            };
            pass_on(&self.events, event, health);
        }
    }

    /// Passes on the messages that are due.
    fn pass_on_messages(&mut self, now: Instant, health: &HealthCounters) {
        let Some(messages) = self.mailbox.take_due(now) else {
            return;
        };
        pass_on_batch(&self.events, messages, health);
    }

    /// Sends the datagrams and passes on the events that result from the session's changes.
    pub(super) fn settle(&mut self, now: Instant, tools: &mut Tools<'_>) {
        for index in 0..2 {
            if let Some(t) = self.transports[index].as_mut() {
                t.tick(now);
                self.pass_on_events(index, tools.health);
            }
        }
        self.serve(now, tools);
    }

    /// When this peer must next be served.
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        if self.dead {
            return now + IDLE;
        }
        let transports = self.transports.iter().flatten();
        let held = transports.clone().filter_map(|t| t.network_due());
        transports
            .map(|t| t.timeout())
            .chain(held)
            .chain(self.endpoint.poll_send())
            .chain(self.endpoint.poll_timeout())
            .chain(self.mailbox.due())
            .min()
            .unwrap_or(now + IDLE)
    }
}

impl<E> Peer<E> {
    /// Listens to a section: its packets go to the endpoint as those of `track`, a number that the
    /// session chooses. A section holds one track at a time, so this replaces an older track in
    /// the same section.
    pub fn listen_to(&mut self, transport: usize, mid: &str, track: u32) {
        self.claims.hear(transport, mid.into(), track);
    }

    /// Stops listening to `track`, whatever section it is in.
    pub(crate) fn stop_listening(&mut self, track: u32) {
        self.claims.release(track);
    }

    /// Drops the packets of an unwanted section, and counts them as dropped for a known reason.
    pub(crate) fn ignore(&mut self, transport: usize, mid: &str) {
        self.claims.ignore(transport, mid.into());
    }

    /// Drops every packet from now on, because the call is over, and counts them as dropped for a
    /// known reason.
    pub(crate) fn ignore_all(&mut self) {
        self.claims.end();
    }
}

/// Passes an event on to the session. The event counts as lost if the queue is full, but not if the
/// session has ended.
fn pass_on(events: &mpsc::Sender<PeerEvent>, event: PeerEvent, health: &HealthCounters) {
    if let Err(TrySendError::Full(_)) = events.try_send(event) {
        health.event_lost();
    }
}

/// Passes a batch of messages on to the session. A flood of messages must not displace the events
/// that the session needs, so the batch is dropped, and counts as a lost event, if the queue is
/// nearly full: a reply in text may be among the messages.
fn pass_on_batch(
    events: &mpsc::Sender<PeerEvent>,
    messages: Vec<Message>,
    health: &HealthCounters,
) {
    if events.capacity() > RESERVED {
        pass_on(events, PeerEvent::Messages(messages), health);
    } else if !events.is_closed() {
        health.event_lost();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::HealthSnapshot;

    #[test]
    fn a_batch_of_messages_that_would_displace_events_counts_as_lost() {
        let health = HealthCounters::default();
        let lost = || HealthSnapshot::of(std::iter::once(&health)).events_lost;
        let (sender, receiver) = mpsc::channel(RESERVED + 1);
        let batch = || vec![(Instant::now(), vec![1])];
        pass_on_batch(&sender, batch(), &health);
        assert_eq!((lost(), receiver.len()), (0, 1), "the queue has a place");
        pass_on_batch(&sender, batch(), &health);
        assert_eq!((lost(), receiver.len()), (1, 1), "the rest is reserved");
        pass_on(&sender, PeerEvent::Connected(0), &health);
        assert_eq!((lost(), receiver.len()), (1, 2), "for events");
        drop(receiver);
        let (full, receiver) = mpsc::channel(RESERVED);
        drop(receiver);
        pass_on_batch(&full, batch(), &health);
        assert_eq!(lost(), 1, "the session has ended");
    }

    #[test]
    fn only_events_for_a_session_that_still_listens_count_as_lost() {
        let health = HealthCounters::default();
        let lost = || HealthSnapshot::of(std::iter::once(&health)).events_lost;
        let (sender, receiver) = mpsc::channel(1);
        pass_on(&sender, PeerEvent::Connected(0), &health);
        assert_eq!(lost(), 0, "the event is in the queue");
        pass_on(&sender, PeerEvent::Connected(1), &health);
        assert_eq!(lost(), 1, "the queue is full");
        drop(receiver);
        pass_on(&sender, PeerEvent::Disconnected(0), &health);
        assert_eq!(lost(), 1, "the session has ended");
    }
}
