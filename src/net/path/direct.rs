//! The path around str0m: the RTP and RTCP of an established connection, with the keys of its
//! handshake.
//!
//! In: the keys, streams that str0m has started, datagrams, packets to send. Out: received packets
//! and reports, datagrams to send. Invariants: every stream starts in str0m, which holds the
//! session descriptions, and is continued here after its current packet; handling a packet
//! allocates nothing; duplicates and packets that fail authentication are dropped, and change
//! nothing.

use super::{MediaPath, Negotiated, Received, ReportedLoss, StreamReport};
use crate::net::clock::Stamp;
use crate::net::endpoint::Outgoing;
use crate::net::keys::Keys;
use crate::net::rtcp::{self, Reception};
use crate::net::srtp::{self, Context, TAG};
use crate::os::Datagram;
use crate::vocab::Packet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Length of the fixed RTP header.
const HEADER: usize = 12;
/// Interval between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// SRTCP index of our first report: str0m has already sent a few, counting from 0.
const FIRST_REPORT: u32 = 1 << 20;
/// Number of our reports whose round trips can still be measured.
const REMEMBERED_REPORTS: usize = 4;
/// Maximum number of received streams. A caller receives one, and another each time its agent
/// republishes, adds a track or hands over to another agent.
const STREAMS: usize = 8;
/// Streams handled by str0m whose sequence numbers are tracked, to authenticate their packets.
const MET: usize = 32;
/// Replay window: a packet less than this far behind can still be distinguished from a duplicate.
const WINDOW: u64 = 64;
/// A packet this far ahead restarts the stream (RFC 3550, A.1): a minute of audio.
const DROPOUT: u64 = 3_000;
/// Number of consecutive packets behind the window that restarts the stream.
const ANEW: u32 = 5;
/// Sequence numbers from one rollover to the next.
const ROLLOVER: u64 = 1 << 16;

/// Our outgoing stream.
#[derive(Debug)]
struct SendStream {
    /// Header of every packet, except for marker, sequence number and RTP time.
    header: Vec<u8>,
    ssrc: u32,
    to: SocketAddr,
    packets: u32,
    octets: u32,
    /// Sequence number of the last packet made.
    newest: u64,
    /// From the other side's reports: the highest sequence number, and the largest loss count.
    reported: (u64, i64),
}

/// A stream that we receive.
#[derive(Debug)]
struct ReceiveStream {
    ssrc: u32,
    /// The negotiated parameters of its section.
    negotiated: Negotiated,
    /// Arrival of its last packet.
    last: Instant,
    highest: u64,
    /// Bit k: packet `highest - k` has arrived.
    came: u64,
    restarts: u32,
    /// The current run of consecutive packets behind the window: the sequence number that would
    /// come next, and the run's length.
    behind: Option<(u64, u32)>,
    reception: Reception,
}

/// The keys of a connection, and the streams that they open and seal.
#[derive(Debug)]
pub(in crate::net) struct DirectPath {
    seals: Context,
    opens: Context,
    sent: Option<SendStream>,
    received: Vec<ReceiveStream>,
    /// SSRC and highest sequence number of streams that str0m receives, oldest first.
    met: Vec<(u32, u64)>,
    reports: u32,
    next_report: Option<Instant>,
    round_trips: RoundTrips,
}

/// Our latest reports that the other side has not answered.
#[derive(Debug, Default)]
struct RoundTrips {
    /// Middle 32 bits of the NTP time in each, and when it was sent.
    open: [Option<(u32, Instant)>; REMEMBERED_REPORTS],
    next: usize,
}

impl RoundTrips {
    fn sent(&mut self, ntp_middle: u32, at: Instant) {
        self.open[self.next] = Some((ntp_middle, at));
        self.next = (self.next + 1) % REMEMBERED_REPORTS;
    }

