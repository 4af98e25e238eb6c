//! What must hold for a run to pass: `ttfa{variant:fast}: p(95)<1500ms`, `missed: rate<0.01`.
//!
//! Out: a typed [`Threshold`]; `threshold_parse` reads it. Holds: latencies are compared with
//! durations, shares with numbers from 0 to 1; nothing else can be said.

use crate::vocab::Metric;
use crate::vocab::duration;
use std::fmt;
use std::time::Duration;

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

impl Op {
    /// Whether it bounds from above.
    fn is_upper(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }
}

/// The right-hand side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Of a latency.
    Time(Duration),
    /// Of a share, 0 to 1.
    Share(f64),
}

/// Which turns a threshold looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum On {
    /// All that are measured.
    #[default]
    All,
    /// Those that began while the load was level.
    Steady,
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Of what.
    pub metric: Metric,
    /// Of this variant's calls only.
    pub variant: Option<String>,
    /// Which of its values.
    pub aggregate: Aggregate,
    /// How it compares.
    pub op: Op,
    /// With what.
    pub bound: Bound,
    /// Of which turns.
    pub on: On,
    /// The run ends early when it is refuted, not looked at before this long after the first
    /// measured call.
    pub abort_after: Option<Duration>,
}

impl Threshold {
    /// What it is about, as it can be written in a scenario: `ttfa{variant:fast}`.
    pub fn subject(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}{{variant:{variant}}}", self.metric.name()),
            None => self.metric.name().to_owned(),
        }
    }

    /// Whether `other` bounds the same figure from the same side.
    pub fn bounds_the_same(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.variant == other.variant
            && self.aggregate == other.aggregate
            && self.op.is_upper() == other.op.is_upper()
    }
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
