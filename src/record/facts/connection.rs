//! What the network did to a call, as a part of its record.
//!
//! In: what was measured of the call's connection. Out: its record. Invariants: times are in ms, to
//! the microsecond, and shares are between 0 and 1; what was not measured is absent. `up` is the
//! way from the caller to the server, `down` the way back.

use super::ms::Ms;
use crate::vocab::{self, ConnectionMeasured, ConnectionPoint};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Protocol between the candidates: the callers' sockets are UDP.
const PROTOCOL: &str = "udp";

/// What was measured of a call's connection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectionRecord {
    /// The candidates in use at the end of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pair: Option<PairRecord>,
    /// Round trips of ICE's checks, once the connection is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_ice: Option<SpreadRecord>,
    /// Round trips of RTCP reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_rtcp: Option<SpreadRecord>,
    /// The server's ratings of the caller's connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quality: Option<QualityRecord>,
    /// The caller's stream.
    pub(crate) up: StreamRecord,
    /// The agent's streams.
    pub(crate) down: DownRecord,
    /// The figures between each two instants at which they were taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) over_time: Vec<ConnectionSpan>,
}

/// The two candidates between which media flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairRecord {
    /// Kind of the caller's candidate: `host`, or `prflx` if a NAT changes its address.
    pub(crate) local: String,
    /// Kind of the server's candidate: `host`, `srflx`, `relay`, or `prflx` if it was not announced.
    pub(crate) remote: String,
    /// `udp`.
    pub(crate) protocol: String,
}

/// The server's ratings of a connection, by its own scale: `lost`, `poor`, `good`, `excellent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QualityRecord {
    pub(crate) worst: String,
    pub(crate) last: String,
    /// How often the rating changed.
    pub(crate) changes: u32,
}

/// Extremes and mean of a series of durations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpreadRecord {
    /// How many there were.
    pub(crate) count: u64,
    pub(crate) min_ms: Ms,
    pub(crate) mean_ms: Ms,
    pub(crate) max_ms: Ms,
    pub(crate) last_ms: Ms,
}

/// The packets of one way. The caller's are those that it sent and that the server reports on, the
/// agent's those that arrived.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StreamRecord {
    /// RTP packets sent or received; repeated ones count once.
    pub(crate) packets: u64,
    /// Their size, with headers of RTP and SRTP, without those of UDP and IP.
    pub(crate) bytes: u64,
    /// Packets that the server's reports cover; of the agent's, packets from the first to the newest
    /// sequence number.
    pub(crate) expected: u64,
    /// Of these, packets that did not arrive.
    pub(crate) lost: u64,
    /// Interarrival jitter (RFC 3550): as the server reports it, or estimated after each packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<SpreadRecord>,
    /// Bits per second, from `bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bitrate: Option<u64>,
    /// Mode, bandwidth, length of a packet and channels of the latest Opus packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) codec: Option<String>,
}

/// The agent's streams, as received.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DownRecord {
    /// What is known of both ways.
    #[serde(flatten)]
    pub(crate) stream: StreamRecord,
    /// Packets that arrived after one with a higher sequence number.
    pub(crate) reordered: u64,
    /// Packets that arrived again.
    pub(crate) repeated: u64,
    /// Packets that arrived after the modelled jitter buffer had to play them.
    pub(crate) late: u64,
    /// Audio that a receiver conceals: the lost and the late packets.
    pub(crate) concealed_ms: Ms,
}

/// The figures of one span of a call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConnectionSpan {
    /// End of the span, from the start of the run; it began at the end of the one before.
    pub(crate) at_ms: Ms,
    /// Mean round trip.
    pub(crate) rtt_ms: Option<Ms>,
    /// Mean jitter that the server reports, and mean jitter of the agent's streams.
    pub(crate) jitter_up_ms: Option<Ms>,
    pub(crate) jitter_down_ms: Option<Ms>,
    /// Share of the packets that were lost.
    pub(crate) loss_up: Option<f64>,
    pub(crate) loss_down: Option<f64>,
    /// Bits per second.
    pub(crate) bitrate_up: u64,
    pub(crate) bitrate_down: u64,
}

