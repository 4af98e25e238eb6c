//! Tests of the intervals of quantiles, against tables and by simulation.

use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

fn up_to(n: u64) -> Distribution {
    (1..=n).map(Duration::from_millis).collect()
}

/// Ends as ranks: sample k of `up_to` is k ms.
fn ends(n: u64, q: f64, level: f64) -> Result<(u64, u64), StatsError> {
    let rank = |s: Sample| s.finite().map_or(u64::MAX, |d| d.as_millis() as u64);
    let found = up_to(n).interval(q, level)?;
    assert!(found.coverage >= level, "{found:?}");
    Ok((rank(found.lower), rank(found.upper)))
}

#[test]
fn ranks_match_binomial_tables() {
    // Ends calculated by hand from the tails of binomial tables.
    let cases: &[(&str, u64, f64, (u64, u64))] = &[
        ("median of 6: the extremes", 6, 0.5, (1, 6)),
        ("median of 10: P(X≤1) = 0.0107", 10, 0.5, (2, 9)),
        ("median of 100: P(X≤39) = 0.0176", 100, 0.5, (40, 61)),
        (
            "p90 of 100: P(X≤83) = 0.0206, P(X≤95) = 0.9763",
            100,
            0.9,
            (84, 96),
        ),
        ("p10 of 100 mirrors the p90", 100, 0.1, (5, 17)),
        (
            "p95 of 59: no upper tail is left, so the lower gets the rest",
            59,
            0.95,
            (50, 59),
        ),
    ];
    for (name, n, q, expected) in cases {
        let (l, u) = ends(*n, *q, 0.95).unwrap();
        assert_eq!((l, u), *expected, "{name}");
    }
}

#[test]
fn too_few_samples_and_invalid_quantiles_are_errors() {
    for (q, needed) in [(0.5, 6), (0.9, 29), (0.95, 59), (0.99, 299), (0.05, 59)] {
        assert_eq!(samples_needed(q, 0.95), Ok(needed), "{q}");
        let count = needed - 1;
        assert_eq!(
            up_to(count as u64).interval(q, 0.95),
            Err(StatsError::TooFewSamples {
                q,
                count,
                effective: count,
                needed
            })
        );
        assert!(up_to(needed as u64).interval(q, 0.95).is_ok(), "{q}");
    }
    // The search also ends quickly for floats close to 0 or 1.
    for (q, least) in [
        (1e-17, usize::MAX),
        (1e-9, 1 << 30),
        (1.0 - f64::EPSILON, 1 << 50),
    ] {
        assert!(samples_needed(q, 0.95).unwrap() >= least, "{q}");
        assert!(up_to(10).interval(q, 0.95).is_err(), "{q}");
    }
    for (q, level) in [(0.0, 0.95), (1.0, 0.95), (0.5, 1.0), (f64::NAN, 0.9)] {
        let error = up_to(10).interval(q, level).unwrap_err();
        assert!(
            matches!(error, StatsError::OutOfRange { .. }),
            "{q} {level}"
        );
    }
}

#[test]
fn ranks_of_a_million_samples_match_the_normal_approximation() {
    // Normal approximation: 950_000 ± 1.96 · √(10⁶ · 0.95 · 0.05) = ± 427.2.
    let n = 1_000_000;
    let worth = Worth {
        n,
        n_eff: n as f64,
        deff: 1.0,
    };
    let ranks = Ranks { q: 0.95, worth };
    let (l, u) = (ranks.lower(0.025).unwrap(), ranks.upper(0.025).unwrap());
    assert!((949_571..=949_575).contains(&l), "{l}");
    assert!((950_426..=950_430).contains(&u), "{u}");
}

#[test]
fn an_infinite_end_stays_infinite() {
    let finite = (1..=96).map(|v| Sample::Finite(Duration::from_millis(v)));
    let d: Distribution = finite.chain([Sample::Infinite; 4]).collect();
    let found = d.interval(0.95, 0.95).unwrap();
    assert_eq!(found.upper, Sample::Infinite);
    assert!(found.lower < d.percentile(95.0).unwrap());
}

