//! The part of a run after its ramp, while the load was steady.
//!
//! In: records, and the periods of steady load. Out: the calls and turns that started in them.
//! Invariant: a turn that never started is selected by its own planned start, or else by its
//! call's.

use super::latencies::Metrics;
use super::samples::Samples;
use crate::record::{CallRecord, Ms, TurnRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A period of steady load, relative to the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SteadySpan {
    /// Start of the period.
    pub(crate) from_ms: Ms,
    /// End of the period; null if it lasts until the end of the run.
    pub(crate) until_ms: Option<Ms>,
}

impl SteadySpan {
    fn has(&self, at: Ms) -> bool {
        at >= self.from_ms && self.until_ms.is_none_or(|until| at < until)
    }
}

/// The figures of the turns and calls that began while the load was steady.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Steady {
    /// The periods of steady load.
    pub spans: Vec<SteadySpan>,
    /// Latencies of the turns and calls that began in these periods.
    pub metrics: Metrics,
}

/// The records of the calls and turns that started while the load was steady.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct SteadyRecords {
    pub(super) calls: Vec<CallRecord>,
    pub(super) turns: Vec<TurnRecord>,
}

impl SteadyRecords {
    /// Selects the records within `spans`; none if `spans` is empty.
    pub(in crate::record) fn of(
        spans: &[SteadySpan],
        calls: &[CallRecord],
        turns: &[TurnRecord],
    ) -> Self {
        if spans.is_empty() {
            return Self::default();
        }
        let inside = |at: Ms| spans.iter().any(|span| span.has(at));
        let planned: HashMap<usize, Ms> =
            calls.iter().map(|c| (c.call, c.planned_start_ms)).collect();
        let began = |t: &TurnRecord| {
            let own = t.started_ms.or(t.planned_ms);
            own.or_else(|| planned.get(&t.call).copied())
        };
        Self {
            calls: calls
                .iter()
                .filter(|c| inside(c.planned_start_ms))
                .cloned()
                .collect(),
            turns: turns
                .iter()
                .filter(|t| began(t).is_some_and(inside))
                .cloned()
                .collect(),
        }
    }

    /// The figures of the records; `None` if `spans` is empty.
    pub(in crate::record) fn figures(&self, spans: &[SteadySpan]) -> Option<Steady> {
        let samples = || Samples::of(self.turns.len(), &self.calls, &self.turns);
        (!spans.is_empty()).then(|| Steady {
            spans: spans.to_vec(),
            metrics: Metrics::of(&samples()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{Failure, Outcome, Run};

    #[test]
    fn records_that_began_within_steady_spans_are_selected() {
        // Calls at 0, 100, 200 ms; their turns 2, 12 and 22 s later; the third call failed, and
        // its turns never started.
        let mut run = Run::default();
        run.good(2).bad(Outcome::Failed, Some(Failure::AgentLeft));
        let span = |from: i64, until: Option<i64>| SteadySpan {
            from_ms: Ms::from_micros(from * 1_000),
            until_ms: until.map(|ms| Ms::from_micros(ms * 1_000)),
        };
        for (name, spans, calls, turns) in [
            ("none", vec![], 0, 0),
            ("all", vec![span(0, None)], 3, 9),
            ("after the first turns", vec![span(3_000, None)], 0, 4),
            ("a window", vec![span(150, Some(2_050))], 1, 4),
            (
                "two windows",
                vec![span(0, Some(1)), span(22_000, None)],
                1,
                2,
            ),
        ] {
            let picked = SteadyRecords::of(&spans, &run.calls, &run.turns);
            assert_eq!(
                (picked.calls.len(), picked.turns.len()),
                (calls, turns),
                "{name}"
            );
            let figures = picked.figures(&spans);
            assert_eq!(figures.is_some(), !spans.is_empty(), "{name}");
            let count = figures.map_or(0, |f| f.metrics.all_turns.count);
            assert_eq!(count, turns, "{name}");
        }
    }
}
