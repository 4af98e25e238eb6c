//! The generator's own resource use, and how long it was kept from running, from Linux' /proc.
//!
//! In: /proc. Out: processor time of the process and of each media thread, memory, how long
//! runnable threads waited for a core. Invariant: waits that the kernel does not report are `None`.

use super::control_group::ThrottleMeter;
use super::event::Vitals;
use crate::net::{DurationQuantiles, HealthSnapshot};
use crate::os::release_free_memory;
use crate::record::{Generator, Ms, TickLateness};
use procfs::process::{Process, Stat, Task};
use procfs::{CurrentSI as _, KernelStats};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Name prefix of the media threads.
const MEDIA: &str = "media-";

/// Measures resource use from its start.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    at: Instant,
    used: Duration,
    /// By thread id; ids increase in the order of start.
    threads: BTreeMap<i32, Thread>,
    machine: Option<Machine>,
    throttle: ThrottleMeter,
}

/// Accumulated times of a media thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Thread {
    used: Duration,
    /// Time that it was runnable but waited for a core.
    waited: Option<Duration>,
}

/// Accumulated processor ticks of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    all: u64,
    stolen: u64,
}

/// Load on the media threads and on the machine since a [`Meter`] was started.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strain {
    /// Share of a core that each media thread used, in the order of their start.
    pub each: Vec<f64>,
    /// Share of the time that the media thread that waited longest waited for a core.
    pub run_queue_wait: Option<f64>,
    /// Share of the machine's processor time that its host gave to others (steal).
    pub steal: Option<f64>,
}

fn cpu_time(stat: &Stat) -> Duration {
    let ticks = (stat.utime + stat.stime) as f64;
    Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
}

/// Processor time of this process.
pub(super) fn own_cpu_time() -> Duration {
    let stat = Process::myself().and_then(|me| me.stat());
    stat.map_or(Duration::ZERO, |stat| cpu_time(&stat))
}

/// The media threads of this process, by thread id.
fn media_threads() -> BTreeMap<i32, Thread> {
    let tasks = Process::myself().and_then(|me| me.tasks());
    let media = |task: Task| {
        let stat = task
            .stat()
            .ok()
            .filter(|stat| stat.comm.starts_with(MEDIA))?;
        let waited = task.schedstat().ok().map(|s| s.run_delay);
        let thread = Thread {
            used: cpu_time(&stat),
            waited: waited.map(Duration::from_nanos),
        };
        Some((task.tid, thread))
    };
    // A thread may end while the list is read.
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(media).collect()
}

fn machine(stats: &KernelStats) -> Option<Machine> {
    let t = &stats.total;
    let later = [t.iowait?, t.irq?, t.softirq?, t.steal?];
    Some(Machine {
        all: t.user + t.nice + t.system + t.idle + later.iter().sum::<u64>(),
        stolen: t.steal?,
    })
}

fn machine_now() -> Option<Machine> {
    machine(&KernelStats::current().ok()?)
}

impl Meter {
    pub(super) fn start() -> Self {
        Self {
            at: Instant::now(),
            used: own_cpu_time(),
            threads: media_threads(),
            machine: machine_now(),
            throttle: ThrottleMeter::start(),
        }
    }

    /// Mean number of processor cores in use since the start.
    pub(super) fn cores(&self) -> f64 {
        self.share(own_cpu_time().saturating_sub(self.used))
    }

    /// What the media threads used and how long they waited since the start.
    pub(super) fn strain(&self) -> Strain {
        let now = media_threads();
        let since = |id: &i32, t: &Thread| {
            let before = self.threads.get(id).copied().unwrap_or_default();
            let waited = t
                .waited
                .map(|w| w.saturating_sub(before.waited.unwrap_or_default()));
            (t.used.saturating_sub(before.used), waited)
        };
        let spent: Vec<_> = now.iter().map(|(id, t)| since(id, t)).collect();
        let waited = spent.iter().filter_map(|(_, waited)| *waited).max();
        let stolen = self.machine.zip(machine_now()).map(|(before, after)| {
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

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Resident memory in bytes; 0 if the kernel does not report it.
pub(super) fn resident_bytes() -> u64 {
    let memory = Process::myself().and_then(|me| me.statm());
    memory.map_or(0, |memory| memory.resident * procfs::page_size())
}

/// Returns the memory of joins to the system once no call has started for a while: a join takes
/// more memory than the call that follows, and the allocator would keep it for the next join.
#[derive(Debug, Default)]
pub(super) struct Tidy {
    /// Consecutive looks without a new call.
    calm: u32,
    /// Calls that had started at the last look.
    begun: usize,
}

impl Tidy {
    /// Consecutive looks without a new call, one per second, after which memory is returned.
    const CALM: u32 = 3;

    /// To be called every second with the number of calls that have started so far. Returns whether
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

/// The generator's figures over a run, at whose end it was as in `vitals`. `rss_bytes`: its largest
/// resident memory before.
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

/// Share of its time that a generator is kept from running, above which that is why it was late.
const HELD_BACK: f64 = 0.01;

/// What kept the generator from running, for the reasons that say that it was late.
pub(super) fn held_back(g: &Generator) -> Option<String> {
    let above = |share: Option<f64>| share.filter(|share| *share > HELD_BACK);
    if let (Some(cores), Some(share)) = (g.cpu_limit_cores, above(g.throttled)) {
        return Some(format!(
            "its control group (container) may use {cores} cores, and was stopped for reaching that in {:.0} % of the periods",
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
    use procfs::FromBufReadSI as _;

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
            let mut x = 1u64;
            while own_cpu_time().saturating_sub(meter.used) < Duration::from_millis(60) {
                x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
            (meter.strain(), meter.cores())
        };
        let (strain, cores) = std::thread::scope(|scope| {
            let media = std::thread::Builder::new().name("media-test".into());
            let media = media.spawn_scoped(scope, work).expect("a thread");
            media.join().expect("works")
        });
        assert!(cores > 0.0);
        assert!(strain.each.iter().any(|cores| *cores > 0.0), "{strain:?}");
        assert!(strain.steal.is_none_or(|s| (0.0..=1.0).contains(&s)));
        assert!(resident_bytes() > 1 << 20);
    }

    #[test]
    fn guest_time_is_not_counted_twice_and_steal_may_be_missing() {
        let read = |cpu: &str| {
            let stat = format!("cpu  {cpu}\ncpu0 {cpu}\nctxt 1\nbtime 2\nprocesses 3\n");
            let stats = KernelStats::from_buf_read(stat.as_bytes(), procfs::current_system_info());
            machine(&stats.expect("a /proc/stat"))
        };
        // User time includes that of guests, which is listed again behind steal.
        let expected = Machine {
            all: 100,
            stolen: 5,
        };
        assert_eq!(read("10 0 20 60 0 0 5 5 7 7"), Some(expected));
        assert_eq!(read("10 0 20 60"), None);
    }
}
