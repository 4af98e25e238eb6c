//! What a caller's end of a connection measures of the network.
//!
//! In: round trips, jitter, counts. Out: their sums, from which records take means and shares.
//! Invariants: every figure covers the connection from its beginning, so that the figures of a
//! span are a difference; all of them have a fixed size.

use std::time::{Duration, Instant};
use strum::{IntoStaticStr, VariantArray};

/// Sum and extremes of a series of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// How many durations there were.
    pub count: u64,
    /// The sum of all of them.
    pub sum: Duration,
    /// The shortest; zero if there is none.
    pub min: Duration,
    /// The longest; zero if there is none.
    pub max: Duration,
    /// The latest; zero if there is none.
    pub last: Duration,
}

impl Spread {
    /// Adds a duration.
    pub fn add(&mut self, value: Duration) {
        self.min = match self.count {
            0 => value,
            _ => self.min.min(value),
        };
        self.max = self.max.max(value);
        self.last = value;
        self.count += 1;
        self.sum += value;
    }

    /// The arithmetic mean; `None` if there are no durations.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }

    /// Both series together; the latest duration is the other one's, if it has any.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self.count, other.count) {
            (_, 0) => self,
            (0, _) => other,
            _ => Self {
                count: self.count + other.count,
                sum: self.sum + other.sum,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
                last: other.last,
            },
        }
    }
}

/// Kind of an ICE candidate (RFC 8445).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum CandidateKind {
    /// An address of the party's own machine.
    Host,
    /// The address from which packets of the party come, learned from its connectivity checks.
    Prflx,
    /// The address that a STUN server saw.
    Srflx,
    /// An address of a TURN server.
    Relay,
}

named!(pub for CandidateKind);

/// The server's rating of a participant's connection, from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ConnectionQuality {
    /// The server hears nothing of the participant.
    Lost,
    /// By the server's own scale.
    Poor,
    /// By the server's own scale.
    Good,
    /// By the server's own scale.
    Excellent,
}

named!(pub(crate) for ConnectionQuality);

/// The server's ratings of a caller's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QualityRatings {
    /// The worst rating so far.
    pub worst: ConnectionQuality,
    /// The latest rating.
    pub last: ConnectionQuality,
    /// How often it changed.
    pub changes: u32,
}

impl QualityRatings {
    /// Adds a rating to those so far.
    pub(crate) fn with(so_far: Option<Self>, rating: ConnectionQuality) -> Self {
        match so_far {
            None => Self {
                worst: rating,
                last: rating,
                changes: 0,
            },
            Some(before) => Self {
                worst: before.worst.min(rating),
                last: rating,
                changes: before.changes + u32::from(before.last != rating),
            },
        }
    }
}

/// The two candidates between which media flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidatePair {
    /// Our candidate.
    pub local: CandidateKind,
    /// The other side's.
    pub remote: CandidateKind,
}

/// Our stream, on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upstream {
    /// RTP packets handed to the kernel.
    pub packets: u64,
    /// Their size, with the RTP header and SRTP's tag.
    pub bytes: u64,
    /// Packets up to the newest one that the server's reports cover.
    pub expected: u64,
    /// Of these, packets that the server did not receive.
    pub lost: u64,
    /// Interarrival jitter as the server reports it, once per report.
    pub jitter: Spread,
}

/// The streams that we listen to, on their way from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Downstream {
    /// RTP packets received, each counted once.
    pub packets: u64,
    /// Their size, with the RTP header and SRTP's tag.
    pub bytes: u64,
    /// Packets from the first to the newest sequence number.
    pub expected: u64,
    /// Packets that arrived after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that arrived again.
    pub repeated: u64,
    /// Interarrival jitter (RFC 3550, 6.4.1), once per packet.
    pub jitter: Spread,
    /// Media time of a packet: the shortest step between two consecutive ones; zero if there were
    /// none.
    pub frame: Duration,
}

impl Downstream {
    /// Packets that have not arrived.
    pub(crate) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.packets)
    }
}

/// What has been measured of a connection since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionFigures {
    /// Round trips of ICE's connectivity and consent checks.
    pub ice: Spread,
    /// Round trips of our sender reports and the receiver reports that answer them.
    pub rtcp: Spread,
    /// Our stream.
    pub up: Upstream,
    /// The streams that we listen to.
    pub down: Downstream,
    /// The candidates in use, once media flow.
    pub pair: Option<CandidatePair>,
}

