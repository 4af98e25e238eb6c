//! Converts the thresholds of a scenario into gates, by which a run is judged.
//!
//! In: checked thresholds. Out: gates. Invariant: every metric that a scenario can name exists in
//! records (tested).

use crate::record::{self, GateOn};
use crate::run::AbortGate;
use crate::scenario::{Aggregate, Bound, On, Op, Threshold};
use crate::stats::{self, Decider, Gate, Inequality};

pub(super) fn from_thresholds(
    thresholds: &[Threshold],
    decider: Decider,
) -> Vec<record::Threshold> {
    let gate = |t: &Threshold| record::Threshold {
        metric: t.metric.name().to_owned(),
        variant: t.variant.clone(),
        expression: t.to_string(),
        gate: meaning(t),
        on: match t.on {
            On::All => GateOn::All,
            On::Steady => GateOn::Steady,
        },
        decider,
    };
    thresholds.iter().map(gate).collect()
}

/// The thresholds with `abort_on_fail`, which end a run as soon as its turns refute them.
pub(super) fn that_abort(thresholds: &[Threshold]) -> Vec<AbortGate> {
    let gates = from_thresholds(thresholds, Decider::default());
    let delays = thresholds.iter().map(|t| t.abort_after);
    let both = gates.into_iter().zip(delays);
    both.filter_map(|(threshold, delay)| {
        Some(AbortGate {
            threshold,
            delay: delay?,
        })
    })
    .collect()
}

fn meaning(threshold: &Threshold) -> Gate {
    Gate {
        aggregate: match threshold.aggregate {
            Aggregate::Percentile(p) => stats::Aggregate::Quantile(p / 100.0),
            Aggregate::Avg => stats::Aggregate::Mean,
            Aggregate::Min => stats::Aggregate::Min,
            Aggregate::Max => stats::Aggregate::Max,
            Aggregate::Med => stats::Aggregate::Quantile(0.5),
            Aggregate::Rate => stats::Aggregate::Rate,
        },
        comparison: match threshold.op {
            Op::Less => Inequality::Lt,
            Op::LessOrEqual => Inequality::Le,
            Op::Greater => Inequality::Gt,
            Op::GreaterOrEqual => Inequality::Ge,
        },
        bound: match threshold.bound {
            Bound::Time(t) => t.as_secs_f64() * 1e3,
            Bound::Share(s) => s,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse_threshold_line;

    #[test]
    fn threshold_expressions_become_gates() {
        use stats::Aggregate::{Max, Mean, Min, Quantile, Rate};
        for (text, aggregate, comparison, bound) in [
            ("ttfa: p(95)<1500ms", Quantile(0.95), Inequality::Lt, 1500.0),
            ("ttfa: p(100)<=2s", Quantile(1.0), Inequality::Le, 2000.0),
            ("stop: med<0.5s", Quantile(0.5), Inequality::Lt, 500.0),
            ("join: avg>1ms", Mean, Inequality::Gt, 1.0),
            ("join: min>=1ms", Min, Inequality::Ge, 1.0),
            ("join: max<1s", Max, Inequality::Lt, 1000.0),
            ("missed: rate<=0.25", Rate, Inequality::Le, 0.25),
        ] {
            let threshold = parse_threshold_line(text).expect(text);
            let gate = meaning(&threshold);
            assert_eq!(gate.aggregate, aggregate, "{text}");
            assert_eq!((gate.comparison, gate.bound), (comparison, bound), "{text}");
        }
        let threshold =
            parse_threshold_line("ttfa{variant:fast}: med<1s").expect("a valid threshold");
        let gates = from_thresholds(&[threshold], Decider::Upper);
        assert_eq!(gates[0].name(), "ttfa{variant:fast} med<1s");
        assert_eq!(gates[0].decider, Decider::Upper);
    }
}
