//! How long packets are on their way.
//!
//! In: a delay and its [`Jitter`], random numbers. Out: the next packet's delay. Invariants: no
//! delay is negative, or longer than ten seconds; the delays have the distribution that is asked
//! for, whatever their correlation.

use crate::vocab::{Distribution, Jitter};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::time::Duration;

/// Every delay is cut off here, so that a heavy tail cannot hold a packet for minutes.
const LONGEST: Duration = Duration::from_secs(10);
/// Shape of the Pareto distribution: the smallest whole number with a finite variance.
const SHAPE: f64 = 3.0;

/// The delays of one direction: a normal process of first order, mapped onto the distribution.
#[derive(Debug, Clone)]
pub(super) struct Delays {
    delay: Duration,
    jitter: Option<Jitter>,
    /// The process, with mean 0 and variance 1; `None` before the first packet.
    state: Option<f64>,
}

impl Delays {
    pub(super) fn new(delay: Duration, jitter: Option<Jitter>) -> Self {
        Self {
            delay,
            jitter,
            state: None,
        }
    }

    /// The next packet's delay; `draws` are uniform in [0, 1).
    pub(super) fn next(&mut self, draws: [f64; 2]) -> Duration {
        let Some(jitter) = self.jitter else {
            return self.delay.min(LONGEST);
        };
        let fresh = normal(draws);
        let correlation = jitter.correlation;
        let z = self.state.map_or(fresh, |last| {
            correlation * last + (1.0 - correlation * correlation).sqrt() * fresh
        });
        self.state = Some(z);
        let size = jitter.size.as_secs_f64();
        let added = match jitter.distribution {
            Distribution::Normal => size * z,
            Distribution::Uniform => size * (1.0 - 2.0 * above(z)),
            Distribution::Exponential => -size * above(z).ln(),
            Distribution::Pareto => {
                let scale = size * (SHAPE - 1.0);
                scale * (above(z).powf(-1.0 / SHAPE) - 1.0)
            }
        };
        let delay = (self.delay.as_secs_f64() + added).clamp(0.0, LONGEST.as_secs_f64());
        Duration::from_secs_f64(delay)
    }
}

/// A standard normal number (Box and Muller, 1958); finite, because the draws are below 1.
fn normal([radius, angle]: [f64; 2]) -> f64 {
    (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()
}

/// The probability that a standard normal number is above `z`; more than 0 for every number that
/// [`normal`] returns.
fn above(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}