impl ConnectionRecord {
    /// The record of what was measured; instants become relative to `run_start`.
    pub(crate) fn new(measured: &ConnectionMeasured, run_start: Instant) -> Self {
        let (figures, points) = (&measured.figures, &measured.points);
        let ends = points.first().zip(points.last());
        let rate = |way| ends.and_then(|(first, last)| bitrate(first, last, way));
        let (up, down) = (&figures.up, &figures.down);
        let [codec_up, codec_down] = measured.codec.map(|toc| toc.map(opus));
        let concealed = down.lost() + measured.late;
        Self {
            pair: figures.pair.map(|pair| PairRecord {
                local: pair.local.name().to_owned(),
                remote: pair.remote.name().to_owned(),
                protocol: PROTOCOL.to_owned(),
            }),
            quality: measured.quality.map(|ratings| QualityRecord {
                worst: ratings.worst.name().to_owned(),
                last: ratings.last.name().to_owned(),
                changes: ratings.changes,
            }),
            rtt_ice: SpreadRecord::of(&figures.ice),
            rtt_rtcp: SpreadRecord::of(&figures.rtcp),
            up: StreamRecord {
                packets: up.packets,
                bytes: up.bytes,
                expected: up.expected,
                lost: up.lost.min(up.expected),
                jitter: SpreadRecord::of(&up.jitter),
                bitrate: rate(0),
                codec: codec_up,
            },
            down: DownRecord {
                stream: StreamRecord {
                    packets: down.packets,
                    bytes: down.bytes,
                    expected: down.expected,
                    lost: down.lost(),
                    jitter: SpreadRecord::of(&down.jitter),
                    bitrate: rate(1),
                    codec: codec_down,
                },
                reordered: down.reordered,
                repeated: down.repeated,
                late: measured.late,
                concealed_ms: (down.frame * u32::try_from(concealed).unwrap_or(u32::MAX)).into(),
            },
            over_time: points
                .windows(2)
                .filter_map(|pair| ConnectionSpan::between(&pair[0], &pair[1], run_start))
                .collect(),
        }
    }

    /// Mean round trip of all kinds, in ms.
    pub(crate) fn rtt_ms(&self) -> Option<Ms> {
        let all = [self.rtt_ice, self.rtt_rtcp];
        let known = || all.into_iter().flatten();
        let count = i64::try_from(known().map(|s| s.count).sum::<u64>()).ok()?;
        let weighed = |s: SpreadRecord| {
            let count = i64::try_from(s.count).unwrap_or(i64::MAX);
            s.mean_ms.micros().saturating_mul(count)
        };
        let sum = known().map(weighed).fold(0, i64::saturating_add);
        Some(Ms::from_micros(sum.checked_div(count)?))
    }

    /// Mean jitter of the agent's streams.
    pub(crate) fn jitter_down_ms(&self) -> Option<Ms> {
        Some(self.down.stream.jitter?.mean_ms)
    }

    /// Longest round trip of all kinds.
    pub(crate) fn longest_rtt_ms(&self) -> Option<Ms> {
        let all = [self.rtt_ice, self.rtt_rtcp];
        all.into_iter().flatten().map(|s| s.max_ms).max()
    }

    /// The candidates in use, such as `host-relay udp`.
    pub(crate) fn candidates(&self) -> Option<String> {
        let PairRecord {
            local,
            remote,
            protocol,
        } = self.pair.as_ref()?;
        Some(format!("{local}-{remote} {protocol}"))
    }
}

impl SpreadRecord {
    fn of(spread: &vocab::Spread) -> Option<Self> {
        Some(Self {
            count: spread.count,
            min_ms: spread.min.into(),
            mean_ms: spread.mean()?.into(),
            max_ms: spread.max.into(),
            last_ms: spread.last.into(),
        })
    }
}

impl ConnectionSpan {
    fn between(before: &ConnectionPoint, after: &ConnectionPoint, start: Instant) -> Option<Self> {
        let loss = |way: usize| {
            let expected = after.expected[way].checked_sub(before.expected[way])?;
            // A packet that was late is no longer lost, so the count can fall.
            let lost = after.lost[way]
                .saturating_sub(before.lost[way])
                .min(expected);
            let share = f64::from(lost) / f64::from(expected);
            (expected > 0).then(|| (share * 1e4).round() / 1e4)
        };
        Some(Self {
            at_ms: Ms::between(start, after.at),
            rtt_ms: after.rtt.mean_since(before.rtt).map(Ms::from),
            jitter_up_ms: after.jitter_up.mean_since(before.jitter_up).map(Ms::from),
            jitter_down_ms: after
                .jitter_down
                .mean_since(before.jitter_down)
                .map(Ms::from),
            loss_up: loss(0),
            loss_down: loss(1),
            bitrate_up: bitrate(before, after, 0)?,
            bitrate_down: bitrate(before, after, 1)?,
        })
    }
}

/// Bits per second between two instants; `None` if they are the same.
fn bitrate(before: &ConnectionPoint, after: &ConnectionPoint, way: usize) -> Option<u64> {
    let span = after.at.checked_duration_since(before.at)?.as_millis();
    let bits = 8_000 * u128::from(after.bytes[way].saturating_sub(before.bytes[way]));
    u64::try_from(bits.checked_div(span)?).ok()
}

