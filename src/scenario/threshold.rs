//! What must hold for a run to pass: `p(95)<1500ms`, `rate<0.01`.
//!
//! In: a metric and an expression, as in k6. Out: a typed [`Threshold`]. Holds: latencies are
//! compared with durations, shares with numbers from 0 to 1; nothing else can be said.

use super::duration;
use std::fmt;
use std::time::Duration;

/// A figure of a run that a threshold can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Time to first audio, mouth to ear.
    Ttfa,
    /// Time to first audio on the wire.
    TtfaWire,
    /// Start of the call to media flowing.
    Join,
    /// Start of the call to the agent's audio.
    AgentJoin,
    /// The agent's audio to its first words.
    Greeting,
    /// Share of turns without a reply in time.
    Missed,
    /// Share of turns answered too early.
    Early,
    /// Share of turns whose call failed.
    Failed,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Ttfa,
        Self::TtfaWire,
        Self::Join,
        Self::AgentJoin,
        Self::Greeting,
        Self::Missed,
        Self::Early,
        Self::Failed,
    ];

    /// Its key under `thresholds`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttfa => "ttfa",
            Self::TtfaWire => "ttfa_wire",
            Self::Join => "join",
            Self::AgentJoin => "agent_join",
            Self::Greeting => "greeting",
            Self::Missed => "missed",
            Self::Early => "early",
            Self::Failed => "failed",
        }
    }

    /// Whether it is a share of turns rather than a latency.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::Missed | Self::Early | Self::Failed)
    }
}

/// What is taken of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// This percentile, above 0 and up to 100.
    Percentile(f64),
    /// The mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The median.
    Med,
    /// The share, of a metric that is one.
    Rate,
}

/// How the aggregate must stand to the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// The right-hand side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Of a latency.
    Time(Duration),
    /// Of a share, 0 to 1.
    Share(f64),
}

/// One thing that must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Of what.
    pub metric: Metric,
    /// Which of its values.
    pub aggregate: Aggregate,
    /// How it compares.
    pub op: Op,
    /// With what.
    pub bound: Bound,
}

/// The expression as it can be written in a scenario: `p(95)<1.5s`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.aggregate {
            Aggregate::Percentile(p) => write!(f, "p({p})")?,
            Aggregate::Avg => f.write_str("avg")?,
            Aggregate::Min => f.write_str("min")?,
            Aggregate::Max => f.write_str("max")?,
            Aggregate::Med => f.write_str("med")?,
            Aggregate::Rate => f.write_str("rate")?,
        }
        f.write_str(match self.op {
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
        })?;
        match self.bound {
            Bound::Time(time) => f.write_str(&duration::format(time)),
            Bound::Share(share) => write!(f, "{share}"),
        }
    }
}

/// An expression that says nothing about its metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ThresholdError {
    message: String,
    hint: String,
}

impl ThresholdError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// What to write instead; printed on its own `hint:` line.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Reads `text` as a threshold on `metric`; blanks do not matter.
///
/// # Errors
/// [`ThresholdError`] with what to write instead.
pub(super) fn parse(metric: Metric, text: &str) -> Result<Threshold, ThresholdError> {
    let example = if metric.is_rate() {
        "`rate<0.01`"
    } else {
        "`p(95)<1500ms`"
    };
    let like = || format!("write it like {example}");
    let shown: String = text.chars().take(64).collect();
    let compact: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .take(128)
        .collect();
    let Some(at) = compact.find(['<', '>', '=']) else {
        return Err(ThresholdError::new(
            format!("`{shown}` compares nothing"),
            like(),
        ));
    };
    let (left, right) = compact.split_at(at);
    let (op, right) = match right.as_bytes() {
        [b'<', b'=', ..] => (Op::LessOrEqual, &right[2..]),
        [b'>', b'=', ..] => (Op::GreaterOrEqual, &right[2..]),
        [b'<', ..] => (Op::Less, &right[1..]),
        [b'>', ..] => (Op::Greater, &right[1..]),
        _ => {
            let hint = "compare with `<`, `<=`, `>` or `>=`";
            return Err(ThresholdError::new(
                format!("`{shown}` asks for equality"),
                hint,
            ));
        }
    };
    let aggregate = parse_aggregate(metric, left, example)?;
    let bound = match metric.is_rate() {
        true => parse_share(right)?,
        false => Bound::Time(duration::parse(right).map_err(|error| {
            ThresholdError::new(format!("bound of `{shown}`: {error}"), error.hint())
        })?),
    };
    Ok(Threshold {
        metric,
        aggregate,
        op,
        bound,
    })
}

/// Reads `text`, as from the command line, as a threshold on `metric`.
///
/// # Errors
/// [`ThresholdError`] with what to write instead.
pub fn parse_threshold(metric: Metric, text: &str) -> Result<Threshold, ThresholdError> {
    parse(metric, text)
}

fn parse_aggregate(metric: Metric, text: &str, example: &str) -> Result<Aggregate, ThresholdError> {
    let name = metric.name();
    let aggregate = match text {
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "med" => Aggregate::Med,
        "rate" => Aggregate::Rate,
        _ => {
            let number = text
                .strip_prefix("p(")
                .and_then(|rest| rest.strip_suffix(')'));
            let Some(number) = number.and_then(plain_number) else {
                let known = "`p(95)`, `avg`, `min`, `max`, `med`; shares have `rate`";
                let message = format!("`{text}` is nothing that can be taken of `{name}`");
                return Err(ThresholdError::new(message, format!("there is {known}")));
            };
            if !(number > 0.0 && number <= 100.0) {
                let hint = "percentiles are above 0 and at most 100, as in `p(95)`";
                return Err(ThresholdError::new(
                    format!("there is no percentile {number}"),
                    hint,
                ));
            }
            Aggregate::Percentile(number)
        }
    };
    match (metric.is_rate(), aggregate == Aggregate::Rate) {
        (true, false) => Err(ThresholdError::new(
            format!("`{name}` is a share of turns and has no `{text}`"),
            format!("write it like {example}"),
        )),
        (false, true) => Err(ThresholdError::new(
            format!("`{name}` is a latency and has no `rate`"),
            format!("write it like {example}"),
        )),
        _ => Ok(aggregate),
    }
}

fn parse_share(text: &str) -> Result<Bound, ThresholdError> {
    if let Some(percent) = text.strip_suffix('%').and_then(plain_number) {
        let message = format!("`{text}`: shares are numbers from 0 to 1");
        return Err(ThresholdError::new(
            message,
            format!("write `{}`", percent / 100.0),
        ));
    }
    match plain_number(text) {
        Some(share) if share <= 1.0 => Ok(Bound::Share(share)),
        _ => Err(ThresholdError::new(
            format!("`{text}` is no share of turns"),
            "shares are numbers from 0 to 1, as in `rate<0.01`",
        )),
    }
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn plain_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty()
        && text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
