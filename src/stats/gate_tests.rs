//! Tests of gates: tables with every answer and its basis.

use super::super::Sample;
use super::Aggregate::{Max, Mean, Min, Quantile, Rate};
use super::Answer::{Fail, Pass, Undecided, WeakFail, WeakPass};
use super::Inequality::{Ge, Gt, Le, Lt};
use super::*;
use std::time::Duration;

fn gate(aggregate: Aggregate, comparison: Inequality, bound: f64) -> Gate {
    Gate {
        aggregate,
        comparison,
        bound,
    }
}

/// `n` latencies of 1, 2, …, n ms, each from a different call.
fn up_to(n: u64) -> Distribution {
    (1..=n).map(Duration::from_millis).collect()
}

/// `calls` calls of `turns` turns each: `late` of the calls reply late in all their turns (900 ms),
/// the others in time (100 ms).
fn calls(calls: usize, turns: usize, late: usize) -> Distribution {
    let ms = |call| if call < late { 900 } else { 100 };
    let turn = |i: usize| (i / turns, Duration::from_millis(ms(i / turns)));
    Distribution::in_groups((0..calls * turns).map(turn))
}

fn share(hits: usize, total: usize) -> Proportion {
    (0..total).map(|i| (i, i < hits)).collect()
}

#[test]
#[rustfmt::skip]
fn quantile_gates_are_judged() {
    let p95 = |bound| gate(Quantile(0.95), Lt, bound);
    let never: Distribution = [Sample::Infinite; 6].into_iter().collect();
    let late = |late: usize, of: usize| -> Distribution {
        let ms = |i| Duration::from_millis(if i < late { 900 } else { 100 });
        (0..of).map(ms).collect()
    };
    // The p95 of 1..=1,000 has the interval [937, 964]; of 1..=59 [50, 59].
    let cases = [
        ("clear of the bound", up_to(1_000), p95(965.0), Pass, Basis::Interval),
        ("the upper end is the bound", up_to(1_000), p95(964.0), WeakPass, Basis::Interval),
        ("within, met", up_to(1_000), p95(951.0), WeakPass, Basis::Interval),
        ("within, not met", up_to(1_000), p95(950.0), WeakFail, Basis::Interval),
        ("at the estimate, not strict", up_to(1_000), gate(Quantile(0.95), Le, 950.0), WeakPass, Basis::Interval),
        ("beyond", up_to(1_000), p95(900.0), Fail, Basis::Refuted),
        ("59 are enough", up_to(59), p95(60.0), Pass, Basis::Interval),
        ("58 are not", up_to(58), p95(60.0), Undecided, Basis::TooFew(59)),
        ("298 for a p99", up_to(298), gate(Quantile(0.99), Lt, 300.0), Undecided, Basis::TooFew(299)),
        ("299 for a p99", up_to(299), gate(Quantile(0.99), Lt, 300.0), Pass, Basis::Interval),
        ("six of six late", late(6, 6), p95(500.0), Fail, Basis::Refuted),
        ("two of six late", late(2, 6), p95(500.0), Fail, Basis::Refuted),
        ("one of six late", late(1, 6), p95(500.0), Undecided, Basis::TooFew(59)),
        ("none of six late", late(0, 6), p95(500.0), Undecided, Basis::TooFew(59)),
        ("six infinite", never.clone(), p95(1e9), Fail, Basis::Refuted),
        ("a median of six", up_to(6), gate(Quantile(0.5), Lt, 7.0), Pass, Basis::Interval),
        ("a median of five", up_to(5), gate(Quantile(0.5), Lt, 7.0), Undecided, Basis::TooFew(6)),
        ("from below, clear", up_to(1_000), gate(Quantile(0.95), Gt, 900.0), Pass, Basis::Interval),
        ("from below, within", up_to(1_000), gate(Quantile(0.95), Ge, 950.0), WeakPass, Basis::Interval),
        ("from below, within, not met", up_to(1_000), gate(Quantile(0.95), Ge, 951.0), WeakFail, Basis::Interval),
        ("from below, refuted", up_to(1_000), gate(Quantile(0.95), Gt, 990.0), Fail, Basis::Refuted),
        ("a hundred calls", calls(100, 4, 0), p95(500.0), Pass, Basis::Interval),
        ("one call, however many turns", calls(1, 100, 0), p95(50.0), Fail, Basis::Refuted),
        ("no samples", Distribution::default(), p95(1.0), Undecided, Basis::Empty),
        ("p(195)", up_to(9), gate(Quantile(1.95), Lt, 1.0), Undecided, Basis::Malformed),
        ("the bound is NaN", up_to(9), p95(f64::NAN), Undecided, Basis::Malformed),
        ("rate of latencies", up_to(9), gate(Rate, Lt, 1.0), Undecided, Basis::NotApplicable),
    ];
    for (name, samples, gate, answer, basis) in cases {
        let seen = gate.judge(&Population::Latencies(samples), Decider::Estimate);
        assert_eq!(
            (seen.answer, seen.basis),
            (answer, basis),
            "{name}: {seen:?}"
        );
    }
}

