//! Starts calls at their planned instants, so many at a time.
//!
//! In: a plan. Out: a task for each call; the calls that never began.
//! Holds: a call's planned start is its instant on the plan, or the moment its slot came
//! free; how late it really began is never hidden in it.

use super::one::{self, Shared};
use super::sentinel::Watch;
use crate::plan::{Plan, PlannedCall, Start};
use crate::record::{CallContext, CallRecord};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Calls that were told to stop have this long to hang up: half a second more than a session
/// takes at most. With the door's own bound a stop takes less than five seconds.
const HANG_UP: Duration = Duration::from_millis(1_500);

/// Starts every call of the plan, warm-up calls first; returns when all are over. Returns
/// those that were never started, because the run was stopped, with their planned instants.
pub(super) async fn dispatch(
    shared: Arc<Shared>,
    plan: Plan,
    run_start: Instant,
) -> Vec<(PlannedCall, Instant)> {
    let mut never = Vec::new();
    let warmups = plan.warmup();
    if warmups > 0 {
        never = phase(&shared, &plan, 0..warmups, run_start).await;
    }
    let measured = if warmups > 0 {
        Instant::now()
    } else {
        run_start
    };
    never.extend(phase(&shared, &plan, warmups..u64::MAX, measured).await);
    never
}

/// Calls `range` of the plan, from `zero` on.
async fn phase(
    shared: &Arc<Shared>,
    plan: &Plan,
    range: Range<u64>,
    zero: Instant,
) -> Vec<(PlannedCall, Instant)> {
    let mut running = JoinSet::new();
    let measured = range.start >= plan.warmup();
    let first = range.start;
    let mut watch = Watch::new(measured);
    let mut calls = range.map_while(|i| plan.call(i)).peekable();
    let concurrency = plan.concurrency() as usize;
    while !shared.stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        let Some(next) = calls.peek() else { break };
        if measured && plan.duration().is_some_and(|d| zero.elapsed() >= d) {
            break;
        }
        if running.len() >= concurrency {
            tokio::select! {
                _ = running.join_next() => {}
                () = shared.stop.cancelled() => {}
            }
            continue;
        }
        let planned = match next.start {
            Start::At(offset) => zero + offset,
            Start::AfterSlot => Instant::now(),
        };
        tokio::select! {
            () = tokio::time::sleep_until(planned.into()) => {}
            () = shared.stop.cancelled() => continue,
        }
        if let Some(call) = calls.next() {
            let watched = watch.begins(shared, call.index - first);
            let made = one::make(shared.clone(), call, planned);
            running.spawn(async move {
                made.await;
                drop(watched);
            });
        }
    }
    let all = async {
        while running.join_next().await.is_some() {}
        watch.finish().await;
    };
    tokio::select! {
        () = all => {}
        () = async {
            shared.stop.cancelled().await;
            tokio::time::sleep(HANG_UP).await;
        } => {}
    }
    // A load that lasts for a duration has no last call that could be missing.
    let bounded = !measured || plan.measured().is_some();
    if bounded && shared.stop.is_cancelled() {
        let planned = |call: &PlannedCall| match call.start {
            Start::At(offset) => zero + offset,
            Start::AfterSlot => zero,
        };
        calls
            .map(|call| {
                let at = planned(&call);
                (call, at)
            })
            .collect()
    } else {
        Vec::new()
    }
}

/// The record of a call that never began.
pub(super) fn dropped(
    shared: &Shared,
    (call, planned_start): &(PlannedCall, Instant),
    run_start: Instant,
) -> CallRecord {
    let context = CallContext {
        call: call.index as usize,
        room: &shared.door.room(&call.room),
        variant: &shared.scenario.variants[call.variant].name,
        warmup: call.warmup,
        planned_start: *planned_start,
        started: None,
        ended: None,
    };
    CallRecord::dropped(&context, call.turns.len(), run_start)
}

#[cfg(test)]
mod tests;
