//! The metrics that a gate can look at, in one table: a name, and where its values are.
//!
//! In: records. Out: the samples of a metric, of all turns or some. Invariants: warm-up calls,
//! sentinels and what the end of the run cut off enter nothing; where the awaited thing never
//! happened there is +∞; the turns of a call are one group.

use super::samples::{of_call, of_turn};
use super::{CallRecord, Expect, Ms, Outcome, TurnRecord};
use crate::stats::{Distribution, Population, Proportion, Sample};
use std::time::Duration;

/// Where the values of a metric are.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// A latency of turns; `None` where a turn has none.
    Turns(fn(&TurnRecord) -> Option<Sample>),
    /// A latency of calls.
    Calls(fn(&CallRecord) -> Option<Sample>),
    /// A share of turns: those that count.
    Share(fn(&TurnRecord) -> bool),
    /// The same, where it is the call that makes its turns count: they say no more than one.
    ShareOfCalls(fn(&TurnRecord) -> bool),
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, in scenarios and in files.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
    /// Whether a turn that expects this has one.
    expects: fn(Expect) -> bool,
}

/// A call under way, with what it owes yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// Its number.
    pub call: usize,
    /// Its variant.
    pub variant: String,
    /// What its turns expect that have not ended.
    pub unended: Vec<Expect>,
}

const fn turns(name: &'static str, of: fn(&TurnRecord) -> Option<Sample>) -> Metric {
    Metric {
        name,
        values: Values::Turns(of),
        expects: any,
    }
}

fn any(_: Expect) -> bool {
    true
}

/// A latency of the turns that `expects` holds for.
const fn expecting(
    expects: fn(Expect) -> bool,
    name: &'static str,
    of: fn(&TurnRecord) -> Option<Sample>,
) -> Metric {
    Metric {
        expects,
        ..turns(name, of)
    }
}

const fn calls(name: &'static str, of: fn(&CallRecord) -> Option<Sample>) -> Metric {
    Metric {
        name,
        values: Values::Calls(of),
        expects: any,
    }
}

const fn share(name: &'static str, of: fn(&TurnRecord) -> bool) -> Metric {
    Metric {
        name,
        values: Values::Share(of),
        expects: any,
    }
}

/// Every metric that a threshold can name.
pub const METRICS: &[Metric] = &[
    expecting(Expect::asks_for_reply, "ttfa", |t| {
        asked(t, Expect::asks_for_reply, t.ttfa_ms)
    }),
    expecting(Expect::asks_for_reply, "ttfa_wire", |t| {
        asked(t, Expect::asks_for_reply, t.ttfa_wire_ms)
    }),
    turns("playout", |t| finite(t.playout_ms)),
    turns("lead_in", |t| finite(t.lead_in_ms)),
    expecting(Expect::asks_for_stop, "stop", |t| {
        asked(t, Expect::asks_for_stop, t.stop_ms)
    }),
    calls("join", |c| of_call(c, c.join_ms)),
    calls("agent_present", |c| of_call(c, c.agent_present_ms)),
    calls("agent_audible", |c| of_call(c, c.agent_audible_ms)),
    calls("greeting", |c| finite(c.greeting_ms)),
    share("replied", |t| t.outcome == Outcome::Replied),
    share("missed", |t| t.outcome == Outcome::Missed),
    share("early", |t| t.outcome == Outcome::Early),
    Metric {
        values: Values::ShareOfCalls(|t| t.outcome == Outcome::Failed),
        ..share("failed", |_| false)
    },
];

