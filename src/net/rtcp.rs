//! Writes and reads RTCP reports on our stream and the streams that we receive (RFC 3550, 6.4).
//!
//! In: counts, sequence numbers, arrivals. Out: a sender report with its report blocks and the
//! sender's name; from a received report, its NTP time and its block about a stream. Invariant:
//! works on bytes only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds from 1900 to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const VERSION: u8 = 0x80;
/// Size of a sender report without blocks.
const SENDER_BYTES: usize = 28;
/// Size of a receiver report without blocks.
const RECEIVER_BYTES: usize = 8;
/// Size of a report block.
const BLOCK_BYTES: usize = 24;
/// RTP clock rate of Opus.
pub(super) const RATE: u32 = 48_000;

/// NTP timestamp: seconds since 1900 in the upper half, their fraction in the lower.
pub(super) fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_EPOCH) << 32 | fraction
}

/// The current state of our stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct SenderInfo {
    pub(super) ssrc: u32,
    pub(super) ntp: u64,
    pub(super) rtp_time: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
}

/// Reception statistics of one stream, from which its report blocks are made.
#[derive(Debug, Clone)]
pub(super) struct Reception {
    ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
    /// Packets expected and received as of the last report.
    before: (u64, u64),
    jitter: Jitter,
    /// Middle 32 bits of the last sender report's NTP time, and when that report came.
    reported: Option<(u32, Instant)>,
}

impl Reception {
    /// Statistics of a stream whose first packet is `first`.
    pub(super) fn new(ssrc: u32, first: u64) -> Self {
        Self {
            ssrc,
            first,
            highest: first,
            received: 0,
            before: (0, 0),
            jitter: Jitter::default(),
            reported: None,
        }
    }

    /// Records the arrival of a packet.
    pub(super) fn packet(&mut self, sequence: u64, rtp_time: u32, arrival: Instant) {
        self.highest = self.highest.max(sequence);
        self.received += 1;
        if let Some(difference) = self.jitter.difference(rtp_time, arrival) {
            self.jitter.add(difference);
        }
    }

    /// Records a sender report about this stream.
    pub(super) fn reported(&mut self, ntp_middle: u32, at: Instant) {
        self.reported = Some((ntp_middle, at));
    }

    /// Builds the stream's report block, which covers the packets since the previous block.
    fn block(&mut self, now: Instant) -> [u8; BLOCK_BYTES] {
        let expected = self.highest - self.first + 1;
        let lost = expected.cast_signed() - self.received.cast_signed();
        let (e, r) = (expected - self.before.0, self.received - self.before.1);
        self.before = (expected, self.received);
        let fraction = match e.checked_sub(r) {
            Some(missing) if e > 0 => ((missing << 8) / e).min(255) as u8,
            _ => 0,
        };
        let (middle, since) = self.reported.map_or((0, 0), |(middle, at)| {
            let since = now.saturating_duration_since(at).as_secs_f64();
            (middle, (since * 65_536.0) as u32)
        });
        let mut block = [0; BLOCK_BYTES];
        let words = [
            self.ssrc,
            // 24 bits, signed.
            u32::from(fraction) << 24 | (lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff),
            self.highest as u32,
            self.jitter.estimate as u32,
            middle,
            since,
        ];
        for (bytes, word) in block.chunks_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        block
    }
}

/// Interarrival jitter of a stream (RFC 3550, 6.4.1 and A.8), in timestamp units.
#[derive(Debug, Clone, Default)]
pub(super) struct Jitter {
    pub(super) estimate: f64,
    /// Arrival and RTP time of the last packet.
    last: Option<(Instant, u32)>,
}

impl Jitter {
    /// Of a stream that begins with this packet.
    pub(super) fn from(rtp_time: u32, arrival: Instant) -> Self {
        Self {
            estimate: 0.0,
            last: Some((arrival, rtp_time)),
        }
    }

    /// By how much the transit time of this packet differs from that of the one before.
    pub(super) fn difference(&mut self, rtp_time: u32, arrival: Instant) -> Option<f64> {
        let (before, time) = self.last.replace((arrival, rtp_time))?;
        let apart = signed_seconds(arrival, before) * f64::from(RATE);
        Some(apart - f64::from(rtp_time.wrapping_sub(time).cast_signed()))
    }

    /// Takes a difference into the estimate.
    pub(super) fn add(&mut self, difference: f64) {
        self.estimate += (difference.abs() - self.estimate) / 16.0;
    }
}

fn signed_seconds(a: Instant, b: Instant) -> f64 {
    let apart = |d: Duration| d.as_secs_f64();
    a.checked_duration_since(b)
        .map_or_else(|| -apart(b.duration_since(a)), apart)
}

