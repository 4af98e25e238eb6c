//! Tests of comparisons: inputs that lead to each verdict, in tables.

use super::*;
use crate::stats::Sample;
use std::time::Duration;

/// `calls` calls of `turns` turns, latencies in ms by call and turn.
fn latencies(calls: usize, turns: usize, ms: impl Fn(usize, usize) -> f64) -> Vec<Series> {
    let at = |call, turn| {
        let ms = ms(call, turn);
        let sample = match ms.is_finite() {
            true => Sample::Finite(Duration::from_secs_f64(ms / 1e3)),
            false => Sample::Infinite,
        };
        (SampleOrigin { call, block: None }, sample)
    };
    let values = (0..calls).flat_map(|c| (0..turns).map(move |t| (c, t)));
    vec![Series {
        metric: "ttfa".to_owned(),
        values: Values::Latencies(values.map(|(c, t)| at(c, t)).collect()),
        more_is_better: false,
    }]
}

/// `of` calls with one turn each, of which the first `hits` are hits.
fn rate(metric: &str, hits: usize, of: usize, more_is_better: bool) -> Vec<Series> {
    let hit = |call| (SampleOrigin { call, block: None }, call < hits);
    vec![Series {
        metric: metric.to_owned(),
        values: Values::Hits((0..of).map(hit).collect()),
        more_is_better,
    }]
}

/// Spread evenly over 600 ± 100 ms, in an order that does not depend on the calls.
fn around(call: usize, turn: usize) -> f64 {
    500.0 + ((call * 37 + turn * 101) % 200) as f64
}

fn only(baseline: &[Series], candidate: Vec<Series>) -> Comparison {
    let mut found = compare(baseline, &[candidate], &CompareSettings::default());
    found.remove(0).remove(0)
}

#[test]
fn latency_changes_are_classified() {
    use Change::{Improved, Inconclusive, Regressed, Unchanged};
    let never = f64::INFINITY;
    let base = latencies(60, 10, around);
    let gone = latencies(60, 10, |c, t| if t % 2 == 0 { never } else { around(c, t) });
    // Expected verdicts: p50, p95, both together.
    let cases = [
        (
            "the same",
            &base,
            base.clone(),
            [Unchanged, Unchanged, Unchanged],
        ),
        (
            "+10 ms: within the noise",
            &base,
            latencies(60, 10, |c, t| around(c, t) + 10.0),
            [Unchanged, Unchanged, Unchanged],
        ),
        (
            "+100 ms",
            &base,
            latencies(60, 10, |c, t| around(c, t) + 100.0),
            [Regressed, Regressed, Regressed],
        ),
        (
            "-100 ms",
            &base,
            latencies(60, 10, |c, t| around(c, t) - 100.0),
            [Improved, Improved, Improved],
        ),
        (
            "one turn in ten slow",
            &base,
            latencies(60, 10, |c, t| if t == 3 { 2_000.0 } else { around(c, t) }),
            [Unchanged, Regressed, Regressed],
        ),
        (
            "one turn in ten without a reply",
            &base,
            latencies(60, 10, |c, t| if t == 3 { never } else { around(c, t) }),
            [Unchanged, Regressed, Regressed],
        ),
        (
            "three calls",
            &latencies(3, 2, around),
            latencies(3, 2, |c, t| around(c, t) + 300.0),
            [Inconclusive, Inconclusive, Inconclusive],
        ),
    ];
    for (name, base, candidate, [p50, p95, all]) in cases {
        let found = only(base, candidate);
        let changes: Vec<Change> = found.differences.iter().map(|d| d.change).collect();
        assert_eq!(
            (changes, found.change),
            (vec![p50, p95], all),
            "{name}: {found:?}"
        );
    }
    let found = only(&gone, gone.clone());
    assert_eq!(
        found.differences[1].by, 0.0,
        "two infinite quantiles are equal"
    );
    assert_eq!(found.differences[1].change, Unchanged);
    let mended = only(&gone, base.clone());
    assert_eq!(
        (mended.change, mended.differences[1].by),
        (Improved, f64::NEG_INFINITY)
    );
}

#[test]
fn intervals_cover_the_difference() {
    let base = latencies(60, 10, around);
    let found = only(&base, latencies(60, 10, |c, t| around(c, t) + 100.0));
    for difference in &found.differences {
        assert!((difference.by - 100.0).abs() < 1e-6, "{difference:?}");
        let (lower, upper) = difference.interval.unwrap();
        assert!(
            lower < 100.0 && 100.0 < upper && lower > 60.0 && upper < 140.0,
            "{difference:?}"
        );
        assert!(difference.p < 1e-4 && difference.p_adjusted >= difference.p);
    }
}

