//! What records and the summary say, by table; files are tested beside their code.

use super::fixtures::{MODEL, Run, base, facts, ms, replied, turn};
use super::*;
use crate::audio::Confidence;
use crate::call::{Expect, Failure, Flag, Outcome, TurnResult};
use crate::stats::{Aggregate, Comparison, Gate, Population};
use proptest::prelude::*;
use std::time::Duration;

fn context<'a>(failure: Option<&'a Failure>) -> TurnContext<'a> {
    TurnContext {
        call: 4,
        room: "loadgen-1f2e-4",
        utterance: "order",
        variant: "baseline",
        warmup: false,
        playout_model: MODEL,
        failure,
    }
}

fn threshold(metric: &str, expression: &str, aggregate: Aggregate, bound: f64) -> Threshold {
    Threshold {
        metric: metric.into(),
        expression: expression.into(),
        gate: Gate {
            aggregate,
            comparison: Comparison::Lt,
            bound,
        },
    }
}

fn p95(metric: &str, bound: f64) -> Threshold {
    threshold(
        metric,
        &format!("p(95)<{bound}ms"),
        Aggregate::Quantile(0.95),
        bound,
    )
}

fn rate(metric: &str, bound: f64) -> Threshold {
    threshold(metric, &format!("rate<{bound}"), Aggregate::Rate, bound)
}

#[test]
fn a_turn_as_a_journal_line() {
    let mut result = replied(
        base(),
        1,
        Duration::from_nanos(612_345_678),
        Duration::from_micros(41_250),
    );
    result.flags = vec![Flag::TouchedByLoss, Flag::LateSend, Flag::LateSend];
    let onset = result.onset.as_mut().unwrap();
    onset.earlier_by_loss = Some(ms(20));
    onset.confidence = Confidence::Low;
    let record = TurnRecord::new(&context(None), &result, base());
    insta::assert_snapshot!(serde_json::to_string_pretty(&record).unwrap());
    let back: TurnRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(back, record);
}

#[test]
fn a_call_as_json() {
    let mut run = Run::default();
    let absent = Failure::AgentAbsent { waited: ms(30_000) };
    run.good(1).bad(Outcome::Failed, Some(absent));
    insta::assert_snapshot!(serde_json::to_string_pretty(&run.calls).unwrap());
}

#[test]
fn only_failed_turns_carry_the_cause() {
    let failure = Failure::AgentLeft;
    for (outcome, cause) in [
        (Outcome::Replied, None),
        (Outcome::Missed, None),
        (Outcome::Early, None),
        (Outcome::Failed, Some("agent_left".to_owned())),
    ] {
        let record = TurnRecord::new(&context(Some(&failure)), &turn(base(), 0, outcome), base());
        assert_eq!(record.failure, cause, "{:?}", record.outcome);
    }
}

#[test]
fn what_was_not_measured_is_absent() {
    let mut result = turn(base(), 0, Outcome::Missed);
    result.playout_delay = Some(ms(40));
    let record = TurnRecord::new(&context(None), &result, base());
    assert_eq!(record.ttfa_ms, None, "no sum of one part");
    let mut result = replied(base(), 0, ms(400), ms(40));
    result.onset.as_mut().unwrap().snr_db = f32::INFINITY;
    assert_eq!(
        TurnRecord::new(&context(None), &result, base()).snr_db,
        None
    );
}

#[test]
fn words_in_code_and_in_files_agree() {
    use TurnFlag::*;
    let flags = [
        LateSend,
        LowConfidence,
        TouchedByLoss,
        AfterMissed,
        ReplyUnfinished,
        AnchorTimeout,
        UserSpaceStamp,
    ];
    let mut pairs: Vec<(String, &str)> = Vec::new();
    let json = |v: serde_json::Value| v.as_str().unwrap().to_owned();
    for f in flags {
        pairs.push((json(serde_json::to_value(f).unwrap()), f.name()));
    }
    for o in [
        TurnOutcome::Replied,
        TurnOutcome::Missed,
        TurnOutcome::Early,
        TurnOutcome::Failed,
    ] {
        pairs.push((json(serde_json::to_value(o).unwrap()), o.name()));
    }
    for e in [TurnExpect::Respond, TurnExpect::Stop, TurnExpect::Ignore] {
        pairs.push((json(serde_json::to_value(e).unwrap()), e.name()));
    }
    for t in [Trust::High, Trust::Low] {
        pairs.push((json(serde_json::to_value(t).unwrap()), t.name()));
    }
    for (written, name) in pairs {
        assert_eq!(written, name);
    }
    assert!(
        METRICS
            .iter()
            .all(|m| Samples::default().population(m).is_some())
    );
    assert!(Samples::default().population("latency").is_none());
}

