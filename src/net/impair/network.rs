//! A simulated network at the socket of one connection.
//!
//! In: datagrams that arrive from the server or are sent by the caller. Out: the same datagrams when
//! the network has let them through. Invariant: what is held back is released in the order of
//! the simulated arrivals.

use super::held::{Held, HeldDatagram};
use super::link::{Dropped, Kind, Link, Passage};
use super::log::{Log, LogEntry, LogSink};
use crate::net::clock::Stamp;
use crate::net::socket::is_rtp;
use std::net::SocketAddr;
use std::time::Instant;

/// Both directions of one connection.
#[derive(Debug)]
pub(in crate::net) struct Network {
    up: Link,
    down: Link,
    connection: u16,
    /// On their way to the server, and to the caller.
    going: Held,
    coming: Held,
    log: Option<Log>,
}

impl Network {
    pub(super) fn new((up, down): (Link, Link), connection: u16, log: Option<LogSink>) -> Self {
        Self {
            up,
            down,
            connection,
            going: Held::default(),
            coming: Held::default(),
            log: log.map(Log::new),
        }
    }

    /// A datagram arrived from the server.
    pub(in crate::net) fn comes(&mut self, stamp: Stamp, from: SocketAddr, bytes: &[u8]) {
        let kind = kind(bytes);
        let mut passage = self.down.pass(stamp.at, kind, bytes.len());
        if let Ok(due) = passage.arrives {
            for _ in 0..copies(&passage) {
                if !self.coming.push(due, from, stamp.kernel, bytes) {
                    passage.arrives = Err(Dropped::Queue);
                }
            }
        }
        self.note(true, stamp.at, (kind, bytes), passage);
    }

    /// The caller sends a datagram at `at`: returns how often it leaves at once. Otherwise it is
    /// lost, or leaves later.
    pub(in crate::net) fn goes(&mut self, at: Instant, to: SocketAddr, bytes: &[u8]) -> u8 {
        let kind = kind(bytes);
        let mut passage = self.up.pass(at, kind, bytes.len());
        let copies = copies(&passage);
        let mut now = 0;
        match passage.arrives {
            Ok(due) if due <= at => now = copies,
            Ok(due) => {
                for _ in 0..copies {
                    if !self.going.push(due, to, false, bytes) {
                        passage.arrives = Err(Dropped::Queue);
                    }
                }
            }
            Err(_) => {}
        }
        self.note(false, at, (kind, bytes), passage);
        now
    }

    /// The next datagram that has reached the caller by `now`.
    pub(in crate::net) fn come(&mut self, now: Instant) -> Option<HeldDatagram> {
        self.coming.pop(now)
    }

    /// The next datagram that leaves for the server by `now`.
    pub(in crate::net) fn leave(&mut self, now: Instant) -> Option<HeldDatagram> {
        self.going.pop(now)
    }

    /// When the next datagram is due.
    pub(in crate::net) fn due(&self) -> Option<Instant> {
        self.coming.due().into_iter().chain(self.going.due()).min()
    }

    fn note(
        &mut self,
        down: bool,
        entered: Instant,
        (kind, bytes): (Kind, &[u8]),
        passage: Passage,
    ) {
        let Some(log) = &mut self.log else { return };
        log.add(LogEntry {
            down,
            connection: self.connection,
            kind,
            rtp: LogEntry::rtp(bytes).filter(|_| kind == Kind::Media),
            bytes: bytes.len().try_into().unwrap_or(u16::MAX),
            entered,
            passage,
        });
    }
}

fn kind(bytes: &[u8]) -> Kind {
    match is_rtp(bytes) {
        true => Kind::Media,
        false => Kind::Rest,
    }
}

fn copies(passage: &Passage) -> u8 {
    1 + u8::from(passage.twice)
}
