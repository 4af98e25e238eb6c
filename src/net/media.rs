//! Sends and receives the RTP of an established connection without going through str0m.
//!
//! In: the keys of its handshake, streams that str0m has started. Out: datagrams, packets,
//! reports.
//! Invariants: every stream starts in str0m, which knows the session descriptions, and is taken
//! over at its current packet; handling a packet allocates nothing; duplicates and packets that
//! fail authentication are dropped.

use super::keys::Keys;
use super::rtcp::{self, Reception};
use super::srtp::{self, Context, TAG};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use str0m::media::Mid;

/// Length of the fixed RTP header.
const HEADER: usize = 12;
/// Interval between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// SRTCP index of our first report: str0m has already sent a few, counting from 0.
const FIRST_REPORT: u32 = 1 << 20;
/// Streams kept. A caller receives one, and another after its agent has republished, added a
/// track or handed over to another agent.
const STREAMS: usize = 8;
/// Replay window: a packet that is up to this late can still be told from a duplicate.
const WINDOW: u64 = 64;

/// One received packet; its payload is at the start of the buffer given to [`Media::receive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) mid: Mid,
    pub(super) ssrc: u32,
    pub(super) rtp_time: u32,
    pub(super) sequence: u64,
    /// In -dBov, if the packet carries it.
    pub(super) level: Option<u8>,
    pub(super) length: usize,
}

/// What [`Media::receive`] did with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing: str0m has to handle it.
    No,
    /// Handled, but there is nothing to hear: a report, a duplicate, a forgery.
    Silent,
    Packet(Heard),
}

/// Our outgoing stream.
#[derive(Debug)]
struct Out {
    /// Header of every packet, except for marker, sequence number and RTP time.
    header: Vec<u8>,
    ssrc: u32,
    to: SocketAddr,
    packets: u32,
    octets: u32,
}

/// A stream that we receive.
#[derive(Debug)]
struct In {
    ssrc: u32,
    mid: Mid,
    /// Id of the header extension with the audio level, if one was negotiated.
    level: Option<u8>,
    /// Arrival of its last packet.
    last: Instant,
    highest: u64,
    /// Bit k: packet `highest - k` has arrived.
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
    /// `None` if the SRTP profile is not supported here; str0m then handles all media.
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

    /// Whether our stream has been taken over from str0m.
    pub(super) fn sends(&self) -> bool {
        self.out.is_some()
    }

    /// Takes over our stream. `datagram` is the packet of it that str0m made last, the `packets`th.
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
            // An estimate: assumes that every packet so far had this one's size.
            octets: packets.wrapping_mul(payload),
        });
    }

    /// Takes over a received stream of section `mid` after its packet `sequence`, which arrived at
    /// `arrival`. `level`: id of the header extension with the audio level.
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
            // Drop the stream that has been silent for longest.
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
            // Earlier packets went through str0m or are late: count them as received.
            came: u64::MAX,
            reception: Reception::new(ssrc, sequence + 1),
        });
    }

    /// Writes the next packet of our stream into `room`; returns its length and destination.
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

    /// Writes a report into `room` if one is due; returns its length and destination. `rtp_time`:
    /// the current RTP time of our stream.
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

    /// Handles an RTP or RTCP datagram that arrived at `arrival`; writes its payload into `room`.
    pub(super) fn receive(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        match bytes {
            [128..=191, 192..=223, ..] => self.receive_report(bytes, arrival, room),
            [128..=191, ..] => self.receive_packet(bytes, arrival, room),
            _ => Taken::No,
        }
    }

    /// Reports are handled here as soon as we send our own: str0m would answer them with its own.
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
    /// Extends a 16-bit sequence number; `None` if that packet has already arrived, or is too old
    /// to tell.
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

/// Length of an RTP header: the fixed part, the CSRC list, the extension.
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

/// The audio level among a header's extensions (RFC 8285, one-byte form), by its extension id.
fn level(rest: &[u8], id: u8) -> Option<u8> {
    let mut elements = rest.strip_prefix(&[0xbe, 0xde])?.get(2..)?;
    while let [head, after @ ..] = elements {
        let (of, length) = (head >> 4, usize::from(head & 0x0f) + 1);
        match of {
            // Padding.
            0 => elements = after,
            15 => return None,
            _ if of == id => return after.first().map(|byte| byte & 0x7f),
            _ => elements = after.get(length..)?,
        }
    }
    None
}

/// Length of the payload without its padding, whose last byte gives the padding's length.
fn unpadded(bytes: &[u8], payload: &[u8]) -> Option<usize> {
    match (bytes[0] & 0x20, payload.last()) {
        (0, _) => Some(payload.len()),
        (_, Some(&padding)) if padding > 0 => payload.len().checked_sub(padding.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
