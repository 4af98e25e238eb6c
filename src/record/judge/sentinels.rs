//! Results of a run's sentinel calls: an estimate of the run's measurement error.
//!
//! In: the sentinels' turns, and the reference agent's ground truth for them. Out: the error, and
//! whether it is too large or has shifted. Pure. Invariants: an error is measured − true; sentinel
//! turns are excluded from all other figures.

use super::calibration::ErrorStats;
use crate::record::{Ms, TurnRecord};
use crate::vocab::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error or shift above this, in ms, is due to the generator or the path.
const MOVED_MS: f64 = 5.0;
/// Minimum number of turns in each half of a run for comparing the halves.
const TURNS_A_HALF: usize = 4;

/// The sentinels of a run: calls to loadgen's own reference agent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sentinels {
    /// Number of sentinel calls.
    pub(crate) calls: usize,
    /// Of these, calls that failed.
    pub(crate) failed: usize,
    /// Measured turns for which the ground truth is known.
    pub(crate) turns: usize,
    /// Turns without a reply, or for which the ground truth is not known.
    pub(crate) unmatched: usize,
    /// Mean of measured minus true `ttfa_wire`.
    pub(crate) bias_ms: Option<f64>,
    /// Absolute error, median.
    pub(crate) p50_abs_ms: Option<Ms>,
    /// Absolute error, 95th percentile.
    pub(crate) p95_abs_ms: Option<Ms>,
    /// Absolute error, 99th percentile; null with fewer than 500 turns.
    pub(crate) p99_abs_ms: Option<Ms>,
    /// Absolute error, maximum.
    pub(crate) max_abs_ms: Option<Ms>,
    /// Median error of the later half of the turns minus that of the earlier half; null with fewer
    /// than 8 turns.
    pub(crate) shift_ms: Option<f64>,
    /// The median absolute error, or the shift between the halves, is more than 5 ms: the generator
    /// or the path is the bottleneck.
    pub(crate) moved: bool,
}

impl Sentinels {
    /// `truth`: a turn's true `ttfa_wire` in ms.
    pub(crate) fn of(
        calls: usize,
        failed: usize,
        turns: &[TurnRecord],
        truth: &dyn Fn(&TurnRecord) -> Option<f64>,
    ) -> Self {
        let mut timed: Vec<(Option<Ms>, i64)> = turns
            .iter()
            .filter(|t| t.outcome == Outcome::Replied)
            .filter_map(|t| {
                let true_us = (truth(t)? * 1e3).round() as i64;
                Some((t.speech_end_ms, t.ttfa_wire_ms?.micros() - true_us))
            })
            .collect();
        timed.sort_by_key(|(at, _)| at.map(Ms::micros));
        let errors: Vec<i64> = timed.iter().map(|(_, error)| *error).collect();
        let stats = ErrorStats::of(&errors);
        let (earlier, later) = errors.split_at(errors.len() / 2);
        let shift_ms = (earlier.len() >= TURNS_A_HALF)
            .then(|| Some((median(later)? - median(earlier)?) as f64 / 1e3))
            .flatten();
        let off = stats.p50_abs_ms.map_or(0.0, Ms::as_f64);
        Self {
            calls,
            failed,
            turns: errors.len(),
            unmatched: turns.len() - errors.len(),
            bias_ms: stats.bias_ms,
            p50_abs_ms: stats.p50_abs_ms,
            p95_abs_ms: stats.p95_abs_ms,
            p99_abs_ms: stats.p99_abs_ms,
            max_abs_ms: stats.max_abs_ms,
            shift_ms,
            moved: off > MOVED_MS || shift_ms.is_some_and(|s| s.abs() > MOVED_MS),
        }
    }
}

/// The lower median.
fn median(errors: &[i64]) -> Option<i64> {
    let mut sorted = errors.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{MODEL, base, ms, replied, turn};
    use crate::record::{TurnContext, fixtures::Outcome};
    use std::time::Duration;

    fn record(index: usize, error_us: i64) -> TurnRecord {
        let context = TurnContext {
            call: 0,
            room: "s00000",
            utterance: "chirp",
            kind: crate::vocab::UtteranceKind::Speech,
            variant: "sentinel",
            block: None,
            warmup: false,
            playout_model: MODEL,
            failure: None,
        };
        let wire = Duration::from_micros(400_000u64.saturating_add_signed(error_us));
        TurnRecord {
            sentinel: true,
            ..TurnRecord::new(&context, &replied(base(), index, wire, ms(20)), base())
        }
    }

    fn sentinels(errors_us: &[i64]) -> Sentinels {
        let mut turns: Vec<TurnRecord> = (0..).zip(errors_us).map(|(i, e)| record(i, *e)).collect();
        // The order of the turns must not matter.
        turns.reverse();
        Sentinels::of(1, 0, &turns, &|_| Some(400.0))
    }

    #[test]
    fn large_or_shifting_errors_are_flagged() {
        for (name, errors, shift, moved) in [
            ("steady", vec![300; 8], Some(0.0), false),
            ("constantly late", vec![5_100; 8], Some(0.0), true),
            ("constantly early", vec![-5_100; 8], Some(0.0), true),
            (
                "one outlier",
                vec![0, 0, 0, 0, 0, 0, 0, 90_000],
                Some(0.0),
                false,
            ),
            (
                "later half late",
                [vec![0; 4], vec![5_200; 4]].concat(),
                Some(5.2),
                true,
            ),
            (
                "later half early",
                [vec![3_000; 4], vec![-2_100; 4]].concat(),
                Some(-5.1),
                true,
            ),
            (
                "too few to compare",
                vec![0, 0, 0, 4_900, 4_900, 4_900, 4_900],
                None,
                false,
            ),
            ("none", vec![], None, false),
        ] {
            let s = sentinels(&errors);
            assert_eq!(
                (s.turns, s.shift_ms, s.moved),
                (errors.len(), shift, moved),
                "{name}"
            );
        }
    }

    #[test]
    fn turns_without_a_reply_or_ground_truth_are_counted() {
        let missed = TurnRecord {
            outcome: Outcome::Missed,
            ..record(0, 0)
        };
        assert_eq!(turn(base(), 0, Outcome::Missed).ttfa, None);
        let known = |t: &TurnRecord| (t.turn == 1).then_some(399.5);
        let s = Sentinels::of(2, 1, &[missed, record(1, 0), record(2, 0)], &known);
        assert_eq!((s.calls, s.failed, s.turns, s.unmatched), (2, 1, 1, 2));
        assert_eq!(s.bias_ms, Some(0.5));
    }
}
