//! Starts calls at their planned instants, within the plan's concurrency.
//!
//! In: a plan. Out: a task for each started call, and a report of each call that does not start.
//! Invariant: a call's planned start is its instant in the plan, or the moment at which its slot
//! became free. The planned start does not change, however late the call actually starts.

use super::call;
use super::call_report::{CallReport, LeftOut};
use super::clock::now;
use super::sentinels::SentinelWatch;
use super::shared::Shared;
use crate::plan::{Plan, PlannedCall, Stages, Start};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long stopped calls have to hang up: half a second longer than a session needs at most.
/// Together with the time limit for deleting rooms, a stop takes less than five seconds.
const HANG_UP: Duration = Duration::from_millis(1_500);
/// How often to check whether the stages are over.
const LOOK: Duration = Duration::from_secs(1);

/// Starts every call of the plan, warm-up calls first. Returns when all calls have ended and every
/// call that did not start has been reported.
pub(super) async fn dispatch(shared: Arc<Shared>, plan: Plan, run_start: Instant) {
    let warmups = plan.warmup();
    if warmups > 0 {
        phase(&shared, &plan, 0..warmups, run_start).await;
    }
    let measured = if warmups > 0 { now() } else { run_start };
    // Set only once, because a run has one dispatcher.
    let _ = shared.measured.set(measured);
    if plan.is_open() {
        arrivals(&shared, &plan, warmups, measured).await;
    } else if let Some(stages) = plan.stages() {
        staged(&shared, &plan, warmups, stages, measured).await;
    } else {
        phase(&shared, &plan, warmups..u64::MAX, measured).await;
    }
}

/// Reports a call that does not start because it could not, or because the run was stopped first.
async fn leave_out(shared: &Shared, call: PlannedCall, planned_start: Instant, stopped: bool) {
    let left_out = LeftOut {
        room: shared.target(&call).room(&call.room),
        planned_start,
        plan: call,
        stopped,
    };
    // The collector outlives every call.
    let _ = shared
        .reports
        .send(CallReport::LeftOut(Box::new(left_out)))
        .await;
}

/// Runs the calls of the plan with indices in `range`; `zero` is the start of this phase.
async fn phase(shared: &Arc<Shared>, plan: &Plan, range: Range<u64>, zero: Instant) {
    let measured = range.start >= plan.warmup();
    let mut running = Running::new(range.start, measured);
    let mut calls = range.map_while(|i| plan.call(i)).peekable();
    let concurrency = plan.concurrency() as usize;
    while !shared.stop.is_cancelled() {
        running.reap();
        let Some(next) = calls.peek() else { break };
        if measured && plan.duration().is_some_and(|d| now() - zero >= d) {
            break;
        }
        if running.count() >= concurrency {
            tokio::select! {
                _ = running.one_ends() => {}
                () = shared.stop.cancelled() => {}
            }
            continue;
        }
        let planned = match next.start {
            Start::At(offset) => zero + offset,
            Start::AfterSlot => now(),
        };
        tokio::select! {
            () = tokio::time::sleep_until(planned.into()) => {}
            () = shared.stop.cancelled() => continue,
        }
        if let Some(call) = calls.next() {
            running.start(shared, call, planned);
        }
    }
    running.all_over(shared).await;
    // A load with a duration has no fixed number of calls, so no call counts as missing.
    let bounded = !measured || plan.measured().is_some();
    if bounded && shared.stop.is_cancelled() {
        for call in calls {
            let planned = match call.start {
                Start::At(offset) => zero + offset,
                Start::AfterSlot => zero,
            };
            leave_out(shared, call, planned, true).await;
        }
    }
}

/// The calls of a phase that are in progress, and their sentinels.
struct Running {
    calls: JoinSet<()>,
    watch: SentinelWatch,
    /// Index of the phase's first call.
    first: u64,
}

impl Running {
    fn new(first: u64, measured: bool) -> Self {
        Self {
            calls: JoinSet::new(),
            watch: SentinelWatch::new(measured),
            first,
        }
    }

    fn count(&self) -> usize {
        self.calls.len()
    }

    /// Removes the calls that have ended.
    fn reap(&mut self) {
        while self.calls.try_join_next().is_some() {}
    }

    /// Waits until a call ends; `None` if none is in progress.
    async fn one_ends(&mut self) -> Option<()> {
        self.calls.join_next().await.map(|_| ())
    }

    fn start(&mut self, shared: &Arc<Shared>, call: PlannedCall, planned: Instant) {
        let watched = self.watch.begins(shared, call.index - self.first);
        // Boxed: a future that awaits another by value reserves space for it twice.
        let made = Box::pin(call::make(shared.clone(), call, planned));
        self.calls.spawn(async move {
            made.await;
            drop(watched);
        });
    }

    /// Waits for the calls in progress; after a stop, for at most [`HANG_UP`].
    async fn all_over(mut self, shared: &Shared) {
        let all = async {
            while self.calls.join_next().await.is_some() {}
            self.watch.finish().await;
        };
        tokio::select! {
            () = all => {}
            () = async {
                shared.stop.cancelled().await;
                tokio::time::sleep(HANG_UP).await;
            } => {}
        }
    }
}

/// Runs an open load: each call starts at its instant, or is dropped if too many are in progress.
async fn arrivals(shared: &Arc<Shared>, plan: &Plan, first: u64, zero: Instant) {
    let mut running = Running::new(first, true);
    for call in (first..).map_while(|i| plan.call(i)) {
        let planned = match call.start {
            Start::At(offset) => zero + offset,
            Start::AfterSlot => now(),
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            () = tokio::time::sleep_until(planned.into()) => {}
        }
        running.reap();
        let stopped = shared.stop.is_cancelled();
        if stopped || running.count() as u64 >= plan.concurrency() {
            leave_out(shared, call, planned, stopped).await;
        } else {
            running.start(shared, call, planned);
        }
    }
    running.all_over(shared).await;
}

/// Runs a closed load whose concurrency changes in stages. Calls are never cut off: when the target
/// concurrency falls, calls that end are not replaced.
async fn staged(shared: &Arc<Shared>, plan: &Plan, first: u64, stages: Stages<'_>, zero: Instant) {
    let mut running = Running::new(first, true);
    let mut calls = (first..).map_while(|i| plan.call(i));
    // When the slot of the next call became free: a call ended or the target concurrency rose.
    let mut free = zero;
    // The target has risen: the added call starts even if the target falls again immediately.
    let mut risen = false;
    while !shared.stop.is_cancelled() {
        let elapsed = now() - zero;
        let Some(target) = stages.target_at(elapsed) else {
            break;
        };
        if std::mem::take(&mut risen) || (running.count() as u64) < u64::from(target) {
            let Some(call) = calls.next() else { break };
            running.start(shared, call, free.max(zero));
            continue;
        }
        let level = u32::try_from(running.count() + 1).unwrap_or(u32::MAX);
        let rise = stages.next_rise(level, elapsed).map(|at| zero + at);
        // After the last rise, check every `LOOK` whether the stages are over.
        let look = rise.unwrap_or(now() + LOOK);
        tokio::select! {
            () = tokio::time::sleep_until(look.into()) => {
                risen = rise.is_some();
                free = rise.unwrap_or(free);
            }
            Some(()) = running.one_ends() => free = now(),
            () = shared.stop.cancelled() => {}
        }
    }
    running.all_over(shared).await;
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::test_scenario;
