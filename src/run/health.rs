//! Whether the generator kept up well enough for its figures to be reliable.
//!
//! In: bounds; the media threads' health at intervals, with the number of calls in progress. Out:
//! which bounds were exceeded, and at how many concurrent calls. Invariants: bounds apply to the
//! whole run; the number of calls is taken at the first check that found the bound exceeded.

use super::event::Vitals;
use crate::net::DurationQuantiles;
use crate::scenario::HealthBounds;
use std::time::Duration;

/// Largest share of the received audio packets that may belong to no known track.
const MOST_UNHEARD: f64 = 0.01;
/// Largest share of the received packets that may be unusable: forged, duplicate or too old.
const MOST_USELESS: f64 = 0.01;
/// Fewer unusable packets than this are ignored, such as a stray datagram or duplicates after a
/// route change.
const FEW: u64 = 100;

/// Checks the generator while it runs.
#[derive(Debug)]
pub(super) struct HealthWatch {
    bounds: HealthBounds,
    /// Number of calls in progress when each bound was first found to be exceeded.
    late: Option<usize>,
    signalling: Option<usize>,
    drops: Option<usize>,
    refused: Option<usize>,
    most: usize,
}

impl HealthWatch {
    pub(super) fn new(bounds: HealthBounds) -> Self {
        Self {
            bounds,
            late: None,
            signalling: None,
            drops: None,
            refused: None,
            most: 0,
        }
    }

    /// Checks the bounds, with `calls` in progress.
    pub(super) fn look(&mut self, vitals: &Vitals, calls: usize) {
        let health = &vitals.health;
        self.most = self.most.max(calls);
        let note = |first: &mut Option<usize>, broken: bool| {
            if broken {
                first.get_or_insert(calls);
            }
        };
        let late = |lateness: DurationQuantiles, bound| lateness.p99 > bound;
        let ticks = late(health.tick_lateness, self.bounds.tick_lateness);
        note(&mut self.late, ticks);
        let signalling = self.bounds.signalling_lateness;
        let signalling = late(vitals.signalling_lateness, signalling);
        note(&mut self.signalling, signalling);
        note(&mut self.drops, health.own_drops > self.bounds.own_drops);
        note(&mut self.refused, health.send_errors > 0);
    }

    /// Reasons why the run's figures are not reliable; empty if the figures are reliable.
    /// `held_back`: the cause that kept the generator from running, if there was one.
    pub(super) fn doubts(&self, vitals: &Vitals, held_back: Option<&str>) -> Vec<String> {
        let because = held_back.map_or_else(String::new, |why| format!(" ({why})"));
        let mut late = self.of_time(vitals);
        late.iter_mut().for_each(|doubt| doubt.push_str(&because));
        [late, self.of_packets(vitals)].concat()
    }

    fn first(&self, first: Option<usize>) -> String {
        match first.unwrap_or(self.most) {
            1 => "first at 1 call".to_owned(),
            calls => format!("first at {calls} calls"),
        }
    }

    fn of_time(&self, vitals: &Vitals) -> Vec<String> {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut doubts = Vec::new();
        let (late, bound) = (vitals.health.tick_lateness.p99, self.bounds.tick_lateness);
        if late > bound {
            doubts.push(format!(
                "the generator was too slow: 1 in 100 packets left at least {:.1} ms late, over the bound `health.tick_lateness` of {} ms, {}",
                ms(late),
                ms(bound),
                self.first(self.late),
            ));
        }
        let (late, bound) = (
            vitals.signalling_lateness.p99,
            self.bounds.signalling_lateness,
        );
        if late > bound {
            doubts.push(format!(
                "the generator's signalling was too slow: 1 in 100 of its timers fired at least {:.1} ms late, over the bound `health.signalling_lateness` of {} ms, {}: join times and agent states are late too",
                ms(late),
                ms(bound),
                self.first(self.signalling),
            ));
        }
        doubts
    }

