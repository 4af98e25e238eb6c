//! Simulated networks against the closed forms of their models, over ten million packets.
//!
//! Standard errors come from batches of consecutive packets, which are long compared with every
//! correlation here.

use loadgen::net::{Kind, Link, LinkKey, Passage};
use loadgen::vocab::{Distribution, Jitter, LinkConfig, Loss, LossModel};
use std::time::{Duration, Instant};

const PACKETS: usize = 10_000_000;
const BATCH: usize = 10_000;
/// Standard errors that a figure may be off.
const ERRORS: f64 = 4.0;
/// Quantiles of the standard normal distribution.
const NORMAL: [(f64, f64); 5] = [
    (0.05, -1.644_853_627),
    (0.25, -0.674_489_750),
    (0.5, 0.0),
    (0.95, 1.644_853_627),
    (0.99, 2.326_347_874),
];

/// What happens to each packet, 20 ms apart.
fn passages(config: LinkConfig) -> impl Iterator<Item = (Instant, Passage)> {
    let key = LinkKey {
        seed: 2_026,
        caller: 11,
        down: true,
        connection: 0,
    };
    let start = Instant::now();
    let mut link = Link::new(config, key, start);
    (0..PACKETS as u32).map(move |n| {
        let at = start + Duration::from_millis(20) * n;
        (at, link.pass(at, Kind::Media, 100))
    })
}

/// The mean of a figure over the batches, and its standard error.
fn mean_and_error(figures: &[f64]) -> (f64, f64) {
    let n = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / n;
    let variance = figures.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn assert_close(what: &str, figures: &[f64], expected: f64) {
    let (mean, error) = mean_and_error(figures);
    let off = (mean - expected).abs() / error;
    println!("{what}: {mean:.6}, closed form {expected:.6}, {off:.1} standard errors off");
    assert!(off < ERRORS, "{what}: {mean} instead of {expected}");
}

/// The covariance of the losses of two packets that are `lag` apart: only the state connects them.
fn covariance(model: LossModel, lag: i32) -> f64 {
    let bad = model.share_bad();
    let memory = (1.0 - model.enter - model.leave).powi(lag);
    (model.bad - model.good).powi(2) * bad * (1.0 - bad) * memory
}

#[test]
fn losses_have_the_share_the_runs_and_the_memory_of_their_model() {
    let simple = |share, burst| LossModel::from(Loss { share, burst });
    let models = [
        ("independent", simple(0.05, None)),
        ("Gilbert", simple(0.05, Some(2.6))),
        (
            "Gilbert-Elliott",
            LossModel {
                enter: 0.01,
                leave: 0.2,
                good: 0.002,
                bad: 0.6,
            },
        ),
    ];
    for (name, model) in models {
        let config = LinkConfig {
            loss: Some(model),
            ..LinkConfig::default()
        };
        let lost: Vec<bool> = passages(config).map(|(_, p)| p.arrives.is_err()).collect();
        let share = model.share();
        let batches = || lost.chunks(BATCH);
        let count = |batch: &[bool]| batch.iter().filter(|lost| **lost).count() as f64;
        let shares: Vec<f64> = batches().map(|b| count(b) / BATCH as f64).collect();
        assert_close(&format!("{name}, share"), &shares, share);

        // A run begins where a lost packet follows one that arrived.
        let begins = |b: &[bool]| b.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
        let runs: Vec<f64> = batches().map(|b| count(b) / begins(b)).collect();
        let both = share * share + covariance(model, 1);
        // Batches cut runs in two, and their first packet begins none.
        let expected = share / (share - both) * BATCH as f64 / (BATCH - 1) as f64;
        assert_close(&format!("{name}, run"), &runs, expected);

        for lag in [1, 2, 5] {
            let product = |w: &[bool]| {
                let off = |lost: bool| f64::from(u8::from(lost)) - share;
                off(w[0]) * off(w[lag])
            };
            let of = |b: &[bool]| {
                let windows = b.windows(lag + 1);
                let n = windows.len() as f64;
                windows.map(product).sum::<f64>() / n / (share * (1.0 - share))
            };
            let correlations: Vec<f64> = batches().map(of).collect();
            let expected = covariance(model, lag as i32) / (share * (1.0 - share));
            assert_close(&format!("{name}, lag {lag}"), &correlations, expected);
        }
    }
}

/// The delays of all packets in milliseconds.
fn delays(distribution: Distribution, correlation: f64) -> Vec<f64> {
    let config = LinkConfig {
        delay: Duration::from_millis(200),
        jitter: Some(Jitter {
            size: Duration::from_millis(20),
            distribution,
            correlation,
            in_order: false,
        }),
        ..LinkConfig::default()
    };
    let delay = |(at, passage): (Instant, Passage)| {
        let arrives = passage.arrives.expect("nothing is lost");
        (arrives - at).as_secs_f64() * 1e3
    };
    passages(config).map(delay).collect()
}

#[test]
fn delays_have_the_quantiles_of_their_distribution() {
    let quantile = |distribution, (p, z): (f64, f64)| match distribution {
        Distribution::Normal => 20.0 * z,
        Distribution::Uniform => 20.0 * (2.0 * p - 1.0),
        Distribution::Exponential => -20.0 * (1.0 - p).ln(),
        Distribution::Pareto => 40.0 * ((1.0 - p).powf(-1.0 / 3.0) - 1.0),
    };
    for (distribution, correlation) in [
        (Distribution::Normal, 0.0),
        (Distribution::Uniform, 0.5),
        (Distribution::Exponential, 0.5),
        (Distribution::Pareto, 0.9),
    ] {
        let mut all = delays(distribution, correlation);
        all.sort_by(f64::total_cmp);
        for point in NORMAL {
            let got = all[(point.0 * (PACKETS - 1) as f64) as usize];
            let expected = 200.0 + quantile(distribution, point);
            println!(
                "{distribution:?}, p{}: {got:.3}, closed form {expected:.3} ms",
                point.0 * 100.0
            );
            assert!(
                (got - expected).abs() < 1.0,
                "{distribution:?} {point:?}: {got} {expected}"
            );
        }
    }
}

#[test]
fn delays_are_correlated_as_asked() {
    let all = delays(Distribution::Normal, 0.8);
    for lag in [1usize, 2, 5] {
        let product = |w: &[f64]| (w[0] - 200.0) * (w[lag] - 200.0) / 400.0;
        let of = |b: &[f64]| {
            let windows = b.windows(lag + 1);
            let n = windows.len() as f64;
            windows.map(product).sum::<f64>() / n
        };
        let correlations: Vec<f64> = all.chunks(BATCH).map(of).collect();
        assert_close(
            &format!("lag {lag}"),
            &correlations,
            0.8f64.powi(lag as i32),
        );
    }
}
