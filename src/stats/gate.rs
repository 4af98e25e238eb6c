//! Judges a gate: compares one figure of a run with a bound.
//!
//! In: latencies or a share, in groups, and the gate. Out: an answer and its basis.
//! Invariants: with no samples, or too few to bracket the figure, a gate never passes; a refuted
//! gate fails however few samples there are; if the bound lies within the interval, the answer is
//! weak and the estimate decides ([`Decider`]).

use super::distribution::Distribution;
use super::interval::samples_needed;
use super::proportion::Proportion;

/// Confidence level of the two-sided interval, and of each one-sided test.
pub(crate) const GATE_LEVEL: f64 = 0.95;

/// The figure that is computed from the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// A quantile, 0..=1: `p(95)` is 0.95, `med` 0.5.
    Quantile(f64),
    /// The arithmetic mean (`avg`).
    Mean,
    /// The smallest sample.
    Min,
    /// The largest sample.
    Max,
    /// The share itself; applies only to shares.
    Rate,
}

/// How the figure must compare with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inequality {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Inequality {
    fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Lt => figure < bound,
            Self::Le => figure <= bound,
            Self::Gt => figure > bound,
            Self::Ge => figure >= bound,
        }
    }

    /// Whether the bound is an upper bound.
    pub(crate) fn is_upper(self) -> bool {
        matches!(self, Self::Lt | Self::Le)
    }
}

/// A bound on one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// The figure.
    pub aggregate: Aggregate,
    /// How the figure must compare with the bound.
    pub comparison: Inequality,
    /// The bound, in ms for latencies and as a ratio for shares.
    pub bound: f64,
}

/// The value that decides a gate whose bound lies within the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Decider {
    /// The estimate; the answer is weak.
    #[default]
    Estimate,
    /// The end of the interval that is worse for the gate, so that only a mean, which has no
    /// interval, can pass weakly.
    Upper,
}

/// The samples that a gate is judged by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Population {
    /// Latencies; infinite if the awaited event never happened.
    Latencies(Distribution),
    Share(Proportion),
}

#[cfg(test)]
impl Population {
    /// Number of samples.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Latencies(d) => d.count(),
            Self::Share(p) => p.total(),
        }
    }
}

/// The outcome of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The whole interval satisfies the bound.
    Pass,
    /// The bound lies within the interval; the estimate satisfies it.
    WeakPass,
    /// The bound lies within the interval; the estimate does not satisfy it.
    WeakFail,
    /// No part of the interval satisfies the bound, or the samples refute it.
    Fail,
    /// The gate could not be judged; never a pass.
    Undecided,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Basis {
    /// The interval and, if the bound lies within it, the [`Decider`].
    Interval,
    /// More samples lie beyond the bound than is plausible for a figure that satisfies it.
    Refuted,
    /// The samples alone: the figure is the smallest or largest, or the bound allows only 0 or 1.
    Samples,
    /// The estimate alone: a mean has no distribution-free interval.
    Estimate,
    /// There are too few samples to bracket the figure; this many independent samples are needed.
    TooFew(usize),
    /// There are no samples.
    Empty,
    /// The aggregate does not apply: a rate of latencies, or any other aggregate of a share.
    NotApplicable,
    /// The quantile is outside 0..=1 or the bound is not a number.
    Malformed,
}

/// A judged gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judgement {
    pub answer: Answer,
    pub basis: Basis,
    /// The observed figure, in ms or as a ratio; `f64::INFINITY` if it falls on an infinite
    /// sample, `None` if it could not be computed.
    pub observed: Option<f64>,
    /// Confidence interval of the figure ([`GATE_LEVEL`]), in the same unit.
    pub interval: Option<(f64, f64)>,
    /// Number of samples.
    pub n: usize,
    /// Effective sample size.
    pub n_eff: f64,
    /// Number of samples beyond the bound: latencies that do not satisfy it; for a share, the hits
    /// if the bound is an upper one, else the misses.
    pub beyond: usize,
}

impl Judgement {
    /// The judgement of a gate that could not be judged.
    pub(crate) fn none(basis: Basis) -> Self {
        Self {
            answer: Answer::Undecided,
            basis,
            observed: None,
            interval: None,
            n: 0,
            n_eff: 0.0,
            beyond: 0,
        }
    }
}

