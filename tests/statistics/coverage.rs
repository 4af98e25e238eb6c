//! Coverage of the quantile intervals: how often they contain the true quantile.
//!
//! In: forty calls of ten turns with a known intraclass correlation. Out: the share of runs whose
//! interval contains the true quantile. For comparison, the test prints the coverage of intervals
//! that treat the same turns as independent, which is too low.

use super::worlds::{SHAPES, Shape, Table, World, many, normal_quantile};
use super::{percent, size};
use loadgen::stats::Distribution;
use std::time::Duration;

const QUANTILES: [f64; 2] = [0.5, 0.95];

/// Whether one run's intervals contain the true quantile: per quantile, by call and by turn.
type Held = [(Option<bool>, Option<bool>); 2];

fn run(table: &Table, seed: u64, calls: usize, turns: usize, icc: f64) -> Held {
    let mut world = World::new(seed);
    let mut latencies: Vec<(usize, Duration)> = Vec::new();
    for call in 0..calls {
        let latent = world.call(turns, icc);
        latencies.extend(latent.into_iter().map(|z| (call, table.latency(z))));
    }
    let by_call = Distribution::in_groups(latencies.iter().copied());
    let naive: Distribution = latencies.iter().map(|(_, latency)| *latency).collect();
    QUANTILES.map(|q| {
        let truth = table.latency(normal_quantile(q)).into();
        let held = |d: &Distribution| {
            let found = d.interval(q, 0.95).ok()?;
            Some(found.lower <= truth && truth <= found.upper)
        };
        (held(&by_call), held(&naive))
    })
}

/// Shares of runs, in percent: those whose interval by call contains the true quantile, those whose
/// interval by turn does, and those without an interval by call.
fn coverage(shape: Shape, calls: usize, icc: f64, runs: u64) -> [[f64; 3]; 2] {
    let table = Table::new(shape);
    // Each shape gets its own seeds: with the same ranks, all four would have the same coverage.
    let stream = SHAPES.iter().position(|s| *s == shape).unwrap_or(0) as u64;
    let first = (stream * 10 + (icc * 10.0) as u64) << 32;
    let held = many(runs, |seed| {
        run(&table, first + seed, calls, 400 / calls, icc)
    });
    [0, 1].map(|i| {
        let given = held.iter().filter(|h| h[i].0.is_some()).count();
        let by_call = held.iter().filter(|h| h[i].0 == Some(true)).count();
        let by_turn = held.iter().filter(|h| h[i].1 == Some(true)).count();
        let none = percent(held.len() - given, held.len());
        [percent(by_call, given), percent(by_turn, held.len()), none]
    })
}

#[test]
fn intervals_cover_the_true_quantile() {
    let runs = size(200, 2_000);
    // Three standard errors of 96 % at 200 runs are 4.2 points.
    let (least, most) = if runs < 1_000 {
        (91.0, 100.0)
    } else {
        (93.5, 98.5)
    };
    println!("{runs} runs of 40 calls of 10 turns; in brackets: turns treated as independent");
    for icc in [0.0, 0.3, 0.6] {
        for shape in SHAPES {
            let [p50, p95] = coverage(shape, 40, icc, runs);
            println!(
                "ICC {icc}  {:<14}  p50 {:.1} % ({:.1} %)  p95 {:.1} % ({:.1} %), none given {:.1} %",
                shape.name(),
                p50[0],
                p50[1],
                p95[0],
                p95[1],
                p95[2]
            );
            for (held, q) in [(p50, 50), (p95, 95)] {
                let within = (least..=most).contains(&held[0]);
                assert!(within, "{shape:?}, ICC {icc}, p{q}: {} %", held[0]);
                assert!(
                    held[2] < 2.0,
                    "{shape:?}, ICC {icc}, p{q}: none {} %",
                    held[2]
                );
                assert!(
                    icc < 0.6 || held[1] < 85.0,
                    "the naive intervals cover {} %",
                    held[1]
                );
            }
        }
    }
}

/// No coverage is guaranteed here, so it is printed, but checked only loosely. With twenty
/// calls whose turns are strongly correlated, p95 depends on the one or two slowest calls.
#[test]
fn coverage_with_few_strongly_correlated_calls() {
    let runs = size(100, 2_000);
    println!("{runs} runs of 20 calls of 20 turns");
    for icc in [0.0, 0.3, 0.6] {
        let [p50, p95] = coverage(Shape::Lognormal(0.5), 20, icc, runs);
        println!(
            "ICC {icc}  p50 {:.1} %  p95 {:.1} %, none given {:.1} %",
            p50[0], p95[0], p95[2]
        );
        assert!(p50[0] > 90.0 && p95[0] > 82.0, "ICC {icc}: {p50:?} {p95:?}");
    }
}
