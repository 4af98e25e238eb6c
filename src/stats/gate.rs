//! A gate: one figure of a run held against a bound.
//!
//! In: latencies or a rate, and the gate. Out: pass, fail or undecided, with the figure seen.
//! Holds: nothing measured is never a pass. The point estimate decides; the interval does not yet.

use super::distribution::Distribution;

/// What is taken from the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// A quantile, 0..=1: `p(95)` is 0.95, `med` 0.5.
    Quantile(f64),
    /// The arithmetic mean (`avg`).
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// A share of turns, of a [`Population::Rate`].
    Rate,
}

/// How the figure must stand to the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparison {
    fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Lt => figure < bound,
            Self::Le => figure <= bound,
            Self::Gt => figure > bound,
            Self::Ge => figure >= bound,
        }
    }
}

/// A bound on one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// The figure.
    pub aggregate: Aggregate,
    /// How it must stand to the bound.
    pub comparison: Comparison,
    /// In milliseconds, or a ratio for [`Aggregate::Rate`].
    pub bound: f64,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Those that count.
    pub hits: usize,
    /// All.
    pub total: usize,
}

impl Rate {
    /// The share, 0..=1; `None` of nothing.
    pub fn value(self) -> Option<f64> {
        (self.total > 0).then(|| self.hits as f64 / self.total as f64)
    }
}

/// What a gate looks at.
#[derive(Debug, Clone, Copy)]
pub enum Population<'a> {
    /// Latencies, infinite ones where the awaited thing never happened.
    Latencies(&'a Distribution),
    /// A share.
    Rate(Rate),
}

/// Why a gate could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// There is no sample.
    #[error("nothing was measured")]
    Empty,
    /// A rate of latencies, or a quantile of a rate.
    #[error("this figure does not exist for this metric")]
    NotApplicable,
    /// The quantile is outside 0..=1 or the bound is not a number.
    #[error("the quantile or the bound is not a usable number")]
    Malformed,
}

/// What became of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The figure keeps the bound.
    Pass,
    /// It does not.
    Fail,
    /// It could not be judged; never a pass.
    Undecided(Undecided),
}

/// A judged gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// The figure seen, in ms or as a ratio; `f64::INFINITY` for a quantile among the samples
    /// that never came, `None` where there was nothing to see.
    pub observed: Option<f64>,
}

impl Gate {
    /// Holds the gate's figure of `population` against its bound.
    pub fn judge(&self, population: Population<'_>) -> Judgement {
        let undecided = |why| Judgement {
            verdict: Verdict::Undecided(why),
            observed: None,
        };
        if self.bound.is_nan() {
            return undecided(Undecided::Malformed);
        }
        match self.figure(population) {
            Err(why) => undecided(why),
            Ok(figure) => Judgement {
                verdict: if self.comparison.holds(figure, self.bound) {
                    Verdict::Pass
                } else {
                    Verdict::Fail
                },
                observed: Some(figure),
            },
        }
    }

