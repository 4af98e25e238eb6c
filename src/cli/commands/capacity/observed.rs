//! Averages the values observed during each step of the search.
//!
//! In: the readings of a step's runs. Out: the mean of each series. Invariant: only readings
//! taken while all calls were active count.

use crate::record::{Ms, Observations, Reading};
use crate::report::observed::in_order;
use serde::Serialize;

/// A series during a step. Rates are per second; processor time per second is a number of cores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ObservedMean {
    /// Name of the observed process or endpoint.
    pub source: String,
    /// The name of the series.
    pub series: String,
    /// Whether the values are rates of a counter.
    pub rate: bool,
    pub mean: f64,
    pub max: f64,
}

/// Accumulates the series of a step over its runs.
#[derive(Debug, Default)]
pub(super) struct ObservedMeans(Vec<Sum>);

#[derive(Debug)]
struct Sum {
    source: String,
    series: String,
    rate: bool,
    values: Vec<f64>,
}

impl ObservedMeans {
    /// Adds the readings of a run between two instants.
    pub(super) fn add(&mut self, readings: &[Reading], from: Ms, until: Ms) {
        let observed = Observations::of(readings);
        for (one, _) in in_order(&observed.series) {
            let same = |sum: &&mut Sum| {
                (&sum.source, &sum.series, sum.rate) == (&one.source, &one.name, one.rate)
            };
            let values = one.within(from, until);
            match self.0.iter_mut().find(same) {
                Some(sum) => sum.values.extend(values),
                None => self.0.push(Sum {
                    source: one.source.clone(),
                    series: one.name.clone(),
                    rate: one.rate,
                    values: values.collect(),
                }),
            }
        }
    }

    pub(super) fn means(&self) -> Vec<ObservedMean> {
        let mean = |sum: &Sum| {
            let max = sum.values.iter().copied().reduce(f64::max)?;
            Some(ObservedMean {
                source: sum.source.clone(),
                series: sum.series.clone(),
                rate: sum.rate,
                mean: sum.values.iter().sum::<f64>() / sum.values.len() as f64,
                max,
            })
        };
        self.0.iter().filter_map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readings_while_all_calls_were_active_count() {
        let at = |s: i64| Ms::from_micros(s * 1_000_000);
        let load = |s: i64, load: f64| Reading {
            gauges: [("lk_agents_worker_load".to_owned(), load)].into(),
            counters: [("process_cpu_seconds_total".to_owned(), s as f64 / 2.0)].into(),
            ..Reading::new("worker", at(s))
        };
        let mut means = ObservedMeans::default();
        assert_eq!(means.means(), []);
        let run = [load(0, 9.0), load(1, 0.5), load(2, 0.7), load(3, 9.0)];
        means.add(&run, at(1), at(3));
        means.add(&[load(1, 0.9)], at(1), at(3));
        means.add(&[load(5, 9.0)], at(1), at(3));
        let of = |series: &str, rate, mean, max| ObservedMean {
            source: "worker".into(),
            series: series.into(),
            rate,
            mean,
            max,
        };
        let expected = [
            of("process_cpu_seconds_total", true, 0.5, 0.5),
            of("lk_agents_worker_load", false, 0.7, 0.9),
        ];
        let found = means.means();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found.mean - expected.mean).abs() < 1e-9, "{found:?}");
            let mean = expected.mean;
            assert_eq!(
                &ObservedMean {
                    mean,
                    ..found.clone()
                },
                expected
            );
        }
        assert_eq!(found.len(), expected.len());
    }
}
