//! Keeps what is measured of a call's connection, at the end and over time.
//!
//! In: the figures of the connection as they grow, packets with their holds. Out: the last figures,
//! and those of a bounded number of instants. Invariants: nothing is allocated while media flow;
//! instants are at equal distances, which double when there is no room for more.

use crate::vocab::{
    ConnectionFigures, ConnectionMeasured, ConnectionPoint, ConnectionQuality, QualityRatings,
};
use std::time::{Duration, Instant};

/// Maximum number of instants kept.
const POINTS: usize = 40;
/// Distance between two instants at first.
const EVERY: Duration = Duration::from_secs(5);
/// Two instants may be this much closer to each other than intended, since timers vary.
const SLACK: Duration = Duration::from_millis(500);
/// From this mean round trip on, the network is slow for a conversation: 150 ms each way, the limit
/// up to which most applications are unaffected (ITU-T G.114).
const SLOW: Duration = Duration::from_millis(300);
/// From this share of lost packets on, in percent, speech is damaged however well it is concealed.
const LOSSY: u64 = 10;
/// Minimum number of packets that a share of lost ones is taken from: a second of audio.
const ENOUGH: u64 = 50;

/// The log of one call.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    figures: ConnectionFigures,
    points: Vec<ConnectionPoint>,
    last: Option<ConnectionPoint>,
    /// The last figures before the current turn began.
    before_turn: Option<ConnectionPoint>,
    every: Duration,
    late: u64,
    quality: Option<QualityRatings>,
    codec: [Option<u8>; 2],
}

impl ConnectionLog {
    pub(super) fn new() -> Self {
        Self {
            figures: ConnectionFigures::default(),
            points: Vec::with_capacity(POINTS),
            last: None,
            before_turn: None,
            every: EVERY,
            late: 0,
            quality: None,
            codec: [None; 2],
        }
    }