    fn of_packets(&self, vitals: &Vitals) -> Vec<String> {
        let health = &vitals.health;
        let mut doubts = Vec::new();
        if health.own_drops > self.bounds.own_drops {
            doubts.push(format!(
                "our receive buffers were full: the kernel dropped {} packets, over the bound `health.own_drops` of {}, {}",
                health.own_drops,
                self.bounds.own_drops,
                self.first(self.drops),
            ));
        }
        if health.send_errors > 0 {
            doubts.push(format!(
                "the operating system refused to send {} packets, {}",
                health.send_errors,
                self.first(self.refused),
            ));
        }
        if health.events_lost > 0 {
            doubts.push(format!(
                "{} events of connections were lost because the calls did not keep up with them",
                health.events_lost,
            ));
        }
        let received = health.heard + health.ignored + health.unheard;
        if health.unheard as f64 > received as f64 * MOST_UNHEARD {
            doubts.push(format!(
                "{} of {received} received audio packets belong to no known track: replies may have been missed",
                health.unheard,
            ));
        }
        let useless = health.unauthenticated + health.repeated + health.behind;
        let received = received + useless;
        if useless >= FEW && useless as f64 > received as f64 * MOST_USELESS {
            doubts.push(format!(
                "{useless} of {received} received packets were of no use: {} failed authentication, {} had arrived before, {} were too far behind",
                health.unauthenticated, health.repeated, health.behind,
            ));
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::HealthSnapshot;
    use crate::record::ReasonKind;

    fn vitals() -> Vitals {
        Vitals {
            health: HealthSnapshot::default(),
            signalling_lateness: DurationQuantiles::default(),
            cpu: Duration::ZERO,
            resident_bytes: 0,
        }
    }

    /// The kinds that reports assign to the doubts.
    fn kinds(doubts: &[String]) -> Vec<Option<ReasonKind>> {
        doubts.iter().map(|d| ReasonKind::of(d)).collect()
    }

    fn health(late_ms: u64, own_drops: u64) -> Vitals {
        let mut vitals = vitals();
        vitals.health.tick_lateness.p99 = Duration::from_millis(late_ms);
        vitals.health.own_drops = own_drops;
        vitals
    }

    #[test]
    fn each_exceeded_bound_is_reported_with_the_number_of_calls() {
        let mut watch = HealthWatch::new(HealthBounds::default());
        for (calls, late, drops) in [(10, 1, 0), (150, 6, 0), (200, 7, 3)] {
            watch.look(&health(late, drops), calls);
        }
        let doubts = watch.doubts(&health(7, 3), None);
        assert_eq!(kinds(&doubts), [Some(ReasonKind::Generator); 2]);
        assert!(doubts[0].contains("`health.tick_lateness` of 5 ms, first at 150 calls"));
        assert!(doubts[1].contains("dropped 3 packets") && doubts[1].ends_with("at 200 calls"));
    }

    #[test]
    fn bounds_apply_to_the_run_as_a_whole() {
        let mut watch = HealthWatch::new(HealthBounds::default());
        watch.look(&health(60, 0), 1);
        let why = "its control group may use 0.5 cores";
        let told = watch.doubts(&health(7, 3), Some(why));
        assert!(told[0].ends_with(&format!(" ({why})")), "{told:?}");
        assert!(
            !told[1].contains(why),
            "throttling is not the cause of drops: {told:?}"
        );
        assert!(watch.doubts(&health(2, 0), None).is_empty());
        let lax = HealthBounds {
            tick_lateness: Duration::from_millis(80),
            own_drops: 5,
            ..HealthBounds::default()
        };
        assert!(
            HealthWatch::new(lax)
                .doubts(&health(60, 5), None)
                .is_empty()
        );
    }

    #[test]
    fn more_than_1_percent_of_packets_without_a_track_is_a_doubt() {
        let watch = HealthWatch::new(HealthBounds::default());
        let doubts = |heard, ignored, unheard| {
            let mut vitals = vitals();
            let health = &mut vitals.health;
            (health.heard, health.ignored, health.unheard) = (heard, ignored, unheard);
            watch.doubts(&vitals, None)
        };
        assert!(doubts(0, 0, 0).is_empty());
        assert!(doubts(89, 10, 1).is_empty());
        assert!(doubts(0, 500, 0).is_empty(), "unsubscribed tracks");
        let told = doubts(880, 100, 20);
        assert_eq!(kinds(&told), [Some(ReasonKind::Unheard)]);
        assert!(
            told[0].contains("20 of 1000 received audio packets"),
            "{told:?}"
        );
    }

    #[test]
    fn signalling_lateness_has_its_own_bound() {
        let mut watch = HealthWatch::new(HealthBounds::default());
        let mut late = vitals();
        late.signalling_lateness.p99 = Duration::from_millis(63);
        watch.look(&vitals(), 10);
        watch.look(&late, 40);
        let doubts = watch.doubts(&late, None);
        assert_eq!(kinds(&doubts), [Some(ReasonKind::Generator)]);
        let expected = "fired at least 63.0 ms late, over the bound `health.signalling_lateness` of 30 ms, first at 40 calls";
        assert!(doubts[0].contains(expected), "{doubts:?}");
        assert!(watch.doubts(&vitals(), None).is_empty());
    }

    #[test]
    fn lost_events_and_useless_packets_are_doubts() {
        let watch = HealthWatch::new(HealthBounds::default());
        let doubts = |change: fn(&mut HealthSnapshot)| {
            let mut vitals = vitals();
            vitals.health.heard = 9_700;
            change(&mut vitals.health);
            watch.doubts(&vitals, None)
        };
        assert!(doubts(|_| {}).is_empty());
        let lost = doubts(|h| h.events_lost = 1);
        assert!(lost[0].contains("1 events of connections"));
        assert_eq!(kinds(&lost), [Some(ReasonKind::Generator)]);
        let refused = doubts(|h| h.send_errors = 1);
        assert_eq!(kinds(&refused), [Some(ReasonKind::Refused)]);
        assert!(doubts(|h| (h.repeated, h.behind) = (50, 40)).is_empty());
        let reported = doubts(|h| (h.unauthenticated, h.repeated, h.behind) = (100, 150, 50));
        let expected = "300 of 10000 received packets were of no use: 100 failed authentication, 150 had arrived before, 50 were too far behind";
        assert_eq!(reported, [expected]);
        assert_eq!(kinds(&reported), [Some(ReasonKind::Useless)]);
        // A stray datagram in a run without audio raises no doubt.
        assert!(doubts(|h| (h.heard, h.unauthenticated) = (0, 99)).is_empty());
        // Useless packets do not hide those that belong to no known track.
        assert_eq!(doubts(|h| (h.unheard, h.repeated) = (120, 900)).len(), 2);
    }
}
