//! The reference agent's reply delay: fixed, or drawn from a distribution.
//!
//! In: a distribution, a seed, a call's number. Out: delays.
//! Invariant: the same seed and the same call number give the same delays.

use crate::vocab::AgentDelay;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Normal, Uniform};
use std::time::Duration;

/// Longest delay.
const MAX: Duration = Duration::from_secs(60);

/// An endless sequence of delays.
#[derive(Debug, Clone)]
pub(crate) struct DelayStream {
    delay: AgentDelay,
    random: ChaCha8Rng,
}

impl DelayStream {
    /// The delays of one call.
    pub(crate) fn new(delay: AgentDelay, seed: u64, call: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(call);
        Self { delay, random }
    }

    /// The next delay.
    pub(crate) fn draw(&mut self) -> Duration {
        let seconds = |d: Duration| d.as_secs_f64();
        let drawn = match self.delay {
            AgentDelay::Fixed(delay) => return delay,
            AgentDelay::Uniform { min, max } => Uniform::new_inclusive(seconds(min), seconds(max))
                .map_or(seconds(min), |d| d.sample(&mut self.random)),
            AgentDelay::Normal { mean, deviation } => {
                Normal::new(seconds(mean), seconds(deviation))
                    .map_or(seconds(mean), |d| d.sample(&mut self.random))
            }
            AgentDelay::Lognormal { median, sigma } => LogNormal::new(seconds(median).ln(), sigma)
                .map_or(seconds(median), |d| d.sample(&mut self.random)),
        };
        Duration::from_secs_f64(drawn.clamp(0.0, MAX.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_bounded() {
        let wild = AgentDelay::Normal {
            mean: Duration::ZERO,
            deviation: Duration::from_secs(600),
        };
        let mut s = DelayStream::new(wild, 1, 0);
        assert!((0..1_000).map(|_| s.draw()).all(|d| d <= MAX));
    }

    #[test]
    fn delays_are_reproducible_and_differ_between_calls() {
        let d = AgentDelay::Lognormal {
            median: Duration::from_millis(400),
            sigma: 0.3,
        };
        let draw = |call| {
            let mut s = DelayStream::new(d, 7, call);
            (0..200).map(|_| s.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
        let mut sorted = draw(0);
        sorted.sort_unstable();
        let median = sorted[100].as_secs_f64();
        assert!((0.35..0.45).contains(&median), "median {median}");
    }
}