impl ConnectionFigures {
    /// All round trips.
    pub(crate) fn round_trips(&self) -> Spread {
        self.rtcp.and(self.ice)
    }

    /// The figures that are kept over time.
    pub(crate) fn point(&self, at: Instant) -> ConnectionPoint {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        ConnectionPoint {
            at,
            rtt: self.round_trips().into(),
            jitter_up: self.up.jitter.into(),
            jitter_down: self.down.jitter.into(),
            expected: [narrow(self.up.expected), narrow(self.down.expected)],
            lost: [narrow(self.up.lost), narrow(self.down.lost())],
            bytes: [self.up.bytes, self.down.bytes],
        }
    }
}

/// Number and sum of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    count: u32,
    micros: u64,
}

impl From<Spread> for Sum {
    fn from(spread: Spread) -> Self {
        Self {
            count: u32::try_from(spread.count).unwrap_or(u32::MAX),
            micros: u64::try_from(spread.sum.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl Sum {
    /// The mean of the durations since the state `before`; `None` if there were none.
    pub(crate) fn mean_since(self, before: Self) -> Option<Duration> {
        let micros = self.micros.saturating_sub(before.micros);
        let count = self.count.saturating_sub(before.count);
        Some(Duration::from_micros(micros.checked_div(count.into())?))
    }
}

/// The figures of a connection at one instant. In arrays, our stream comes first, then those that
/// we listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionPoint {
    /// When they were taken.
    pub at: Instant,
    /// Round trips.
    pub rtt: Sum,
    /// Jitter of our stream.
    pub jitter_up: Sum,
    /// Jitter of the streams that we listen to.
    pub jitter_down: Sum,
    /// Packets sent, as far as is known: received or lost.
    pub expected: [u32; 2],
    /// Of these, packets that did not arrive.
    pub lost: [u32; 2],
    /// Bytes of RTP.
    pub bytes: [u64; 2],
}

/// What has been measured of a connection, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionMeasured {
    /// The figures at the end.
    pub figures: ConnectionFigures,
    /// The figures over time, from when media began to the end.
    pub points: Vec<ConnectionPoint>,
    /// Packets that arrived after the modelled jitter buffer had to play them.
    pub late: u64,
    /// The server's ratings, if it gave any.
    pub quality: Option<QualityRatings>,
    /// First byte of our latest Opus packet, and of the agent's.
    pub codec: [Option<u8>; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_spread_has_the_mean_and_the_extremes_of_its_durations() {
        let mut spread = Spread::default();
        assert_eq!(spread.mean(), None);
        spread.add(30 * MS);
        let before = Sum::from(spread);
        assert_eq!(Sum::from(spread).mean_since(before), None, "nothing since");
        for ms in [10, 60, 20] {
            spread.add(ms * MS);
        }
        assert_eq!(spread.mean(), Some(30 * MS));
        assert_eq!(Sum::from(spread).mean_since(before), Some(30 * MS));
        assert_eq!(
            (spread.min, spread.max, spread.last),
            (10 * MS, 60 * MS, 20 * MS)
        );
    }

    #[test]
    fn ratings_have_the_worst_the_last_and_the_number_of_changes() {
        use ConnectionQuality::{Excellent, Good, Poor};
        let mut ratings = None;
        for rating in [Excellent, Excellent, Poor, Good, Good] {
            ratings = Some(QualityRatings::with(ratings, rating));
        }
        let expected = QualityRatings {
            worst: Poor,
            last: Good,
            changes: 2,
        };
        assert_eq!(ratings, Some(expected));
    }

    #[test]
    fn two_spreads_together_are_the_spread_of_all_durations() {
        let of = |values: &[u32]| {
            let mut spread = Spread::default();
            values.iter().for_each(|ms| spread.add(*ms * MS));
            spread
        };
        assert_eq!(of(&[4, 8]).and(of(&[1, 2])), of(&[4, 8, 1, 2]));
        assert_eq!(of(&[4, 8]).and(of(&[])), of(&[4, 8]));
        assert_eq!(of(&[]).and(of(&[4, 8])), of(&[4, 8]));
    }
}
