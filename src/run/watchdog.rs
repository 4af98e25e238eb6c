//! Detects parts of a run that no longer make progress, and ends a run that hangs.
//!
//! In: heartbeats from the parts of a run. Out: alarms, and the end of the run. Invariants: a
//! process that is stopped or gets no processor time raises no alarm, because the watchdog counts
//! its own checks; a part that is idle is not watched.

use super::generator::own_cpu_time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use strum::VariantArray;
use tokio_util::sync::CancellationToken;

/// Number of checks without a heartbeat after which a part is reported.
const STILL: u32 = 10;
/// Number of checks without a heartbeat after which the run ends with the results so far.
const OVER: u32 = 60;

/// A part of a run that may hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, VariantArray)]
pub enum WatchedPart {
    /// The runtime that starts calls and carries their signalling.
    #[strum(to_string = "the signalling of the calls")]
    Signalling,
    /// The collector, which writes the journal.
    #[strum(to_string = "writing the journal")]
    Collector,
    /// The thread that computes second opinions.
    #[strum(to_string = "the second opinion")]
    Opinions,
    /// Writing the audio that is kept.
    #[strum(to_string = "writing the kept audio")]
    Evidence,
    /// Writing the reports.
    #[strum(to_string = "writing the reports")]
    Report,
}

/// An alarm: a part of the run makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The named part has made no progress for this long.
    Still(WatchedPart, Duration),
    /// The named part has made no progress for so long that the run ends with the results so far.
    Over(WatchedPart, Duration),
}

/// Heartbeats of one part.
#[derive(Debug, Default)]
struct Pulse {
    /// Number of pieces of work in progress.
    busy: AtomicUsize,
    beats: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    pulses: [Pulse; WatchedPart::VARIANTS.len()],
    over: CancellationToken,
}

/// Watches a run until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    pulses: Pulses,
    done: CancellationToken,
}

/// Heartbeats of the parts of a run.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<State>);

/// A piece of work in progress, of one part.
#[derive(Debug)]
pub(crate) struct Work {
    pulses: Pulses,
    part: WatchedPart,
}

impl Watchdog {
    /// Interval between two checks: a part that makes no progress for 10 of them is reported; after
    /// 60 the run ends.
    pub(crate) const EVERY: Duration = Duration::from_secs(1);

    /// Starts checking at intervals of `every`. `alarm` is called on the watchdog's own thread.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(
        every: Duration,
        mut alarm: impl FnMut(Alarm) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (pulses, done) = (Pulses::default(), CancellationToken::new());
        let mut looks = Looks::new(pulses.clone());
        let over = done.clone();
        std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                let mut used = own_cpu_time();
                while !over.is_cancelled() {
                    std::thread::sleep(every);
                    // Computing the reports may take long. Processor time counts as their progress,
                    // because nothing else uses much of it after the calls.
                    let before = std::mem::replace(&mut used, own_cpu_time());
                    if used.saturating_sub(before) > every / 10 {
                        looks.pulses.beat(WatchedPart::Report);
                    }
                    looks.look(every, &mut alarm);
                }
            })?;
        Ok(Self { pulses, done })
    }

    /// The heartbeats of the parts, which the parts update.
    pub fn pulses(&self) -> &Pulses {
        &self.pulses
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

impl Pulses {
    /// Marks part `part` as working until the returned guard is dropped.
    pub(crate) fn work(&self, part: WatchedPart) -> Work {
        self.of(part).busy.fetch_add(1, Relaxed);
        self.beat(part);
        let pulses = self.clone();
        Work { pulses, part }
    }

    /// Records that part `part` has made progress.
    pub(crate) fn beat(&self, part: WatchedPart) {
        self.of(part).beats.fetch_add(1, Relaxed);
    }

    /// Returns once the run must end with the results so far.
    pub(super) async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// Whether the run must end with the results so far.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    fn of(&self, part: WatchedPart) -> &Pulse {
        &self.0.pulses[part as usize]
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let pulse = self.pulses.of(self.part);
        pulse.busy.fetch_sub(1, Relaxed);
        pulse.beats.fetch_add(1, Relaxed);
    }
}

