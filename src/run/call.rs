//! One call, from its planned start to the deletion of its room.
//!
//! In: a planned call. Out: reports during the call, and its result at the end. Invariant: exactly
//! one `Ended` is reported, with one result for every turn, even if the call fails, is stopped or
//! panics.

use super::call_report::{Begun, CallDone, CallReport};
use super::caller::{CallerEnd, EndEvent};
use super::clock::now;
use super::line::{fail, pass_on};
use super::opinions::Excerpt;
use super::shared::Shared;
use super::turn_reports::TurnReports;
use crate::call::{CallResult, CallScript, Failure, StreamId};
use crate::plan::PlannedCall;
use crate::targets::{CallLine, CallerHandle, Connection, Event, Moment};
use crate::vocab::ConnectionMeasured;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

/// Result for a call that never began, or that ended without a result.
fn never_began(script: CallScript, start: Instant, failure: Failure) -> CallResult {
    let mut call = crate::call::Call::new(script, start);
    call.handle(start, crate::call::Input::Failed(failure));
    call.finish(start)
}

/// Result for a call that was cut off before it reported one, by a stop of the run or a panic.
pub(super) fn cut_off(shared: &Shared, call: &PlannedCall, start: Instant) -> CallResult {
    let failure = if shared.stop.is_cancelled() {
        Failure::Stopped
    } else {
        let detail = "a defect ended the call".into();
        Failure::Generator { detail }
    };
    never_began(shared.script(call), start, failure)
}

/// Makes the call; returns once its connection is closed.
pub(super) async fn make(shared: Arc<Shared>, call: PlannedCall, planned_start: Instant) {
    let started = now();
    let target = shared.target(&call);
    let room = target.room(&call.room);
    // The collector outlives every call.
    let begun = Begun {
        room: room.clone(),
        planned_start,
        started,
        plan: call.clone(),
    };
    let _ = shared
        .reports
        .send(CallReport::Started(Box::new(begun)))
        .await;
    let mut turns = TurnReports::new(shared.clone(), call.clone(), room.clone(), planned_start);
    let dialled = dialled(&shared, &call, &room, planned_start).await;
    let (mut result, measured, mut connection) = match dialled {
        Ok(dialled) => {
            let (result, measured, connection) =
                talk(&shared, &call, dialled, planned_start, &mut turns).await;
            (result, measured, Some(connection))
        }
        Err(failure) => {
            let result = never_began(shared.script(&call), planned_start, failure);
            (result, None, None)
        }
    };
    let ended = now();
    result.failure = match (result.failure.take(), &mut connection) {
        (Some(failure), Some(connection)) => {
            Some(explained(&shared, failure, &mut **connection).await)
        }
        (failure, _) => failure,
    };
    if result.broke_off()
        && let Some(connection) = connection.take()
    {
        // The agent should notice at once, so nothing that it may still report is waited for.
        connection.hang_up().await;
    }
    // The collector amends a turn only while its call is in progress.
    let connected = connection.as_mut().map(|c| &mut **c as &mut dyn Connection);
    let told = turns.finish(connected).await;
    let done = CallDone {
        index: call.index as usize,
        room: room.clone(),
        planned_start,
        started,
        ended,
        result,
        plan: call.clone(),
        told,
        connection: measured,
    };
    let _ = shared.reports.send(CallReport::Ended(Box::new(done))).await;
    if let Some(connection) = connection {
        connection.hang_up().await;
    }
    target.forget(room);
}

/// Replaces a call's failure with its target's more specific diagnosis. The failure is unchanged if
/// the run is stopped meanwhile.
async fn explained(shared: &Shared, failure: Failure, connection: &mut dyn Connection) -> Failure {
    let timeout = shared.scenario.call.agent_timeout;
    let why = connection.explain(failure.clone(), timeout);
    tokio::select! {
        why = why => why,
        () = shared.stop.cancelled() => failure,
    }
}

/// A call that has begun to connect.
struct Dialled {
    line: CallLine<CallerEnd>,
    events: mpsc::Receiver<EndEvent>,
    /// Held only until the call has joined.
    joining: Option<OwnedSemaphorePermit>,
}

/// Waits for permission to join, then starts to connect the call. The wait counts towards the
/// call's join time.
async fn dialled(
    shared: &Shared,
    call: &PlannedCall,
    room: &str,
    planned_start: Instant,
) -> Result<Dialled, Failure> {
    let joining = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return Err(Failure::Stopped),
        // The semaphore is never closed.
        place = shared.joins.clone().acquire_owned() => place.ok(),
    };
    let (mut caller, events) = shared.caller(call, planned_start)?;
    caller.amid(shared.sounds.background(call));
    caller.decodes(shared.scenario.call.decode, shared.levels.clone());
    let desk = shared.evidence.as_ref().filter(|_| !call.warmup);
    let codec = shared.sounds.codec;
    caller.keep(desk.map(|desk| desk.capture(call.index as usize, codec)));
    let network = shared.network(call, room);
    let dial = shared.dial(Some(call.index), room, call.variant, network.as_ref());
    Ok(Dialled {
        line: shared.target(call).connect(dial, caller),
        events,
        joining,
    })
}

