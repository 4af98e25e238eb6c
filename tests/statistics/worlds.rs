//! Simulations with known true quantiles: latencies of calls whose turns are correlated.
//!
//! In: a shape of the distribution, the intraclass correlation, a seed. Out: calls of turns, and
//! the true quantiles. Invariant: the correlation is that of the latent normal underlying each
//! latency (Gaussian copula), so the distribution of single latencies is exact for every shape.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::time::Duration;

/// Latency distributions in seconds, by their inverse distribution functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Median 1 s; the parameter is σ of the logarithm.
    Lognormal(f64),
    /// Seven in ten around 0.7 s, the others around 1.9 s.
    Bimodal,
    /// Minimum 0.5 s, tail index 2.5.
    Pareto,
    /// The lognormal with σ = 0.5, rounded up to steps of 20 ms.
    Discrete,
}

/// Every shape of the coverage simulations.
pub(crate) const SHAPES: [Shape; 4] = [
    Shape::Lognormal(0.5),
    Shape::Bimodal,
    Shape::Pareto,
    Shape::Discrete,
];

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lognormal(_) => "lognormal",
            Self::Bimodal => "bimodal",
            Self::Pareto => "Pareto",
            Self::Discrete => "20 ms steps",
        }
    }

    /// The true `u` quantile.
    pub(crate) fn quantile(self, u: f64) -> f64 {
        match self {
            Self::Lognormal(sigma) => (sigma * normal_quantile(u)).exp(),
            // Two lognormals with negligible overlap: below u = 0.7 the fast one.
            Self::Bimodal if u < 0.7 => 0.7 * (0.15 * normal_quantile(u / 0.7)).exp(),
            Self::Bimodal => 1.9 * (0.15 * normal_quantile((u - 0.7) / 0.3)).exp(),
            Self::Pareto => 0.5 * (1.0 - u).powf(-1.0 / 2.5),
            Self::Discrete => (Self::Lognormal(0.5).quantile(u) / 0.02).ceil() * 0.02,
        }
    }
}

/// Φ: Taylor's series in the middle, the continued fraction of Mills' ratio in the tail.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z.abs() > 5.0 {
        let x = z.abs();
        let mills = (1..60).rev().fold(x, |f, k| x + f64::from(k) / f);
        let tail = density / mills;
        return if z > 0.0 { 1.0 - tail } else { tail };
    }
    let (mut term, mut sum) = (z, z);
    for k in 1..120 {
        term *= z * z / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + density * sum
}

/// Φ⁻¹ by bisection.
pub(crate) fn normal_quantile(u: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// A source of the latent normals.
pub(crate) struct World {
    rng: ChaCha8Rng,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.rng)
    }

    /// Latent normals of a call of `turns`, with intraclass correlation `icc`.
    pub(crate) fn call(&mut self, turns: usize, icc: f64) -> Vec<f64> {
        let shared = icc.sqrt() * self.normal();
        let own = (1.0 - icc).sqrt();
        (0..turns).map(|_| shared + own * self.normal()).collect()
    }
}

/// Runs `one` for every seed below `runs` on all cores; results are in the order of the seeds.
pub(crate) fn many<T: Send>(runs: u64, one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let of_thread = |first: u64| (first..runs).step_by(threads as usize).map(&one).collect();
    let mut parts: Vec<std::vec::IntoIter<T>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || of_thread(first)))
            .collect();
        let join = |t: std::thread::ScopedJoinHandle<'_, Vec<T>>| t.join().expect("a simulation");
        started.into_iter().map(|t| join(t).into_iter()).collect()
    });
    let turn = |run: u64| parts[(run % threads) as usize].next();
    (0..runs).filter_map(turn).collect()
}

/// A table from latent normals to latencies, so that a million draws need no bisections.
pub(crate) struct Table {
    seconds: Vec<f64>,
}

const STEPS: usize = 1 << 16;
const REACH: f64 = 6.0;

impl Table {
    pub(crate) fn new(shape: Shape) -> Self {
        let at = |i: usize| REACH * (2.0 * i as f64 / STEPS as f64 - 1.0);
        let seconds = (0..=STEPS)
            .map(|i| shape.quantile(normal_cdf(at(i))))
            .collect();
        Self { seconds }
    }

    /// The latency for the latent normal `z`: the table entry at or below it.
    pub(crate) fn latency(&self, z: f64) -> Duration {
        let i = ((z / REACH + 1.0) * 0.5 * STEPS as f64) as usize;
        Duration::from_secs_f64(self.seconds[i.min(STEPS)])
    }
}
