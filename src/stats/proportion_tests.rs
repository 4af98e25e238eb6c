//! Tests of proportions of grouped samples.

use super::*;

/// `groups` groups of `size` samples; in `hits` groups all samples are hits, in the others none.
fn alike(groups: usize, size: usize, hits: usize) -> Proportion {
    Proportion::of_groups((0..groups).map(|g| (if g < hits { size } else { 0 }, size)))
}

#[test]
fn design_effects_match_hand_calculations() {
    let cases: &[(&str, Proportion, f64, f64)] = &[
        ("nothing", Proportion::default(), 0.0, 1.0),
        ("one sample a group", alike(50, 1, 20), 0.0, 1.0),
        ("groups of equal samples", alike(20, 5, 8), 1.0, 5.0),
        ("no hits", alike(20, 5, 0), 0.0, 1.0),
        ("all hits", alike(20, 5, 20), 0.0, 1.0),
        (
            "a single group, whose correlation is unknown",
            Proportion::of_groups([(3, 6)]),
            1.0,
            6.0,
        ),
        (
            "a single group without hits",
            Proportion::of_groups([(0, 299)]),
            1.0,
            299.0,
        ),
        (
            "whole groups, no hits",
            alike(30, 4, 0).of_whole_groups(),
            1.0,
            4.0,
        ),
        (
            "whole groups, a single hit in one of them",
            Proportion::of_groups((0..30).map(|g| (usize::from(g == 0), 4))).of_whole_groups(),
            1.0,
            4.0,
        ),
        (
            "whole groups of one",
            alike(30, 1, 3).of_whole_groups(),
            0.0,
            1.0,
        ),
        (
            "one group of one",
            Proportion::of_groups([(1, 1)]),
            0.0,
            1.0,
        ),
        (
            "evenly spread over the groups: below 0, counts as 0",
            Proportion::of_groups([(2, 4); 10]),
            0.0,
            1.0,
        ),
        (
            // Calculated by hand: MSB = 8/3, MSW = 0, sizes 2, 2, 4, 4: Σm²/Σm = 40/12.
            "groups of equal samples, of different sizes",
            Proportion::of_groups([(2, 2), (0, 2), (4, 4), (0, 4)]),
            1.0,
            40.0 / 12.0,
        ),
        (
            // Hits 3 and 1 of 4: between Σh²/m − H²/n = 2.5 − 2 = 0.5 with one degree of freedom;
            // within (4 − 2.5)/6 = 0.25; (0.5 − 0.25) / (0.5 + 3 · 0.25) = 0.2.
            "two groups of four",
            Proportion::of_groups([(3, 4), (1, 4)]),
            0.2,
            1.6,
        ),
    ];
    for (name, share, icc, deff) in cases {
        assert!((share.icc() - icc).abs() < 1e-12, "{name}: {}", share.icc());
        assert!(
            (share.deff() - deff).abs() < 1e-12,
            "{name}: {}",
            share.deff()
        );
    }
}

#[test]
fn few_groups_reduce_the_effective_sample_size() {
    assert_eq!(alike(50, 1, 20).worth(0.025).n_eff, 50.0);
    // Ten groups of ten, t(99) = 1.984 and t(9) = 2.262 at 0.025: 100 / 10 · 0.769.
    let few = alike(10, 10, 5).worth(0.025);
    assert!((few.n_eff - 7.693).abs() < 0.01, "{few:?}");
    assert_eq!((few.n, few.deff), (100, 10.0));
    let many = alike(1_000, 10, 500).worth(0.025);
    assert!(many.n_eff > 997.0 && many.n_eff < 1_000.0, "{many:?}");
}

#[test]
fn intervals_of_shares_match_published_tables() {
    // Clopper & Pearson's own table at 95 %, for independent samples.
    for (hits, total, lower, upper) in [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (3, 300, 0.0021, 0.0289),
    ] {
        let found = alike(total, 1, hits).interval(0.95).unwrap();
        assert!(
            (found.lower - lower).abs() < 6e-5,
            "{hits} of {total}: {found:?}"
        );
        assert!(
            (found.upper - upper).abs() < 6e-5,
            "{hits} of {total}: {found:?}"
        );
    }
    assert_eq!(Proportion::default().interval(0.95), None);
    let (alone, grouped) = (alike(100, 1, 20), alike(20, 5, 4));
    assert_eq!(alone.value(), grouped.value());
    let (alone, grouped) = (
        alone.interval(0.95).unwrap(),
        grouped.interval(0.95).unwrap(),
    );
    assert!(grouped.lower < alone.lower && grouped.upper > alone.upper);
}

/// If none of thirty calls failed, at most one in ten fails (at 95 %), however many turns they had.
#[test]
fn each_whole_group_counts_as_one_sample() {
    for turns in [1, 4, 100] {
        let none = alike(30, turns, 0).of_whole_groups();
        let found = none.interval(0.9).unwrap();
        assert!((found.upper - 0.0950).abs() < 5e-5, "{turns}: {found:?}");
        assert!((found.worth.n_eff - 30.0).abs() < 1e-9);
        assert!(
            alike(30, turns, 4)
                .of_whole_groups()
                .refutes_at_most(0.03, 0.95)
        );
        assert!(
            !alike(30, turns, 2)
                .of_whole_groups()
                .refutes_at_most(0.03, 0.95)
        );
    }
}

#[test]
fn refutations_match_binomial_tails() {
    // At most 5 % hits are allowed, tested at 95 %.
    let cases = [
        ("six calls of six", alike(6, 1, 6), true),
        ("one of one: its probability is 0.05", alike(1, 1, 1), true),
        (
            "all turns of one call",
            Proportion::of_groups([(6, 6)]),
            true,
        ),
        ("half of one call", Proportion::of_groups([(3, 6)]), false),
        ("none", alike(100, 1, 0), false),
        ("nothing", Proportion::default(), false),
        ("9 of 100: P(X ≥ 9) = 0.063", alike(100, 1, 9), false),
        ("10 of 100: P(X ≥ 10) = 0.028", alike(100, 1, 10), true),
        ("the same, in one call of ten", alike(10, 10, 1), false),
    ];
    for (name, share, expected) in cases {
        assert_eq!(share.refutes_at_most(0.05, 0.95), expected, "{name}");
    }
    assert!(
        !alike(4, 1, 4).refutes_at_most(0.5, 0.95),
        "1/16 is likely enough"
    );
    assert!(alike(5, 1, 5).refutes_at_most(0.5, 0.95), "1/32 is not");
    assert!(alike(100, 1, 90).refutes_at_least(0.95, 0.95));
    assert!(!alike(100, 1, 91).refutes_at_least(0.95, 0.95));
    let misses = Proportion::of_groups([(1, 4), (3, 4), (0, 2)]);
    let mirrored = Proportion::of_groups([(3, 4), (1, 4), (2, 2)]);
    for share in [0.2, 0.5, 0.9] {
        let expected = mirrored.refutes_at_most(1.0 - share, 0.95);
        assert_eq!(misses.refutes_at_least(share, 0.95), expected, "{share}");
    }
}