#[test]
fn rate_changes_are_classified() {
    use Change::{Improved, Inconclusive, Regressed, Unchanged};
    let cases = [
        ("none and none", 0, 0, 600, false, Unchanged),
        ("none and a tenth", 0, 60, 600, false, Regressed),
        ("a tenth and none", 60, 0, 600, false, Improved),
        ("more is better", 540, 600, 600, true, Improved),
        ("less is worse", 600, 540, 600, true, Regressed),
        ("of ten, none and two", 0, 2, 10, false, Inconclusive),
    ];
    for (name, before, after, of, more_is_better, expected) in cases {
        let base = rate("x", before, of, more_is_better);
        let found = only(&base, rate("x", after, of, more_is_better));
        assert_eq!(found.change, expected, "{name}: {found:?}");
    }
}

/// Stalls of 5 s are gone but the p95 is 100 ms higher: the significant change (fewer turns are
/// very late) contradicts the figure.
#[test]
fn verdict_needs_estimate_and_test_to_agree() {
    let arm =
        |slow: usize, ms: f64| latencies(1_000, 1, move |c, _| if c < slow { ms } else { 500.0 });
    let found = only(&arm(49, 5_000.0), arm(55, 600.0));
    let p95 = found.differences[1];
    assert!(p95.by > 99.0 && p95.tested < 0.0, "{p95:?}");
    assert!(
        p95.p_adjusted < 0.001,
        "the stalls are certainly gone: {p95:?}"
    );
    assert_eq!(p95.change, Change::Inconclusive, "{p95:?}");
    // Both in the same direction: a verdict.
    let found = only(&arm(30, 5_000.0), arm(90, 5_000.0));
    assert_eq!(found.differences[1].change, Change::Regressed, "{found:?}");
}

#[test]
fn only_metrics_of_both_arms_are_compared() {
    let base = [latencies(5, 2, around), rate("missed", 0, 10, false)].concat();
    let empty = latencies(0, 0, around);
    let found = compare(
        &base,
        &[rate("missed", 0, 10, false), empty],
        &CompareSettings::default(),
    );
    let names = |c: &Vec<Comparison>| c.iter().map(|c| c.metric.clone()).collect::<Vec<_>>();
    assert_eq!(
        found.iter().map(names).collect::<Vec<_>>(),
        [vec!["missed".to_owned()], vec![]]
    );
    let other = vec![Series {
        metric: "ttfa".into(),
        ..rate("", 1, 9, false).remove(0)
    }];
    assert!(
        compare(&base, &[other], &CompareSettings::default())[0].is_empty(),
        "kinds differ"
    );
}

/// Holm by hand: three p-values of 0.01, 0.03 and 0.04 become 0.03, 0.06 and 0.06.
#[test]
fn holm_correction_matches_a_hand_calculation() {
    let difference = |p| Difference {
        figure: Figure::Rate,
        baseline: 0.0,
        candidate: 0.0,
        by: 0.0,
        interval: None,
        tested: 0.0,
        p,
        p_adjusted: 1.0,
        change: Change::Inconclusive,
        needed: None,
    };
    let comparison = |ps: &[f64]| Comparison {
        metric: String::new(),
        differences: ps.iter().map(|&p| difference(p)).collect(),
        change: Change::Inconclusive,
    };
    let mut all = vec![vec![comparison(&[0.04, 0.01])], vec![comparison(&[0.03])]];
    correct(&mut all, 1.0);
    let found: Vec<f64> = all
        .iter()
        .flatten()
        .flat_map(|c| &c.differences)
        .map(|d| d.p_adjusted)
        .collect();
    for (found, expected) in found.iter().zip([0.06, 0.03, 0.06]) {
        assert!((found - expected).abs() < 1e-12, "{found}");
    }
}

/// Of sixty-one variants, all are equal except one that is 300 ms slower: the difference is still
/// detected among more than a thousand possible tests.
#[test]
fn many_tests_take_more_permutations() {
    assert_eq!(permute::permutations(3, 0.95), 20_000);
    assert_eq!(permute::permutations(10_000, 0.95), 400_000);
    assert_eq!(permute::permutations(usize::MAX, 0.95), 1_000_000);
    let base = latencies(20, 1, around);
    let mut others = vec![base.clone(); 60];
    others[7] = latencies(20, 1, |c, t| around(c, t) + 300.0);
    let found = compare_chosen(&base, &others, &CompareSettings::default());
    for (nth, comparisons) in found.iter().enumerate() {
        let p50 = comparisons[0].differences[0];
        let expected = nth == 7;
        assert_eq!(p50.change == Change::Regressed, expected, "{nth}: {p50:?}");
    }
}

/// Two variants form one pair; of five, four pairs are compared out of ten possible ones.
#[test]
fn a_chosen_baseline_is_corrected_for_every_pair() {
    let base = latencies(40, 2, around);
    let later = |ms: f64| latencies(40, 2, move |c, t| around(c + 13, t) + ms);
    let p = |found: &[Vec<Comparison>], nth: usize| {
        let difference = found[nth][0].differences[0];
        (difference.p, difference.p_adjusted)
    };
    let settings = CompareSettings::default();
    let two = [later(60.0)];
    assert_eq!(
        compare_chosen(&base, &two, &settings),
        compare(&base, &two, &settings)
    );
    let five = [later(60.0), later(0.0), later(5.0), later(10.0)];
    let found = compare_chosen(&base, &five, &settings);
    let (raw, adjusted) = p(&found, 0);
    // The smallest p of 4 · 2 figures, corrected for the 10 · 2 that could have been tested.
    assert!(
        (adjusted / raw - 20.0).abs() < 1e-9 || adjusted == 1.0,
        "{raw} {adjusted}"
    );
    assert!(raw < 0.01, "{raw}");
}