    /// The round trip of the report that `block` answers (RFC 3550, 6.4.1), by our monotonic clock.
    /// Only the first answer to a report counts: all of them share the way there, so a report
    /// delayed once would otherwise count several times.
    fn answered(&mut self, block: &rtcp::ReportBlock, arrival: Instant) -> Option<Duration> {
        let is_open = |open: &&mut Option<(u32, Instant)>| {
            open.is_some_and(|(middle, _)| middle == block.last_report)
        };
        let (_, sent) = self.open.iter_mut().find(is_open)?.take()?;
        let away = arrival.checked_duration_since(sent)?;
        // The other side rounds to 1/65,536 s, so on a short path the difference can be below zero.
        Some(away.saturating_sub(block.held()))
    }
}

impl DirectPath {
    /// `None` if the SRTP profile is not supported here; str0m then handles all media.
    pub(in crate::net) fn new(keys: &Keys) -> Option<Self> {
        let (seals, opens) = srtp::contexts(keys)?;
        Some(Self {
            seals,
            opens,
            sent: None,
            received: Vec::new(),
            met: Vec::new(),
            reports: FIRST_REPORT,
            next_report: None,
            round_trips: RoundTrips::default(),
        })
    }

    /// Whether our stream has been taken over from str0m.
    pub(in crate::net) fn sends(&self) -> bool {
        self.sent.is_some()
    }

    /// Leaves our stream to str0m again.
    pub(in crate::net) fn stop_sending(&mut self) {
        self.sent = None;
    }

    /// Whether the stream with this SSRC has been taken over from str0m.
    pub(in crate::net) fn receives(&self, ssrc: u32) -> bool {
        self.received.iter().any(|stream| stream.ssrc == ssrc)
    }

    /// Whether a datagram takes this path: a packet of a stream that was taken over or, once we
    /// send our own reports, any report, because str0m would answer it with its own.
    pub(in crate::net) fn carries(&self, datagram: &[u8]) -> bool {
        match datagram {
            [128..=191, 192..=223, ..] => self.sends(),
            [128..=191, ..] => datagram.len() >= HEADER && self.receives(word(datagram, 8)),
            _ => false,
        }
    }

