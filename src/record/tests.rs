//! Table tests of records and samples; files are tested next to their code.

use super::fixtures::{MODEL, Run, base, ms, replied, turn};
use super::*;
use crate::call::{Confidence, Expect, Failure, Flag, Outcome, TurnResult};
use proptest::prelude::*;
use std::time::Duration;

fn context<'a>(failure: Option<&'a Failure>) -> TurnContext<'a> {
    TurnContext {
        call: 4,
        room: "loadgen-1f2e-4",
        utterance: "order",
        kind: UtteranceKind::Speech,
        variant: "baseline",
        block: None,
        warmup: false,
        playout_model: MODEL,
        failure,
    }
}

#[test]
fn journal_line_of_a_turn() {
    let mut result = replied(
        base(),
        1,
        Duration::from_nanos(612_345_678),
        Duration::from_micros(41_250),
    );
    result.flags = vec![Flag::TouchedByLoss, Flag::LateSend, Flag::LateSend];
    let onset = result.onset.as_mut().unwrap();
    onset.earlier_by_loss = Some(ms(20));
    onset.later_by_loss = Some(ms(15));
    onset.confidence = Confidence::Low;
    let record = TurnRecord::new(&context(None), &result, base());
    insta::assert_snapshot!(serde_json::to_string_pretty(&record).unwrap());
    let back: TurnRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(back, record);
}

#[test]
fn json_of_calls() {
    let mut run = Run::default();
    let absent = Failure::AgentAbsent { waited: ms(30_000) };
    run.good(1).bad(Outcome::Failed, Some(absent));
    insta::assert_snapshot!(serde_json::to_string_pretty(&run.calls).unwrap());
}

#[test]
fn only_failed_turns_have_a_failure_cause() {
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
fn values_that_were_not_measured_are_absent() {
    let mut result = turn(base(), 0, Outcome::Missed);
    result.playout_delay = Some(ms(40));
    let record = TurnRecord::new(&context(None), &result, base());
    assert_eq!(record.ttfa_ms, None, "the sum needs both parts");
    let mut result = replied(base(), 0, ms(400), ms(40));
    result.onset.as_mut().unwrap().snr_db = f32::INFINITY;
    assert_eq!(
        TurnRecord::new(&context(None), &result, base()).snr_db,
        None
    );
}

#[test]
fn names_in_code_match_serialised_names() {
    let mut pairs: Vec<(String, &str)> = Vec::new();
    let json = |v: serde_json::Value| v.as_str().unwrap().to_owned();
    for &f in Flag::ALL {
        pairs.push((json(serde_json::to_value(f).unwrap()), f.name()));
    }
    for o in CallOutcome::ALL {
        pairs.push((json(serde_json::to_value(o).unwrap()), o.name()));
    }
    for &o in Outcome::ALL {
        pairs.push((json(serde_json::to_value(o).unwrap()), o.name()));
    }
    for &e in Expect::ALL {
        pairs.push((json(serde_json::to_value(e).unwrap()), e.name()));
    }
    for t in [Confidence::High, Confidence::Low] {
        pairs.push((json(serde_json::to_value(t).unwrap()), t.name()));
    }
    for (written, name) in pairs {
        assert_eq!(written, name);
    }
}

#[test]
fn missed_and_failed_turns_are_infinite_for_gates() {
    let mut run = Run::default();
    let left = Failure::AgentLeft;
    run.good(3)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, Some(left))
        .stopped();
    run.warmup = true;
    run.good(2).bad(Outcome::Missed, None);
    let samples = Samples::of(21, &run.calls, &run.turns);
    // 10 replied, 3 missed, 3 failed; early, cut-off and warm-up turns are not included.
    assert_eq!(
        (
            samples.measured(Metric::Ttfa).count(),
            samples.measured(Metric::Ttfa).infinite()
        ),
        (10, 0)
    );
    assert_eq!(
        (
            samples.all(Metric::Ttfa).count(),
            samples.all(Metric::Ttfa).infinite()
        ),
        (16, 6)
    );
    assert_eq!(
        (
            samples.measured(Metric::Join).count(),
            samples.all(Metric::Join).infinite()
        ),
        (6, 1)
    );
    let expected = TurnCounts {
        planned: 21,
        replied: 10,
        missed: 3,
        early: 3,
        failed: 3,
        cut_off: 1,
        not_run: 1,
        skipped: 0,
    };
    assert_eq!(samples.outcomes, expected);
}

/// If a defect in loadgen ends a call, the collector closes the call like this, without a join
/// time.
#[test]
fn a_call_with_replied_turns_has_no_infinite_join() {
    for (replied, infinite) in [(0, 1), (1, 0)] {
        let mut run = Run::default();
        let detail = "the server closed the connection".into();
        run.bad(Outcome::Failed, Some(Failure::Dropped { detail }));
        run.calls[0].turns.replied = replied;
        let samples = Samples::of(3, &run.calls, &run.turns);
        let joins = [samples.all(Metric::Join), samples.all(Metric::AgentAudible)];
        assert_eq!(joins.map(|d| d.infinite()), [infinite; 2], "{replied}");
        assert_eq!(joins.map(|d| d.count()), [infinite; 2], "{replied}");
    }
}

#[test]
fn only_turns_that_expect_a_reply_have_a_ttfa() {
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
        (
            samples.all(Metric::Ttfa).count(),
            samples.all(Metric::Ttfa).infinite()
        ),
        (3, 0)
    );
    assert_eq!(samples.outcomes.missed, 2);
}

proptest! {
    #[test]
    fn printed_ttfa_is_the_sum_of_its_printed_parts(wire in 0_u64..20_000_000_000, playout in 0_u64..900_000_000) {
        let result = replied(base(), 0, Duration::from_nanos(wire), Duration::from_nanos(playout));
        let record = TurnRecord::new(&context(None), &result, base());
        // In decimal, as a reader of the file would add them up.
        let printed = |ms: Option<Ms>| ms.unwrap().to_string().replace('.', "").parse::<u64>().unwrap();
        prop_assert_eq!(
            printed(record.ttfa_ms),
            printed(record.ttfa_wire_ms) + printed(record.playout_ms)
        );
        // The printed sum differs from the exact sum by no more than the rounding of its parts.
        let exact = (wire + playout) as f64 / 1e6;
        prop_assert!((record.ttfa_ms.unwrap().as_f64() - exact).abs() <= 1.0001e-3);
    }
}