#[test]
fn correlated_turns_reduce_the_effective_sample_size() {
    // Three of sixty calls late in all of their ten turns: 30 of 600 turns beyond the bound, with
    // an effective sample size of 60.
    let gate = gate(Quantile(0.95), Lt, 500.0);
    let alike = gate.judge(&Population::Latencies(calls(60, 10, 3)), Decider::Estimate);
    let apart = gate.judge(&Population::Latencies(calls(600, 1, 30)), Decider::Estimate);
    assert_eq!((alike.n, apart.n), (600, 600));
    assert!(alike.n_eff < 65.0, "{alike:?}");
    assert!((apart.n_eff - 600.0).abs() < 1e-6, "{apart:?}");
    // Six of sixty calls late: the same share of independent turns refutes the gate outright.
    let alike = gate.judge(&Population::Latencies(calls(60, 10, 6)), Decider::Estimate);
    let apart = gate.judge(&Population::Latencies(calls(600, 1, 60)), Decider::Estimate);
    assert_eq!(apart.answer, Fail);
    assert!(matches!(alike.answer, WeakFail | Undecided), "{alike:?}");
}

#[test]
fn decider_upper_judges_by_the_worse_end_of_the_interval() {
    for (name, bound, estimate, upper) in [
        ("clear", 965.0, Pass, Pass),
        ("within, met", 951.0, WeakPass, WeakFail),
        ("within, not met", 950.0, WeakFail, WeakFail),
        ("beyond", 900.0, Fail, Fail),
    ] {
        let gate = gate(Quantile(0.95), Lt, bound);
        let population = Population::Latencies(up_to(1_000));
        assert_eq!(
            gate.judge(&population, Decider::Estimate).answer,
            estimate,
            "{name}"
        );
        assert_eq!(
            gate.judge(&population, Decider::Upper).answer,
            upper,
            "{name}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn extremes_and_means_are_judged_without_an_interval() {
    let finite = up_to(10);
    let missing: Distribution = [Sample::Finite(Duration::from_millis(1)), Sample::Infinite]
        .into_iter()
        .collect();
    for (name, samples, gate, answer, basis) in [
        ("max", &finite, gate(Max, Lt, 11.0), Pass, Basis::Samples),
        ("max not met", &finite, gate(Max, Lt, 10.0), Fail, Basis::Samples),
        ("p(100)", &finite, gate(Quantile(1.0), Le, 10.0), Pass, Basis::Samples),
        ("min", &finite, gate(Min, Ge, 1.0), Pass, Basis::Samples),
        ("min not met", &finite, gate(Min, Gt, 1.0), Fail, Basis::Samples),
        ("max with an infinite sample", &missing, gate(Max, Lt, 1e9), Fail, Basis::Samples),
        ("mean", &finite, gate(Mean, Lt, 5.6), WeakPass, Basis::Estimate),
        ("mean not met", &finite, gate(Mean, Lt, 5.5), WeakFail, Basis::Estimate),
        ("mean with an infinite sample", &missing, gate(Mean, Lt, 1e9), Fail, Basis::Estimate),
        ("max of no samples", &Distribution::default(), gate(Max, Lt, 1.0), Undecided, Basis::Empty),
    ] {
        let seen = gate.judge(&Population::Latencies(samples.clone()), Decider::Estimate);
        assert_eq!(
            (seen.answer, seen.basis),
            (answer, basis),
            "{name}: {seen:?}"
        );
        assert_eq!(seen.interval, None, "{name}");
    }
}

#[test]
#[rustfmt::skip]
fn share_gates_are_judged() {
    for (name, hits, total, comparison, bound, answer, basis) in [
        ("none of 299", 0, 299, Lt, 0.01, Pass, Basis::Interval),
        ("none of 298", 0, 298, Lt, 0.01, Undecided, Basis::TooFew(299)),
        ("one of 298", 1, 298, Lt, 0.01, Undecided, Basis::TooFew(299)),
        ("one of 299", 1, 299, Lt, 0.01, WeakPass, Basis::Interval),
        ("three of 300, strict", 3, 300, Lt, 0.01, WeakFail, Basis::Interval),
        ("three of 300, not strict", 3, 300, Le, 0.01, WeakPass, Basis::Interval),
        ("eight of 300", 8, 300, Lt, 0.01, Fail, Basis::Refuted),
        ("two of 6", 2, 6, Lt, 0.01, Fail, Basis::Refuted),
        ("few of many", 20, 10_000, Lt, 0.01, Pass, Basis::Interval),
        ("all of 300 must be 99 %", 300, 300, Gt, 0.99, Pass, Basis::Interval),
        ("297 of 300 must be 99 %", 297, 300, Ge, 0.99, WeakPass, Basis::Interval),
        ("280 of 300 must be 99 %", 280, 300, Ge, 0.99, Fail, Basis::Refuted),
        ("none at all, of 15", 0, 15, Le, 0.0, Pass, Basis::Samples),
        ("one where none is allowed", 1, 15, Le, 0.0, Fail, Basis::Samples),
        ("all of 15", 15, 15, Ge, 1.0, Pass, Basis::Samples),
        ("not all of 15", 14, 15, Ge, 1.0, Fail, Basis::Samples),
        ("fewer than all", 3, 15, Lt, 1.0, Pass, Basis::Interval),
        ("fewer than none", 0, 15, Lt, 0.0, Fail, Basis::Interval),
        ("no samples", 0, 0, Lt, 0.01, Undecided, Basis::Empty),
    ] {
        let population = Population::Share(share(hits, total));
        let seen = gate(Rate, comparison, bound).judge(&population, Decider::Estimate);
        assert_eq!(
            (seen.answer, seen.basis),
            (answer, basis),
            "{name}: {seen:?}"
        );
    }
    let quantile = gate(Quantile(0.95), Lt, 1.0);
    let seen = quantile.judge(&Population::Share(share(1, 2)), Decider::Estimate);
    assert_eq!(seen.basis, Basis::NotApplicable);
}

#[test]
#[rustfmt::skip]
fn only_clear_refutations_end_a_run_early() {
    let latencies = |d: Distribution| Population::Latencies(d);
    for (name, population, gate, refuted) in [
        ("a p95 far off", latencies(up_to(100)), gate(Quantile(0.95), Lt, 50.0), true),
        ("a p95 a little off", latencies(up_to(100)), gate(Quantile(0.95), Lt, 94.0), false),
        ("two of two late", latencies(up_to(2)), gate(Quantile(0.95), Lt, 0.5), false),
        ("three of three late", latencies(up_to(3)), gate(Quantile(0.95), Lt, 0.5), true),
        ("one past a maximum", latencies(up_to(3)), gate(Max, Lt, 3.0), true),
        ("a maximum that can still grow", latencies(up_to(3)), gate(Max, Gt, 5.0), false),
        ("one below a minimum", latencies(up_to(3)), gate(Min, Gt, 1.0), true),
        ("a mean", latencies(up_to(3)), gate(Mean, Lt, 0.1), false),
        ("half of them missed", Population::Share(share(5, 10)), gate(Rate, Lt, 0.01), true),
        ("one of a hundred missed", Population::Share(share(1, 100)), gate(Rate, Lt, 0.01), false),
        ("one where none is allowed", Population::Share(share(1, 100)), gate(Rate, Le, 0.0), true),
        ("no samples yet", latencies(Distribution::default()), gate(Max, Lt, 3.0), false),
        ("no share yet", Population::Share(share(0, 0)), gate(Rate, Le, 0.0), false),
    ] {
        assert_eq!(gate.is_refuted(&population, 0.999), refuted, "{name}");
    }
}