/// Drives the call until its script has ended.
async fn talk(
    shared: &Arc<Shared>,
    call: &PlannedCall,
    dialled: Dialled,
    planned_start: Instant,
    turns: &mut TurnReports,
) -> (CallResult, Option<ConnectionMeasured>, Box<dyn Connection>) {
    let Dialled {
        line: CallLine {
            handle,
            mut connection,
        },
        mut events,
        mut joining,
    } = dialled;
    // Dropped at the end of the call, which aborts the tasks in the set.
    let mut sounds = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(EndEvent::Onset(at, excerpt)) => turns.ask(at, excerpt),
                Some(EndEvent::Text(turn)) => connection.send_text(turn, call.text(turn)),
                Some(EndEvent::Key(key)) => connection.send_key(key),
                Some(EndEvent::Sound(stream, excerpt)) => {
                    let (shared, handle) = (shared.clone(), handle.clone());
                    sounds.spawn(async move { judge_sound(&shared, &*handle, stream, excerpt).await });
                }
                Some(EndEvent::Call(event)) => {
                    if turns.event(*event).await {
                        break;
                    }
                    confirm_voice(&*handle, turns).await;
                }
                None => break,
            },
            turn = turns.answered() => {
                turns.amend(turn).await;
                confirm_voice(&*handle, turns).await;
            }
            () = shared.stop.cancelled() => {
                fail(&*handle, Failure::Stopped).await;
                break;
            }
            event = connection.event() => {
                turns.claim(event.as_ref());
                tell_branches(&*handle, turns).await;
                // Joined or closed: another join may start.
                if matches!(event, Some(Event::Joined | Event::Closed(_)) | None) {
                    joining = None;
                }
                let notice = pass_on(&*handle, &mut *connection, event).await;
                if let Some(text) = notice.filter(|_| !shared.several.swap(true, Relaxed)) {
                    let _ = shared.reports.send(CallReport::Notice(text)).await;
                }
            }
        }
    }
    drop(joining);
    connection.ignore_all();
    let (result, measured) = result(&*handle, || (shared.script(call), planned_start)).await;
    (result, measured, connection)
}

/// The caller's result, and what it measured of its connection. `call`: the script and the planned start, for a caller that is gone.
async fn result(
    handle: &dyn CallerHandle<CallerEnd>,
    call: impl FnOnce() -> (CallScript, Instant),
) -> (CallResult, Option<ConnectionMeasured>) {
    let finish =
        |caller: &mut CallerEnd, at: Moment| (caller.finish(at.now), caller.take_connection());
    let (result, measured) = handle.with(finish).await.unwrap_or_default();
    let result = result.unwrap_or_else(|| {
        let detail = "the media engine stopped".into();
        let (script, planned_start) = call();
        never_began(script, planned_start, Failure::Generator { detail })
    });
    (result, measured)
}

/// Requests a judgement on whether a stream carries a voice and passes the answer to the call. If a
/// track carries no voice, the user is notified, once per run.
async fn judge_sound(
    shared: &Shared,
    handle: &dyn CallerHandle<CallerEnd>,
    stream: StreamId,
    excerpt: Excerpt,
) {
    let is_voice = shared.opinions.insist(excerpt).await;
    let told = handle.with(move |caller, at| caller.judged(at.now, stream, is_voice));
    let Some(Some(track)) = told.await else {
        return;
    };
    if !shared.no_voice.swap(true, Relaxed) {
        let text = format!(
            "the agent's track `{}` carries no voice: calls do not wait for it",
            track.escape_debug()
        );
        let _ = shared.reports.send(CallReport::Notice(text)).await;
    }
}

/// Tells the caller what is known of the transcript on which a branch depends.
async fn tell_branches(handle: &dyn CallerHandle<CallerEnd>, turns: &mut TurnReports) {
    if let Some(known) = turns.reply_matches() {
        // A caller that no longer exists takes no further turn.
        let told = handle.with(move |caller, at| caller.reply_matches(at.now, known));
        let _ = told.await;
    }
}

/// Informs the caller's endpoint that a stream was confirmed as a voice, and what branches need to
/// know.
async fn confirm_voice(handle: &dyn CallerHandle<CallerEnd>, turns: &mut TurnReports) {
    if let Some(stream) = turns.take_voice() {
        // A caller that no longer exists does not need the answer.
        let told = handle.with(move |caller, at| caller.judged(at.now, stream, Some(true)));
        let _ = told.await;
    }
    tell_branches(handle, turns).await;
}