    /// Takes over our stream after the packet `datagram`, the `packets`th that str0m made.
    pub(in crate::net) fn continue_sending(
        &mut self,
        datagram: &[u8],
        to: SocketAddr,
        packets: u32,
    ) {
        let Some(header) = header_length(datagram).filter(|n| datagram.len() >= n + TAG) else {
            return;
        };
        let payload = (datagram.len() - header - TAG) as u32;
        self.sent = Some(SendStream {
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

    /// Takes over a received stream after its packet `sequence`, which arrived at `arrival`.
    pub(in crate::net) fn continue_receiving(
        &mut self,
        ssrc: u32,
        negotiated: Negotiated,
        sequence: u64,
        arrival: Instant,
    ) {
        if self.receives(ssrc) {
            return;
        }
        if self.received.len() == STREAMS {
            // Drop the stream whose last packet is the oldest.
            let oldest = self.received.iter().enumerate().min_by_key(|(_, s)| s.last);
            if let Some((oldest, _)) = oldest {
                self.received.remove(oldest);
            }
        }
        self.received.push(ReceiveStream {
            ssrc,
            negotiated,
            last: arrival,
            highest: sequence,
            // Earlier packets went through str0m or are late: count them as received.
            came: u64::MAX,
            restarts: 0,
            behind: None,
            reception: Reception::new(ssrc, sequence + 1),
        });
    }

    /// Writes a report into `room` if one is due; returns its length and destination. `rtp_time`:
    /// the current RTP time of our stream.
    pub(in crate::net) fn report(
        &mut self,
        now: Instant,
        rtp_time: u32,
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let stream = self.sent.as_ref()?;
        let due = *self.next_report.get_or_insert(now + REPORT_EVERY / 5);
        if due > now {
            return None;
        }
        self.next_report = Some(now + REPORT_EVERY);
        let ntp = rtcp::ntp(SystemTime::now());
        let sender = rtcp::SenderInfo {
            ssrc: stream.ssrc,
            ntp,
            rtp_time,
            packets: stream.packets,
            octets: stream.octets,
        };
        let received = self.received.iter_mut().map(|s| &mut s.reception);
        let length = rtcp::report(&sender, received, now, room)?;
        let sealed = self.seals.seal_rtcp(self.reports, length, room)?;
        self.reports += 1;
        self.round_trips.sent((ntp >> 16) as u32, now);
        Some((sealed, stream.to))
    }

    /// Whether an RTP datagram of a stream that str0m handles was sealed by the other side. str0m
    /// acts on a header before it authenticates the packet: if the header contains a section id,
    /// str0m assigns that section to the packet's stream.
    pub(in crate::net) fn authenticates(&mut self, bytes: &[u8], room: &mut [u8]) -> bool {
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

    fn receive_report(
        &mut self,
        bytes: &[u8],
        arrival: Instant,
        room: &mut [u8],
    ) -> Received<'static> {
        let Some(length) = self.opens.open_rtcp(bytes, room) else {
            return Received::Unauthenticated;
        };
        let report = &room[..length];
        if let Some((ssrc, middle)) = rtcp::sender_report(report)
            && let Some(stream) = self.received.iter_mut().find(|s| s.ssrc == ssrc)
        {
            stream.reception.reported(middle, arrival);
        }
        let about = |sent: &mut SendStream| {
            let block = rtcp::block_about(report, sent.ssrc)?;
            let round_trip = self.round_trips.answered(&block, arrival);
            let reported = sent.reported(block)?;
            Some(StreamReport {
                round_trip,
                ..reported
            })
        };
        Received::Report(self.sent.as_mut().and_then(about))
    }

    fn receive_packet<'r>(
        &mut self,
        bytes: &[u8],
        stamp: Stamp,
        room: &'r mut [u8],
    ) -> Received<'r> {
        let ssrc = word(bytes, 8);
        let stream = self.received.iter_mut().find(|s| s.ssrc == ssrc);
        let (Some(stream), Some(header)) = (stream, header_length(bytes)) else {
            return Received::Unauthenticated;
        };
        let low = u16::from_be_bytes([bytes[2], bytes[3]]);
        let mut open = |sequence| {
            let opened = self.opens.open_rtp(ssrc, sequence, header, bytes, room)?;
            Some((sequence, unpadded(bytes, &room[..opened])?))
        };
        let nearest = nearest(stream.highest, low);
        let opened = nearest.and_then(&mut open);
        if !stream.negotiated.payload_types.contains(&(bytes[1] & 0x7f)) {
            return match opened {
                Some(_) => Received::Unplaced,
                None => Received::Unauthenticated,
            };
        }
        let place = opened.map(|(sequence, _)| stream.place(sequence));
        // The packet may have been sealed with another rollover count.
        let mut others = others(nearest, low).into_iter().flatten();
        let Some((sequence, length)) = opened.or_else(|| others.find_map(open)) else {
            return Received::Unauthenticated;
        };
        match place {
            Some(ReplayCheck::New) => stream.behind = None,
            Some(ReplayCheck::Repeated) => return Received::Repeated,
            Some(ReplayCheck::Behind) | None if stream.starts_anew(sequence) => {}
            Some(ReplayCheck::Behind) | None => return Received::Behind,
        }
        let rtp_time = word(bytes, 4);
        stream.came(sequence, rtp_time, stamp.at);
        let id = stream.negotiated.level;
        Received::Packet {
            section: Some(stream.negotiated.mid),
            ssrc,
            restarts: stream.restarts,
            packet: Packet {
                arrival: stamp.at,
                kernel_stamp: stamp.kernel,
                rtp_time,
                sequence,
                level: id.and_then(|id| level(extension(&bytes[..header])?, id)),
                payload: &room[..length],
            },
        }
    }
}

impl MediaPath for DirectPath {
    fn receive<'r>(
        &mut self,
        _now: Instant,
        datagram: &Datagram<'_>,
        stamp: Stamp,
        room: &'r mut [u8],
    ) -> Received<'r> {
        match datagram.bytes {
            [_, 192..=223, ..] => self.receive_report(datagram.bytes, stamp.at, room),
            bytes => self.receive_packet(bytes, stamp, room),
        }
    }

    fn packetize(
        &mut self,
        sequence: u64,
        packet: &Outgoing,
        room: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let stream = self.sent.as_mut()?;
        let header = stream.header.len();
        let head = room.get_mut(..header)?;
        head.copy_from_slice(&stream.header);
        head[1] = head[1] & 0x7f | u8::from(packet.marker) << 7;
        head[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        head[4..8].copy_from_slice(&packet.rtp_time.to_be_bytes());
        let (ssrc, payload) = (stream.ssrc, &packet.payload);
        let sealed = self.seals.seal_rtp(ssrc, sequence, header, payload, room)?;
        stream.newest = sequence;
        stream.packets = stream.packets.wrapping_add(1);
        stream.octets = stream.octets.wrapping_add(payload.len() as u32);
        Some((sealed, stream.to))
    }
}