    fn figure(&self, population: Population<'_>) -> Result<f64, Undecided> {
        let sample = match (population, self.aggregate) {
            (Population::Rate(rate), Aggregate::Rate) => {
                return rate.value().ok_or(Undecided::Empty);
            }
            (Population::Rate(_), _) | (Population::Latencies(_), Aggregate::Rate) => {
                return Err(Undecided::NotApplicable);
            }
            (Population::Latencies(_), Aggregate::Quantile(q)) if !(0.0..=1.0).contains(&q) => {
                return Err(Undecided::Malformed);
            }
            (Population::Latencies(d), Aggregate::Quantile(q)) => d.quantile(q),
            (Population::Latencies(d), Aggregate::Mean) => d.mean(),
            (Population::Latencies(d), Aggregate::Min) => d.min(),
            (Population::Latencies(d), Aggregate::Max) => d.max(),
        };
        sample.map(|s| s.as_ms()).ok_or(Undecided::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;
    use std::time::Duration;

    fn gate(aggregate: Aggregate, comparison: Comparison, bound: f64) -> Gate {
        Gate {
            aggregate,
            comparison,
            bound,
        }
    }

    #[test]
    fn latencies_by_table() {
        use Aggregate::{Max, Mean, Min, Quantile};
        use Comparison::{Ge, Gt, Le, Lt};
        use Verdict::{Fail, Pass};
        // 100, 200, …, 1000 ms, and the same with two replies that never came.
        let finite: Distribution = (1..=10).map(|v| Duration::from_millis(100 * v)).collect();
        let missing: Distribution = finite
            .sorted()
            .iter()
            .copied()
            .chain([Sample::Infinite; 2])
            .collect();
        let never = f64::INFINITY;
        let cases = [
            (
                "p95 below",
                &finite,
                gate(Quantile(0.95), Lt, 1000.1),
                Pass,
                1000.0,
            ),
            (
                "p95 equal, strict",
                &finite,
                gate(Quantile(0.95), Lt, 1000.0),
                Fail,
                1000.0,
            ),
            (
                "p95 equal, not strict",
                &finite,
                gate(Quantile(0.95), Le, 1000.0),
                Pass,
                1000.0,
            ),
            (
                "median",
                &finite,
                gate(Quantile(0.5), Lt, 500.0),
                Fail,
                500.0,
            ),
            ("mean", &finite, gate(Mean, Le, 550.0), Pass, 550.0),
            ("min from below", &finite, gate(Min, Ge, 100.0), Pass, 100.0),
            ("min too small", &finite, gate(Min, Gt, 100.0), Fail, 100.0),
            ("max", &finite, gate(Max, Lt, 900.0), Fail, 1000.0),
            (
                "p95 of missing replies",
                &missing,
                gate(Quantile(0.95), Lt, 1e9),
                Fail,
                never,
            ),
            (
                "p50 not touched by them",
                &missing,
                gate(Quantile(0.5), Lt, 700.0),
                Pass,
                600.0,
            ),
            (
                "mean with one infinite",
                &missing,
                gate(Mean, Lt, 1e9),
                Fail,
                never,
            ),
        ];
        for (name, distribution, gate, verdict, observed) in cases {
            let seen = gate.judge(Population::Latencies(distribution));
            let expected = Judgement {
                verdict,
                observed: Some(observed),
            };
            assert_eq!(seen, expected, "{name}");
        }
    }

    #[test]
    fn rates_by_table() {
        use Comparison::{Ge, Lt};
        let cases = [
            (
                "none",
                Rate {
                    hits: 0,
                    total: 300,
                },
                Lt,
                0.01,
                Verdict::Pass,
                0.0,
            ),
            (
                "equal, strict",
                Rate {
                    hits: 3,
                    total: 300,
                },
                Lt,
                0.01,
                Verdict::Fail,
                0.01,
            ),
            (
                "at least",
                Rate {
                    hits: 99,
                    total: 100,
                },
                Ge,
                0.99,
                Verdict::Pass,
                0.99,
            ),
        ];
        for (name, rate, comparison, bound, verdict, observed) in cases {
            let seen = gate(Aggregate::Rate, comparison, bound).judge(Population::Rate(rate));
            assert_eq!(seen.verdict, verdict, "{name}");
            assert_eq!(seen.observed, Some(observed), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_undecided() {
        let (none, one) = (
            Distribution::default(),
            [Duration::from_millis(1)]
                .into_iter()
                .collect::<Distribution>(),
        );
        let rate = Population::Rate(Rate { hits: 1, total: 2 });
        let p95 = Aggregate::Quantile(0.95);
        let lt = Comparison::Lt;
        let cases = [
            (
                "no turns",
                gate(p95, lt, 1.0),
                Population::Latencies(&none),
                Undecided::Empty,
            ),
            (
                "no turns, mean",
                gate(Aggregate::Mean, lt, 1.0),
                Population::Latencies(&none),
                Undecided::Empty,
            ),
            (
                "rate of none",
                gate(Aggregate::Rate, lt, 1.0),
                Population::Rate(Rate::default()),
                Undecided::Empty,
            ),
            (
                "rate of latencies",
                gate(Aggregate::Rate, lt, 1.0),
                Population::Latencies(&one),
                Undecided::NotApplicable,
            ),
            (
                "quantile of a rate",
                gate(p95, lt, 1.0),
                rate,
                Undecided::NotApplicable,
            ),
            (
                "p(195)",
                gate(Aggregate::Quantile(1.95), lt, 1.0),
                Population::Latencies(&one),
                Undecided::Malformed,
            ),
            (
                "bound is no number",
                gate(p95, lt, f64::NAN),
                Population::Latencies(&one),
                Undecided::Malformed,
            ),
        ];
        for (name, gate, population, why) in cases {
            let seen = gate.judge(population);
            assert_eq!(seen.verdict, Verdict::Undecided(why), "{name}");
            assert_eq!(seen.observed, None, "{name}");
        }
    }
}
