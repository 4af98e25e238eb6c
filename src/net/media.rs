//! The media of a connection that is up: RTP in and out, without a walk through str0m.
//!
//! In: the keys of its handshake, streams that str0m has begun. Out: datagrams, packets, reports.
//! Holds: a stream begins in str0m, which knows the session's descriptions, and is taken over
//! from the packet it has come to; nothing is allocated for a packet; what comes twice, or does
//! not authenticate, is dropped.

use super::keys::Keys;
use super::rtcp::{self, Reception};
use super::srtp::{self, Context, TAG};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use str0m::media::Mid;

/// A fixed RTP header.
const HEADER: usize = 12;
/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// The index of our first report: str0m, which has sent a few, counted from 0.
const FIRST_REPORT: u32 = 1 << 20;
/// Streams kept; a caller hears one, and another after its agent has published anew, has
/// added a track or has handed over to another agent.
const STREAMS: usize = 8;
/// Packets that may come out of order and are still told from repeated ones.
const WINDOW: u64 = 64;

/// One packet that was heard; its payload is at the front of the room given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) mid: Mid,
    pub(super) ssrc: u32,
    pub(super) rtp_time: u32,
    pub(super) sequence: u64,
    /// In -dBov, where it says so.
    pub(super) level: Option<u8>,
    pub(super) length: usize,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// None of ours: str0m's.
    No,
    /// Ours, and nothing to be heard: a report, a repetition, a forgery.
    Silent,
    Packet(Heard),
}

/// Our stream.
#[derive(Debug)]
struct Out {
    /// Of every packet, but for marker, sequence number and time.
    header: Vec<u8>,
    ssrc: u32,
    to: SocketAddr,
    packets: u32,
    octets: u32,
}

/// A stream that we hear.
#[derive(Debug)]
struct In {
    ssrc: u32,
    mid: Mid,
    /// The header extension with its level, where one was agreed on.
    level: Option<u8>,
    /// When its last packet came.
    last: Instant,
    highest: u64,
    /// Bit k: packet `highest - k` has come.
    came: u64,
    reception: Reception,
}

/// The media of one connection.
#[derive(Debug)]
pub(super) struct Media {
    seals: Context,
    opens: Context,
    out: Option<Out>,
    heard: Vec<In>,
    reports: u32,
    next_report: Option<Instant>,
}

impl Media {
    /// `None` where str0m has to do it all: another SRTP profile.
    pub(super) fn new(keys: &Keys) -> Option<Self> {
        let (seals, opens) = srtp::contexts(keys)?;
        Some(Self {
            seals,
            opens,
            out: None,
            heard: Vec::new(),
            reports: FIRST_REPORT,
            next_report: None,
        })
    }

    /// Whether our stream is taken over.
    pub(super) fn sends(&self) -> bool {
        self.out.is_some()
    }

    /// Goes on with our stream from a datagram of it that str0m made: the `packets`th.
    pub(super) fn take_over(&mut self, datagram: &[u8], to: SocketAddr, packets: u32) {
        let Some(header) = header_length(datagram).filter(|n| datagram.len() >= n + TAG) else {
            return;
        };
        let payload = (datagram.len() - header - TAG) as u32;
        self.out = Some(Out {
            header: datagram[..header].to_vec(),
            ssrc: word(datagram, 8),
            to,
            packets,
            // About: every packet so far had this one's size.
            octets: packets.wrapping_mul(payload),
        });
    }

    /// Goes on hearing a stream of section `mid` after its packet `sequence`, which came at
    /// `arrival`.
    /// `level`: the id of the header extension with its audio level.
    pub(super) fn hear(
        &mut self,
        ssrc: u32,
        mid: Mid,
        level: Option<u8>,
        sequence: u64,
        arrival: Instant,
    ) {
        if self.heard.iter().any(|s| s.ssrc == ssrc) {
            return;
        }
        if self.heard.len() == STREAMS {
            // The one that has been silent for longest.
            let oldest = self.heard.iter().enumerate().min_by_key(|(_, s)| s.last);
            if let Some((oldest, _)) = oldest {
                self.heard.remove(oldest);
            }
        }
        self.heard.push(In {
            last: arrival,
            ssrc,
            mid,
            level,
            highest: sequence,
            // Those before it went through str0m, or are late: they are not heard twice.
            came: u64::MAX,
            reception: Reception::new(ssrc, sequence + 1),
        });
    }