#[test]
fn interval_coverage_reaches_its_level() {
    let seed = 20_260_101;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (n, q) in [(80, 0.95), (60, 0.95), (40, 0.5), (400, 0.99)] {
        let runs = 1_000;
        let covered = (0..runs)
            .filter(|_| {
                let d: Distribution = (0..n)
                    .map(|_| Duration::from_secs_f64(rng.random_range(0.0..1.0)))
                    .collect();
                let truth = Sample::Finite(Duration::from_secs_f64(q));
                let found = d.interval(q, 0.95).unwrap();
                found.lower <= truth && truth <= found.upper
            })
            .count();
        // Three standard errors of 0.95 at 1,000 runs: 0.0207.
        assert!(
            covered as f64 / f64::from(runs) > 0.929,
            "seed {seed}, n {n}, q {q}: {covered}"
        );
    }
}

proptest! {
    #[test]
    fn intervals_bracket_the_point_estimate(n in 6_usize..3_000, q in 0.02_f64..0.98, level in 0.5_f64..0.99) {
        let d = up_to(n as u64);
        match d.interval(q, level) {
            Ok(found) => {
                let point = d.quantile(q).unwrap();
                prop_assert!(found.lower <= point && point <= found.upper);
                prop_assert!(found.coverage >= level - 1e-9 && found.coverage <= 1.0 + 1e-9);
            }
            Err(error) => {
                prop_assert_eq!(error, StatsError::TooFewSamples {
                    q, count: n, effective: n, needed: samples_needed(q, level).unwrap(),
                });
                prop_assert!(n < samples_needed(q, level).unwrap());
            }
        }
    }
}

/// `groups` groups of `size` samples: all samples of group k are k ms.
fn alike(groups: u64, size: usize) -> Distribution {
    let group = |g: u64| std::iter::repeat_n((g as usize, Duration::from_millis(g)), size);
    Distribution::in_groups((1..=groups).flat_map(group))
}

#[test]
fn identical_samples_within_groups_count_as_one() {
    let rank = |s: Sample| s.finite().map_or(u64::MAX, |d| d.as_millis() as u64);
    let (alone, grouped) = (up_to(100), alike(100, 5));
    let (one, many) = (
        alone.interval(0.5, 0.95).unwrap(),
        grouped.interval(0.5, 0.95).unwrap(),
    );
    assert_eq!((rank(one.lower), rank(one.upper)), (40, 61));
    assert_eq!((one.worth.n, one.worth.deff), (100, 1.0));
    // 500 samples carry no more information than their 100 groups.
    assert!((98.0..=100.0).contains(&many.worth.n_eff), "{many:?}");
    assert_eq!((many.worth.n, many.worth.deff), (500, 5.0));
    assert!(rank(many.lower).abs_diff(40) <= 1 && rank(many.upper).abs_diff(61) <= 1);
    let few = alike(50, 5).interval(0.95, 0.95).unwrap_err();
    let StatsError::TooFewSamples {
        count,
        effective,
        needed,
        ..
    } = few
    else {
        panic!("{few:?}");
    };
    assert_eq!((count, needed), (250, 59));
    assert!((47..=50).contains(&effective), "{effective}");
}

#[test]
fn a_single_group_has_no_interval() {
    let one = Distribution::in_groups((1..=300).map(|v| (7, Duration::from_millis(v))));
    assert!(one.interval(0.5, 0.95).is_err());
    // Equal samples: nothing can vary between groups.
    let equal = Distribution::in_groups((0..300).map(|i| (i % 30, Sample::Infinite)));
    let found = equal.interval(0.95, 0.95).unwrap();
    assert_eq!(
        (found.lower, found.upper),
        (Sample::Infinite, Sample::Infinite)
    );
}