impl Gate {
    /// Compares the gate's figure of `population` with its bound.
    pub(crate) fn judge(&self, population: &Population, decider: Decider) -> Judgement {
        if self.bound.is_nan() {
            return Judgement::none(Basis::Malformed);
        }
        match (population, self.aggregate) {
            (Population::Latencies(d), Aggregate::Quantile(q)) => match q {
                _ if q > 0.0 && q < 1.0 => self.quantile(d, q, decider),
                _ if q == 0.0 || q == 1.0 => self.sample(d, d.quantile(q).map(|s| s.as_ms())),
                _ => Judgement::none(Basis::Malformed),
            },
            (Population::Latencies(d), Aggregate::Min) => {
                self.sample(d, d.min().map(|s| s.as_ms()))
            }
            (Population::Latencies(d), Aggregate::Max) => {
                self.sample(d, d.max().map(|s| s.as_ms()))
            }
            (Population::Latencies(d), Aggregate::Mean) => self.mean(d),
            (Population::Share(p), Aggregate::Rate) => self.share(p, decider),
            _ => Judgement::none(Basis::NotApplicable),
        }
    }

    /// Whether the samples refute the gate at `level`, so that a run can stop early. Never true for
    /// a mean, since later samples could outweigh a long one.
    pub(crate) fn is_refuted(&self, population: &Population, level: f64) -> bool {
        match (population, self.aggregate) {
            (Population::Share(p), Aggregate::Rate) => match self.is_extreme() {
                true => p.value().is_some_and(|share| !self.holds(share)),
                false => self.share_is_refuted(p, level),
            },
            (Population::Latencies(d), Aggregate::Quantile(q)) if q > 0.0 && q < 1.0 => {
                self.quantile_is_refuted(d, q, level)
            }
            // One sample past an upper bound refutes a maximum, whatever samples follow; a minimum
            // that is too large can still decrease.
            (Population::Latencies(d), Aggregate::Max | Aggregate::Quantile(1.0)) => {
                self.comparison.is_upper() && d.max().is_some_and(|s| !self.holds(s.as_ms()))
            }
            (Population::Latencies(d), Aggregate::Min | Aggregate::Quantile(0.0)) => {
                !self.comparison.is_upper() && d.min().is_some_and(|s| !self.holds(s.as_ms()))
            }
            _ => false,
        }
    }

    fn holds(&self, figure: f64) -> bool {
        self.comparison.holds(figure, self.bound)
    }

    fn beyond(&self, d: &Distribution) -> Proportion {
        d.share(|sample| !self.holds(sample.as_ms()))
    }

    fn quantile_is_refuted(&self, d: &Distribution, q: f64, level: f64) -> bool {
        // If the quantile satisfies the bound, at most this share of the samples lies beyond it.
        let most = if self.comparison.is_upper() {
            1.0 - q
        } else {
            q
        };
        self.beyond(d).refutes_at_most(most, level)
    }

    fn quantile(&self, d: &Distribution, q: f64, decider: Decider) -> Judgement {
        let Some(observed) = d.quantile(q).map(|s| s.as_ms()) else {
            return Judgement::none(Basis::Empty);
        };
        let found = d.interval(q, GATE_LEVEL);
        let interval = found.as_ref().ok();
        let worth = interval.map_or_else(|| self.beyond(d).worth(0.025), |i| i.worth);
        let ends = interval.map(|i| (i.lower.as_ms(), i.upper.as_ms()));
        let (answer, basis) = if self.quantile_is_refuted(d, q, GATE_LEVEL) {
            (Answer::Fail, Basis::Refuted)
        } else {
            match ends {
                Some(ends) => (self.by_interval(observed, ends, decider), Basis::Interval),
                None => {
                    let needed = samples_needed(q, GATE_LEVEL).unwrap_or(usize::MAX);
                    (Answer::Undecided, Basis::TooFew(needed))
                }
            }
        };
        Judgement {
            answer,
            basis,
            observed: Some(observed),
            interval: ends,
            n: worth.n,
            n_eff: worth.n_eff,
            beyond: self.beyond(d).hits(),
        }
    }

