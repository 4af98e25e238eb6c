//! Sends and receives the RTP of an established connection without going through str0m.
//!
//! In: the keys of its handshake, streams that str0m has started. Out: datagrams, packets,
//! reports.
//! Invariants: every stream starts in str0m, which knows the session descriptions, and is taken
//! over at its current packet; handling a packet allocates nothing; duplicates and packets that
//! fail authentication are dropped, and change nothing.

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
/// Streams of str0m's whose sequence numbers are followed, to authenticate their packets.
const MET: usize = 32;
/// Replay window: a packet that is up to this late can still be told from a duplicate.
const WINDOW: u64 = 64;
/// A packet that is this far ahead starts the stream anew (RFC 3550, A.1): a minute of audio.
const DROPOUT: u64 = 3_000;
/// Packets behind the window that have to follow each other to start the stream anew.
const ANEW: u32 = 5;
/// Sequence numbers from one rollover to the next.
const ROLLOVER: u64 = 1 << 16;

/// One received packet; its payload is at the start of the buffer given to [`Media::receive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) mid: Mid,
    pub(super) ssrc: u32,
    /// How often the stream has started its sequence numbers anew.
    pub(super) restarts: u32,
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
    /// Nothing: the stream has not had this payload type so far.
    PayloadType {
        mid: Mid,
        ssrc: u32,
        pt: u8,
    },
    /// A report of the other side: what it lost of our stream since its last one.
    Report(Option<Loss>),
    /// Dropped: it is no packet of the other side.
    Unauthenticated,
    /// Dropped: it has arrived before.
    Repeated,
    /// Dropped: it is too old to tell whether it has arrived before.
    Behind,
    Packet(Heard),
}

/// Packets of our stream that did not reach the other side.
#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub(super) struct Loss {
    /// First and last sequence number among which the lost packets are.
    pub(super) among: (u64, u64),
    /// How many.
    pub(super) count: u64,
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
    /// Sequence number of the packet made last.
    newest: u64,
    /// What the other side reported: the highest sequence number, and the most that were lost.
    reported: (u64, i64),
}

/// A stream that we receive.
#[derive(Debug)]
struct In {
    ssrc: u32,
    mid: Mid,
    /// Payload types of the audio that was negotiated for its section.
    payload_types: Vec<u8>,
    /// Id of the header extension with the audio level, if one was negotiated.
    level: Option<u8>,
    /// Arrival of its last packet.
    last: Instant,
    highest: u64,
    /// Bit k: packet `highest - k` has arrived.
    came: u64,
    restarts: u32,
    /// Packets in a row that were behind, each following the last directly: the number that would
    /// come next, and how many.
    behind: Option<(u64, u32)>,
    reception: Reception,
}

/// The media of one connection.
#[derive(Debug)]
pub(super) struct Media {
    seals: Context,
    opens: Context,
    out: Option<Out>,
    heard: Vec<In>,
    /// SSRC and highest sequence number of streams that str0m receives, oldest first.
    met: Vec<(u32, u64)>,
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
            met: Vec::new(),
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
            newest: packets.into(),
            reported: (0, 0),
        });
    }

    /// Takes over a received stream of section `mid` after its packet `sequence`, which arrived at
    /// `arrival`. `pt`: its payload type; `level`: id of the header extension with the audio level.
    pub(super) fn hear(
        &mut self,
        (ssrc, pt): (u32, u8),
        mid: Mid,
        level: Option<u8>,
        sequence: u64,
        arrival: Instant,
    ) {
        if self.heard.iter().any(|s| s.ssrc == ssrc) {
            return self.allow(ssrc, pt);
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
            payload_types: vec![pt],
            level,
            highest: sequence,
            // Earlier packets went through str0m or are late: count them as received.
            came: u64::MAX,
            restarts: 0,
            behind: None,
            reception: Reception::new(ssrc, sequence + 1),
        });
    }

    /// From now on, packets of this stream with payload type `pt` are heard too.
    pub(super) fn allow(&mut self, ssrc: u32, pt: u8) {
        let stream = self.heard.iter_mut().find(|s| s.ssrc == ssrc);
        if let Some(stream) = stream.filter(|s| !s.payload_types.contains(&pt)) {
            stream.payload_types.push(pt);
        }
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
        out.newest = sequence;
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

    /// Whether an RTP datagram of a stream that str0m handles was sealed by the other side. str0m
    /// believes headers before it authenticates them: one that names a section moves the section
    /// to its stream.
    pub(super) fn authenticates(&mut self, bytes: &[u8], room: &mut [u8]) -> bool {
        let Some(header) = header_length(bytes) else {
            return false;
        };
        let (ssrc, low) = (word(bytes, 8), u16::from_be_bytes([bytes[2], bytes[3]]));
        let known = self.met.iter().position(|(of, _)| *of == ssrc);
        let highest = known.map_or(low.into(), |at| self.met[at].1);
        let Some(sequence) = nearest(highest, low) else {
            return false;
        };
        let opened = self.opens.open_rtp(ssrc, sequence, header, bytes, room);
        if opened.is_none() {
            return false;
        }
        match known {
            Some(at) => self.met[at].1 = highest.max(sequence),
            None => {
                if self.met.len() == MET {
                    self.met.remove(0);
                }
                self.met.push((ssrc, sequence));
            }
        }
        true
    }

    /// Reports are handled here as soon as we send our own: str0m would answer them with its own.
    fn receive_report(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        if !self.sends() {
            return Taken::No;
        }
        let Some(length) = self.opens.open_rtcp(bytes, room) else {
            return Taken::Unauthenticated;
        };
        let report = &room[..length];
        if let Some((ssrc, middle)) = rtcp::sender_report(report)
            && let Some(stream) = self.heard.iter_mut().find(|s| s.ssrc == ssrc)
        {
            stream.reception.reported(middle, arrival);
        }
        let out = self.out.as_mut();
        Taken::Report(out.and_then(|out| out.reported(rtcp::block_about(report, out.ssrc)?)))
    }

    fn receive_packet(&mut self, bytes: &[u8], arrival: Instant, room: &mut [u8]) -> Taken {
        let Some(header) = header_length(bytes) else {
            return Taken::No;
        };
        let ssrc = word(bytes, 8);
        let Some(stream) = self.heard.iter_mut().find(|s| s.ssrc == ssrc) else {
            return Taken::No;
        };
        let low = u16::from_be_bytes([bytes[2], bytes[3]]);
        let mut open = |sequence| {
            let opened = self.opens.open_rtp(ssrc, sequence, header, bytes, room)?;
            Some((sequence, unpadded(bytes, &room[..opened])?))
        };
        let nearest = nearest(stream.highest, low);
        let opened = nearest.and_then(&mut open);
        let pt = bytes[1] & 0x7f;
        if !stream.payload_types.contains(&pt) {
            let mid = stream.mid;
            return match opened {
                Some(_) => Taken::PayloadType { mid, ssrc, pt },
                None => Taken::Unauthenticated,
            };
        }
        let place = opened.map(|(sequence, _)| stream.place(sequence));
        // Or sealed with another count of rollovers.
        let mut others = others(nearest, low).into_iter().flatten();
        let Some((sequence, length)) = opened.or_else(|| others.find_map(open)) else {
            return Taken::Unauthenticated;
        };
        match place {
            Some(Place::New) => stream.behind = None,
            Some(Place::Repeated) => return Taken::Repeated,
            Some(Place::Behind) | None if stream.starts_anew(sequence) => {}
            Some(Place::Behind) | None => return Taken::Behind,
        }
        let rtp_time = word(bytes, 4);
        if stream.highest.abs_diff(sequence) >= DROPOUT || sequence + WINDOW <= stream.highest {
            stream.restart_at(sequence);
        }
        stream.came(sequence);
        stream.last = arrival;
        stream.reception.packet(sequence, rtp_time, arrival);
        Taken::Packet(Heard {
            mid: stream.mid,
            ssrc,
            restarts: stream.restarts,
            rtp_time,
            sequence,
            level: stream
                .level
                .and_then(|id| level(extension(&bytes[..header])?, id)),
            length,
        })
    }
}