/// Writes a sender report about our stream and the ones that we receive into `out`; returns the
/// report's length, or `None` if `out` is too small.
pub(super) fn report<'a>(
    sender: &SenderInfo,
    heard: impl Iterator<Item = &'a mut Reception>,
    now: Instant,
    out: &mut [u8],
) -> Option<usize> {
    let (mut end, mut blocks) = (SENDER_BYTES, 0);
    for reception in heard.filter(|r| r.received > 0).take(31) {
        out.get_mut(end..end + BLOCK_BYTES)?
            .copy_from_slice(&reception.block(now));
        (end, blocks) = (end + BLOCK_BYTES, blocks + 1);
    }
    head(VERSION | blocks, SENDER_REPORT, end, out.get_mut(..end)?);
    let words = [
        sender.ssrc,
        (sender.ntp >> 32) as u32,
        sender.ntp as u32,
        sender.rtp_time,
        sender.packets,
        sender.octets,
    ];
    for (bytes, word) in out[4..SENDER_BYTES].chunks_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    // The canonical name: eight digits, then the end of the list, padded to whole words.
    let description = out.get_mut(end..end + 20)?;
    description.fill(0);
    head(VERSION | 1, SOURCE_DESCRIPTION, 20, description);
    description[4..8].copy_from_slice(&sender.ssrc.to_be_bytes());
    description[8..10].copy_from_slice(&[1, 8]);
    description[10..18].copy_from_slice(format!("{:08x}", sender.ssrc).as_bytes());
    Some(end + 20)
}

fn head(first: u8, kind: u8, bytes: usize, out: &mut [u8]) {
    out[0] = first;
    out[1] = kind;
    // Length in 32-bit words, minus one.
    out[2..4].copy_from_slice(&((bytes / 4 - 1) as u16).to_be_bytes());
}

/// Reads the sender report at the front of a compound packet: the sender's SSRC, and the middle
/// 32 bits of the NTP time.
pub(super) fn sender_report(packet: &[u8]) -> Option<(u32, u32)> {
    let report = packet.get(..SENDER_BYTES)?;
    let word = |at: usize| {
        let bytes = [report[at], report[at + 1], report[at + 2], report[at + 3]];
        u32::from_be_bytes(bytes)
    };
    (report[1] == SENDER_REPORT).then(|| (word(4), word(8) << 16 | word(12) >> 16))
}

/// A receiver's report on one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportBlock {
    /// Packets lost since the stream began; less than 0 if more were received than sent.
    pub(super) lost: i32,
    /// Highest sequence number received, with the receiver's count of rollovers.
    pub(super) highest: u32,
    /// Interarrival jitter, in timestamp units.
    pub(super) jitter: u32,
    /// Middle 32 bits of the NTP time in the last sender report that the receiver has; 0 if it has
    /// none.
    pub(super) last_report: u32,
    /// From the arrival of that report to the sending of this one, in 1/65,536 s.
    pub(super) since_report: u32,
}

impl ReportBlock {
    /// The jitter as a time.
    pub(super) fn jitter(&self) -> Duration {
        Duration::from_secs(self.jitter.into()) / RATE
    }

    /// How long the receiver held the sender report that its own report answers.
    pub(super) fn held(&self) -> Duration {
        Duration::from_secs(self.since_report.into()) / 65_536
    }
}

