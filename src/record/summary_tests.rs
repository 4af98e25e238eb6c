//! Table tests of the summary and its verdict.

use super::fixtures::{Run, base, facts, ms};
use super::*;
use crate::call::{Failure, Outcome};
use crate::stats::{Aggregate, Decider, Gate, Inequality};

fn threshold(metric: &str, expression: &str, aggregate: Aggregate, bound: f64) -> Threshold {
    let gate = Gate {
        aggregate,
        comparison: Inequality::Lt,
        bound,
    };
    Threshold::new(metric, expression, gate)
}

fn p95(metric: &str, bound: f64) -> Threshold {
    threshold(
        metric,
        &format!("p(95)<{bound}ms"),
        Aggregate::Quantile(0.95),
        bound,
    )
}

fn p99(metric: &str, bound: f64) -> Threshold {
    let expression = format!("p(99)<{bound}ms");
    threshold(metric, &expression, Aggregate::Quantile(0.99), bound)
}

fn rate(metric: &str, bound: f64) -> Threshold {
    threshold(metric, &format!("rate<{bound}"), Aggregate::Rate, bound)
}

#[test]
fn the_verdict_depends_on_ending_doubts_and_gates() {
    let ok = || p95("ttfa", 1_500.0);
    let no = || p95("ttfa", 100.0);
    let none = || p95("greeting", 100.0);
    let reason = || vec!["ticks were late".to_owned()];
    let finished = || Ending::Finished;
    let broken = || Ending::Error("the server is gone".into());
    let cases = [
        ("no gates", finished(), vec![], vec![], Status::Unasked),
        ("gate holds", finished(), vec![], vec![ok()], Status::Passed),
        (
            "gate does not hold",
            finished(),
            vec![],
            vec![ok(), no()],
            Status::Failed,
        ),
        (
            "nothing to judge",
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
        (
            "too few for the bound, and it is not refuted",
            finished(),
            vec![],
            vec![p99("ttfa", 1_500.0)],
            Status::Invalid,
        ),
        (
            "holds weakly",
            finished(),
            vec![],
            vec![threshold("ttfa", "avg<1s", Aggregate::Mean, 1_000.0)],
            Status::Passed,
        ),
        (
            "calls missing, gate holds",
            finished(),
            vec![],
            vec![ok()],
            Status::Invalid,
        ),
        (
            "calls missing, gate refuted anyway",
            finished(),
            vec![],
            vec![ok(), no()],
            Status::Failed,
        ),
        (
            "ended by a gate",
            Ending::Aborted("ttfa p(95)<100ms".into()),
            vec![],
            vec![no()],
            Status::Failed,
        ),
        (
            "ended by a gate that holds after its last turns",
            Ending::Aborted("ttfa p(95)<1500ms".into()),
            vec![],
            vec![ok()],
            Status::Failed,
        ),
    ];
    let mut run = Run::default();
    run.good(60);
    run.calls.iter_mut().for_each(|c| c.greeting_ms = None);
    for (name, ending, invalid, gates, status) in cases {
        let planned = if name.starts_with("calls missing") {
            70
        } else {
            60
        };
        let facts = RunFacts {
            invalid,
            ..facts(planned, ending)
        };
        let summary = Summary::build(&facts, &run.calls, &run.turns, &gates);
        assert_eq!(summary.verdict.status, status, "{name}");
        assert_eq!(
            summary.verdict.reasons.is_empty(),
            status == Status::Passed,
            "{name}"
        );
        assert_eq!(summary.verdict.gates.len(), gates.len(), "{name}");
        // Such a run may not become a baseline, whatever its gates say.
        let doubted =
            name.starts_with("calls missing")
                || name.starts_with("ended by a gate")
                || summary.verdict.reasons.iter().any(|r| {
                    !r.starts_with("gate ") && !r.starts_with("there is nothing to judge")
                });
        let against = summary.verdict.against_the_run();
        assert_eq!(against.is_some(), doubted, "{name}: {against:?}");
    }
}

#[test]
fn runs_without_enough_calls_are_invalid_or_errors() {
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
fn a_dropped_call_is_not_counted_as_failed() {
    let context = CallContext {
        call: 1,
        room: "r",
        variant: "baseline",
        block: None,
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
        dropped: 1,
        ..CallCounts::default()
    };
    assert_eq!(summary.calls, expected);
    assert_eq!(summary.outcomes.planned - summary.outcomes.ended(), 3);
}

#[test]
fn failures_are_grouped_with_the_most_frequent_first() {
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
fn the_summary_matches_its_schema_and_round_trips() {
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

#[test]
fn steady_figures_cover_turns_that_began_after_the_ramp() {
    let mut run = Run::default();
    run.good(60);
    // The first turns, two to eight seconds into the run, are slow.
    let slow = |t: &&mut TurnRecord| t.turn == 0;
    for turn in run.turns.iter_mut().filter(slow) {
        turn.ttfa_ms = turn.ttfa_ms.map(|ms| ms + Ms::from_micros(5_000_000));
    }
    let steady = Threshold {
        on: GateOn::Steady,
        ..p95("ttfa", 1_500.0)
    };
    let gates = [p95("ttfa", 1_500.0), steady];
    let spans = vec![SteadySpan {
        from_ms: Ms::from_micros(10_000_000),
        until_ms: None,
    }];
    for (name, steady, answers, count) in [
        (
            "ramp",
            spans,
            [GateAnswer::Fail, GateAnswer::Pass],
            Some(120),
        ),
        ("none", vec![], [GateAnswer::Fail, GateAnswer::Fail], None),
    ] {
        let facts = RunFacts {
            steady,
            ..facts(60, Ending::Finished)
        };
        let summary = Summary::build(&facts, &run.calls, &run.turns, &gates);
        let got: Vec<_> = summary
            .verdict
            .gates
            .iter()
            .map(GateResult::answer)
            .collect();
        assert_eq!(got, answers, "{name}");
        let found = summary.steady.as_ref().map(|s| s.metrics.all_turns.count);
        assert_eq!(found, count, "{name}");
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json.get("steady").is_some(), count.is_some(), "{name}");
    }
}

/// The wording of gates, answer by answer.
#[test]
fn gate_wording() {
    let mut some = Run::default();
    some.good(5);
    let mut many = Run::default();
    many.good(200);
    let mut mixed = Run::default();
    mixed.good(60).bad(Outcome::Missed, None);
    let mut missed = Run::default();
    missed.bad(Outcome::Missed, None).bad(Outcome::Missed, None);
    let filtered = Threshold {
        variant: Some("fast".into()),
        on: GateOn::Steady,
        ..p95("ttfa", 700.0)
    };
    let max = threshold("ttfa", "max<1s", Aggregate::Max, 1_000.0);
    let avg = threshold("join", "avg<100ms", Aggregate::Mean, 100.0);
    let upper = Threshold {
        decider: Decider::Upper,
        ..p95("ttfa", 690.0)
    };
    let mut said = String::new();
    for (run, gate) in [
        (&many, p95("ttfa", 1_500.0)),
        (&many, p99("ttfa", 1_500.0)),
        (&many, p95("ttfa", 690.0)),
        (&many, upper),
        (&many, p95("ttfa", 680.0)),
        (&many, p95("ttfa", 500.0)),
        (&many, p95("agent_audible", 1_500.0)),
        (&some, p95("ttfa", 1_500.0)),
        (&some, p95("ttfa", 100.0)),
        (&some, max.clone()),
        (&some, avg),
        (&some, rate("missed", 0.01)),
        (&many, rate("missed", 0.01)),
        (&mixed, p95("ttfa", 1_500.0)),
        (&mixed, rate("missed", 0.01)),
        (&missed, p95("ttfa", 1_500.0)),
        (&missed, max),
        (&missed, rate("missed", 0.0)),
        (&missed, p95("stop", 1_500.0)),
        (&missed, p95("latency", 1_500.0)),
        (&many, filtered),
    ] {
        let facts = facts(run.calls.len(), Ending::Finished);
        let summary = Summary::build(&facts, &run.calls, &run.turns, &[gate]);
        let gate = &summary.verdict.gates[0];
        said += &format!(
            "{}: {}\n    {}\n",
            gate.name(),
            serde_json::to_value(gate.answer())
                .unwrap()
                .as_str()
                .unwrap(),
            gate.words
        );
    }
    insta::assert_snapshot!(said);
}