#[test]
fn missed_and_failed_turns_gate_as_infinite() {
    let mut run = Run::default();
    let left = Failure::AgentLeft;
    run.good(3)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, Some(left))
        .bad(Outcome::Failed, Some(Failure::Stopped));
    run.warmup = true;
    run.good(2).bad(Outcome::Missed, None);
    let samples = Samples::of(21, &run.calls, &run.turns);
    // 9 replied, 3 missed, 3 failed; early ones, the stopped call and the warm-up are not in.
    assert_eq!((samples.ttfa.count(), samples.ttfa.infinite()), (9, 0));
    assert_eq!(
        (samples.all_turns.count(), samples.all_turns.infinite()),
        (15, 6)
    );
    assert_eq!((samples.join.count(), samples.all_join.infinite()), (5, 1));
    let expected = TurnCounts {
        planned: 21,
        replied: 9,
        missed: 3,
        early: 3,
        failed: 6,
    };
    assert_eq!(samples.outcomes, expected);
    let Some(Population::Rate(rate)) = samples.population("missed") else {
        panic!()
    };
    assert_eq!((rate.hits, rate.total), (3, 21));
}

#[test]
fn only_turns_that_ask_for_a_reply_have_a_ttfa() {
    let mut run = Run::default();
    run.good(1);
    for expect in [Expect::Stop, Expect::Ignore] {
        let missed = TurnResult {
            expect,
            ..turn(base(), 0, Outcome::Missed)
        };
        run.turns
            .push(TurnRecord::new(&context(None), &missed, base()));
    }
    let samples = Samples::of(5, &run.calls, &run.turns);
    assert_eq!(
        (samples.all_turns.count(), samples.all_turns.infinite()),
        (3, 0)
    );
    assert_eq!(samples.outcomes.missed, 2);
}

#[test]
fn the_verdict_by_table() {
    let ok = || p95("ttfa", 1_500.0);
    let no = || p95("ttfa", 100.0);
    let none = || p95("greeting", 100.0);
    let reason = || vec!["ticks were late".to_owned()];
    let finished = || Ending::Finished;
    let broken = || Ending::Error("the server is gone".into());
    let cases = [
        ("no gates", finished(), vec![], vec![], Status::Passed),
        ("gate holds", finished(), vec![], vec![ok()], Status::Passed),
        (
            "gate does not",
            finished(),
            vec![],
            vec![ok(), no()],
            Status::Failed,
        ),
        (
            "nothing to judge by",
            finished(),
            vec![],
            vec![ok(), none()],
            Status::Invalid,
        ),
        (
            "one undecided, one refuted",
            finished(),
            vec![],
            vec![none(), no()],
            Status::Failed,
        ),
        (
            "unknown metric",
            finished(),
            vec![],
            vec![p95("latency", 1.0)],
            Status::Invalid,
        ),
        (
            "late generator",
            finished(),
            reason(),
            vec![ok()],
            Status::Invalid,
        ),
        (
            "late generator, gate does not hold",
            finished(),
            reason(),
            vec![no()],
            Status::Invalid,
        ),
        (
            "stopped",
            Ending::Stopped,
            vec![],
            vec![ok()],
            Status::Stopped,
        ),
        (
            "stopped and invalid",
            Ending::Stopped,
            reason(),
            vec![no()],
            Status::Stopped,
        ),
        ("broken", broken(), reason(), vec![no()], Status::Error),
    ];
    let mut run = Run::default();
    run.good(3);
    run.calls.iter_mut().for_each(|c| c.greeting_ms = None);
    for (name, ending, invalid, gates, status) in cases {
        let facts = RunFacts {
            invalid,
            ..facts(3, ending)
        };
        let summary = Summary::build(&facts, &run.calls, &run.turns, &gates);
        assert_eq!(summary.verdict.status, status, "{name}");
        assert_eq!(
            summary.verdict.reasons.is_empty(),
            status == Status::Passed,
            "{name}"
        );
        assert_eq!(summary.verdict.gates.len(), gates.len(), "{name}");
    }
}

