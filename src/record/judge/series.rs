//! The values of a run for a comparison with another run: by metric, each with its call.
//!
//! In: a record, the variant, names of metrics. Out: series. Invariants: the values are the samples
//! that gates judge: missed and failed turns as +∞, no warm-up calls. There are no blocks, since
//! blocks of two runs have nothing in common but their numbers.

use super::metrics;
use super::samples::{counting_calls, counting_turns};
use crate::record::{CallRecord, RunRecord, TurnRecord};
use crate::stats::compare::{SampleOrigin, Series, Values};
use crate::vocab::Metric;

/// A call's packets are compared as this many parts, so that a comparison of long runs fits in
/// memory; a share is rounded to a thousandth, and each call has the same weight.
const PARTS_OF_CALL: usize = 1_000;

impl RunRecord {
    /// The values of `metrics` (unknown names are left out) for the calls of `variant`, or for all
    /// calls if it is `None`.
    pub(crate) fn series(&self, variant: Option<&str>, metrics: &[String]) -> Vec<Series> {
        let known = metrics.iter().filter_map(|m| Metric::named(m));
        let series = known.map(|metric| Series {
            metric: metric.name().to_owned(),
            values: self.values(variant, metric),
            more_is_better: metric == Metric::Replied,
        });
        series.collect()
    }

    /// Names of the variants in the record, in ascending order.
    pub(crate) fn variants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.turns.iter().map(|t| t.variant.as_str()).collect();
        names.extend(self.calls.iter().map(|c| c.variant.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    fn values(&self, variant: Option<&str>, metric: Metric) -> Values {
        let turns = || counting_turns(&self.turns, variant);
        let values = metric.values();
        match values {
            metrics::ValueSource::Turns { .. } => {
                let value = |t: &TurnRecord| Some((place(t.call), values.of_turn(t)?));
                Values::Latencies(turns().filter_map(value).collect())
            }
            metrics::ValueSource::Share(of) | metrics::ValueSource::ShareOfCalls(of) => {
                let hit = |t: &TurnRecord| (place(t.call), of(t));
                Values::Hits(turns().map(hit).collect())
            }
            metrics::ValueSource::Parts(of) => {
                let parts = turns().filter_map(|t| Some((t.call, of(t)?)));
                let hits = parts.flat_map(|(call, (hits, size))| {
                    (0..size).map(move |part| (place(call), part < hits))
                });
                Values::Hits(hits.collect())
            }
            metrics::ValueSource::PartsOfCalls(of) => {
                let calls = counting_calls(&self.calls, variant);
                let parts = calls.filter_map(|c| Some((place(c.call), of(c)?)));
                let hits = parts.flat_map(|(call, (hits, size))| {
                    let hits = (hits * PARTS_OF_CALL + size / 2) / size.max(1);
                    (0..PARTS_OF_CALL).map(move |part| (call, part < hits))
                });
                Values::Hits(hits.collect())
            }
            metrics::ValueSource::Calls { .. } => {
                let value = |c: &CallRecord| Some((place(c.call), values.of_call(c)?));
                let calls = counting_calls(&self.calls, variant);
                Values::Latencies(calls.filter_map(value).collect())
            }
        }
    }
}

fn place(call: usize) -> SampleOrigin {
    SampleOrigin { call, block: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Failure, Outcome};
    use crate::record::fixtures::{Run, facts};
    use crate::record::{Ending, Summary};
    use crate::stats::{Population, Sample};

    #[test]
    fn series_hold_the_samples_that_gates_judge() {
        let mut run = Run {
            warmup: true,
            ..Run::default()
        };
        run.good(2).warmup = false;
        run.good(5)
            .bad(Outcome::Missed, None)
            .bad(Outcome::Early, None);
        run.bad(Outcome::Failed, Some(Failure::AgentLeft));
        let (calls, turns) = (run.calls.clone(), run.turns.clone());
        let summary = Summary::build(&facts(8, Ending::Finished), &run.calls, &run.turns, &[]);
        let mut record = RunRecord::new(summary, run.turns, run.calls, None);
        record.calls.iter_mut().for_each(|c| c.block = Some(3));
        record.turns.iter_mut().for_each(|t| t.block = Some(3));
        assert_eq!(record.variants(), ["baseline"]);
        let all: Vec<String> = Metric::ALL.iter().map(|m| m.name().to_owned()).collect();
        for variant in [None, Some("baseline")] {
            let series = record.series(variant, &all);
            assert_eq!(series.len(), Metric::ALL.len());
            for one in series {
                let metric = Metric::named(&one.metric).unwrap();
                match (&one.values, metric.population(&calls, &turns, None)) {
                    (Values::Latencies(found), Population::Latencies(expected)) => {
                        assert!(found.iter().all(|(at, _)| at.block.is_none()));
                        let mut found: Vec<Sample> = found.iter().map(|(_, s)| *s).collect();
                        found.sort_unstable();
                        assert_eq!(found, expected.sorted(), "{}", one.metric);
                    }
                    (Values::Hits(found), Population::Share(expected)) => {
                        let hits = found.iter().filter(|(_, hit)| *hit).count();
                        assert_eq!(
                            (hits, found.len()),
                            (expected.hits(), expected.total()),
                            "{}",
                            one.metric
                        );
                    }
                    (found, expected) => panic!("{}: {found:?} {expected:?}", one.metric),
                }
            }
        }
        assert!(record.series(Some("other"), &all).iter().all(
            |s| matches!(&s.values, Values::Latencies(v) if v.is_empty())
                || matches!(&s.values, Values::Hits(v) if v.is_empty())
        ));
    }
}