impl Metric {
    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        METRICS.iter().copied().find(|metric| metric.name == name)
    }

    /// Whether it is a share rather than a latency.
    pub fn is_share(self) -> bool {
        matches!(self.values, Values::Share(_) | Values::ShareOfCalls(_))
    }

    /// Its samples among these calls and turns, of one variant or of all.
    pub fn population(
        self,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        variant: Option<&str>,
    ) -> Population {
        self.population_at_best(calls, turns, variant, &[], true)
    }

    /// As [`Self::population`], and what calls under way owe is taken to keep a bound from above
    /// (`upper`) or from below: a call that fails brings all of its turns at once, one that goes
    /// well brings them one by one.
    pub(super) fn population_at_best(
        self,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        variant: Option<&str>,
        open: &[OpenCall],
        upper: bool,
    ) -> Population {
        let wanted = |of: &str| variant.is_none_or(|v| v == of);
        let turns = || turns.iter().filter(|t| t.counts() && wanted(&t.variant));
        let open = || open.iter().filter(|c| wanted(&c.variant));
        let enters = |e: &&Expect| (self.expects)(**e);
        let owed = || open().flat_map(|c| c.unended.iter().filter(enters).map(|_| c.call));
        let best = match upper {
            true => Sample::Finite(Duration::ZERO),
            false => Sample::Infinite,
        };
        match self.values {
            Values::Turns(of) => {
                let ended = turns().filter_map(|t| Some((t.call, of(t)?)));
                let owed = owed().map(|call| (call, best));
                Population::Latencies(Distribution::in_groups(ended.chain(owed)))
            }
            Values::Share(of) | Values::ShareOfCalls(of) => {
                let ended = turns().map(|t| (t.call, of(t)));
                let share: Proportion = ended.chain(owed().map(|call| (call, !upper))).collect();
                Population::Share(match self.values {
                    Values::ShareOfCalls(_) => share.of_whole_groups(),
                    _ => share,
                })
            }
            Values::Calls(of) => {
                let started = |c: &&CallRecord| !c.warmup && c.started_ms.is_some();
                let calls = calls.iter().filter(started);
                let calls = calls.filter(|c| wanted(&c.variant));
                let owed = open().map(|_| best);
                Population::Latencies(calls.filter_map(of).chain(owed).collect())
            }
        }
    }
}

/// A latency of turns that `expects` holds for.
fn asked(turn: &TurnRecord, expects: fn(Expect) -> bool, latency: Option<Ms>) -> Option<Sample> {
    expects(turn.expect)
        .then(|| of_turn(turn, latency))
        .flatten()
}

fn finite(ms: Option<Ms>) -> Option<Sample> {
    ms.and_then(Ms::duration).map(Sample::Finite)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Failure, Outcome, Run};
    use super::*;

    #[test]
    fn every_metric_is_there_once_and_finds_its_values() {
        let mut run = Run::default();
        run.good(3)
            .bad(Outcome::Missed, None)
            .bad(Outcome::Early, None)
            .bad(Outcome::Failed, Some(Failure::AgentLeft))
            .stopped();
        run.calls[0].variant = "fast".into();
        run.turns[..3]
            .iter_mut()
            .for_each(|t| t.variant = "fast".into());
        run.turns[0].lead_in_ms = Some(Ms::from_micros(20_000));
        run.warmup = true;
        run.good(2).bad(Outcome::Missed, None);
        // All; of the variant `fast`. 19 turns came to an end of their own, in 7 calls.
        for (name, all, fast) in [
            ("ttfa", 16, 3),
            ("ttfa_wire", 16, 3),
            ("playout", 10, 3),
            ("lead_in", 1, 1),
            ("stop", 0, 0),
            ("join", 7, 1),
            ("agent_present", 7, 1),
            ("agent_audible", 7, 1),
            ("greeting", 3, 1),
            ("replied", 19, 3),
            ("missed", 19, 3),
            ("early", 19, 3),
            ("failed", 19, 3),
        ] {
            let metric = Metric::named(name).expect(name);
            let of = |variant| metric.population(&run.calls, &run.turns, variant).count();
            assert_eq!(
                (of(None), of(Some("fast")), of(Some("x"))),
                (all, fast, 0),
                "{name}"
            );
        }
        let named = |m: &Metric| METRICS.iter().filter(|n| n.name == m.name).count();
        assert!(METRICS.iter().all(|m| named(m) == 1));
        assert_eq!(METRICS.len(), 13, "a new metric has its line above");
        assert!(Metric::named("latency").is_none());
    }

    #[test]
    fn shares_know_the_calls_that_their_turns_came_in() {
        let mut run = Run::default();
        run.good(3).bad(Outcome::Missed, None);
        let missed = Metric::named("missed").expect("it is there");
        let Population::Share(share) = missed.population(&run.calls, &run.turns, None) else {
            panic!("a share");
        };
        assert_eq!((share.hits(), share.total(), share.groups()), (3, 12, 4));
        assert!(missed.is_share());
    }
}