    fn by_interval(&self, observed: f64, ends: (f64, f64), decider: Decider) -> Answer {
        let (best, worst) = match self.comparison.is_upper() {
            true => ends,
            false => (ends.1, ends.0),
        };
        if self.holds(worst) {
            Answer::Pass
        } else if !self.holds(best) {
            Answer::Fail
        } else if self.holds(observed) && decider == Decider::Estimate {
            Answer::WeakPass
        } else {
            Answer::WeakFail
        }
    }

    /// Judges a figure by its value alone, as for the smallest or largest sample.
    fn sample(&self, d: &Distribution, observed: Option<f64>) -> Judgement {
        let Some(observed) = observed else {
            return Judgement::none(Basis::Empty);
        };
        Judgement {
            answer: match self.holds(observed) {
                true => Answer::Pass,
                false => Answer::Fail,
            },
            basis: Basis::Samples,
            observed: Some(observed),
            interval: None,
            n: d.count(),
            n_eff: d.count() as f64,
            beyond: self.beyond(d).hits(),
        }
    }

    fn mean(&self, d: &Distribution) -> Judgement {
        let observed = d.mean().map(|s| s.as_ms());
        let judged = self.sample(d, observed);
        Judgement {
            answer: match judged.answer {
                Answer::Pass => Answer::WeakPass,
                Answer::Fail if observed == Some(f64::INFINITY) => Answer::Fail,
                Answer::Fail => Answer::WeakFail,
                answer => answer,
            },
            basis: match judged.basis {
                Basis::Samples => Basis::Estimate,
                basis => basis,
            },
            ..judged
        }
    }

    /// Whether only a share of exactly 0 or 1 satisfies the bound. Such a gate is judged by these
    /// samples alone, since no number of samples can prove that something never happens.
    fn is_extreme(&self) -> bool {
        match self.comparison {
            Inequality::Le => self.bound <= 0.0,
            Inequality::Ge => self.bound >= 1.0,
            Inequality::Lt | Inequality::Gt => false,
        }
    }

    fn share_is_refuted(&self, p: &Proportion, level: f64) -> bool {
        match self.comparison.is_upper() {
            true => p.refutes_at_most(self.bound, level),
            false => p.refutes_at_least(self.bound, level),
        }
    }

    fn share(&self, p: &Proportion, decider: Decider) -> Judgement {
        let Some(observed) = p.value() else {
            return Judgement::none(Basis::Empty);
        };
        // If none or all samples are hits, one end is certain, so the other end gets the whole
        // error probability.
        let certain = p.hits() == 0 || p.hits() == p.total();
        let level = if certain {
            2.0 * GATE_LEVEL - 1.0
        } else {
            GATE_LEVEL
        };
        let interval = p.interval(level);
        let ends = interval.map(|i| (i.lower, i.upper));
        let worth = p.worth((1.0 - level) / 2.0);
        let needed = self.share_needs();
        let holds = self.holds(observed);
        let (answer, basis) = if self.is_extreme() {
            let answer = if holds { Answer::Pass } else { Answer::Fail };
            (answer, Basis::Samples)
        } else if self.share_is_refuted(p, GATE_LEVEL) {
            (Answer::Fail, Basis::Refuted)
        } else if worth.n as f64 / worth.deff < needed {
            (Answer::Undecided, Basis::TooFew(needed as usize))
        } else {
            let ends = ends.unwrap_or((0.0, 1.0));
            (self.by_interval(observed, ends, decider), Basis::Interval)
        };
        Judgement {
            answer,
            basis,
            observed: Some(observed),
            interval: ends,
            n: worth.n,
            n_eff: worth.n_eff,
            beyond: match self.comparison.is_upper() {
                true => p.hits(),
                false => p.total() - p.hits(),
            },
        }
    }

    /// The fewest samples with which the best result (none or all hits) brings the one-sided
    /// confidence bound within the gate: 299 for `rate<0.01`, as for a p99.
    fn share_needs(&self) -> f64 {
        let kept = match self.comparison.is_upper() {
            true => 1.0 - self.bound,
            false => self.bound,
        };
        let needed = ((1.0 - GATE_LEVEL).ln() / kept.ln()).ceil();
        // One sample is enough for a bound that every share satisfies or that none satisfies.
        if needed.is_finite() {
            needed.max(1.0)
        } else {
            1.0
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
