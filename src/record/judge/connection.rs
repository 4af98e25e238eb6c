//! What the network did to the calls of a run.
//!
//! In: call records. Out: sums and shares, a sentence, series over time. Invariant: absent if
//! nothing was measured, as for calls without RTP.

use super::observed::ObservedSeries;
use super::samples::counting_calls;
use crate::record::{CallRecord, ConnectionRecord, Ms};
use crate::stats::rank;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum number of pairs of candidates that are listed, more than there are kinds.
const PAIRS: usize = 16;
/// Source of the series.
const SOURCE: &str = "network";

/// What the network did to the measured calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConnectionFigures {
    /// Calls of which anything was measured.
    pub calls: usize,
    /// Packets of the callers, as far as the server reported on them.
    pub up: LossFigures,
    /// Packets of the agent's audio.
    pub down: LossFigures,
    /// Mean of the calls' mean jitter that the server reports; null if it reported none.
    pub jitter_up_ms: Option<Ms>,
    /// Packets that arrived after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that arrived again.
    pub repeated: u64,
    /// Packets that arrived after the modelled jitter buffer had to play them.
    pub late: u64,
    /// Audio that a receiver conceals: the lost and the late packets.
    pub concealed_ms: Ms,
    /// Number of calls by the candidates in use at their end, such as `host-host udp`.
    pub candidates: BTreeMap<String, usize>,
}

/// Packets lost in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LossFigures {
    /// Packets sent, as far as is known: received or lost.
    pub expected: u64,
    /// Of these, packets that did not arrive.
    pub lost: u64,
    /// Share of the packets lost in the median call, 0 to 1; null without calls.
    pub p50: Option<f64>,
    /// In the call at the 95th percentile.
    pub p95: Option<f64>,
}

impl LossFigures {
    /// Expected and lost packets of each call.
    fn of(calls: impl Iterator<Item = (u64, u64)>) -> Self {
        let (mut figures, mut shares) = (Self::default(), Vec::new());
        for (expected, lost) in calls.filter(|(expected, _)| *expected > 0) {
            figures.expected += expected;
            figures.lost += lost;
            shares.push((lost as f64 / expected as f64).min(1.0));
        }
        shares.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let share = shares.get(rank(q, shares.len())? - 1)?;
            Some((share * 1e5).round() / 1e5)
        };
        (figures.p50, figures.p95) = (at(0.5), at(0.95));
        figures
    }

    /// Share of all packets that were lost, in percent.
    fn percent(&self) -> Option<f64> {
        let share = self.lost as f64 / self.expected as f64;
        (self.expected > 0).then_some(share * 100.0)
    }
}

/// The measured calls with their connections.
fn connections(calls: &[CallRecord]) -> impl Iterator<Item = &ConnectionRecord> + Clone {
    counting_calls(calls, None).filter_map(|call| call.connection.as_deref())
}

impl ConnectionFigures {
    /// The figures of these calls; `None` if none of them was measured.
    pub(super) fn of(calls: &[CallRecord]) -> Option<Self> {
        let all = || connections(calls);
        let jitters: Vec<Ms> = all().filter_map(|c| Some(c.up.jitter?.mean_ms)).collect();
        let sum: i64 = jitters.iter().map(|ms| ms.micros()).sum();
        let mean = sum.checked_div(i64::try_from(jitters.len()).ok()?);
        let mut figures = Self {
            calls: all().count(),
            up: LossFigures::of(all().map(|c| (c.up.expected, c.up.lost))),
            down: LossFigures::of(all().map(|c| (c.down.stream.expected, c.down.stream.lost))),
            jitter_up_ms: mean.map(Ms::from_micros),
            reordered: all().map(|c| c.down.reordered).sum(),
            repeated: all().map(|c| c.down.repeated).sum(),
            late: all().map(|c| c.down.late).sum(),
            concealed_ms: all().map(|c| c.down.concealed_ms).sum(),
            candidates: BTreeMap::new(),
        };
        for pair in all().filter_map(ConnectionRecord::candidates) {
            if figures.candidates.len() < PAIRS || figures.candidates.contains_key(&pair) {
                *figures.candidates.entry(pair).or_default() += 1;
            }
        }
        (figures.calls > 0).then_some(figures)
    }

