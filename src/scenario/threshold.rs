//! Thresholds that a run must meet: `ttfa{variant:fast}: p(95)<1500ms`, `missed: rate<0.01`.
//!
//! Out: a typed [`Threshold`]; `threshold_parse` parses it. Invariants: latencies are compared
//! only with durations, shares only with numbers from 0 to 1.

use crate::vocab::Metric;
use crate::vocab::duration;
use std::fmt;
use std::time::Duration;

/// How a metric's values are aggregated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aggregate {
    /// This percentile, above 0 and up to 100.
    Percentile(f64),
    Avg,
    Min,
    Max,
    Med,
    /// The share, for a metric that is a share.
    Rate,
}

/// How the aggregate is compared with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    /// Whether the bound is an upper one.
    fn is_upper(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }
}

/// The bound, on the right-hand side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// Bound of a latency.
    Time(Duration),
    /// Bound of a share, 0 to 1.
    Share(f64),
}

/// Which turns a threshold applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum On {
    /// All measured turns.
    #[default]
    All,
    /// Turns that started while the load was steady.
    Steady,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Threshold {
    pub metric: Metric,
    /// If given, only this variant's calls count.
    pub variant: Option<String>,
    /// How the metric's values are aggregated.
    pub aggregate: Aggregate,
    /// How the aggregate is compared with the bound.
    pub op: Op,
    pub bound: Bound,
    /// Which turns the threshold applies to.
    pub on: On,
    /// If given, the run ends as soon as its turns refute the threshold, but not earlier than this
    /// long after the first measured call.
    pub abort_after: Option<Duration>,
}

impl Threshold {
    /// The metric and its filter, as written in a scenario: `ttfa{variant:fast}`.
    pub(crate) fn subject(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}{{variant:{variant}}}", self.metric.name()),
            None => self.metric.name().to_owned(),
        }
    }

    /// Whether `other` bounds the same figure from the same side.
    pub(crate) fn bounds_the_same(&self, other: &Self) -> bool {
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
