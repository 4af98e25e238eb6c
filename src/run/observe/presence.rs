//! Records which observed sources have yielded any value.
//!
//! In: readings. Out: at the end of the run, a notice for each source that yielded no value.

use crate::record::Reading;
use std::collections::BTreeMap;

/// Counts of the readings of each source so far.
#[derive(Debug, Default)]
pub(in crate::run) struct Presence(BTreeMap<String, Readings>);

#[derive(Debug, Default)]
struct Readings {
    /// Readings that failed.
    failed: usize,
    /// Readings with at least one value.
    good: usize,
    /// Readings that succeeded, but contained none of the wanted series.
    empty: usize,
    /// Reason of the last failed reading.
    why: String,
}

impl Presence {
    pub(in crate::run) fn take(&mut self, reading: &Reading) {
        let readings = self.0.entry(reading.name.clone()).or_default();
        match &reading.gap {
            Some(why) => {
                readings.failed += 1;
                readings.why.clone_from(why);
            }
            None if reading.gauges.is_empty() && reading.counters.is_empty() => readings.empty += 1,
            None => readings.good += 1,
        }
    }

    /// A notice for each source that yielded no value during the whole run.
    pub(in crate::run) fn absent(&self) -> Vec<String> {
        let notice = |(name, readings): (&String, &Readings)| {
            let Readings {
                failed,
                good,
                empty,
                why,
            } = readings;
            match (good, empty) {
                (0, 0) => Some(format!(
                    "`observe`: `{name}` never answered, in {failed} attempts: {why}"
                )),
                (0, _) => Some(format!(
                    "`observe`: `{name}` answered, but has none of the series that are recognised \
                     or that the scenario names"
                )),
                _ => None,
            }
        };
        self.0.iter().filter_map(notice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ms;

    #[test]
    fn only_sources_without_any_value_are_reported() {
        let mut presence = Presence::default();
        for (name, value, gap) in [
            ("worker", None, Some("no connection")),
            ("worker", Some(1.0), None),
            ("server", None, Some("no connection")),
            ("server", None, Some("HTTP status 404")),
            ("other", None, None),
            ("worker", None, Some("no connection")),
        ] {
            presence.take(&Reading {
                gauges: value.map(|v| ("g".to_owned(), v)).into_iter().collect(),
                gap: gap.map(str::to_owned),
                ..Reading::new(name, Ms::default())
            });
        }
        let absent = presence.absent();
        assert_eq!(absent.len(), 2, "{absent:?}");
        assert!(absent[0].contains("`other` answered, but has none"));
        let expected = "`server` never answered, in 2 attempts: HTTP status 404";
        assert!(absent[1].contains(expected), "{absent:?}");
    }
}
