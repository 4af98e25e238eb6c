//! A run's values as a comparison wants them: by metric, each with its call and block.
//!
//! In: a record, the variant, names of metrics. Out: series. Holds: the same values enter as in
//! the samples that gate: missed and failed turns as +∞, warm-up calls not at all.

use super::samples::{METRICS, of_call, of_turn};
use super::{CallRecord, RunRecord, TurnExpect, TurnOutcome, TurnRecord};
use crate::stats::Sample;
use crate::stats::compare::{Place, Series, Values};

/// What is compared where nobody says what: each thing once, so that no test is spent twice.
/// (`ttfa` holds `ttfa_wire`, `missed` and `failed` what `replied` lacks.)
pub const COMPARED: &[&str] = &[
    "ttfa",
    "join",
    "agent_join",
    "greeting",
    "missed",
    "early",
    "failed",
];

impl RunRecord {
    /// The values of `metrics` (names that it does not know are left out) of the calls of
    /// `variant`; of all calls for `None`.
    pub fn series(&self, variant: Option<&str>, metrics: &[String]) -> Vec<Series> {
        let known = metrics.iter().filter(|m| METRICS.contains(&m.as_str()));
        let series = known.map(|metric| Series {
            metric: metric.clone(),
            values: self.values(variant, metric),
            more_is_better: metric == "replied",
        });
        series.collect()
    }

    /// Names of the variants in it, in ascending order.
    pub fn variants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.turns.iter().map(|t| t.variant.as_str()).collect();
        names.extend(self.calls.iter().map(|c| c.variant.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }

    fn values(&self, variant: Option<&str>, metric: &str) -> Values {
        let wanted = |name: &str| variant.is_none_or(|v| v == name);
        let calls = || {
            let measured = |c: &&CallRecord| !c.warmup && c.started_ms.is_some();
            self.calls
                .iter()
                .filter(measured)
                .filter(|c| wanted(&c.variant))
        };
        let turns = || {
            let measured = |t: &&TurnRecord| t.is_measured() && wanted(&t.variant);
            self.turns.iter().filter(measured)
        };
        let of_calls = |of: fn(&CallRecord) -> Option<Sample>| {
            let value = |c: &CallRecord| Some((place(c.call, c.block), of(c)?));
            Values::Latencies(calls().filter_map(value).collect())
        };
        let of_turns = |of: fn(&TurnRecord) -> Option<Sample>| {
            let asked = turns().filter(|t| t.expect == TurnExpect::Respond);
            let value = |t: &TurnRecord| Some((place(t.call, t.block), of(t)?));
            Values::Latencies(asked.filter_map(value).collect())
        };
        let ended_as = |outcome: TurnOutcome| {
            let hit = |t: &TurnRecord| (place(t.call, t.block), t.outcome == outcome);
            Values::Hits(turns().map(hit).collect())
        };
        match metric {
            "ttfa" => of_turns(|t| of_turn(t, t.ttfa_ms)),
            "ttfa_wire" => of_turns(|t| of_turn(t, t.ttfa_wire_ms)),
            "join" => of_calls(|c| of_call(c, c.join_ms)),
            "agent_join" => of_calls(|c| of_call(c, c.agent_join_ms)),
            "greeting" => of_calls(|c| {
                c.greeting_ms
                    .and_then(super::Ms::duration)
                    .map(Sample::Finite)
            }),
            "missed" => ended_as(TurnOutcome::Missed),
            "early" => ended_as(TurnOutcome::Early),
            "failed" => ended_as(TurnOutcome::Failed),
            "replied" => ended_as(TurnOutcome::Replied),
            _ => Values::Latencies(Vec::new()),
        }
    }
}

fn place(call: usize, block: Option<u64>) -> Place {
    Place { call, block }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Run, facts};
    use super::super::{Ending, Samples, Summary};
    use super::*;
    use crate::call::{Failure, Outcome};
    use crate::stats::{Population, Sample};

    #[test]
    fn holds_what_the_gates_look_at() {
        let mut run = Run {
            warmup: true,
            ..Run::default()
        };
        run.good(2).warmup = false;
        run.good(5)
            .bad(Outcome::Missed, None)
            .bad(Outcome::Early, None);
        run.bad(Outcome::Failed, Some(Failure::AgentLeft));
        let samples = Samples::of(24, &run.calls, &run.turns);
        let summary = Summary::build(&facts(8, Ending::Finished), &run.calls, &run.turns, &[]);
        let record = RunRecord::new(summary, run.turns, run.calls, None);
        assert_eq!(record.variants(), ["baseline"]);
        let all: Vec<String> = METRICS.iter().map(|m| (*m).to_owned()).collect();
        for variant in [None, Some("baseline")] {
            let series = record.series(variant, &all);
            assert_eq!(series.len(), METRICS.len());
            for one in series {
                match (&one.values, samples.population(&one.metric).unwrap()) {
                    (Values::Latencies(found), Population::Latencies(expected)) => {
                        let mut found: Vec<Sample> = found.iter().map(|(_, s)| *s).collect();
                        found.sort_unstable();
                        assert_eq!(found, expected.sorted(), "{}", one.metric);
                    }
                    (Values::Hits(found), Population::Rate(expected)) => {
                        let hits = found.iter().filter(|(_, hit)| *hit).count();
                        assert_eq!(
                            (hits, found.len()),
                            (expected.hits, expected.total),
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
        assert!(COMPARED.iter().all(|m| METRICS.contains(m)));
    }
}
