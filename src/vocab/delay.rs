//! The reference agent's reply delay: fixed, or drawn from a distribution.
//!
//! In: `400ms`, `uniform(300ms,500ms)`, `normal(400ms,50ms)` or `lognormal(400ms,0.3)`, from a
//! scenario or the command line. Out: an [`AgentDelay`]. No delay is drawn in this module.

use super::{duration, number};
use std::fmt;
use std::time::Duration;

/// The reference agent's reply delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AgentDelay {
    /// Always this long.
    Fixed(Duration),
    /// Uniformly distributed from `min` to `max`; `min <= max`.
    Uniform {
        /// Shortest delay.
        min: Duration,
        /// Longest delay.
        max: Duration,
    },
    /// Normally distributed; a negative draw counts as zero.
    Normal {
        /// Mean.
        mean: Duration,
        /// Standard deviation.
        deviation: Duration,
    },
    /// Log-normally distributed.
    Lognormal {
        /// Median.
        median: Duration,
        /// Standard deviation of the natural logarithm, 0 to 10.
        sigma: f64,
    },
}

/// The text is not a valid delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DelayError {
    message: String,
    hint: String,
}

/// Examples of delays, for hints.
const LIKE: &str = "delays look like `400ms`, `uniform(300ms,500ms)`, `normal(400ms,50ms)` or \
                    `lognormal(400ms,0.3)`";

impl AgentDelay {
    /// The shortest delay to expect. For the normal and log-normal distributions, whose minimum is
    /// not meaningful, the value two standard deviations below the centre: about 98 % exceed it.
    pub(crate) fn shortest(&self) -> Duration {
        match *self {
            Self::Fixed(delay) => delay,
            Self::Uniform { min, .. } => min,
            Self::Normal { mean, deviation } => mean.saturating_sub(2 * deviation),
            Self::Lognormal { median, sigma } => median.mul_f64((-2.0 * sigma).exp()),
        }
    }
}

impl DelayError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: LIKE.to_owned(),
        }
    }

    /// An error in one part of the text; `hint`: what to write instead of that part.
    fn part(message: impl Into<String>, hint: &str) -> Self {
        match hint == duration::LIKE {
            true => Self::new(message),
            false => Self {
                message: message.into(),
                hint: format!("{hint}; {LIKE}"),
            },
        }
    }

    /// What to write instead; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

impl std::str::FromStr for AgentDelay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let time = |text: &str| {
            duration::parse(text.trim())
                .map_err(|error| DelayError::part(error.to_string(), &error.hint()))
        };
        let Some((name, rest)) = text.trim().split_once('(') else {
            return time(text).map(Self::Fixed);
        };
        let shown: String = text.chars().take(64).collect();
        let arguments = rest
            .strip_suffix(')')
            .and_then(|inner| inner.split_once(','));
        let Some((first, second)) = arguments else {
            return Err(DelayError::new(format!(
                "`{shown}` needs two values in parentheses"
            )));
        };
        match name.trim() {
            "uniform" => {
                let (min, max) = (time(first)?, time(second)?);
                match min <= max {
                    true => Ok(Self::Uniform { min, max }),
                    false => Err(DelayError::new(format!(
                        "the minimum of `{shown}` exceeds its maximum"
                    ))),
                }
            }
            "normal" => Ok(Self::Normal {
                mean: time(first)?,
                deviation: time(second)?,
            }),
            "lognormal" => {
                let sigma = second.trim().parse::<f64>().ok();
                let sigma = sigma.filter(|sigma| (0.0..=10.0).contains(sigma));
                let Some(sigma) = sigma else {
                    let message = format!("sigma of `{shown}` must be a number from 0 to 10");
                    return Err(match number::meant(second, true) {
                        Some(meant) => DelayError::part(message, &format!("write `{meant}`")),
                        None => DelayError::new(message),
                    });
                };
                Ok(Self::Lognormal {
                    median: time(first)?,
                    sigma,
                })
            }
            name => Err(DelayError::new(format!(
                "there is no distribution `{name}`"
            ))),
        }
    }
}

/// Writes the delay in the syntax that [`FromStr`](std::str::FromStr) reads.
impl fmt::Display for AgentDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = duration::format;
        match *self {
            Self::Fixed(delay) => f.write_str(&show(delay)),
            Self::Uniform { min, max } => write!(f, "uniform({},{})", show(min), show(max)),
            Self::Normal { mean, deviation } => {
                write!(f, "normal({},{})", show(mean), show(deviation))
            }
            Self::Lognormal { median, sigma } => write!(f, "lognormal({},{sigma})", show(median)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_round_trip() {
        let cases = [
            ("400ms", "400ms"),
            ("uniform(300ms, 500ms)", "uniform(300ms,500ms)"),
            ("uniform(1s,1s)", "uniform(1s,1s)"),
            ("normal(400ms,50ms)", "normal(400ms,50ms)"),
            (" lognormal(400ms,0.3) ", "lognormal(400ms,0.3)"),
        ];
        for (text, shown) in cases {
            let delay: AgentDelay = text.parse().expect(text);
            assert_eq!(delay.to_string(), shown);
            assert_eq!(shown.parse(), Ok(delay));
        }
    }

    #[test]
    fn invalid_delays_are_refused() {
        let cases = [
            ("", "a duration is missing"),
            ("400", "`400` has no unit"),
            (
                "uniform(500ms,300ms)",
                "the minimum of `uniform(500ms,300ms)` exceeds its maximum",
            ),
            (
                "uniform(500ms)",
                "`uniform(500ms)` needs two values in parentheses",
            ),
            (
                "uniform(1s,2s",
                "`uniform(1s,2s` needs two values in parentheses",
            ),
            ("normal(1s,2)", "`2` has no unit"),
            ("pareto(1s,2s)", "there is no distribution `pareto`"),
            (
                "lognormal(1s,nan)",
                "sigma of `lognormal(1s,nan)` must be a number from 0 to 10",
            ),
            (
                "lognormal(1s,-1)",
                "sigma of `lognormal(1s,-1)` must be a number from 0 to 10",
            ),
            (
                "lognormal(1s,0,3)",
                "sigma of `lognormal(1s,0,3)` must be a number from 0 to 10",
            ),
        ];
        for (text, message) in cases {
            let error = text.parse::<AgentDelay>().expect_err(text);
            assert_eq!(error.to_string(), message);
            assert!(error.hint().contains("400ms"));
        }
        for (text, hint) in [
            ("400", "write `400s` or `400ms`; delays"),
            ("normal(1s, 20 ms)", "write `20ms`; delays"),
            ("lognormal(1s,0,3)", "write `0.3`; delays"),
        ] {
            let error = text.parse::<AgentDelay>().expect_err(text);
            assert!(error.hint().starts_with(hint), "{}", error.hint());
        }
    }
}
