//! Spans of synthetic calls and turns.

use super::*;
use crate::record::fixtures::{self, Failure, Outcome, base, recorded as turn};
use crate::record::{AgentAccount, Expect, PathStep};
use std::collections::HashSet;

fn origin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn spans() -> Spans {
    Spans::new(origin(), 0x0123_4567_89ab_cdef_0011_2233_4455_6677)
}

/// Name, start and end of each span, in milliseconds from the origin.
fn times(spans: &[SpanData]) -> Vec<(&str, f64, f64)> {
    let since = |at: SystemTime| at.duration_since(origin()).unwrap().as_secs_f64() * 1e3;
    let of = |s: &SpanData| (since(s.start_time), since(s.end_time));
    let rounded = |ms: f64| (ms * 1e3).round() / 1e3;
    spans
        .iter()
        .map(|s| (s.name.as_ref(), rounded(of(s).0), rounded(of(s).1)))
        .collect()
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn spans_of_a_turn_are_contiguous() {
    let result = fixtures::replied(base(), 0, millis(420), millis(40));
    let all = spans().turn(&turn(7, &result, None), Ms::from(millis(9_000)));
    assert_eq!(
        times(&all),
        [
            ("turn", 2_000.04, 6_960.04),
            ("speech", 2_000.04, 5_000.04),
            ("wait to onset", 5_000.04, 5_420.04),
            ("playout", 5_420.04, 5_460.04),
            ("reply", 5_460.04, 6_960.04),
        ]
    );
    let own = &all[0];
    assert_eq!(own.status, Status::Unset);
    for part in &all[1..] {
        assert_eq!(part.parent_span_id, own.span_context.span_id());
        assert_eq!(part.span_context.trace_id(), own.span_context.trace_id());
    }
    let has = |name: &str, value: Value| {
        let found = own.attributes.iter().find(|a| a.key.as_str() == name);
        assert_eq!(found.map(|a| &a.value), Some(&value), "{name}");
    };
    has("loadgen.ttfa_ms", 460.0.into());
    has("loadgen.outcome", "replied".into());
    has("loadgen.variant", "v".into());
}

#[test]
fn parts_that_were_not_measured_have_no_span() {
    let now = Ms::from(millis(15_500));
    let missed = fixtures::turn(base(), 0, Outcome::Missed);
    let all = spans().turn(&turn(0, &missed, None), now);
    let expected = [
        ("turn", 2_000.04, 15_500.0),
        ("speech", 2_000.04, 5_000.04),
        ("wait to onset", 5_000.04, 15_500.0),
    ];
    assert_eq!(times(&all), expected);
    assert_eq!(all[0].status, Status::error("missed"));

    let never = fixtures::turn(base(), 0, Outcome::Failed);
    let never = turn(0, &never, Some(&Failure::AgentLeft));
    assert!(spans().turn(&never, now).is_empty());
}

#[test]
fn a_call_is_the_parent_of_its_turns() {
    let mut run = fixtures::Run::default();
    run.good(1).bad(Outcome::Failed, Some(Failure::AgentLeft));
    let spans = spans();
    let call = spans.call(&run.calls[0]);
    assert_eq!(call[0].parent_span_id, SpanId::INVALID);
    assert_eq!(call[0].name, "call");
    let turn = &spans.turn(&run.turns[0], Ms::default())[0];
    assert_eq!(turn.parent_span_id, call[0].span_context.span_id());
    assert_eq!(
        turn.span_context.trace_id(),
        call[0].span_context.trace_id()
    );
    let failed = spans.call(&run.calls[1]);
    assert_eq!(failed[0].status, Status::error("the agent left the call"));
    let dropped = CallRecord {
        started_ms: None,
        ended_ms: None,
        ..run.calls[0].clone()
    };
    assert!(spans.call(&dropped).is_empty());
}

#[test]
fn span_ids_are_unique() {
    let spans = spans();
    let mut ids = HashSet::new();
    let mut traces = HashSet::new();
    for call in 0..300 {
        traces.insert(spans.trace(call));
        ids.extend([Part::Call, Part::Join].map(|p| spans.id(call, p)));
        for turn in 0..20 {
            let parts = [Part::Turn(turn), Part::Speech(turn), Part::Wait(turn)];
            ids.extend(parts.map(|p| spans.id(call, p)));
            ids.extend([Part::Playout(turn), Part::Reply(turn)].map(|p| spans.id(call, p)));
        }
    }
    assert_eq!((traces.len(), ids.len()), (300, 300 * 102));
    assert!(!ids.contains(&SpanId::INVALID));
}

#[test]
fn steps_of_the_critical_path_follow_one_another() {
    let result = fixtures::replied(base(), 0, millis(420), millis(40));
    let mut turn = turn(7, &result, None);
    assert!(
        spans().account(&turn).is_empty(),
        "no agent reports anything"
    );
    let step = |step, ms: i64| PathStep {
        step,
        ms: Ms::from_micros(ms * 1_000),
    };
    let path = vec![
        step(Step::LateEnd, -10),
        step(Step::EndOfTurn, 200),
        step(Step::Llm, 150),
        step(Step::Delivery, 80),
        step(Step::Playout, 40),
    ];
    turn.agent = Some(AgentAccount {
        path,
        ..AgentAccount::default()
    });
    let all = spans().account(&turn);
    assert_eq!(
        times(&all),
        [
            ("account", 4_990.04, 5_460.04),
            // The agent places the end of speech 10 ms too early.
            ("end of speech noticed late", 5_000.04, 5_000.04),
            ("end of turn", 4_990.04, 5_190.04),
            ("LLM", 5_190.04, 5_340.04),
            ("delivery", 5_340.04, 5_420.04),
            ("playout", 5_420.04, 5_460.04),
        ]
    );
    let result = spans().turn(&turn, Ms::from(millis(9_000)));
    assert_eq!(all[0].parent_span_id, result[0].span_context.span_id());
    let ids: HashSet<_> = all.iter().map(|s| s.span_context.span_id()).collect();
    assert_eq!(ids.len(), all.len());
    for step in &all[1..] {
        assert_eq!(step.parent_span_id, all[0].span_context.span_id());
    }
}

#[test]
fn a_text_turn_has_a_wait_to_the_first_token_and_a_reply() {
    let result = fixtures::replied(base(), 0, millis(420), millis(40));
    let mut turn = turn(7, &result, None);
    let sent = turn.speech_end_ms;
    turn.expect = Expect::RespondText;
    turn.started_ms = sent;
    (turn.text_ttft_ms, turn.text_reply_ms) = (Some(millis(300).into()), Some(millis(900).into()));
    turn.reply_end_ms = None;
    let all = spans().turn(&turn, Ms::from(millis(9_000)));
    assert_eq!(
        times(&all),
        [
            ("turn", 5_000.04, 5_900.04),
            ("wait to first token", 5_000.04, 5_300.04),
            ("reply", 5_300.04, 5_900.04),
        ]
    );
}