#[test]
fn runs_that_cannot_be_judged() {
    let absent = || Some(Failure::AgentAbsent { waited: ms(30_000) });
    let mut none = Run::default();
    none.bad(Outcome::Failed, absent())
        .bad(Outcome::Failed, absent());
    let summary = Summary::build(&facts(2, Ending::Finished), &none.calls, &none.turns, &[]);
    assert_eq!(summary.verdict.status, Status::Error);
    assert_eq!(summary.verdict.reasons, ["no call reached an agent"]);

    let mut short = Run::default();
    short.good(2);
    let summary = Summary::build(&facts(5, Ending::Finished), &short.calls, &short.turns, &[]);
    assert_eq!(summary.verdict.status, Status::Invalid);
    assert_eq!(
        summary.verdict.reasons,
        ["3 of 5 planned calls never started"]
    );
    assert_eq!((summary.calls.started, summary.calls.dropped), (2, 3));

    let summary = Summary::build(
        &facts(0, Ending::Finished),
        &[],
        &[],
        &[rate("missed", 0.01)],
    );
    assert_eq!(summary.verdict.status, Status::Invalid);
    assert_eq!(summary.verdict.reasons[0], "no turn was measured");
}

#[test]
fn a_dropped_call_is_not_a_failed_one() {
    let context = CallContext {
        call: 1,
        room: "r",
        variant: "baseline",
        warmup: false,
        planned_start: base() + ms(100),
        started: None,
        ended: None,
    };
    let mut run = Run::default();
    run.good(1);
    run.calls.push(CallRecord::dropped(&context, 3, base()));
    let summary = Summary::build(&facts(2, Ending::Finished), &run.calls, &run.turns, &[]);
    let expected = CallCounts {
        planned: 2,
        started: 1,
        completed: 1,
        failed: 0,
        dropped: 1,
    };
    assert_eq!(summary.calls, expected);
    assert_eq!(summary.outcomes.planned - summary.outcomes.ended(), 3);
}

#[test]
fn failures_are_grouped_the_most_frequent_first() {
    let mut run = Run::default();
    let dropped = |detail: &str| {
        Some(Failure::Dropped {
            detail: detail.into(),
        })
    };
    run.good(1)
        .bad(Outcome::Failed, Some(Failure::AgentLeft))
        .bad(Outcome::Failed, dropped("first"))
        .bad(Outcome::Failed, dropped("second"));
    run.calls.reverse();
    let summary = Summary::build(&facts(4, Ending::Finished), &run.calls, &run.turns, &[]);
    let seen: Vec<_> = summary
        .failures
        .iter()
        .map(|f| (f.cause.as_str(), f.count))
        .collect();
    assert_eq!(seen, [("dropped", 2), ("agent_left", 1)]);
    assert_eq!(
        summary.failures[0].message,
        "the connection was lost (first)"
    );
    assert_eq!(
        summary.failures[0].hint,
        Failure::Dropped {
            detail: String::new()
        }
        .hint()
    );
}

#[test]
fn the_summary_keeps_to_its_schema_and_survives_a_file() {
    let schema = serde_json::to_value(schemars::schema_for!(Summary)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut run = Run::default();
    run.good(30)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Failed, Some(Failure::AgentLeft));
    let gates = [
        p95("ttfa", 1_500.0),
        rate("missed", 0.5),
        p95("nonsense", 1.0),
    ];
    let full = Summary::build(&facts(32, Ending::Finished), &run.calls, &run.turns, &gates);
    let empty = Summary::build(&facts(0, Ending::Stopped), &[], &[], &gates);
    for summary in [full, empty] {
        let json = serde_json::to_value(&summary).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(&json)
            .map(|e| e.to_string())
            .collect();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
    }
    assert!(!validator.is_valid(&serde_json::json!({"version": 1})));
}

proptest! {
    #[test]
    fn ttfa_is_the_sum_of_what_is_printed(wire in 0_u64..20_000_000_000, playout in 0_u64..900_000_000) {
        let result = replied(base(), 0, Duration::from_nanos(wire), Duration::from_nanos(playout));
        let record = TurnRecord::new(&context(None), &result, base());
        // In decimal, as a reader of the file would add them up.
        let printed = |ms: Option<Ms>| ms.unwrap().to_string().replace('.', "").parse::<u64>().unwrap();
        prop_assert_eq!(
            printed(record.ttfa_ms),
            printed(record.ttfa_wire_ms) + printed(record.playout_ms)
        );
        // And within the rounding of its parts of the exact sum.
        let exact = (wire + playout) as f64 / 1e6;
        prop_assert!((record.ttfa_ms.unwrap().as_f64() - exact).abs() <= 1.0001e-3);
    }
}
