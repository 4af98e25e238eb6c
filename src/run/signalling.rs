//! Lateness of the runtime that handles signalling: joins, agent states, hang-ups, call starts.
//!
//! In: the runtime's timer. Out: quantiles of the timer's lateness. Invariant: measured on the
//! runtime's worker thread, where a task that blocks delays everything else.

use super::clock::Clock;
use super::watchdog::{Pulses, WatchedPart};
use crate::net::{DurationQuantiles, Durations};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Interval between two timers.
const EVERY: Duration = Duration::from_millis(20);
/// Maximum length of a stall that is counted, because a process may be stopped for hours.
const LONGEST: Duration = Duration::from_secs(60);

/// Measures the lateness from its creation until it is dropped.
#[derive(Debug)]
pub(super) struct Signalling {
    late: Arc<Durations>,
    /// `None` in virtual time, where no timer is late.
    task: Option<JoinHandle<()>>,
}

impl Signalling {
    pub(super) fn watch(clock: Clock, pulses: &Pulses) -> Self {
        match clock {
            Clock::System => Self::of_runtime(pulses.clone()),
            Clock::Virtual(_) => Self {
                late: Arc::default(),
                task: None,
            },
        }
    }

    fn of_runtime(pulses: Pulses) -> Self {
        let late = Arc::new(Durations::default());
        let task = tokio::spawn(measure(late.clone(), pulses));
        Self {
            late,
            task: Some(task),
        }
    }

    /// The lateness of the timers so far.
    pub(super) fn lateness(&self) -> DurationQuantiles {
        self.late.quantiles()
    }
}

impl Drop for Signalling {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn measure(late: Arc<Durations>, pulses: Pulses) {
    let mut due = Instant::now();
    loop {
        due += EVERY;
        tokio::time::sleep_until(due).await;
        let now = Instant::now();
        late.record(now - due);
        // A stall delays all timers that fall due during it, so each of them counts.
        for _ in 0..LONGEST.as_millis() / EVERY.as_millis() {
            if due + EVERY > now {
                break;
            }
            due += EVERY;
            late.record(now - due);
        }
        due = due.max(now.checked_sub(EVERY).unwrap_or(now));
        pulses.beat(WatchedPart::Signalling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime with one worker thread, as a run uses.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime")
    }

    #[test]
    fn a_task_that_blocks_makes_the_runtime_late() {
        let ms = Duration::from_millis;
        let late = runtime().block_on(async {
            let signalling = Signalling::of_runtime(Pulses::default());
            for _ in 0..10 {
                let blocks = tokio::spawn(async move { std::thread::sleep(ms(60)) });
                blocks.await.expect("no panic");
                tokio::time::sleep(ms(5)).await;
            }
            signalling.lateness()
        });
        assert!(late.p99 >= ms(30), "{late:?}");
    }

    #[test]
    fn a_long_stall_counts_once_per_delayed_timer() {
        let late = runtime().block_on(async {
            let signalling = Signalling::of_runtime(Pulses::default());
            // Counts as ten late timers of about 120, though only one of them fires late.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let stall = tokio::spawn(async { std::thread::sleep(Duration::from_millis(200)) });
            stall.await.expect("no panic");
            tokio::time::sleep(Duration::from_millis(300)).await;
            signalling.lateness()
        });
        assert!(late.p99 >= Duration::from_millis(100), "{late:?}");
    }
}