/// Reads the report about stream `ssrc` from a compound packet.
pub(super) fn block_about(mut packet: &[u8], ssrc: u32) -> Option<ReportBlock> {
    while let [first, kind, high, low, ..] = *packet {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (report, rest) = packet.split_at_checked(length)?;
        packet = rest;
        let head = match kind {
            SENDER_REPORT => SENDER_BYTES,
            RECEIVER_REPORT => RECEIVER_BYTES,
            _ => continue,
        };
        let Some(blocks) = report.get(head..) else {
            continue;
        };
        let blocks = blocks.chunks_exact(BLOCK_BYTES);
        for block in blocks.take(usize::from(first & 0x1f)) {
            let word = |at: usize| {
                let bytes = [block[at], block[at + 1], block[at + 2], block[at + 3]];
                u32::from_be_bytes(bytes)
            };
            if word(0) == ssrc {
                // 24 bits, signed.
                let lost = (word(4) << 8).cast_signed() >> 8;
                return Some(ReportBlock {
                    lost,
                    highest: word(8),
                    jitter: word(12),
                    last_report: word(16),
                    since_report: word(20),
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sender() -> SenderInfo {
        SenderInfo {
            ssrc: 0x0102_0304,
            ntp: ntp(UNIX_EPOCH + 500 * MS),
            rtp_time: 48_000,
            packets: 50,
            octets: 3_000,
        }
    }

    #[test]
    fn sender_reports_carry_loss_jitter_and_timestamps() {
        let t = Instant::now();
        let mut r = Reception::new(77, 65_530);
        // Ten expected, two of them lost; each arrives 1 ms further behind its nominal time.
        for k in (0..10u32).filter(|k| ![3, 7].contains(k)) {
            r.packet(65_530 + u64::from(k), k * 960, t + k * 21 * MS);
        }
        r.reported(0xabcd_ef01, t);
        let mut out = [0xff; 128];
        let n = report(&sender(), [&mut r].into_iter(), t + 500 * MS, &mut out);
        assert_eq!(n, Some(28 + 24 + 20));
        let word = |at: usize| u32::from_be_bytes(out[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(out[..4], [0x81, 200, 0, 12]);
        assert_eq!(word(8), 2_208_988_800, "1970");
        assert_eq!(word(12), 1 << 31, "and a half");
        assert_eq!((word(16), word(20), word(24)), (48_000, 50, 3_000));
        assert_eq!(word(28), 77);
        assert_eq!(word(32), (256 * 2 / 10) << 24 | 2, "a fifth, two");
        assert_eq!(word(36), 65_539);
        assert!((1..96).contains(&word(40)), "jitter {}", word(40));
        assert_eq!((word(44), word(48)), (0xabcd_ef01, 32_768));
        assert_eq!(out[52..56], [0x81, 202, 0, 4]);
        assert_eq!(&out[62..72], b"01020304\0\0");
        assert_eq!(sender_report(&out), Some((0x0102_0304, 0x7e80_8000)));
        // No packets since the last report: none expected, none lost.
        report(&sender(), [&mut r].into_iter(), t, &mut out);
        assert_eq!(out[32..36], [0, 0, 0, 2]);
    }

    #[test]
    fn report_blocks_are_found_in_compound_packets() {
        let t = Instant::now();
        let (mut a, mut b) = (Reception::new(77, 100), Reception::new(78, 65_530));
        (0..10).for_each(|k| a.packet(100 + k, 0, t));
        [0, 1, 9]
            .into_iter()
            .for_each(|k| b.packet(65_530 + k, 0, t));
        let mut out = [0; 256];
        let n = report(&sender(), [&mut a, &mut b].into_iter(), t, &mut out).expect("room");
        let about = |packet: &[u8], ssrc| {
            let block = block_about(packet, ssrc);
            block.map(|block| (block.lost, block.highest))
        };
        assert_eq!(about(&out[..n], 77), Some((0, 109)));
        assert_eq!(about(&out[..n], 78), Some((7, 65_539)));
        assert_eq!(about(&out[..n], 79), None);
        // The same blocks in a receiver report, after a packet of another kind.
        let mut other = vec![0x80, 204, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
        other.extend([0x82, RECEIVER_REPORT, 0, 13, 0, 0, 0, 9]);
        other.extend(&out[SENDER_BYTES..SENDER_BYTES + 2 * BLOCK_BYTES]);
        assert_eq!(about(&other, 78), Some((7, 65_539)));
        for cut in 0..other.len() {
            assert_eq!(block_about(&other[..cut], 78), None, "{cut}");
        }
        // A negative count of losses: repeated packets count as received.
        other[24..28].copy_from_slice(&[0, 0xff, 0xff, 0xfe]);
        assert_eq!(about(&other, 77), Some((-2, 109)));
    }

    #[test]
    fn report_blocks_carry_jitter_and_what_a_round_trip_is_computed_from() {
        let t = Instant::now();
        let mut r = Reception::new(77, 1);
        // Every packet is 16 ms later than the one before: after the first difference, the
        // estimate is a sixteenth of that.
        r.packet(1, 0, t);
        r.packet(2, 960, t + 36 * MS);
        r.reported(0x7e80_8000, t);
        let mut out = [0; 128];
        let n = report(&sender(), [&mut r].into_iter(), t + 250 * MS, &mut out).expect("room");
        let block = block_about(&out[..n], 77).expect("a block");
        // Rounded down to a sample.
        assert_eq!(block.jitter().as_micros() / 50, 19, "just under 1 ms");
        assert_eq!(block.last_report, 0x7e80_8000);
        assert_eq!(block.held(), 250 * MS);
    }

    #[test]
    fn a_report_that_does_not_fit_is_not_written() {
        let mut r = Reception::new(1, 0);
        r.packet(0, 0, Instant::now());
        for room in 0..72 {
            let mut out = vec![0; room];
            let made = report(&sender(), [&mut r].into_iter(), Instant::now(), &mut out);
            assert_eq!(made, None, "{room}");
        }
        let mut out = vec![0; 72];
        let made = report(&sender(), [&mut r].into_iter(), Instant::now(), &mut out);
        assert_eq!(made, Some(72));
        for length in 0..28 {
            assert_eq!(sender_report(&out[..length]), None, "{length}");
        }
        out[1] = 201;
        assert_eq!(sender_report(&out), None, "a receiver's report");
    }
}
