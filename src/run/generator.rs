//! The generator's own resource use, and how long it was ready to run but not scheduled.
//!
//! In: the system's figures about the process. Out: processor time of the process and of each media
//! thread, memory, and how long runnable threads waited for a core. Invariant: a waiting time that
//! the system does not report is `None`.

use super::event::Vitals;
use crate::net::{DurationQuantiles, HealthSnapshot};
use crate::os::{self, MachineTimes, ThreadTimes, ThrottleMeter, release_free_memory};
use crate::record::{Generator, Ms, TickLateness};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Name prefix of the media threads.
const MEDIA: &str = "media-";

/// Measures resource use from the moment it is created.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    at: Instant,
    used: Duration,
    /// Times by thread; keys increase in the order in which the threads were started.
    threads: BTreeMap<u64, ThreadTimes>,
    machine: Option<MachineTimes>,
    throttle: ThrottleMeter,
}

/// Load on the media threads and on the machine since a [`Meter`] was created.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strain {
    /// Share of a core that each media thread used, in the order in which they were started.
    pub each: Vec<f64>,
    /// Share of its time that a media thread waited for a core; the largest value of all media
    /// threads.
    pub run_queue_wait: Option<f64>,
    /// Share of the machine's processor time that its host gave to other guests (steal).
    pub steal: Option<f64>,
}

/// Processor time of this process; 0 if the system does not report it.
pub(super) fn own_cpu_time() -> Duration {
    os::own_cpu_time().unwrap_or_default()
}

impl Meter {
    pub(super) fn start() -> Self {
        Self {
            at: Instant::now(),
            used: own_cpu_time(),
            threads: os::threads(MEDIA),
            machine: os::machine_times(),
            throttle: ThrottleMeter::start(),
        }
    }

    /// Mean number of processor cores in use since the meter was created.
    pub(super) fn cores(&self) -> f64 {
        self.share(own_cpu_time().saturating_sub(self.used))
    }

    /// Processor time and waiting times of the media threads since the meter was created.
    pub(super) fn strain(&self) -> Strain {
        let now = os::threads(MEDIA);
        let since = |id: &u64, t: &ThreadTimes| {
            let before = self.threads.get(id).copied().unwrap_or_default();
            let waited = t
                .waited
                .map(|w| w.saturating_sub(before.waited.unwrap_or_default()));
            (t.used.saturating_sub(before.used), waited)
        };
        let spent: Vec<_> = now.iter().map(|(id, t)| since(id, t)).collect();
        let waited = spent.iter().filter_map(|(_, waited)| *waited).max();
        let stolen = self
            .machine
            .zip(os::machine_times())
            .map(|(before, after)| {
                let all = after.all.saturating_sub(before.all).max(1);
                after.stolen.saturating_sub(before.stolen) as f64 / all as f64
            });
        Strain {
            each: spent.iter().map(|(used, _)| self.share(*used)).collect(),
            run_queue_wait: waited.map(|w| self.share(w)),
            steal: stolen,
        }
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.at.elapsed().as_secs_f64().max(1e-3)
    }

    /// Time since the meter was created.
    pub(super) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Resident memory in bytes; 0 if the system does not report it.
pub(super) fn resident_bytes() -> u64 {
    os::resident_bytes().unwrap_or_default()
}

/// Returns the memory used for joins to the system once no call has started for a while. A join
/// takes more memory than the call that follows, and the allocator would keep that memory for the
/// next join.
#[derive(Debug, Default)]
pub(super) struct Tidy {
    /// Number of consecutive checks without a new call.
    calm: u32,
    /// Number of calls that had started by the last check.
    begun: usize,
}

impl Tidy {
    /// Number of consecutive checks without a new call, one per second, after which memory is
    /// returned.
    const CALM: u32 = 3;