    /// Losses, late packets and candidates in words; without what did not occur.
    pub(crate) fn words(&self) -> Vec<String> {
        let loss = |figures: &LossFigures, way: &str| {
            let percent = figures.percent().filter(|_| figures.lost > 0)?;
            let p95 = figures.p95.unwrap_or_default() * 100.0;
            Some(format!("{percent:.2} % lost {way} (p95 of calls {p95:.2})"))
        };
        let count = |packets: u64, what: &str| {
            let share = 100.0 * packets as f64 / self.down.expected.max(1) as f64;
            (packets > 0).then(|| format!("{share:.2} % {what}"))
        };
        let none = self.up.lost + self.down.lost == 0;
        let jitter = self.jitter_up_ms.filter(|ms| ms.micros() >= 1_000);
        let concealed = (self.concealed_ms > Ms::default())
            .then(|| format!("{:.1} s concealed", self.concealed_ms.as_f64() / 1e3));
        let pairs = self.candidates.iter().map(|(pair, calls)| match *calls {
            all if all == self.calls => pair.clone(),
            some => format!("{pair} in {some} calls"),
        });
        let pairs: Vec<String> = pairs.collect();
        [
            none.then(|| "no packet lost".to_owned()),
            loss(&self.up, "up"),
            loss(&self.down, "down"),
            count(self.reordered, "reordered"),
            count(self.repeated, "repeated"),
            count(self.late, "late"),
            concealed,
            jitter.map(|ms| format!("jitter up {ms:.1} ms")),
            (!pairs.is_empty()).then(|| pairs.join(", ")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What the callers measured over time: a series for each figure, with the values of all calls in
/// the order of their instants.
pub(crate) fn connection_series(calls: &[CallRecord]) -> Vec<ObservedSeries> {
    let spans = || connections(calls).flat_map(|c| &c.over_time);
    type Value = fn(&crate::record::ConnectionSpan) -> Option<f64>;
    let figures: [(&str, Value); 5] = [
        ("round trip, ms", |s| s.rtt_ms.map(Ms::as_f64)),
        ("jitter up, ms", |s| s.jitter_up_ms.map(Ms::as_f64)),
        ("jitter down, ms", |s| s.jitter_down_ms.map(Ms::as_f64)),
        ("lost up, %", |s| s.loss_up.map(|share| share * 100.0)),
        ("lost down, %", |s| s.loss_down.map(|share| share * 100.0)),
    ];
    let series = figures.into_iter().map(|(name, value)| {
        let points = spans().filter_map(|span| Some((span.at_ms, value(span)?)));
        let mut points: Vec<(Ms, f64)> = points.collect();
        points.sort_by_key(|(at, _)| *at);
        ObservedSeries {
            source: SOURCE.to_owned(),
            name: name.to_owned(),
            rate: false,
            segments: vec![points],
        }
    });
    series.filter(|s| s.points().next().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::Run;

    #[test]
    fn losses_are_summed_and_told_with_their_spread_over_the_calls() {
        let mut run = Run::default();
        run.good(3);
        assert_eq!(ConnectionFigures::of(&run.calls), None);
        assert!(connection_series(&run.calls).is_empty());
        for (index, lost) in [0, 20, 4].into_iter().enumerate() {
            let mut connection = ConnectionRecord::lossy();
            (connection.up.lost, connection.down.late) = (lost, 8);
            run.calls[index].connection = Some(Box::new(connection));
        }
        let figures = ConnectionFigures::of(&run.calls).expect("measured");
        assert_eq!((figures.calls, figures.late), (3, 24));
        let LossFigures {
            expected,
            lost,
            p50,
            p95,
        } = figures.up;
        assert_eq!((expected, lost, p50, p95), (300, 24, Some(0.04), Some(0.2)));
        assert_eq!(
            figures.words(),
            [
                "8.00 % lost up (p95 of calls 20.00)",
                "25.00 % lost down (p95 of calls 25.00)",
                "10.00 % late",
            ]
        );
    }
}
