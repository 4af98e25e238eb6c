//! RTP and RTCP datagrams from the other side, including authenticated ones.
//!
//! In: steps. A step is a packet with arbitrary header, extensions and payload, sealed as the other
//! side would; a sealed RTCP packet; an arbitrary datagram; or a lapse of time. Properties: the
//! packets received are the packets sent, each once, with the level and length that an independent
//! reader finds; nothing that was not sealed is received; our reports count the packets received.

use super::input::Input;
use super::planted::planted;
use crate::net::fuzzed::{DirectReceiver, Received, round_trip, seal_rtcp, sender_report};
use crate::vocab::Packet;
use std::collections::BTreeSet;
use std::time::Duration;

const SSRC: u32 = 0x0a0b_0c0d;
/// Extension id of the audio level.
const LEVEL: u8 = 1;
/// Maximum number of steps in one input.
const STEPS: usize = 64;
/// Packets older than this cannot be distinguished from duplicates.
const WINDOW: u64 = 64;
/// Number of consecutive packets outside the window that restarts the stream.
const ANEW: u32 = 5;
/// A packet at least this far from the newest one restarts the stream.
const DROPOUT: u64 = 3_000;

/// A model of the receiver.
struct Model {
    connection: DirectReceiver,
    /// The newest sequence number, and all received sequence numbers.
    highest: u64,
    came: BTreeSet<u64>,
    /// The sequence number just before the first packet that the reports count.
    base: u64,
    /// Packets up to this one count as already received; `None` once the stream has restarted.
    before: Option<u64>,
    restarts: u32,
    /// Consecutive packets outside the window: the sequence number after the last one, and their
    /// number.
    behind: Option<(u64, u32)>,
    at: Duration,
    reported: bool,
    rtcp_index: u32,
}

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let first = u64::from(input.u16());
    let mut connection = DirectReceiver::new();
    connection.hear(SSRC, Some(LEVEL), first);
    let mut model = Model {
        connection,
        highest: first,
        came: BTreeSet::new(),
        base: first,
        before: Some(first),
        restarts: 0,
        behind: None,
        at: Duration::ZERO,
        reported: false,
        rtcp_index: 0,
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.byte() % 8 {
            0 => model.forged(input.short()),
            1 => model.rtcp(input.short()),
            2 => model.time(Duration::from_millis(input.u16().into())),
            _ => model.packet(&mut input),
        }
    }
}

/// A packet that has not been sealed yet.
struct Sent {
    header: Vec<u8>,
    payload: Vec<u8>,
    csrcs: usize,
}

fn sent(input: &mut Input<'_>) -> Sent {
    let flags = input.byte();
    let csrcs = usize::from(flags & 0x0f);
    let extended = flags & 0x10 != 0;
    let mut header = vec![0x80 | flags & 0x3f, input.byte()];
    if (192..=223).contains(&header[1]) {
        header[1] = 111; // other payload types are RTCP
    }
    header.extend(input.u16().to_be_bytes());
    header.extend(input.u32().to_be_bytes());
    header.extend(SSRC.to_be_bytes());
    let mut padded = |length: usize, header: &mut Vec<u8>| {
        let end = header.len() + length;
        header.extend(input.bytes(length));
        header.resize(end, 0);
    };
    padded(4 * csrcs, &mut header);
    if extended {
        padded(3, &mut header);
        let words = header.pop().unwrap_or_default() % 8;
        header.extend(u16::from(words).to_be_bytes());
        padded(4 * usize::from(words), &mut header);
    }
    let payload = input.short().to_vec();
    Sent {
        header,
        payload,
        csrcs,
    }
}

/// The audio level of a packet, read independently by the offsets of RFC 3550 and RFC 8285.
fn level(sent: &Sent) -> Option<u8> {
    let header = &sent.header;
    let extension = 12 + 4 * sent.csrcs;
    if header[0] & 0x10 == 0 || header[extension..extension + 2] != [0xbe, 0xde] {
        return None;
    }
    let mut at = extension + 4;
    while at < header.len() {
        let (id, length) = (header[at] >> 4, usize::from(header[at] & 15) + 1);
        match id {
            0 => at += 1,
            15 => return None,
            LEVEL => return header.get(at + 1).map(|level| level & 0x7f),
            _ => at += 1 + length,
        }
    }
    None
}

/// The length of a packet's payload without padding; `None` if the padding is invalid.
fn length(sent: &Sent) -> Option<usize> {
    let whole = sent.payload.len();
    if sent.header[0] & 0x20 == 0 {
        return Some(whole);
    }
    let padding = usize::from(*sent.payload.last()?);
    whole.checked_sub(padding).filter(|_| padding > 0)
}

impl Model {
    /// The sequence number nearest to the newest one, among those that end in these 16 bits.
    fn sequence(&self, low: u16) -> Option<u64> {
        let lap = self.highest & !0xffff | u64::from(low);
        let near = [
            lap.checked_sub(0x1_0000),
            Some(lap),
            lap.checked_add(0x1_0000),
        ];
        let near = near.into_iter().flatten();
        // A number exactly half a cycle away counts as behind.
        let by_distance = |n: &u64| (n.abs_diff(self.highest), *n);
        let nearest = near.min_by_key(by_distance)?;
        let behind = low.wrapping_sub(self.highest as u16) >= 0x8000;
        (behind == (nearest < self.highest)).then_some(nearest)
    }

