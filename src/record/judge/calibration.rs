//! The error of the latency figures on a machine, measured against ground truth.
//!
//! In: recorded turns, and the reference agent's ground truth for them. Out: the error at each
//! number of callers, and the number of callers up to which the machine is reliable. Pure.
//! Invariants: an error is measured − true, so a positive bias means that figures are too long; a
//! p99 of fewer than 500 turns is null.

use crate::record::facts::measurement::first;
use crate::record::{Generator, Ms, TurnRecord};
use crate::stats::{Distribution, Sample};
use crate::vocab::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Version of `calibration.json`; it rises when a field is renamed, removed or changes its
/// meaning.
pub(crate) const CALIBRATION_VERSION: u32 = 1;
/// Minimum number of turns for a 99th percentile.
const TURNS_FOR_P99: usize = 500;
/// Largest bias of a level that is trusted, in ms.
const MAX_BIAS_MS: f64 = 2.0;
/// Largest tail error (p99, or p95 where that is null) of a level that is trusted, in ms.
const MAX_TAIL_MS: f64 = 10.0;

/// Error of one figure, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorStats {
    pub bias_ms: Option<f64>,
    pub p50_abs_ms: Option<Ms>,
    pub p95_abs_ms: Option<Ms>,
    pub p99_abs_ms: Option<Ms>,
    pub max_abs_ms: Option<Ms>,
}

impl ErrorStats {
    /// From signed errors in µs.
    pub(in crate::record) fn of(errors_us: &[i64]) -> Self {
        if errors_us.is_empty() {
            return Self::default();
        }
        let sum: i64 = errors_us.iter().sum();
        let bias_us = sum as f64 / errors_us.len() as f64;
        let absolute: Distribution = errors_us
            .iter()
            .map(|e| Duration::from_micros(e.unsigned_abs()))
            .collect();
        let at = |q: f64| absolute.quantile(q).and_then(Ms::from_sample);
        Self {
            bias_ms: Some(bias_us.round() / 1e3),
            p50_abs_ms: at(0.5),
            p95_abs_ms: at(0.95),
            p99_abs_ms: (errors_us.len() >= TURNS_FOR_P99)
                .then(|| at(0.99))
                .flatten(),
            max_abs_ms: absolute.max().and_then(|s: Sample| Ms::from_sample(s)),
        }
    }

    fn is_small(&self) -> bool {
        let tail = self.p99_abs_ms.or(self.p95_abs_ms);
        self.bias_ms.is_some_and(|b| b.abs() <= MAX_BIAS_MS)
            && tail.is_some_and(|t| t.as_f64() <= MAX_TAIL_MS)
    }
}

/// The error at one number of callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CalibrationLevel {
    /// Concurrent callers.
    pub callers: u64,
    /// Measured turns for which the ground truth is known.
    pub turns: usize,
    /// Turns without a reply, or for which the ground truth is not known.
    pub unmatched: usize,
    /// Error of `ttfa_wire`.
    pub ttfa_wire: ErrorStats,
    /// Error of `ttfa` minus its playout delay.
    pub ttfa: ErrorStats,
    /// 99th percentile of the send lateness.
    pub tick_lateness_p99_ms: Ms,
    /// Whether the generator kept up.
    pub valid: bool,
}

impl CalibrationLevel {
    /// `truth`: a turn's true `ttfa_wire` in ms. `kept_up`: the run was valid.
    pub(crate) fn of(
        callers: u64,
        turns: &[TurnRecord],
        truth: &dyn Fn(&TurnRecord) -> Option<f64>,
        generator: &Generator,
        kept_up: bool,
    ) -> Self {
        let mut wire = Vec::new();
        let mut mouth = Vec::new();
        for t in turns.iter().filter(|t| t.outcome == Outcome::Replied) {
            if let (Some(known), Some(w), Some(all), Some(playout)) =
                (truth(t), t.ttfa_wire_ms, t.ttfa_ms, t.playout_ms)
            {
                let known_us = (known * 1e3).round() as i64;
                wire.push(w.micros() - known_us);
                mouth.push(all.micros() - playout.micros() - known_us);
            }
        }
        Self {
            callers,
            turns: wire.len(),
            unmatched: turns.len() - wire.len(),
            ttfa_wire: ErrorStats::of(&wire),
            ttfa: ErrorStats::of(&mouth),
            tick_lateness_p99_ms: generator.tick_lateness_ms.p99,
            valid: kept_up,
        }
    }

