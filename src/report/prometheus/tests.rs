//! Scrapes of synthetic runs.

use super::*;
use crate::record::fixtures::{self, Failure, Outcome, base, ms};
use crate::record::{TurnContext, TurnRecord};

fn turn(index: usize, variant: &str, outcome: Outcome, warmup: bool) -> TurnRecord {
    let context = TurnContext {
        call: 0,
        room: "r",
        utterance: "u",
        kind: crate::vocab::UtteranceKind::Speech,
        variant,
        block: None,
        warmup,
        playout_model: fixtures::MODEL,
        failure: None,
    };
    let result = match outcome {
        Outcome::Replied => fixtures::replied(base(), index, ms(420), ms(40)),
        other => fixtures::turn(base(), index, other),
    };
    TurnRecord::new(&context, &result, base())
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix(series))?;
    line.trim().parse().ok()
}

#[test]
fn every_series_exists_before_the_first_call() {
    let metrics = PrometheusMetrics::new("s", "embedded", "0.1.0", &["a", "b"]);
    let text = metrics.text();
    for series in [
        "loadgen_ttfa_seconds_count{variant=\"b\"}",
        "loadgen_ttfa_wire_seconds_bucket{le=\"+Inf\",variant=\"a\"}",
        "loadgen_turns_total{variant=\"a\",outcome=\"missed\"}",
        "loadgen_calls{variant=\"a\",state=\"awaiting_reply\"}",
        "loadgen_calls_offered_total{variant=\"b\"}",
        "loadgen_tick_lateness_seconds{quantile=\"0.99\"}",
        "loadgen_signalling_lateness_seconds{quantile=\"0.99\"}",
        "loadgen_own_drops_total",
    ] {
        assert_eq!(value(&text, series), Some(0.0), "{series} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn only_measured_turns_and_calls_are_counted() {
    let metrics = PrometheusMetrics::new("s", "embedded", "0.1.0", &["a"]);
    metrics.turn_ended(&turn(0, "a", Outcome::Replied, false));
    metrics.turn_ended(&turn(1, "a", Outcome::Replied, true));
    metrics.turn_ended(&turn(2, "a", Outcome::Missed, false));
    let mut run = fixtures::Run::default();
    run.good(1).bad(Outcome::Failed, Some(Failure::AgentLeft));
    for call in &run.calls {
        let call = CallRecord {
            variant: "a".into(),
            ..call.clone()
        };
        metrics.call_offered(&call.variant, true);
        metrics.call_ended(&call);
    }
    metrics.call_offered("a", false);
    metrics.call_moves("a", None, Some(CallState::Joining));
    metrics.call_moves("a", Some(CallState::Joining), Some(CallState::Speaking));
    metrics.health(&GeneratorHealth {
        tick_lateness: [ms(1), ms(2), ms(30)],
        signalling_lateness: [ms(4), ms(5), ms(60)],
        own_drops: 3,
        unauthenticated: 4,
        repeated: 5,
        behind: 6,
        lost_upstream: 7,
        events_lost: 8,
        cpu: ms(1_500),
        ..GeneratorHealth::default()
    });
    let text = metrics.text();
    for (series, expected) in [
        ("loadgen_ttfa_seconds_count{variant=\"a\"}", 1.0),
        ("loadgen_ttfa_seconds_sum{variant=\"a\"}", 0.46),
        (
            "loadgen_ttfa_seconds_bucket{le=\"0.45\",variant=\"a\"}",
            0.0,
        ),
        ("loadgen_ttfa_seconds_bucket{le=\"0.5\",variant=\"a\"}", 1.0),
        (
            "loadgen_ttfa_wire_seconds_bucket{le=\"0.45\",variant=\"a\"}",
            1.0,
        ),
        (
            "loadgen_turns_total{variant=\"a\",outcome=\"replied\"}",
            1.0,
        ),
        ("loadgen_turns_total{variant=\"a\",outcome=\"missed\"}", 1.0),
        ("loadgen_calls_offered_total{variant=\"a\"}", 3.0),
        ("loadgen_calls_started_total{variant=\"a\"}", 2.0),
        ("loadgen_calls_dropped_total{variant=\"a\"}", 1.0),
        ("loadgen_calls_completed_total{variant=\"a\"}", 1.0),
        (
            "loadgen_calls_failed_total{variant=\"a\",cause=\"agent_left\"}",
            1.0,
        ),
        ("loadgen_calls{variant=\"a\",state=\"joining\"}", 0.0),
        ("loadgen_calls{variant=\"a\",state=\"speaking\"}", 1.0),
        ("loadgen_tick_lateness_seconds{quantile=\"1\"}", 0.03),
        ("loadgen_own_drops_total", 3.0),
        (
            "loadgen_signalling_lateness_seconds{quantile=\"0.5\"}",
            0.004,
        ),
        ("loadgen_packets_unauthenticated_total", 4.0),
        ("loadgen_packets_repeated_total", 5.0),
        ("loadgen_packets_behind_total", 6.0),
        ("loadgen_packets_lost_upstream_total", 7.0),
        ("loadgen_events_lost_total", 8.0),
        ("process_cpu_seconds_total", 1.5),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
}

/// A scenario with very many variants, one of whose names contains a quote and a line break.
#[test]
fn labels_are_bounded_and_escaped() {
    let hostile = "x\"} 1\nloadgen_own_drops_total 99\\";
    let mut names: Vec<String> = (0..300).map(|i| format!("v{i}")).collect();
    names[0] = hostile.into();
    names[1] = "long".repeat(1_000);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let metrics = PrometheusMetrics::new(hostile, hostile, "0.1.0", &names);
    for name in &names {
        metrics.turn_ended(&turn(0, name, Outcome::Replied, false));
        metrics.call_moves(name, None, Some(CallState::Joining));
    }
    let text = metrics.text();
    let counts = text
        .lines()
        .filter(|l| l.starts_with("loadgen_ttfa_seconds_count"));
    assert_eq!(counts.count(), VARIANTS + 1);
    let other = value(&text, "loadgen_ttfa_seconds_count{variant=\"other\"}");
    assert_eq!(other, Some((300 - VARIANTS) as f64));
    assert_eq!(value(&text, "loadgen_own_drops_total"), Some(0.0));
    let own_drops = text
        .lines()
        .filter(|l| l.starts_with("loadgen_own_drops_total"));
    assert_eq!(own_drops.count(), 1);
    assert!(text.lines().all(|l| l.len() < 500));
}
