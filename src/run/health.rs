//! Whether the generator kept up well enough for its figures to be reliable.
//!
//! In: bounds; the media threads' health at intervals, with the number of calls in progress.
//! Out: which bound was exceeded, at how many calls. Invariants: the whole run decides; the
//! number of calls is that of the first check that found the bound exceeded.

use crate::net::HealthSnapshot;
use crate::scenario::Health;

/// Largest share of the received audio packets that may belong to no known track.
const MOST_UNHEARD: f64 = 0.01;

/// Checks the generator while it runs.
#[derive(Debug)]
pub(super) struct HealthWatch {
    bounds: Health,
    /// Calls in progress when each bound was first found exceeded.
    late: Option<usize>,
    drops: Option<usize>,
    refused: Option<usize>,
    most: usize,
}

impl HealthWatch {
    pub(super) fn new(bounds: Health) -> Self {
        Self {
            bounds,
            late: None,
            drops: None,
            refused: None,
            most: 0,
        }
    }

    /// Checks the bounds, with `calls` in progress.
    pub(super) fn look(&mut self, health: &HealthSnapshot, calls: usize) {
        self.most = self.most.max(calls);
        let note = |first: &mut Option<usize>, broken: bool| {
            if broken {
                first.get_or_insert(calls);
            }
        };
        let late = self.is_late(health);
        note(&mut self.late, late);
        note(&mut self.drops, health.own_drops > self.bounds.own_drops);
        note(&mut self.refused, health.send_errors > 0);
    }

    fn is_late(&self, health: &HealthSnapshot) -> bool {
        health.tick_lateness.p99 > self.bounds.tick_lateness
    }

    /// Reasons why the run's figures are not reliable; empty if they are.
    pub(super) fn doubts(&self, health: &HealthSnapshot) -> Vec<String> {
        let mut doubts = Vec::new();
        let at = |first: Option<usize>| match first.unwrap_or(self.most) {
            1 => "at 1 call".to_owned(),
            calls => format!("at {calls} calls"),
        };
        if self.is_late(health) {
            doubts.push(format!(
                "the generator was too slow: 1 in 100 packets left {:.1} ms late or later, over the bound `health.tick_lateness` of {} ms, first {}",
                health.tick_lateness.p99.as_secs_f64() * 1e3,
                self.bounds.tick_lateness.as_secs_f64() * 1e3,
                at(self.late),
            ));
        }
        if health.own_drops > self.bounds.own_drops {
            doubts.push(format!(
                "our receive buffers were full: the kernel dropped {} packets, over the bound `health.own_drops` of {}, first {}",
                health.own_drops,
                self.bounds.own_drops,
                at(self.drops),
            ));
        }
        if health.send_errors > 0 {
            doubts.push(format!(
                "the operating system refused to send {} packets, first {}",
                health.send_errors,
                at(self.refused),
            ));
        }
        let received = health.heard + health.ignored + health.unheard;
        if health.unheard as f64 > received as f64 * MOST_UNHEARD {
            doubts.push(format!(
                "{} of {received} received audio packets belong to no known track: replies may have been missed",
                health.unheard,
            ));
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn health(late_ms: u64, own_drops: u64) -> HealthSnapshot {
        let mut health = HealthSnapshot::of(std::iter::empty());
        health.tick_lateness.p99 = Duration::from_millis(late_ms);
        health.own_drops = own_drops;
        health
    }

    #[test]
    fn each_bound_is_reported_with_the_concurrency_that_broke_it() {
        let mut watch = HealthWatch::new(Health::default());
        for (calls, late, drops) in [(10, 1, 0), (150, 6, 0), (200, 7, 3)] {
            watch.look(&health(late, drops), calls);
        }
        let doubts = watch.doubts(&health(7, 3));
        assert_eq!(doubts.len(), 2);
        assert!(doubts[0].contains("`health.tick_lateness` of 5 ms, first at 150 calls"));
        assert!(doubts[1].contains("dropped 3 packets") && doubts[1].ends_with("at 200 calls"));
    }

    #[test]
    fn bounds_apply_to_the_run_as_a_whole() {
        let mut watch = HealthWatch::new(Health::default());
        watch.look(&health(60, 0), 1);
        assert!(watch.doubts(&health(2, 0)).is_empty());
        let lax = Health {
            tick_lateness: Duration::from_millis(80),
            own_drops: 5,
        };
        assert!(HealthWatch::new(lax).doubts(&health(60, 5)).is_empty());
    }

    #[test]
    fn more_than_1_percent_of_packets_unheard_is_a_doubt() {
        let watch = HealthWatch::new(Health::default());
        let doubts = |heard, ignored, unheard| {
            let mut health = health(0, 0);
            (health.heard, health.ignored, health.unheard) = (heard, ignored, unheard);
            watch.doubts(&health)
        };
        assert!(doubts(0, 0, 0).is_empty());
        assert!(doubts(89, 10, 1).is_empty());
        assert!(doubts(0, 500, 0).is_empty(), "unsubscribed tracks");
        let told = doubts(880, 100, 20);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("20 of 1000 received audio packets"),
            "{told:?}"
        );
    }
}