    /// The figures of the connection at `now`.
    pub(super) fn measured(&mut self, now: Instant, figures: &ConnectionFigures) {
        let began = figures.up.packets + figures.down.packets > 0;
        if !began {
            return;
        }
        self.figures = *figures;
        let point = figures.point(now);
        self.last = Some(point);
        let is_due = |kept: &ConnectionPoint| now + SLACK >= kept.at + self.every;
        if !self.points.last().is_none_or(is_due) {
            return;
        }
        if self.points.len() == POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.every *= 2;
            // The newest point that was kept may be the one before the last.
            let newest = self.points.last();
            if newest.is_some_and(|kept| now + SLACK < kept.at + self.every) {
                return;
            }
        }
        self.points.push(point);
    }

    /// A packet of the agent arrived; the modelled jitter buffer holds it for `hold`. `toc`: its
    /// first byte, if it is Opus.
    pub(super) fn arrived(&mut self, hold: Option<Duration>, toc: Option<u8>) {
        // A packet is held for the buffer's target minus its own delay: for no time if it is late.
        self.late += u64::from(hold == Some(Duration::ZERO));
        self.codec[1] = toc.or(self.codec[1]);
    }

    /// The next turn begins.
    pub(super) fn turn_begins(&mut self) {
        self.before_turn = self.last;
    }

    /// Whether the network has been slow or lossy since the turn began.
    pub(super) fn is_poor(&self) -> bool {
        let (Some(before), Some(now)) = (&self.before_turn, &self.last) else {
            return false;
        };
        let is_slow = now
            .rtt
            .mean_since(before.rtt)
            .is_some_and(|rtt| rtt >= SLOW);
        let is_lossy = |way: usize| {
            let since = |of: fn(&ConnectionPoint) -> [u32; 2]| {
                u64::from(of(now)[way].saturating_sub(of(before)[way]))
            };
            let expected = since(|point| point.expected);
            expected >= ENOUGH && since(|point| point.lost) * 100 >= expected * LOSSY
        };
        is_slow || is_lossy(0) || is_lossy(1)
    }

    /// The server rated the connection.
    pub(super) fn rated(&mut self, rating: ConnectionQuality) {
        self.quality = Some(QualityRatings::with(self.quality, rating));
    }

    /// A packet of ours was sent, with this first byte if it is Opus.
    pub(super) fn sent(&mut self, toc: Option<u8>) {
        self.codec[0] = toc.or(self.codec[0]);
    }

    /// Everything that was measured; `None` if no audio went over a connection of our own.
    pub(super) fn take(&mut self) -> Option<ConnectionMeasured> {
        let last = self.last.take()?;
        let mut points = std::mem::take(&mut self.points);
        if points.last().is_some_and(|kept| kept.at < last.at) {
            points.push(last);
        }
        Some(ConnectionMeasured {
            figures: self.figures,
            points,
            late: self.late,
            quality: self.quality,
            codec: self.codec,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(packets: u64) -> ConnectionFigures {
        let mut figures = ConnectionFigures::default();
        figures.up.packets = packets;
        figures.up.bytes = 100 * packets;
        figures
    }

    #[test]
    fn the_distance_between_points_doubles_when_there_is_no_room() {
        let start = Instant::now();
        let mut log = ConnectionLog::new();
        log.measured(start, &figures(0));
        let seconds = 3_600;
        for second in 1..=seconds {
            log.measured(start + Duration::from_secs(second), &figures(50 * second));
        }
        let room = log.points.capacity();
        assert_eq!(room, POINTS, "nothing was allocated");
        let measured = log.take().expect("media flowed");
        assert_eq!(measured.figures.up.packets, 50 * seconds);
        let points = &measured.points;
        assert!((POINTS / 2..=POINTS + 1).contains(&points.len()));
        assert_eq!(points[0].at, start + Duration::from_secs(1));
        let last = points.last().map(|point| point.at);
        assert_eq!(last, Some(start + Duration::from_secs(seconds)));
        let steps = points.windows(2).map(|pair| pair[1].at - pair[0].at);
        let mut steps: Vec<Duration> = steps.collect();
        steps.pop();
        let all_equal = steps.iter().all(|step| step.as_secs() == 160);
        assert!(all_equal, "{steps:?}");
    }

    #[test]
    fn a_network_is_poor_if_it_is_slow_or_lossy_during_the_turn() {
        let start = Instant::now();
        // Round trip in ms, packets expected and lost downstream, during the turn.
        for (name, rtt, expected, lost, is_poor) in [
            ("good", 299, 200, 19, false),
            ("slow", 300, 200, 0, true),
            ("lossy", 20, 200, 20, true),
            ("too short to tell", 20, 49, 20, false),
        ] {
            let mut log = ConnectionLog::new();
            let mut figures = figures(10);
            // Before the turn, everything was bad.
            figures.ice.add(Duration::from_secs(9));
            figures.down.expected = 1_000;
            log.measured(start, &figures);
            assert!(!log.is_poor(), "{name}: no turn has begun");
            log.turn_begins();
            assert!(!log.is_poor(), "{name}: nothing was measured in the turn");
            figures.ice.add(Duration::from_millis(rtt));
            figures.down.expected += expected;
            figures.down.packets += expected - lost;
            log.measured(start + Duration::from_secs(1), &figures);
            assert_eq!(log.is_poor(), is_poor, "{name}");
        }
    }

    #[test]
    fn a_call_without_media_has_measured_nothing() {
        let mut log = ConnectionLog::new();
        log.measured(Instant::now(), &figures(0));
        assert_eq!(log.take(), None);
    }

    #[test]
    fn packets_that_are_not_held_are_late() {
        let mut log = ConnectionLog::new();
        log.measured(Instant::now(), &figures(1));
        for hold in [Some(20), Some(0), None, Some(0)] {
            log.arrived(hold.map(Duration::from_millis), Some(0x78));
        }
        log.arrived(None, None);
        log.sent(Some(0x70));
        let measured = log.take().expect("media flowed");
        assert_eq!(measured.late, 2);
        assert_eq!(measured.codec, [Some(0x70), Some(0x78)]);
    }
}