impl SendStream {
    /// What a report says about the stream; `None` for an old report that arrived after a newer
    /// one. Sequence numbers are extended to those that we sent. A
    /// server may report the number of the packet that it expects next (livekit-server 1.13 does)
    /// instead of the highest received, so a number not sent yet is taken as the newest one sent.
    fn reported(&mut self, block: rtcp::ReportBlock) -> Option<StreamReport> {
        let ahead = (block.highest as u16)
            .wrapping_sub(self.newest as u16)
            .cast_signed();
        let highest = self.newest.checked_add_signed(ahead.min(0).into())?;
        let (before, most) = self.reported;
        if highest < before {
            return None;
        }
        // A packet that arrives late is no longer lost, so the count may fall and rise again.
        let lost = i64::from(block.lost);
        self.reported = (highest, most.max(lost));
        let count = u64::try_from(lost - most).unwrap_or(0);
        Some(StreamReport {
            ssrc: self.ssrc,
            // Our streams begin with the sequence number 1.
            expected: highest,
            lost: u64::try_from(lost).unwrap_or(0),
            loss: (count > 0).then_some(ReportedLoss {
                among: ((before + 1).min(highest), highest),
                count,
            }),
            jitter: block.jitter(),
            round_trip: None,
        })
    }
}

/// Result of checking a packet against its stream's replay window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplayCheck {
    /// The packet has not arrived before.
    New,
    /// A packet with its sequence number has arrived before.
    Repeated,
    /// The packet is too old to tell.
    Behind,
}

/// Extends a 16-bit sequence number to the one nearest to `highest`.
fn nearest(highest: u64, low: u16) -> Option<u64> {
    let ahead = low.wrapping_sub(highest as u16).cast_signed();
    highest.checked_add_signed(ahead.into())
}

/// The sequence numbers, other than the nearest one, that a packet may have been sealed with: one
/// rollover later, if the sender is that far ahead, or without rollovers, if it has restarted.
fn others(nearest: Option<u64>, low: u16) -> [Option<u64>; 2] {
    let first = u64::from(low);
    [
        Some(nearest.unwrap_or(first) + ROLLOVER),
        Some(first).filter(|n| nearest != Some(*n)),
    ]
}

impl ReceiveStream {
    fn place(&self, sequence: u64) -> ReplayCheck {
        match self.highest.checked_sub(sequence) {
            Some(age) if age >= WINDOW => ReplayCheck::Behind,
            Some(age) if self.came >> age & 1 == 1 => ReplayCheck::Repeated,
            _ => ReplayCheck::New,
        }
    }

    /// Whether an authentic packet restarts the stream if its nearest sequence number is not new. A
    /// packet ahead restarts the stream at once. A packet behind restarts it only as the last of
    /// [`ANEW`] consecutive packets with no other packet between (after RFC 3550, A.1), so that
    /// delayed or repeated packets do not restart it.
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

    /// Counts a packet that has not arrived before.
    fn came(&mut self, sequence: u64, rtp_time: u32, arrival: Instant) {
        if self.highest.abs_diff(sequence) >= DROPOUT || sequence + WINDOW <= self.highest {
            self.restart_at(sequence);
        }
        if let Some(ahead) = sequence.checked_sub(self.highest).filter(|n| *n > 0) {
            self.came = if ahead < WINDOW {
                self.came << ahead
            } else {
                0
            };
            self.highest = sequence;
        }
        self.came |= 1 << (self.highest - sequence);
        self.last = arrival;
        self.reception.packet(sequence, rtp_time, arrival);
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

/// The extension of a complete RTP header, which follows its CSRC list.
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
