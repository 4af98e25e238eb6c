//! Measures what the network does to a party's streams: losses, order, jitter and bytes.
//!
//! In: received packets with their arrivals, the other side's reports, packets sent. Out: figures
//! of the connection since it began. Invariants: nothing is allocated for a packet, only for
//! the first ones of a stream; a packet counts once, whichever path it took.

use super::endpoint::RtpStream;
use super::path::StreamReport;
use super::rtcp::{Jitter, RATE};
use crate::vocab::{Downstream, Packet, Spread, Upstream};
use std::time::Duration;

/// Maximum number of streams measured at a time; the figures of older ones are kept as sums.
const STREAMS: usize = 8;
/// A packet's transit time that differs by this much from that of the packet before is no jitter:
/// the sender's RTP clock stood still while it had nothing to send. A second, in timestamp units.
const PAUSED: f64 = RATE as f64;
/// How far before the first packet of a stream a packet may be and still belong to it: a second.
const BEFORE_FIRST: u64 = 50;

/// Measures the streams that a party listens to.
#[derive(Debug)]
pub(super) struct DownstreamMeter {
    streams: Vec<StreamMeter>,
    total: Downstream,
}

#[derive(Debug)]
struct StreamMeter {
    stream: RtpStream,
    first: u64,
    highest: u64,
    /// Sequence number and RTP time of the latest packet.
    last: (u64, u32),
    jitter: Jitter,
}

impl DownstreamMeter {
    pub(super) fn new() -> Self {
        Self {
            streams: Vec::new(),
            total: Downstream::default(),
        }
    }

    /// A packet arrived that had not arrived before, in a datagram of `bytes` bytes.
    pub(super) fn packet(&mut self, stream: RtpStream, packet: &Packet<'_>, bytes: usize) {
        self.total.packets += 1;
        self.total.bytes += bytes as u64;
        let known = self.streams.iter().position(|s| s.stream == stream);
        let Some(at) = known else {
            if self.streams.len() == STREAMS {
                self.streams.remove(0);
            }
            self.total.expected += 1;
            return self.streams.push(StreamMeter::new(stream, packet));
        };
        self.streams[at].packet(packet, &mut self.total);
        // The stream with the newest packet comes last.
        self.streams[at..].rotate_left(1);
    }

    /// A packet arrived again.
    pub(super) fn repeated(&mut self) {
        self.total.repeated += 1;
    }

    pub(super) fn figures(&self) -> Downstream {
        self.total
    }
}

impl StreamMeter {
    /// Of a stream whose first packet this is.
    fn new(stream: RtpStream, packet: &Packet<'_>) -> Self {
        Self {
            stream,
            first: packet.sequence,
            highest: packet.sequence,
            last: (packet.sequence, packet.rtp_time),
            jitter: Jitter::from(packet.rtp_time, packet.arrival),
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, total: &mut Downstream) {
        let sequence = packet.sequence;
        let (before, rtp_time) = std::mem::replace(&mut self.last, (sequence, packet.rtp_time));
        let media = packet.rtp_time.wrapping_sub(rtp_time).cast_signed();
        if sequence == before + 1 && media > 0 {
            let frame = Duration::from_secs(media.unsigned_abs().into()) / RATE;
            total.frame = match total.frame {
                Duration::ZERO => frame,
                known => known.min(frame),
            };
        }
        if sequence > self.highest {
            total.expected += sequence - self.highest;
            self.highest = sequence;
        } else {
            total.reordered += 1;
            if sequence < self.first && self.first - sequence <= BEFORE_FIRST {
                total.expected += self.first - sequence;
                self.first = sequence;
            }
        }
        let later = self.jitter.difference(packet.rtp_time, packet.arrival);
        if let Some(later) = later.filter(|later| later.abs() < PAUSED) {
            self.jitter.add(later);
            let seconds = self.jitter.estimate / f64::from(RATE);
            total.jitter.add(Duration::from_secs_f64(seconds));
        }
    }
}

/// Measures our own stream, from what we send and what the other side reports.
#[derive(Debug, Default)]
pub(super) struct UpstreamMeter {
    total: Upstream,
    /// SSRC of the stream that the last report is about, and its counts: expected, lost.
    reported: (u32, u64, u64),
    pub(super) rtcp: Spread,
}

impl UpstreamMeter {
    /// A packet was handed to the kernel, in a datagram of `bytes` bytes.
    pub(super) fn packet(&mut self, bytes: usize) {
        self.total.packets += 1;
        self.total.bytes += bytes as u64;
    }

    /// The other side reported on our stream.
    pub(super) fn reported(&mut self, report: &StreamReport) {
        let (ssrc, expected, lost) = self.reported;
        if ssrc != report.ssrc {
            // The stream before, if there was one, gets no further reports.
            self.total.expected += expected;
            self.total.lost += lost;
        }
        self.reported = (report.ssrc, report.expected, report.lost);
        self.total.jitter.add(report.jitter);
        if let Some(round_trip) = report.round_trip {
            self.rtcp.add(round_trip);
        }
    }