    /// The sequence number of a packet if the packet is received. `nearest`: the result of
    /// [`Self::sequence`]; `index`: the index with which the packet was sealed.
    fn hears(&mut self, nearest: Option<u64>, index: u64) -> Option<u64> {
        let recent = |n: &u64| self.highest.saturating_sub(*n) < WINDOW;
        match nearest.filter(recent) {
            Some(n) if self.before.is_some_and(|before| n <= before) => return None,
            Some(n) if self.came.contains(&n) => return None,
            Some(_) => self.behind = None,
            None => {
                let row = match self.behind {
                    Some((next, row)) if next == index => row + 1,
                    _ => 1,
                };
                self.behind = Some((index + 1, row));
                if index <= self.highest && row < ANEW {
                    return None;
                }
            }
        }
        let far = self.highest.abs_diff(index) >= DROPOUT;
        if far || index + WINDOW <= self.highest {
            self.restarts += 1;
            (self.highest, self.came) = (index, BTreeSet::new());
            (self.before, self.behind) = (None, None);
            self.base = index.wrapping_sub(1);
        }
        self.came.insert(index);
        self.highest = self.highest.max(index);
        Some(index)
    }

    fn packet(&mut self, input: &mut Input<'_>) {
        let sent = sent(input);
        let low = u16::from_be_bytes([sent.header[2], sent.header[3]]);
        let sequence = self.sequence(low);
        // A packet whose index the receiver cannot determine is sealed with its 16 bits alone.
        let index = sequence.unwrap_or(low.into());
        let mut datagram = sent.header.clone();
        datagram.resize(sent.header.len() + sent.payload.len() + 16, 0);
        let seals = &mut self.connection.seals;
        let sealed = seals.seal_rtp(SSRC, index, sent.header.len(), &sent.payload, &mut datagram);
        assert_eq!(sealed, Some(datagram.len()));
        // A packet with invalid padding is treated like a forged packet.
        let heard = length(&sent).and_then(|length| Some((self.hears(sequence, index)?, length)));
        let stamp = self.connection.stamp(self.at);
        let word = |at: usize| {
            let bytes = sent.header[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes)
        };
        let expected = heard.map(|(sequence, length)| Received::Packet {
            section: Some("0".into()),
            ssrc: SSRC,
            restarts: self.restarts,
            packet: Packet {
                arrival: stamp.at,
                kernel_stamp: stamp.kernel,
                rtp_time: word(4),
                sequence,
                level: level(&sent),
                payload: &sent.payload[..length],
            },
        });
        let received = self.connection.receive(&datagram, self.at);
        assert!(received.is_some(), "left to str0m: {:x?}", sent.header);
        let packet = received.filter(|r| matches!(r, Received::Packet { .. }));
        assert_eq!(packet, expected, "{received:?}, {:x?}", sent.header);
        if packet.is_some() {
            let twice = self.connection.receive(&datagram, self.at);
            assert_eq!(twice, Some(Received::Repeated), "a duplicate is received");
            let padded = sent.header[0] & 0x20 != 0;
            planted([padded, sent.csrcs > 0, level(&sent).is_some()]);
        }
    }

    fn forged(&mut self, datagram: &[u8]) {
        let received = self.connection.receive(datagram, self.at);
        let heard = matches!(received, Some(Received::Packet { .. }));
        assert!(!heard, "an unsealed datagram is received: {datagram:x?}");
    }

    fn rtcp(&mut self, packet: &[u8]) {
        let mut packet = packet.to_vec();
        packet.resize(packet.len().max(8), 0);
        packet[0] = 0x80 | packet[0] & 0x3f;
        packet[1] = 192 | packet[1] & 0x1f;
        self.rtcp_index += 1;
        let sealed = seal_rtcp(&mut self.connection.seals, self.rtcp_index, &packet);
        let sealed = sealed.expect("there is room");
        let received = self.connection.receive(&sealed, self.at);
        let is_report = matches!(received, Some(Received::Report(_)));
        assert!(is_report, "{received:?}");
        let round_trip = received.and_then(|received| round_trip(&received));
        assert!(round_trip <= Some(self.at), "longer than the connection");
        let report = sender_report(&packet);
        assert!(report.is_none() || packet.len() >= 28);
        self.reported |= report.is_some_and(|(ssrc, _)| ssrc == SSRC);
    }

    /// Lets time pass, and checks the report if one is due.
    fn time(&mut self, by: Duration) {
        self.at += by;
        let Some(report) = self.connection.report(self.at) else {
            return;
        };
        let word = |at: usize| {
            let bytes = report[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes)
        };
        let blocks = usize::from(!self.came.is_empty());
        assert_eq!(report.len(), 28 + 24 * blocks + 20);
        assert_eq!(usize::from(report[0] & 0x1f), blocks);
        if blocks == 0 {
            return;
        }
        assert_eq!((word(28), word(36)), (SSRC, self.highest as u32));
        let expected = self.highest.wrapping_sub(self.base);
        let lost = expected as i64 - self.came.len() as i64;
        let lost = lost.min(0x7f_ffff) & 0xff_ffff;
        assert_eq!(i64::from(word(32) & 0xff_ffff), lost);
        let about_reports = word(44) != 0 || word(48) != 0;
        assert!(
            self.reported || !about_reports,
            "refers to a report that was never sent"
        );
    }
}