    /// Called every second with the number of calls that have started so far. Returns whether
    /// memory was returned to the system.
    pub(super) fn look(&mut self, begun: usize) -> bool {
        self.calm = if begun == self.begun {
            self.calm + 1
        } else {
            0
        };
        self.begun = begun;
        let due = begun > 0 && self.calm == Self::CALM;
        if due {
            release_free_memory();
        }
        due
    }
}

/// Current health of the generator, with that of its media threads and of its signalling.
pub(super) fn vitals(health: HealthSnapshot, signalling_lateness: DurationQuantiles) -> Vitals {
    Vitals {
        health,
        signalling_lateness,
        cpu: own_cpu_time(),
        resident_bytes: resident_bytes(),
    }
}

/// The generator's figures for a run. `vitals`: its health at the end of the run; `rss_bytes`: its
/// peak resident memory up to then.
pub(super) fn figures(vitals: &Vitals, meter: &Meter, rss_bytes: u64) -> Generator {
    let health = &vitals.health;
    let seconds = meter.elapsed().as_secs_f64().max(1e-3);
    let figures = |q: DurationQuantiles| TickLateness {
        p50: Ms::from(q.p50),
        p99: Ms::from(q.p99),
        max: Ms::from(q.max),
    };
    let strain = meter.strain();
    Generator {
        tick_lateness_ms: figures(health.tick_lateness),
        receive_wait_ms: figures(health.receive_wait),
        signalling_lateness_ms: figures(vitals.signalling_lateness),
        own_drops: health.own_drops,
        packets_heard: health.heard,
        packets_ignored: health.ignored,
        packets_unheard: health.unheard,
        packets_unauthenticated: health.unauthenticated,
        packets_repeated: health.repeated,
        packets_behind: health.behind,
        packets_lost_upstream: health.lost_upstream,
        events_lost: health.events_lost,
        media_threads: strain.each.len(),
        media_thread_cores: strain.each.iter().copied().fold(0.0, f64::max),
        media_threads_cores: strain.each,
        run_queue_wait: strain.run_queue_wait,
        steal: strain.steal,
        cpu_cores: meter.cores(),
        cpu_limit_cores: meter.throttle.limit(),
        throttled: meter.throttle.throttled(),
        rss_bytes: rss_bytes.max(vitals.resident_bytes),
        packets_out_per_s: health.packets_out as f64 / seconds,
        packets_in_per_s: health.packets_in as f64 / seconds,
    }
}

/// Share of its time for which the generator may be kept from running. A larger share is reported
/// as the cause of the generator's lateness.
const HELD_BACK: f64 = 0.01;

/// The cause that kept the generator from running, to be added to the reasons that report lateness.
pub(super) fn held_back(g: &Generator) -> Option<String> {
    let above = |share: Option<f64>| share.filter(|share| *share > HELD_BACK);
    if let (Some(cores), Some(share)) = (g.cpu_limit_cores, above(g.throttled)) {
        return Some(format!(
            "its control group (container) is limited to {cores} cores and was throttled in {:.0} % of the periods",
            share * 100.0
        ));
    }
    let share = above(g.steal)?;
    Some(format!(
        "the machine's host gave {:.0} % of its processor time to others",
        share * 100.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_released_once_after_joins_have_ceased() {
        let mut tidy = Tidy::default();
        let begun = [0, 0, 0, 0, 1, 1, 1, 2, 2];
        assert!(begun.iter().all(|&begun| !tidy.look(begun)));
        let after: Vec<bool> = (0..6).map(|_| tidy.look(2)).collect();
        assert_eq!(after, [false, true, false, false, false, false]);
    }

    #[test]
    fn processor_time_and_memory_of_the_process_are_measured() {
        let meter = Meter::start();
        let work = || {
            let mut poller = os::Poller::new().expect("a poller");
            let mut x = 1u64;
            while own_cpu_time().saturating_sub(meter.used) < Duration::from_millis(60) {
                x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
            // Media threads wait like this too: some systems update a thread's processor time only
            // when the thread waits.
            poller.wait(Duration::ZERO);
            (meter.strain(), meter.cores())
        };
        let (strain, cores) = std::thread::scope(|scope| {
            let media = std::thread::Builder::new().name("media-test".into());
            let media = media.spawn_scoped(scope, work).expect("a thread");
            media.join().expect("no panic")
        });
        assert!(cores > 0.0);
        assert!(strain.each.iter().any(|cores| *cores > 0.0), "{strain:?}");
        assert!(strain.steal.is_none_or(|s| (0.0..=1.0).contains(&s)));
        assert!(resident_bytes() > 1 << 20);
    }
}