impl Out {
    /// What was lost since the last report. Sequence numbers are extended to those that we sent.
    /// A server may name the packet that it expects next (livekit-server 1.13 does) instead of the
    /// highest that it has; so a number that was not sent yet stands for the newest one.
    fn reported(&mut self, block: rtcp::Block) -> Option<Loss> {
        let ahead = (block.highest as u16)
            .wrapping_sub(self.newest as u16)
            .cast_signed();
        let highest = self.newest.checked_add_signed(ahead.min(0).into())?;
        let (before, most) = self.reported;
        if highest < before {
            return None; // An old report, overtaken by a newer one.
        }
        // A packet that comes late is no longer lost, so the count may fall, and rise again.
        let lost = i64::from(block.lost);
        self.reported = (highest, most.max(lost));
        let count = u64::try_from(lost - most).ok()?;
        (count > 0).then_some(Loss {
            among: ((before + 1).min(highest), highest),
            count,
        })
    }
}

/// Where a packet stands among those of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not arrived before.
    New,
    /// A packet with its sequence number has arrived before.
    Repeated,
    /// Too old to tell.
    Behind,
}

/// Extends a 16-bit sequence number to the one nearest to `highest`.
fn nearest(highest: u64, low: u16) -> Option<u64> {
    let ahead = low.wrapping_sub(highest as u16).cast_signed();
    highest.checked_add_signed(ahead.into())
}

/// The sequence numbers that a packet may have been sealed with if not with the nearest one: the
/// next one if the sender counts on, or, if it has begun anew, the first one.
fn others(nearest: Option<u64>, low: u16) -> [Option<u64>; 2] {
    let first = u64::from(low);
    [
        Some(nearest.unwrap_or(first) + ROLLOVER),
        Some(first).filter(|n| nearest != Some(*n)),
    ]
}

impl In {
    fn place(&self, sequence: u64) -> Place {
        match self.highest.checked_sub(sequence) {
            Some(age) if age >= WINDOW => Place::Behind,
            Some(age) if self.came >> age & 1 == 1 => Place::Repeated,
            _ => Place::New,
        }
    }

    /// Whether an authentic packet behind the window begins the stream anew: a packet ahead does at
    /// once, any other if [`ANEW`] of them follow each other directly with no other packet between
    /// (after RFC 3550, A.1), so that packets that were held up or repeated do not.
    fn starts_anew(&mut self, sequence: u64) -> bool {
        let row = match self.behind {
            Some((next, row)) if next == sequence => row + 1,
            _ => 1,
        };
        self.behind = Some((sequence + 1, row));
        sequence > self.highest || row >= ANEW
    }

    fn restart_at(&mut self, sequence: u64) {
        self.restarts += 1;
        self.behind = None;
        (self.highest, self.came) = (sequence, 0);
        self.reception = Reception::new(self.ssrc, sequence);
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

/// The extension of a whole RTP header, which stands behind its CSRC list.
fn extension(header: &[u8]) -> Option<&[u8]> {
    let first = *header.first()?;
    let fixed = HEADER + 4 * usize::from(first & 0x0f);
    (first & 0x10 != 0).then(|| header.get(fixed..))?
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
