//! The result of a gate in plain words.
//!
//! In: a threshold and its judgement. Out: one sentence without the gate's name. Invariants: every
//! report uses these words; figures are rounded as on the screen.

use super::metrics::ValueSource;
use super::threshold::Threshold;
use crate::stats::{Aggregate, Answer, Basis, Decider, Judgement};
use crate::vocab::Metric;
use crate::vocab::SampleUnit;

/// Number of turns from which the interval of a quantile is about ±11 % wide, given the spread that
/// is typical of voice agents: latencies are lognormal with σ = 0.53. Half the interval is 1.96 ·
/// √(q(1−q)/n) · σ / φ(z_q), where φ is the density of the normal distribution.
const WANTED: [(f64, usize); 4] = [(0.5, 140), (0.9, 260), (0.95, 400), (0.99, 1_240)];

pub(in crate::record) fn words(
    threshold: &Threshold,
    metric: Option<Metric>,
    judged: &Judgement,
) -> String {
    let Some(metric) = metric else {
        return "there is no such metric".to_owned();
    };
    match judged.basis {
        Basis::Empty => return "nothing was measured".to_owned(),
        Basis::NotApplicable => return "this metric has no such figure".to_owned(),
        Basis::Malformed => {
            return "the quantile or the bound is not a usable number".to_owned();
        }
        _ => {}
    }
    let told = Told {
        threshold,
        metric,
        judged,
    };
    let seen = told.seen();
    let mut text = match (judged.basis, judged.answer) {
        (Basis::TooFew(needed), _) => told.too_few(needed),
        (Basis::Refuted, _) => format!("{seen}: {}", told.refuted()),
        (Basis::Samples, _) => format!("{seen}, as measured"),
        (Basis::Estimate, _) => format!("{seen}, by the estimate alone: a mean has no interval"),
        (_, Answer::Pass) => format!("{seen}: clear of the bound"),
        (_, Answer::Fail) => format!("{seen}: beyond the bound"),
        (_, Answer::WeakPass) => {
            format!("{seen}: the interval spans the bound, the figure meets it")
        }
        (_, _) if threshold.decider == Decider::Upper => {
            format!("{seen}: the interval reaches past the bound")
        }
        _ => format!("{seen}: the interval spans the bound, the figure does not meet it"),
    };
    if let Some(advice) = told.advice() {
        text = format!("{text}; {advice}");
    }
    text
}

struct Told<'a> {
    threshold: &'a Threshold,
    metric: Metric,
    judged: &'a Judgement,
}

impl Told<'_> {
    fn figure(&self, value: f64) -> String {
        match value {
            f64::INFINITY => "∞".to_owned(),
            ratio if self.metric.is_share() => format!("{ratio:.4}"),
            ms => format!("{ms:.1}"),
        }
    }

    fn unit(&self) -> &'static str {
        if self.metric.is_share() { "" } else { " ms" }
    }

    fn samples(&self) -> &'static str {
        match self.metric.row().about {
            SampleUnit::Call => "calls",
            SampleUnit::Turn => "turns",
            SampleUnit::Word => "words",
            SampleUnit::Packet => "packets",
        }
    }

    /// The figure, its interval, and the number of samples behind them.
    fn seen(&self) -> String {
        let figure = match self.judged.observed {
            Some(f64::INFINITY) => "never (∞)".to_owned(),
            Some(value) => format!("{}{}", self.figure(value), self.unit()),
            None => "–".to_owned(),
        };
        let interval = self
            .judged
            .interval
            .map_or_else(String::new, |(lower, upper)| {
                format!(" [{}, {}]", self.figure(lower), self.figure(upper))
            });
        format!("{figure}{interval}, {}", self.count())
    }

    /// `300 turns`, `600 turns worth 58`.
    fn count(&self) -> String {
        let Judgement {
            n,
            n_eff,
            interval,
            basis,
            ..
        } = *self.judged;
        let things = self.samples();
        let things = if n == 1 {
            things.trim_end_matches('s')
        } else {
            things
        };
        // The effective sample size is shown only if it makes a difference.
        let matters = interval.is_some() || matches!(basis, Basis::TooFew(_));
        if matters && n_eff.round() < 0.95 * n as f64 {
            format!("{n} {things} worth {:.0}", n_eff.max(1.0))
        } else {
            format!("{n} {things}")
        }
    }

    fn too_few(&self, needed: usize) -> String {
        let what = match self.threshold.gate.aggregate {
            Aggregate::Quantile(0.5) => "a median".to_owned(),
            Aggregate::Quantile(q) => format!("p{}", to_thousandths(100.0 * q)),
            _ => "this rate".to_owned(),
        };
        let beyond = match self.judged.beyond {
            0 => "none beyond the bound".to_owned(),
            n => format!("{n} beyond the bound, too few to refute it"),
        };
        let seen = self.seen();
        let of = match self.metric.values() {
            ValueSource::ShareOfCalls(_) => " calls",
            _ => "",
        };
        format!("{seen}: too few for {what}, which takes {needed}{of}; {beyond}")
    }

    fn refuted(&self) -> String {
        let Judgement { beyond, n, .. } = *self.judged;
        format!("refuted, {beyond} of {n} beyond the bound")
    }

    /// The number of samples that would narrow the interval, if there are fewer.
    fn advice(&self) -> Option<String> {
        let Aggregate::Quantile(q) = self.threshold.gate.aggregate else {
            return None;
        };
        let (_, wanted) = WANTED.into_iter().find(|(of, _)| *of == q)?;
        let few = self.judged.n_eff < wanted as f64 && self.judged.answer != Answer::Fail;
        let things = self.samples();
        few.then(|| format!("{wanted} {things} would give an interval of about ±11 %"))
    }
}

/// Rounds a percentile to three decimals, which hides the error of binary fractions.
fn to_thousandths(p: f64) -> f64 {
    (p * 1e3).round() / 1e3
}
