//! How late the runtime is that carries signalling: joins, agent states, hang-ups, new calls.
//!
//! In: the runtime's timer. Out: quantiles of how late it fired. Invariant: measured on the
//! runtime's worker, where a task that blocks delays everything else.

use super::clock::Clock;
use super::watchdog::{Part, Pulses};
use crate::net::{Durations, Quantiles};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Interval between two timers.
const EVERY: Duration = Duration::from_millis(20);

/// Measures the lateness from its start until it is dropped.
#[derive(Debug)]
pub(super) struct Signalling {
    late: Arc<Durations>,
    /// `None` in virtual time, in which nothing is late.
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

    /// How late the timers fired so far.
    pub(super) fn lateness(&self) -> Quantiles {
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
    loop {
        let due = Instant::now() + EVERY;
        tokio::time::sleep_until(due).await;
        late.record(due.elapsed());
        pulses.beat(Part::Signalling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_blocks_makes_the_runtime_late() {
        let ms = Duration::from_millis;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime");
        let late = runtime.block_on(async {
            let signalling = Signalling::of_runtime(Pulses::default());
            for _ in 0..10 {
                let blocks = tokio::spawn(async move { std::thread::sleep(ms(60)) });
                blocks.await.expect("it ends");
                tokio::time::sleep(ms(5)).await;
            }
            signalling.lateness()
        });
        assert!(late.p99 >= ms(30), "{late:?}");
    }
}
