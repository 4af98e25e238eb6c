//! How long the reference agent takes to answer: fixed, or drawn from a distribution.
//!
//! In: `400ms`, `uniform(300ms,500ms)`, `normal(400ms,50ms)`, `lognormal(400ms,0.3)`.
//! Out: delays. Holds: the same seed and call give the same delays.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Normal, Uniform};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longest delay.
const MAX: Duration = Duration::from_secs(60);

/// A delay, fixed or random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always this.
    Fixed(Duration),
    /// Evenly between the two.
    Uniform(Duration, Duration),
    /// Mean and standard deviation; never below zero.
    Normal(Duration, Duration),
    /// Median, and standard deviation of the logarithm.
    LogNormal(Duration, f64),
}

/// Not a delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a delay")]
pub struct DelayError(String);

impl DelayError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        "write 400ms, uniform(300ms,500ms), normal(400ms,50ms) or lognormal(400ms,0.3); at most 60s"
    }
}

/// `250ms`, `1.5s`: the units a delay needs of the scenario's duration grammar.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(n) => (n, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    let fits = (0.0..=MAX.as_secs_f64()).contains(&seconds);
    fits.then(|| Duration::from_secs_f64(seconds))
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let no = || DelayError(text.chars().filter(|c| !c.is_control()).take(80).collect());
        if let Some(fixed) = duration(text) {
            return Ok(Self::Fixed(fixed));
        }
        let (name, rest) = text.trim().split_once('(').ok_or_else(no)?;
        let (first, second) = rest
            .strip_suffix(')')
            .and_then(|r| r.split_once(','))
            .ok_or_else(no)?;
        let first = duration(first).ok_or_else(no)?;
        match name.trim() {
            "uniform" => match duration(second) {
                Some(high) if high >= first => Ok(Self::Uniform(first, high)),
                _ => Err(no()),
            },
            "normal" => Ok(Self::Normal(first, duration(second).ok_or_else(no)?)),
            "lognormal" => match second.trim().parse::<f64>() {
                Ok(s) if (0.0..=3.0).contains(&s) && !first.is_zero() => Ok(Self::LogNormal(first, s)),
                _ => Err(no()),
            },
            _ => Err(no()),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |d: &Duration| d.as_secs_f64() * 1e3;
        match self {
            Self::Fixed(d) => write!(f, "{}ms", ms(d)),
            Self::Uniform(a, b) => write!(f, "uniform({}ms,{}ms)", ms(a), ms(b)),
            Self::Normal(m, s) => write!(f, "normal({}ms,{}ms)", ms(m), ms(s)),
            Self::LogNormal(m, s) => write!(f, "lognormal({}ms,{s})", ms(m)),
        }
    }
}

impl Delay {
    /// The delays of one call.
    pub fn stream(&self, seed: u64, call: u64) -> DelayStream {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(call);
        DelayStream {
            delay: *self,
            random,
        }
    }
}

/// An endless sequence of delays.
#[derive(Debug, Clone)]
pub struct DelayStream {
    delay: Delay,
    random: ChaCha8Rng,
}

impl DelayStream {
    /// The next delay.
    pub fn draw(&mut self) -> Duration {
        let seconds = match self.delay {
            Delay::Fixed(d) => return d,
            Delay::Uniform(a, b) => Uniform::new_inclusive(a.as_secs_f64(), b.as_secs_f64())
                .map_or(a.as_secs_f64(), |d| d.sample(&mut self.random)),
            Delay::Normal(m, s) => Normal::new(m.as_secs_f64(), s.as_secs_f64())
                .map_or(m.as_secs_f64(), |d| d.sample(&mut self.random)),
            Delay::LogNormal(m, s) => LogNormal::new(m.as_secs_f64().ln(), s)
                .map_or(m.as_secs_f64(), |d| d.sample(&mut self.random)),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, MAX.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_and_printed_back() {
        for text in ["400ms", "uniform(300ms,500ms)", "normal(400ms,50ms)", "lognormal(400ms,0.3)"] {
            let d: Delay = text.parse().expect(text);
            assert_eq!(d.to_string(), text);
        }
        assert_eq!("1.5s".parse::<Delay>(), Ok(Delay::Fixed(Duration::from_millis(1_500))));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "", "400", "-1s", "2m", "61s", "uniform(5s,1s)", "normal(1s)", "gauss(1s,1s)",
            "lognormal(0ms,0.3)", "lognormal(1s,9)", "NaNs", "infs",
        ] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_call_draws_its_own_delays_and_always_the_same() {
        let d: Delay = "lognormal(400ms,0.3)".parse().expect("delay");
        let draw = |call| {
            let mut s = d.stream(7, call);
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
