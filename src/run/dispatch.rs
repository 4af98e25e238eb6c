//! Starts calls at their planned instants, so many at a time.
//!
//! In: a plan. Out: a task for each call; the calls that never began.
//! Holds: a call's planned start is its instant on the plan, or the moment its slot came
//! free; how late it really began is never hidden in it.

use super::one::{self, Shared};
use crate::plan::{Plan, PlannedCall};
use crate::record::{CallContext, CallRecord};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Calls that were told to stop have this long to hang up.
const HANG_UP: Duration = Duration::from_secs(2);

/// Starts every call of the plan, warm-up calls first; returns when all are over. Returns
/// those that were never started, because the run was stopped.
pub(super) async fn dispatch(shared: Arc<Shared>, plan: Plan, run_start: Instant) -> Vec<PlannedCall> {
    let mut never = Vec::new();
    let warmups = plan.warmup_calls();
    if warmups > 0 {
        never = phase(&shared, &plan, 0..warmups, run_start).await;
    }
    let measured = if warmups > 0 { Instant::now() } else { run_start };
    never.extend(phase(&shared, &plan, warmups..u32::MAX, measured).await);
    never
}

/// Calls `range` of the plan, from `zero` on.
async fn phase(
    shared: &Arc<Shared>,
    plan: &Plan,
    range: std::ops::Range<u32>,
    zero: Instant,
) -> Vec<PlannedCall> {
    let mut running = JoinSet::new();
    let mut calls = range.clone().map_while(|i| plan.call(i)).peekable();
    let concurrency = plan.peak_concurrency() as usize;
    while !shared.stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        let Some(next) = calls.peek() else { break };
        if plan.is_over(zero.elapsed()) {
            break;
        }
        if running.len() >= concurrency {
            tokio::select! {
                _ = running.join_next() => {}
                () = shared.stop.cancelled() => {}
            }
            continue;
        }
        let planned = next.start.map_or_else(Instant::now, |offset| zero + offset);
        tokio::select! {
            () = tokio::time::sleep_until(planned.into()) => {}
            () = shared.stop.cancelled() => continue,
        }
        if let Some(call) = calls.next() {
            running.spawn(one::make(shared.clone(), call, planned));
        }
    }
    let all = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = async {
            shared.stop.cancelled().await;
            tokio::time::sleep(HANG_UP).await;
        } => {}
    }
    if plan.is_bounded() && shared.stop.is_cancelled() { calls.collect() } else { Vec::new() }
}

/// The record of a call that never began.
pub(super) fn dropped(shared: &Shared, call: &PlannedCall, run_start: Instant) -> CallRecord {
    let context = CallContext {
        call: call.index as usize,
        room: &shared.door.room(&call.index.to_string()),
        variant: &shared.scenario.variants[call.variant].name,
        warmup: call.warmup,
        planned_start: run_start + call.start.unwrap_or_default(),
        started: None,
        ended: None,
    };
    CallRecord::dropped(&context, call.turns.len(), run_start)
}