/// The settings that the first byte of an Opus packet names (RFC 6716, 3.1), in words; the length
/// is that of a frame, of which a packet usually has one.
fn opus(toc: u8) -> String {
    let config = usize::from(toc >> 3);
    let (mode, bandwidth) = match config {
        0..4 => ("SILK", "narrowband"),
        4..8 => ("SILK", "mediumband"),
        8..12 => ("SILK", "wideband"),
        12..14 => ("hybrid", "superwideband"),
        14..16 => ("hybrid", "fullband"),
        16..20 => ("CELT", "narrowband"),
        20..24 => ("CELT", "wideband"),
        24..28 => ("CELT", "superwideband"),
        _ => ("CELT", "fullband"),
    };
    let length = match config {
        0..12 => ["10", "20", "40", "60"][config % 4],
        12..16 => ["10", "20"][config % 2],
        _ => ["2.5", "5", "10", "20"][config % 4],
    };
    let channels = if toc & 4 == 0 { "mono" } else { "stereo" };
    format!("opus {mode} {bandwidth} {length} ms {channels}")
}

#[cfg(test)]
impl ConnectionRecord {
    /// A connection that lost 5 of 100 packets up and 20 of 80 down, with a round trip of 60 ms and
    /// a jitter of 3 ms.
    pub(in crate::record) fn lossy() -> Self {
        let [rtt, jitter] = [60, 3].map(|ms| {
            let mut spread = vocab::Spread::default();
            spread.add(std::time::Duration::from_millis(ms));
            SpreadRecord::of(&spread)
        });
        Self {
            rtt_ice: rtt,
            up: StreamRecord {
                expected: 100,
                lost: 5,
                ..StreamRecord::default()
            },
            down: DownRecord {
                stream: StreamRecord {
                    expected: 80,
                    packets: 60,
                    lost: 20,
                    jitter,
                    ..StreamRecord::default()
                },
                ..DownRecord::default()
            },
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{CandidateKind, CandidatePair, ConnectionFigures};
    use std::time::Duration;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_record_has_means_shares_and_rates_of_each_span() {
        let start = Instant::now();
        let mut figures = ConnectionFigures::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = figures.point(at(1));
        figures.ice.add(ms(40));
        figures.rtcp.add(ms(60));
        figures.rtcp.add(ms(80));
        (figures.up.expected, figures.up.lost, figures.up.bytes) = (100, 5, 20_000);
        (figures.down.expected, figures.down.packets) = (50, 40);
        (figures.down.bytes, figures.down.frame) = (4_000, ms(20));
        figures.down.jitter.add(ms(3));
        figures.pair = Some(CandidatePair {
            local: CandidateKind::Host,
            remote: CandidateKind::Relay,
        });
        let middle = figures.point(at(3));
        // The server's count of losses falls: a packet was late.
        figures.up.lost = 4;
        let last = figures.point(at(5));
        let measured = ConnectionMeasured {
            figures,
            points: vec![first, middle, last],
            late: 2,
            quality: None,
            codec: [Some(0x48), None],
        };
        let record = ConnectionRecord::new(&measured, start);
        assert_eq!(record.rtt_ms(), Some(ms(60).into()));
        assert_eq!(record.longest_rtt_ms(), Some(ms(80).into()));
        assert_eq!(record.candidates().as_deref(), Some("host-relay udp"));
        assert_eq!((record.up.lost, record.up.bitrate), (4, Some(40_000)));
        assert_eq!((record.down.stream.lost, record.down.late), (10, 2));
        assert_eq!(record.down.concealed_ms, ms(240).into());
        let codec = record.up.codec.as_deref();
        assert_eq!(codec, Some("opus SILK wideband 20 ms mono"));
        let [one, two] = record.over_time[..] else {
            panic!("{:?}", record.over_time)
        };
        assert_eq!(
            (one.at_ms, one.rtt_ms),
            (ms(3_000).into(), Some(ms(60).into()))
        );
        assert_eq!((one.loss_up, one.loss_down), (Some(0.05), Some(0.2)));
        assert_eq!((one.bitrate_up, one.bitrate_down), (80_000, 16_000));
        assert_eq!((two.rtt_ms, two.loss_up, two.bitrate_up), (None, None, 0));
        let text = serde_json::to_string(&record).expect("serializable");
        let read: ConnectionRecord = serde_json::from_str(&text).expect("readable");
        assert_eq!(read, record);
    }

    #[test]
    fn the_first_byte_of_an_opus_packet_names_its_settings() {
        for (toc, words) in [
            (0x00, "opus SILK narrowband 10 ms mono"),
            (0x6c, "opus hybrid superwideband 20 ms stereo"),
            (0x78, "opus hybrid fullband 20 ms mono"),
            (0x80, "opus CELT narrowband 2.5 ms mono"),
            (0xfc, "opus CELT fullband 20 ms stereo"),
        ] {
            assert_eq!(opus(toc), words, "{toc:#x}");
        }
    }
}