/// State of the watchdog between two checks.
struct Looks {
    pulses: Pulses,
    /// For each part: its heartbeat count at the last check, and the number of checks since it
    /// changed.
    before: [(u64, u32); WatchedPart::VARIANTS.len()],
}

impl Looks {
    fn new(pulses: Pulses) -> Self {
        let before = Default::default();
        Self { pulses, before }
    }

    fn look(&mut self, every: Duration, alarm: &mut dyn FnMut(Alarm)) {
        for &part in WatchedPart::VARIANTS {
            let pulse = self.pulses.of(part);
            let beats = pulse.beats.load(Relaxed);
            let idle = pulse.busy.load(Relaxed) == 0;
            let (known, still) = &mut self.before[part as usize];
            if idle || *known != beats {
                (*known, *still) = (beats, 0);
                continue;
            }
            *still += 1;
            let since = every * *still;
            if *still == STILL {
                alarm(Alarm::Still(part, since));
            }
            // No other part waits long for an opinion, so the run need not end.
            if *still == OVER && part != WatchedPart::Opinions {
                alarm(Alarm::Over(part, since));
                self.pulses.0.over.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms(looks: &mut Looks, times: u32) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for _ in 0..times {
            looks.look(Watchdog::EVERY, &mut |alarm| alarms.push(alarm));
        }
        alarms
    }

    #[test]
    fn a_stuck_part_is_reported_once_and_then_ends_the_run() {
        let pulses = Pulses::default();
        let mut looks = Looks::new(pulses.clone());
        assert!(alarms(&mut looks, 200).is_empty(), "nothing is at work");
        let work = pulses.work(WatchedPart::Collector);
        assert!(
            alarms(&mut looks, 10).is_empty(),
            "nine checks without a beat"
        );
        let still = Alarm::Still(WatchedPart::Collector, Duration::from_secs(10));
        assert_eq!(alarms(&mut looks, 1), [still]);
        pulses.beat(WatchedPart::Signalling);
        assert!(alarms(&mut looks, 49).is_empty(), "another part's beat");
        assert!(!pulses.is_over());
        let over = Alarm::Over(WatchedPart::Collector, Duration::from_secs(60));
        assert_eq!(alarms(&mut looks, 200), [over]);
        assert!(pulses.is_over());
        drop(work);
        assert!(alarms(&mut looks, 200).is_empty());
    }

    #[test]
    fn parts_that_beat_or_are_idle_raise_no_alarm() {
        let pulses = Pulses::default();
        let mut looks = Looks::new(pulses.clone());
        let _work = pulses.work(WatchedPart::Report);
        for _ in 0..20 {
            assert!(alarms(&mut looks, 9).is_empty());
            pulses.beat(WatchedPart::Report);
        }
        let opinion = pulses.work(WatchedPart::Opinions);
        for _ in 0..30 {
            pulses.beat(WatchedPart::Report);
            alarms(&mut looks, 9);
        }
        assert!(!pulses.is_over(), "a missing opinion does not end the run");
        drop(opinion);
        pulses.beat(WatchedPart::Report);
        assert!(alarms(&mut looks, 9).is_empty());
    }

    #[test]
    fn the_watchdog_runs_on_its_own_thread() {
        let (tell, told) = std::sync::mpsc::channel();
        let look = Duration::from_millis(1);
        let watchdog = Watchdog::start(look, move |alarm| {
            // The test may have ended.
            let _ = tell.send(alarm);
        });
        let watchdog = watchdog.expect("a thread");
        let _work = watchdog.pulses().work(WatchedPart::Evidence);
        let first = told.recv().expect("an alarm");
        assert!(matches!(first, Alarm::Still(WatchedPart::Evidence, _)));
        assert!(matches!(
            told.recv(),
            Ok(Alarm::Over(WatchedPart::Evidence, _))
        ));
        drop(watchdog);
        assert!(told.recv().is_err(), "the thread has ended");
    }
}