    pub(super) fn figures(&self) -> Upstream {
        let (_, expected, lost) = self.reported;
        Upstream {
            expected: self.total.expected + expected,
            lost: self.total.lost + lost,
            ..self.total
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    fn stream(ssrc: u32) -> RtpStream {
        RtpStream {
            track: 1,
            ssrc,
            restarts: 0,
        }
    }

    fn packet(sequence: u64, arrival: Instant) -> Packet<'static> {
        Packet {
            arrival,
            kernel_stamp: true,
            rtp_time: (sequence as u32).wrapping_mul(960),
            sequence,
            level: None,
            payload: &[],
        }
    }

    #[test]
    fn losses_reordered_and_early_packets_are_counted_by_sequence_number() {
        let start = Instant::now();
        let mut meter = DownstreamMeter::new();
        // 9 comes late, 12 comes before 11, 14 and 15 never come.
        for sequence in [10, 9, 12, 11, 13, 16, 17] {
            meter.packet(stream(1), &packet(sequence, start), 100);
        }
        meter.repeated();
        let down = meter.figures();
        assert_eq!((down.packets, down.bytes, down.expected), (7, 700, 9));
        assert_eq!((down.lost(), down.reordered, down.repeated), (2, 2, 1));
        assert_eq!(down.frame, 20 * MS);
    }

    #[test]
    fn jitter_is_rfc_3550s_estimate_after_each_packet() {
        let start = Instant::now();
        let mut meter = DownstreamMeter::new();
        // Transit times in ms.
        let transits = [40, 56, 40, 40, 72];
        let mut jitter = 0.0_f64;
        let mut estimates = Vec::new();
        for (k, transit) in transits.into_iter().enumerate() {
            let arrival = start + MS * (20 * k as u32 + transit);
            meter.packet(stream(1), &packet(k as u64, arrival), 1);
            if let Some(before) = k.checked_sub(1).map(|k| transits[k]) {
                jitter += (f64::from(transit.abs_diff(before)) - jitter) / 16.0;
                estimates.push(jitter);
            }
        }
        let found = meter.figures().jitter;
        let mean = estimates.iter().sum::<f64>() / estimates.len() as f64;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        assert!((ms(found.mean().expect("jitter")) - mean).abs() < 1e-3);
        assert!((ms(found.max) - jitter).abs() < 1e-3, "{found:?}");
        assert_eq!(found.count, 4);
    }

    #[test]
    fn a_pause_of_the_senders_clock_is_no_jitter() {
        let start = Instant::now();
        let mut meter = DownstreamMeter::new();
        meter.packet(stream(1), &packet(1, start), 1);
        meter.packet(stream(1), &packet(2, start + 20 * MS), 1);
        // Five seconds later, the RTP time goes on where it was.
        meter.packet(stream(1), &packet(3, start + 5_000 * MS), 1);
        let jitter = meter.figures().jitter;
        assert_eq!((jitter.count, jitter.max), (1, Duration::ZERO));
    }

    #[test]
    fn streams_are_measured_apart_and_summed() {
        let start = Instant::now();
        let mut meter = DownstreamMeter::new();
        for ssrc in 0..3 * STREAMS as u32 {
            for sequence in [1_000, 1_002] {
                let sequence = sequence * u64::from(ssrc + 1);
                meter.packet(stream(ssrc), &packet(sequence, start), 10);
            }
        }
        let down = meter.figures();
        assert_eq!(down.packets, 6 * STREAMS as u64);
        let lost: u64 = (0..3 * STREAMS as u64).map(|ssrc| 2 * (ssrc + 1) - 1).sum();
        assert_eq!(down.lost(), lost);
        assert!(meter.streams.len() <= STREAMS);
    }

    #[test]
    fn reports_about_several_streams_of_ours_are_summed() {
        let report = |ssrc, expected, lost| StreamReport {
            ssrc,
            expected,
            lost,
            loss: None,
            jitter: 8 * MS,
            round_trip: (lost > 1).then_some(30 * MS),
        };
        let mut meter = UpstreamMeter::default();
        meter.packet(90);
        for (ssrc, expected, lost) in [(7, 50, 1), (7, 100, 4), (8, 20, 2), (8, 40, 1)] {
            meter.reported(&report(ssrc, expected, lost));
        }
        let up = meter.figures();
        assert_eq!((up.packets, up.bytes), (1, 90));
        assert_eq!((up.expected, up.lost), (140, 5));
        assert_eq!((up.jitter.count, up.jitter.mean()), (4, Some(8 * MS)));
        assert_eq!((meter.rtcp.count, meter.rtcp.mean()), (2, Some(30 * MS)));
    }
}