/// Latencies in block b are about 400 + 40·b ms in the baseline, 60 ms more in the candidate.
#[test]
fn arms_are_compared_within_blocks() {
    let arm = |blocks: bool, more: f64| {
        let place = |call: usize| SampleOrigin {
            call,
            block: blocks.then_some(call as u64),
        };
        let ms = |c: usize, t: usize| 400.0 + 40.0 * c as f64 + (t % 5) as f64 + more;
        let values = (0..30).flat_map(|c| (0..5).map(move |t| (c, t)));
        let sample = |ms: f64| Sample::Finite(Duration::from_secs_f64(ms / 1e3));
        vec![Series {
            metric: "ttfa".into(),
            values: Values::Latencies(values.map(|(c, t)| (place(c), sample(ms(c, t)))).collect()),
            more_is_better: false,
        }]
    };
    let (alone, paired) = (
        only(&arm(false, 0.0), arm(false, 60.0)),
        only(&arm(true, 0.0), arm(true, 60.0)),
    );
    assert!(alone.differences[0].p > 0.4, "{alone:?}");
    assert!(paired.differences[0].p < 1e-3, "{paired:?}");
    assert_eq!(paired.differences[0].change, Change::Regressed);
    let width = |c: &Comparison| c.differences[0].interval.map(|(l, u)| u - l).unwrap();
    assert!(width(&paired) < 0.5 * width(&alone), "{paired:?} {alone:?}");
}

#[test]
fn the_seed_determines_the_permutations() {
    let base = latencies(40, 5, around);
    let after = latencies(40, 5, |c, t| around(c + 11, t) + (c % 7) as f64 * 9.0);
    let with = |seed| {
        compare(
            &base,
            std::slice::from_ref(&after),
            &CompareSettings {
                seed,
                ..CompareSettings::default()
            },
        )
    };
    assert_eq!(with(1), with(1));
    let (one, two) = (
        with(1)[0][0].differences[0].p,
        with(2)[0][0].differences[0].p,
    );
    assert!(one != two && (one / two).ln().abs() < 0.5, "{one} {two}");
}

/// Completely separated arms are inconclusive with fewer calls than `needed` states, and conclusive
/// with that many, whatever the seed.
#[test]
fn the_needed_number_of_calls_is_sufficient_and_necessary() {
    let arm = |blocks: usize, paired: bool, more: f64| {
        let place = |call: usize| SampleOrigin {
            call,
            block: paired.then_some(call as u64),
        };
        let ms = |c: usize, t: usize| 400.0 + ((c * 37 + t * 11) % 50) as f64 + more;
        let values = (0..blocks).flat_map(|c| (0..3).map(move |t| (c, t)));
        let sample = |ms: f64| Sample::Finite(Duration::from_secs_f64(ms / 1e3));
        vec![Series {
            metric: "ttfa".into(),
            values: Values::Latencies(values.map(|(c, t)| (place(c), sample(ms(c, t)))).collect()),
            more_is_better: false,
        }]
    };
    for (variants, paired, few) in [(2, true, 6), (4, true, 6), (2, false, 3), (4, false, 4)] {
        let p50 = |calls: usize, seed: u64| {
            let settings = CompareSettings {
                seed,
                ..CompareSettings::default()
            };
            let others: Vec<_> = (1..variants)
                .map(|v| arm(calls, paired, 300.0 * v as f64))
                .collect();
            let found = compare_chosen(&arm(calls, paired, 0.0), &others, &settings);
            found
                .iter()
                .map(|c| c[0].differences[0])
                .collect::<Vec<_>>()
        };
        let name = format!("{variants} variants, paired: {paired}");
        for difference in p50(few, 0) {
            assert_eq!(difference.change, Change::Inconclusive, "{name}");
            let needed = difference.needed.expect("too few calls");
            assert_eq!(needed.have, [few, few], "{name}");
            assert_eq!(needed.blocks.is_some(), paired, "{name}");
            // p may lie below the best possible p only by the error of its estimate.
            assert!(
                difference.p_adjusted >= 0.7 * needed.best_p,
                "{name}: {difference:?}"
            );
            for seed in 0..20 {
                for decided in p50(needed.calls[0], seed) {
                    assert_eq!(
                        decided.change,
                        Change::Regressed,
                        "{name}, seed {seed}: {decided:?}"
                    );
                    assert_eq!(decided.needed, None, "{name}");
                }
            }
        }
    }
}