    /// The next packet of our stream, in `room`: its length, and where to.
    pub(super) fn packet(
        &mut self,
        sequence: u64,
        rtp_time: u32,
        marker: bool,
        payload: &[u8],
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let out = self.out.as_mut()?;
        let header = out.header.len();
        let head = room.get_mut(..header)?;
        head.copy_from_slice(&out.header);
        head[1] = head[1] & 0x7f | u8::from(marker) << 7;
        head[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        head[4..8].copy_from_slice(&rtp_time.to_be_bytes());
        let sealed = self
            .seals
            .seal_rtp(out.ssrc, sequence, header, payload, room)?;
        out.packets = out.packets.wrapping_add(1);
        out.octets = out.octets.wrapping_add(payload.len() as u32);
        Some((sealed, out.to))
    }

    /// A report, where one is due: its length in `room`, and where to. `rtp_time`: our
    /// stream's time now.
    pub(super) fn report(
        &mut self,
        now: Instant,
        rtp_time: u32,
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let out = self.out.as_ref()?;
        let due = *self.next_report.get_or_insert(now + REPORT_EVERY / 5);
        if due > now {
            return None;
        }
        self.next_report = Some(now + REPORT_EVERY);
        let sender = rtcp::Sender {
            ssrc: out.ssrc,
            ntp: rtcp::ntp(SystemTime::now()),
            rtp_time,
            packets: out.packets,
            octets: out.octets,
        };
        let heard = self.heard.iter_mut().map(|s| &mut s.reception);
        let length = rtcp::report(&sender, heard, now, room)?;
        let sealed = self.seals.seal_rtcp(self.reports, length, room)?;
        self.reports += 1;
        Some((sealed, out.to))
    }

    /// Takes an RTP or RTCP datagram that arrived at `arrival`; a payload goes into `room`.
    pub(super) fn receive(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        match bytes {
            [128..=191, 192..=223, ..] => self.receive_report(bytes, arrival, room),
            [128..=191, ..] => self.receive_packet(bytes, arrival, room),
            _ => Taken::No,
        }
    }

    /// Reports are ours from when on we send them: str0m would answer them with its own.
    fn receive_report(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        if !self.sends() {
            return Taken::No;
        }
        if let Some(length) = self.opens.open_rtcp(bytes, room)
            && let Some((ssrc, middle)) = rtcp::sender_report(&room[..length])
            && let Some(stream) = self.heard.iter_mut().find(|s| s.ssrc == ssrc)
        {
            stream.reception.reported(middle, arrival);
        }
        Taken::Silent
    }

    fn receive_packet(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        let Some(header) = header_length(bytes) else {
            return Taken::No;
        };
        let ssrc = word(bytes, 8);
        let Some(stream) = self.heard.iter_mut().find(|s| s.ssrc == ssrc) else {
            return Taken::No;
        };
        let Some(sequence) = stream.sequence(u16::from_be_bytes([bytes[2], bytes[3]])) else {
            return Taken::Silent;
        };
        let opened = self.opens.open_rtp(ssrc, sequence, header, bytes, room);
        let Some(length) = opened.and_then(|n| unpadded(bytes, &room[..n])) else {
            return Taken::Silent;
        };
        let rtp_time = word(bytes, 4);
        stream.came(sequence);
        stream.last = arrival;
        stream.reception.packet(sequence, rtp_time, arrival);
        Taken::Packet(Heard {
            mid: stream.mid,
            ssrc,
            rtp_time,
            sequence,
            level: stream
                .level
                .and_then(|id| level(&bytes[HEADER..header], id)),
            length,
        })
    }
}

impl In {
    /// The whole number of a packet, from its lower half; `None` where it has come already, or
    /// is too old for that to be known.
    fn sequence(&self, low: u16) -> Option<u64> {
        let ahead = low.wrapping_sub(self.highest as u16).cast_signed();
        let sequence = self.highest.checked_add_signed(ahead.into())?;
        match self.highest.checked_sub(sequence) {
            Some(age) if age >= WINDOW || self.came >> age & 1 == 1 => None,
            _ => Some(sequence),
        }
    }

    fn came(&mut self, sequence: u64) {
        if let Some(ahead) = sequence.checked_sub(self.highest).filter(|n| *n > 0) {
            self.came = if ahead < WINDOW {
                self.came << ahead
            } else {
                0
            };
            self.highest = sequence;
        }
        self.came |= 1 << (self.highest - sequence);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    if let Some(found) = bytes.get(at..at + 4) {
        word.copy_from_slice(found);
    }
    u32::from_be_bytes(word)
}

/// The length of an RTP header: the fixed part, the sources, the extension.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let fixed = HEADER + 4 * usize::from(first & 0x0f);
    let length = match first & 0x10 {
        0 => fixed,
        _ => {
            let words = bytes.get(fixed + 2..fixed + 4)?;
            fixed + 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]))
        }
    };
    (bytes.len() >= length).then_some(length)
}

/// The audio level in the extensions of a header (RFC 8285's one-byte form), by their id.
fn level(rest: &[u8], id: u8) -> Option<u8> {
    let mut elements = rest.strip_prefix(&[0xbe, 0xde])?.get(2..)?;
    while let [head, after @ ..] = elements {
        let (of, length) = (head >> 4, usize::from(head & 0x0f) + 1);
        match of {
            // A byte of padding.
            0 => elements = after,
            15 => return None,
            _ if of == id => return after.first().map(|byte| byte & 0x7f),
            _ => elements = after.get(length..)?,
        }
    }
    None
}

/// The payload's length without its padding, whose last byte says how long it is.
fn unpadded(bytes: &[u8], payload: &[u8]) -> Option<usize> {
    match (bytes[0] & 0x20, payload.last()) {
        (0, _) => Some(payload.len()),
        (_, Some(&padding)) if padding > 0 => payload.len().checked_sub(padding.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