    fn is_trusted(&self) -> bool {
        self.valid
            && self.turns > 0
            && self.unmatched * 100 <= self.turns
            && self.ttfa_wire.is_small()
    }
}

/// How many callers a machine can measure reliably; the content of `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Calibration {
    /// Version of the format; [`CALIBRATION_VERSION`] in new files.
    pub version: u32,
    /// Start of the calibration, RFC 3339, UTC.
    pub measured_at: String,
    /// The target that the calibration ran against.
    pub target: String,
    /// Version of loadgen that ran the calibration.
    pub loadgen_version: String,
    /// Version of the measurement definitions of the figures whose error was measured.
    #[serde(default = "first")]
    pub measurement_version: u32,
    /// Processor cores that the process may run on.
    pub cores: usize,
    /// CPU limit of the process's control group (container), in cores; null without a limit.
    #[serde(default)]
    pub cpu_limit_cores: Option<f64>,
    /// Errors by number of callers, ascending.
    pub levels: Vec<CalibrationLevel>,
    /// Callers up to which every level was trusted; 0 when none was.
    pub trusted_callers: u64,
}

impl Calibration {
    /// Number of callers up to which every level is within the bounds; 0 if none is.
    pub(crate) fn trusted(levels: &[CalibrationLevel]) -> u64 {
        let good = levels.iter().take_while(|l| l.is_trusted());
        good.last().map_or(0, |l| l.callers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TurnContext;
    use crate::record::fixtures::{base, ms, replied};

    /// A turn that was answered after 400 ms, in its own room.
    fn recorded(room: &str) -> TurnRecord {
        let context = TurnContext {
            call: 0,
            room,
            utterance: "yes",
            kind: crate::vocab::UtteranceKind::Speech,
            variant: "default",
            block: None,
            warmup: false,
            playout_model: "model",
            failure: None,
        };
        TurnRecord::new(&context, &replied(base(), 0, ms(400), ms(20)), base())
    }

    fn level(errors_ms: &[f64], kept_up: bool) -> CalibrationLevel {
        let rooms = 0..errors_ms.len();
        let turns: Vec<TurnRecord> = rooms.map(|i| recorded(&i.to_string())).collect();
        let truth = |t: &TurnRecord| Some(400.0 - errors_ms[t.room.parse::<usize>().ok()?]);
        CalibrationLevel::of(5, &turns, &truth, &Generator::default(), kept_up)
    }

    #[test]
    fn an_error_is_the_measured_minus_the_true_value() {
        let l = level(&[1.0, -0.5, 2.5], true);
        assert_eq!((l.turns, l.unmatched), (3, 0));
        assert_eq!(l.ttfa_wire.bias_ms, Some(1.0));
        assert_eq!(l.ttfa_wire.p50_abs_ms, Some(Ms::from_micros(1_000)));
        assert_eq!(l.ttfa_wire.max_abs_ms, Some(Ms::from_micros(2_500)));
        assert_eq!(l.ttfa_wire.p99_abs_ms, None, "too few turns for a p99");
        assert_eq!(l.ttfa, l.ttfa_wire, "playout is subtracted");
        assert!(level(&vec![0.1; 500], true).ttfa_wire.p99_abs_ms.is_some());
    }

    #[test]
    fn the_trusted_level_is_the_last_before_one_out_of_bounds() {
        let at = |callers, errors: &[f64], ok| CalibrationLevel {
            callers,
            ..level(errors, ok)
        };
        let good = [0.5; 20];
        for (name, bad) in [
            ("bias", at(50, &[2.5; 20], true)),
            ("tail", at(50, &[15.0, -15.0], true)),
            ("invalid", at(50, &good, false)),
            ("nothing measured", at(50, &[], true)),
        ] {
            let levels = [
                at(1, &good, true),
                at(10, &good, true),
                bad,
                at(100, &good, true),
            ];
            assert_eq!(Calibration::trusted(&levels), 10, "{name}");
        }
        assert_eq!(Calibration::trusted(&[at(1, &good, false)]), 0);
    }

    #[test]
    fn turns_without_ground_truth_are_counted() {
        let l = CalibrationLevel::of(
            1,
            &[recorded("unknown")],
            &|_| None,
            &Generator::default(),
            true,
        );
        assert_eq!((l.turns, l.unmatched), (0, 1));
        assert_eq!(l.ttfa_wire, ErrorStats::default());
    }
}
